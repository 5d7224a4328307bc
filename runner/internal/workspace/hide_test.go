package workspace_test

import (
	"archive/tar"
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/yolo-run/yolo-run/runner/internal/workspace"
)

func TestHidden(t *testing.T) {
	t.Parallel()
	files := []string{
		".env", ".env.local", ".env.example", ".environment", "app/.env", "app/.env.production", "app/.netrc", "certs/key.pem", "certs/key.pem.txt",
		".git/logs/HEAD", ".git/logs/refs/heads/main", ".git/config", "sub/.git/logs/HEAD", "logs/HEAD", "secrets/a", "secrets/deep/b", "x/secrets/c",
	}
	for _, tc := range []struct {
		name string
		hide []string
		want []string
	}{
		{"defaults", nil, []string{
			".env", ".env.local", ".git/logs/HEAD", ".git/logs/refs/heads/main", "app/.env", "app/.env.production", "app/.netrc", "certs/key.pem", "sub/.git/logs/HEAD",
		}},
		{"nothing", []string{}, nil},
		{"a name at any depth, a folder with all in it", []string{"secrets"}, []string{"secrets/a", "secrets/deep/b", "x/secrets/c"}},
		{"from the root", []string{"/secrets"}, []string{"secrets/a", "secrets/deep/b"}},
		{"some folders between", []string{"secrets/**/b"}, []string{"secrets/deep/b"}},
		{"taken back", []string{"secrets", "!secrets/deep"}, []string{"secrets/a", "x/secrets/c"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			for _, f := range files {
				write(t, filepath.Join(dir, f), "x")
			}
			w, err := workspace.Open(t.Context(), workspace.Options{Dir: dir, Hide: tc.hide})
			must(t, err)
			got, err := w.Hidden(t.Context())
			must(t, err)
			if !slices.Equal(got, tc.want) {
				t.Errorf("hidden %q, want %q", got, tc.want)
			}
		})
	}
}

func TestHidePatternsAreChecked(t *testing.T) {
	t.Parallel()
	for _, pattern := range []string{"", "/", "!", "[", "a//b", "../x"} {
		if _, err := workspace.Open(t.Context(), workspace.Options{Dir: t.TempDir(), Hide: []string{pattern}}); err == nil {
			t.Errorf("%q was accepted", pattern)
		}
	}
}

const canary = "canary-0b7e"

// leaky fills a workspace with every place of a credential that we know, all with the canary.
func leaky(t testing.TB, dir string) {
	t.Helper()
	project(t, dir, true)
	write(t, dir+"/.env", "KEY="+canary)
	must(t, os.Chmod(dir+"/.env", 0o600))
	write(t, dir+"/key.pem", canary)
	must(t, os.Symlink("/etc/hostname", dir+"/.netrc"))
	config := `
[remote "origin"]
	url = https://x-access-token:` + canary + `@example.com/a/b.git
	fetch = +refs/heads/*:refs/remotes/origin/*
[remote "ssh"]
	url = git@example.com:a/b.git
[http "https://example.com/"]
	extraheader = AUTHORIZATION: basic ` + canary + `
	proxy = http://u:` + canary + `@proxy
[credential]
	helper = "!echo password=` + canary + `"
[url "https://` + canary + `@example.com/"]
	insteadOf = https://example.com/
[include]
	path = /run/` + canary + `
[includeIf "gitdir:/**"]
	path = /run/` + canary + `
[core]
	sshCommand = ssh -i /` + canary + `
	fsmonitor = /` + canary + `
	hooksPath = /` + canary + `
[tool "x"]
	token = ` + canary + `
[branch "main"]
	remote = https://` + canary + `@example.com/a/b.git
	merge = refs/heads/main
[user]
	name = "A \"quoted\" name; with # signs \\ and\nlines"
`
	write(t, dir+"/.git/config", read(t, dir+"/.git/config")+config)
	write(t, dir+"/.git/modules/lib/config", config)
	write(t, dir+"/.git/logs/HEAD", canary)
	write(t, dir+"/vendor/nested/file", "x")
	command(t, "git", "-C", dir+"/vendor/nested", "init", "-q")
	write(t, dir+"/vendor/nested/.git/config", config)
}

// findCanary lists the files that have it.
func findCanary(t testing.TB, root string) []string {
	t.Helper()
	var found []string
	must(t, filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		if strings.Contains(read(t, path), canary) {
			found = append(found, strings.TrimPrefix(path, root+"/"))
		}
		return nil
	}))
	return found
}

func TestAgentSeesNoCredential(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, func(dir string) { leaky(t, dir) })
	if found := findCanary(t, s.Merged); len(found) < 6 {
		t.Fatalf("the canary is only in %q: the test proves nothing", found)
	}
	s.open(workspace.Options{})
	if found := findCanary(t, s.Merged); len(found) > 0 {
		t.Errorf("the agent sees %q", found)
	}

	// git goes on working, and with the same values where they are harmless.
	for key, want := range map[string]string{
		"remote.origin.url": "https://example.com/a/b.git", "remote.ssh.url": "git@example.com:a/b.git",
		"remote.origin.fetch": "+refs/heads/*:refs/remotes/origin/*", "branch.main.remote": "https://example.com/a/b.git",
		"user.name": "A \"quoted\" name; with # signs \\ and\nlines", "core.bare": "false",
	} {
		got := strings.TrimSuffix(command(t, "git", "-C", s.Merged, "config", "--get", key), "\n")
		if got != want {
			t.Errorf("%s is %q, want %q", key, got, want)
		}
	}
	command(t, "git", "-C", s.Merged, "status")
	var st unix.Stat_t
	must(t, unix.Lstat(s.Merged+"/.env", &st))
	if st.Mode != unix.S_IFREG|0o600 || st.Size != 0 {
		t.Errorf(".env has mode %o and %d bytes", st.Mode, st.Size)
	}

	// None of it is a change, and what is written there does not leave.
	write(t, s.Merged+"/.env", "stolen")
	must(t, os.Remove(s.Merged+"/key.pem"))
	write(t, s.Merged+"/.env.new", "this one was not hidden\n")
	c := s.collect()
	if got := paths(c.Report().Files); !slices.Equal(got, []string{"added .env.new"}) {
		t.Errorf("changes %q", got)
	}
	if n := c.Report().NotCarried; len(n) != 2 || n[0].Path != ".env" || n[1].Path != "key.pem" {
		t.Errorf("not carried: %+v", n)
	}
}

func TestCopyHasNoCredentialAndIsComplete(t *testing.T) {
	t.Parallel()
	dir, to := t.TempDir(), t.TempDir()
	leaky(t, dir)
	must(t, unix.Mkfifo(dir+"/fifo", 0o644))
	must(t, os.Chmod(dir+"/run.sh", 0o750))
	w, err := workspace.Open(t.Context(), workspace.Options{Dir: dir})
	must(t, err)
	var archive bytes.Buffer
	tw := tar.NewWriter(&archive)
	var files, size int64
	_, err = w.WriteCopy(t.Context(), tw, 1234, 1235, func(f, b int64) { files, size = f, b })
	must(t, err)
	must(t, tw.Close())
	extract(t, &archive, "./", to)
	if found := findCanary(t, to); len(found) > 0 {
		t.Errorf("the copy has the canary in %q", found)
	}
	if diff := diffSnapshots(snapshot(t, dir), snapshot(t, to)); !slices.Equal(diff, []string{".env", ".netrc", "key.pem"}) {
		t.Errorf("the copy differs in %q", diff)
	}
	if skipped := w.Skipped(); len(skipped) != 1 || skipped[0].Path != "fifo" {
		t.Errorf("skipped: %+v", skipped)
	}
	if files == 0 || size == 0 {
		t.Error("no progress")
	}
	for _, name := range []string{"", "/run.sh", "/dir", "/link", "/.git/config"} {
		var st unix.Stat_t
		must(t, unix.Lstat(to+name, &st))
		if st.Uid != 1234 || st.Gid != 1235 {
			t.Errorf("%q belongs to %d:%d", name, st.Uid, st.Gid)
		}
		if name == "/run.sh" && st.Mode&0o777 != 0o750 {
			t.Errorf("mode %o", st.Mode)
		}
	}
	command(t, "git", "-c", "safe.directory=*", "--git-dir="+to+"/.git", "--work-tree="+to, "log")
}

func TestCopyIsBounded(t *testing.T) {
	t.Parallel()
	for _, o := range []workspace.Options{{MaxCopyFiles: 3}, {MaxCopyBytes: 100}} {
		o.Dir = t.TempDir()
		project(t, o.Dir, false)
		w, err := workspace.Open(t.Context(), o)
		must(t, err)
		if _, err := w.WriteCopy(t.Context(), tar.NewWriter(&bytes.Buffer{}), 1, 1, nil); err == nil || !strings.Contains(err.Error(), workspace.ErrTooLarge.Error()) {
			t.Errorf("%+v: %v", o, err)
		}
	}
}
