package workspace_test

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/yolo-run/yolo-run/entrypoint"
	"github.com/yolo-run/yolo-run/entrypoint/wire"
	"github.com/yolo-run/yolo-run/runner/internal/workspace"
)

// TestMain gives the tests a mount namespace of their own: whatever they mount is gone when they end, however they end.
func TestMain(m *testing.M) {
	flag.Parse()
	if testing.Short() || os.Geteuid() != 0 || os.Getenv("YOLO_TEST_MOUNTS") != "" {
		os.Exit(m.Run())
	}
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), "YOLO_TEST_MOUNTS=private")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: unix.CLONE_NEWNS}
	err := cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
		fmt.Fprintln(os.Stderr, "private mount namespace:", err, exit)
		os.Exit(1)
	}
	os.Exit(cmd.ProcessState.ExitCode())
}

// sandbox is a workspace with an overlay over it, as the engine makes it, and an agent that is the test.
type sandbox struct {
	t                           testing.TB
	dir                         string
	Lower, Upper, Work, Merged  string
	before                      string // a copy of the workspace before the agent
	w                           *workspace.Workspace
	maxFileBytes, maxTotalBytes int64
}

// newSandbox fills a workspace and mounts an overlay over it. Another view than that: "overlay on two file systems" has what is written on
// one of its own, "two trees" is a plain copy, of which nobody knows where it was written to.
func newSandbox(t testing.TB, fill func(dir string), view ...string) *sandbox {
	t.Helper()
	if testing.Short() {
		t.Skip("mounts an overlay")
	}
	if os.Getenv("YOLO_TEST_MOUNTS") == "" {
		t.Fatal("this test mounts overlays: run it as root, or leave it out with -short")
	}
	dir, err := os.MkdirTemp("", "workspace") // t.TempDir has the test's name in it, and a comma ends an option of mount
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	holdOverlays(t, dir)
	s := &sandbox{t: t, dir: dir, Lower: dir + "/lower", Upper: dir + "/upper", Work: dir + "/work", Merged: dir + "/merged", before: dir + "/before"}
	for _, d := range []string{s.Lower, s.Upper, s.Work, s.Merged, dir + "/writes"} {
		must(t, os.Mkdir(d, 0o755))
	}
	fill(s.Lower)
	command(t, "cp", "-a", s.Lower, s.before)
	switch strings.Join(view, "") {
	case "two trees":
		command(t, "cp", "-aT", s.Lower, s.Merged)
		s.Upper = s.dir + "/none"
		return s
	case "overlay on two file systems":
		must(t, unix.Mount("tmpfs", dir+"/writes", "tmpfs", 0, "size=64m"))
		t.Cleanup(func() { must(t, unix.Unmount(dir+"/writes", unix.MNT_DETACH)) })
		s.Upper, s.Work = dir+"/writes/upper", dir+"/writes/work"
		must(t, errors.Join(os.Mkdir(s.Upper, 0o755), os.Mkdir(s.Work, 0o755)))
	}
	options := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s,redirect_dir=on,metacopy=off,index=off", s.Lower, s.Upper, s.Work)
	must(t, unix.Mount("overlay", s.Merged, "overlay", unix.MS_NOSUID|unix.MS_NODEV, options))
	t.Cleanup(func() { must(t, unix.Unmount(s.Merged, unix.MNT_DETACH)) })
	return s
}

// holdOverlays puts a tmpfs on dir where it lies on an overlay itself, as in a container of CI: the upper folder of one cannot be
// on another.
func holdOverlays(t testing.TB, dir string) {
	t.Helper()
	var below unix.Statfs_t
	must(t, unix.Statfs(dir, &below))
	if below.Type != unix.OVERLAYFS_SUPER_MAGIC {
		return
	}
	must(t, unix.Mount("tmpfs", dir, "tmpfs", 0, "mode=755"))
	t.Cleanup(func() { must(t, unix.Unmount(dir, unix.MNT_DETACH)) })
}

// open opens the workspace and puts into the overlay what the agent is to see.
func (s *sandbox) open(o workspace.Options) {
	s.t.Helper()
	if o.Dir == "" {
		o.Dir = s.Lower
	}
	w, err := workspace.Open(s.t.Context(), o)
	must(s.t, err)
	s.w = w
	extractUpper(s.t, w, s.Merged)
}

// collect ends the run: the collector is asked for the changes.
func (s *sandbox) collect() *workspace.Changes {
	s.t.Helper()
	if s.w == nil {
		s.open(workspace.Options{})
	}
	inR, inW := io.Pipe()
	outR, outW := io.Pipe()
	code := make(chan int, 1)
	go func() {
		code <- entrypoint.Collector{Lower: s.Lower, Upper: s.Upper, Merged: s.Merged}.Serve(inR, outW)
		inR.Close()
		outW.Close()
	}()
	probe, err := s.w.Probe(inW, outR, nil, time.Minute, time.Minute)
	must(s.t, err)
	must(s.t, s.w.CheckProbe(probe))
	c, err := s.w.Collect(s.t.Context(), inW, outR, workspace.CollectOptions{MaxFileBytes: s.maxFileBytes, MaxTotalBytes: s.maxTotalBytes})
	must(s.t, err)
	s.t.Cleanup(func() { must(s.t, c.Close()) })
	if got := <-code; got != 0 {
		s.t.Errorf("collector's exit code %d", got)
	}
	return c
}

// probe asks a collector that sees another folder as the lower one.
func (s *sandbox) probe(lower string, layers *wire.Layers) error {
	inR, inW := io.Pipe()
	outR, outW := io.Pipe()
	go func() {
		entrypoint.Collector{Lower: lower, Upper: s.Upper, Merged: s.Merged}.Serve(inR, outW)
		inR.Close()
		outW.Close()
	}()
	defer inW.Close()
	probe, err := s.w.Probe(inW, outR, layers, time.Minute, time.Minute)
	if err != nil {
		return err
	}
	return s.w.CheckProbe(probe)
}

func command(t testing.TB, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1",
		"GIT_AUTHOR_NAME=t", "GIT_AUTHOR_EMAIL=t@example.com", "GIT_COMMITTER_NAME=t", "GIT_COMMITTER_EMAIL=t@example.com")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return string(out)
}

func write(t testing.TB, name, content string) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(name), 0o755))
	must(t, os.WriteFile(name, []byte(content), 0o644))
}

func read(t testing.TB, name string) string {
	t.Helper()
	content, err := os.ReadFile(name)
	must(t, err)
	return string(content)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
