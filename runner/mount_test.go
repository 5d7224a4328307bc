package runner

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// machineOf is a host with its own folders below a temporary one.
type machineOf struct {
	host
	dir string
	env map[string]string
}

func newMachine(t *testing.T) machineOf {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	m := machineOf{dir: dir, env: map[string]string{
		"XDG_RUNTIME_DIR": dir + "/session/1000",
		"DOCKER_HOST":     "unix://" + dir + "/engine/engine.sock",
		"RUNNER_TEMP":     dir + "/job/temp",
		"GITHUB_OUTPUT":   dir + "/job/temp/commands/output",
	}}
	m.host = host{
		homes:     []string{dir + "/homes/me"},
		lookupEnv: func(name string) (string, bool) { v, ok := m.env[name]; return v, ok },
	}
	for _, folder := range []string{"homes/me/cache", "session/1000/bus", "engine", "job/temp/commands", "job/temp/data", "work/sub", "data"} {
		if err := os.MkdirAll(filepath.Join(dir, folder), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, file := range []string{"data/file", "data/a:b", "job/temp/commands/output", "engine/engine.sock"} {
		if err := os.WriteFile(filepath.Join(dir, file), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

func (m machineOf) link(t *testing.T, name, target string) {
	t.Helper()
	if err := os.Symlink(target, filepath.Join(m.dir, name)); err != nil {
		t.Fatal(err)
	}
}

func TestParseMount(t *testing.T) {
	m := newMachine(t)
	m.link(t, "work/inside", "sub")
	m.link(t, "alias", "data")
	for _, tc := range []struct {
		entry string
		want  Mount
	}{
		{"DIR/data:/data", Mount{"DIR/data", "/data", MountRO, true}},
		{"DIR/data:/data:ro", Mount{"DIR/data", "/data", MountRO, true}},
		{"DIR/data:/data/:cow", Mount{"DIR/data", "/data", MountCOW, true}},
		{"DIR/data:/data:rw", Mount{"DIR/data", "/data", MountRW, true}},
		{"DIR/data/file:/etc/tool.conf", Mount{"DIR/data/file", "/etc/tool.conf", MountRO, false}},
		{"DIR/data/a:b:/x", Mount{"DIR/data/a:b", "/x", MountRO, false}},
		{"~/cache:~/.cache:cow", Mount{"DIR/homes/me/cache", "/home/agent/.cache", MountCOW, true}},
		{"DIR/alias:/data", Mount{"DIR/data", "/data", MountRO, true}},
		{"DIR/work/inside:/sub", Mount{"DIR/work/sub", "/sub", MountRO, true}},
		{"DIR/job/temp/data:/data", Mount{"DIR/job/temp/data", "/data", MountRO, true}},
	} {
		got, err := parseMount(strings.ReplaceAll(tc.entry, "DIR", m.dir), m.host, m.dir+"/work")
		tc.want.Source = strings.ReplaceAll(tc.want.Source, "DIR", m.dir)
		if err != nil || got != tc.want {
			t.Errorf("%s: got %+v, %v", tc.entry, got, err)
		}
	}
}

func TestParseMountRefuses(t *testing.T) {
	m := newMachine(t)
	m.link(t, "work/escape", "../data")
	m.link(t, "to-etc", "/etc")
	m.link(t, "to-home", "homes/me")
	listener, err := net.Listen("unix", m.dir+"/data/socket")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()

	for _, tc := range []struct{ entry, want string }{
		{"", "SRC:DST"},
		{"DIR/data", "SRC:DST"},
		{":/x", "SRC:DST"},
		{"DIR/data:", "SRC:DST"},
		{"DIR/data:relative", "destination"},
		{"DIR/data:/x:rox", "destination"},
		{"DIR/missing:/x", "no such file"},
		{"DIR/data/file:/x:cow", "needs a folder"},
		{"DIR/data/socket:/x", "a socket"},
		{"/dev/null:/x", "system folder"},

		{"DIR/data:/", "belongs to the sandbox"},
		{"DIR/data:/workspace", "belongs to the sandbox"},
		{"DIR/data:/workspace/x", "belongs to the sandbox"},
		{"DIR/data:/x/../proc/sys", "belongs to the sandbox"},
		{"DIR/data:/.yolo-run/out", "belongs to the sandbox"},
		{"DIR/data:/etc", "belongs to the sandbox"},
		{"DIR/data:~", "belongs to the sandbox"},

		{"/:/x", "whole machine"},
		{"/etc:/x", "system folder"},
		{"/etc/ssl:/x", "system folder"},
		{"DIR/to-etc:/x", "system folder"},
		{"/proc/self:/x", "system folder"},
		{"/usr:/x", "system folder"},
		{"/var:/x", "system folder"},
		{"~:/x", "home folder"},
		{"DIR/to-home:/x", "home folder"},
		{"DIR/homes:/x", "home folder"},
		{"DIR/session/1000:/x", "XDG_RUNTIME_DIR"},
		{"DIR/session/1000/bus:/x", "XDG_RUNTIME_DIR"},
		{"DIR/session:/x", "XDG_RUNTIME_DIR"},
		{"DIR/engine:/x", "engine's socket"},
		{"DIR/engine/engine.sock:/x", "engine's socket"},
		{"DIR/job:/x", "steers the CI job"},
		{"DIR/job/temp:/x", "steers the CI job"},
		{"DIR/job/temp/commands:/x", "steers the CI job"},
		{"DIR/work/escape:/x", "leads out of it"},
		{"DIR/work/escape/file:/x", "leads out of it"},
	} {
		got, err := parseMount(strings.ReplaceAll(tc.entry, "DIR", m.dir), m.host, m.dir+"/work")
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: got %+v, %v, want %q", tc.entry, got, err, tc.want)
		}
	}
}

func TestTwoMountsAtOnePlace(t *testing.T) {
	m := newMachine(t)
	cfg := Config{Mounts: []string{m.dir + "/data:/x", m.dir + "/work:/x/"}}
	if mounts, err := cfg.mountList(m.host, ""); err == nil || len(mounts) != 1 {
		t.Errorf("got %v, %v", mounts, err)
	}
}

// A workspace obeys the same rules, at its git top level, which is what gets mounted.
func TestWorkspaceRoot(t *testing.T) {
	m := newMachine(t)
	for _, tc := range []struct{ name, git, workspace, want string }{
		{"no repository", "", "work/sub", "work/sub"},
		{"a folder of a repository", "work/.git", "work/sub", "work"},
		{"home is a repository", "homes/me/.git", "homes/me/cache", "home folder"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if tc.git != "" {
				git := filepath.Join(m.dir, tc.git)
				if err := errors.Join(os.Mkdir(git, 0o700), os.WriteFile(filepath.Join(git, "HEAD"), nil, 0o600)); err != nil {
					t.Fatal(err)
				}
			}
			got, err := Config{Workspace: filepath.Join(m.dir, tc.workspace)}.workspaceRoot(m.host)
			if err != nil {
				got = err.Error()
			}
			if got != filepath.Join(m.dir, tc.want) && (err == nil || !strings.Contains(got, tc.want)) {
				t.Errorf("got %q", got)
			}
		})
	}
}
