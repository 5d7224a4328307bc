package workspace_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/yolo-run/yolo-run/entrypoint/wire"
	"github.com/yolo-run/yolo-run/runner/internal/workspace"
)

// The view shows the workspace's files as the agent's and everybody else's as theirs, cannot be written, and is gone when it is closed.
func TestMap(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Fatal("this test needs root (run make test as root, or through sudo)")
	}
	dir := filepath.Join(t.TempDir(), "a:b,c") // no mount option could name it
	for name, owner := range map[string]int{"root's": 0, "another's": 33, "the agent's number": 1000} {
		write(t, filepath.Join(dir, name), "x")
		must(t, os.Chown(filepath.Join(dir, name), owner, owner))
	}
	w, err := workspace.Open(t.Context(), workspace.Options{Dir: dir})
	must(t, err)
	view, err := w.Map(1000, 1001)
	if err != nil && strings.Contains(err.Error(), "kernel") {
		t.Skip(err)
	}
	must(t, err)
	path := view.Path()
	for name, want := range map[string][2]uint32{".": {1000, 1001}, "root's": {1000, 1001}, "another's": {33, 33}, "the agent's number": {0, 1000}} {
		var st syscall.Stat_t
		must(t, syscall.Lstat(path+"/"+name, &st))
		if got := [2]uint32{st.Uid, st.Gid}; got != want {
			t.Errorf("%s belongs to %d, want %d", name, got, want)
		}
	}
	if err := os.WriteFile(path+"/root's", nil, 0o600); !errors.Is(err, unix.EROFS) {
		t.Errorf("write: %v", err)
	}
	must(t, view.Close())
	if _, err := os.Lstat(path + "/root's"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("after Close: %v", err)
	}
}

// A number in /proc is another process where the engine is elsewhere: what the overlay shows is compared too.
func TestCheckProbeRefusesAnOverlayOfSomethingElse(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir+"/file", "x")
	w, err := workspace.Open(t.Context(), workspace.Options{Dir: dir})
	must(t, err)
	stat := func(name string) *wire.CollectStat {
		var st syscall.Stat_t
		must(t, syscall.Lstat(name, &st))
		return &wire.CollectStat{Dev: st.Dev, Ino: st.Ino, CtimeNs: st.Ctim.Nano()}
	}
	probe := wire.CollectProbe{Wire: wire.Version, Root: *stat(dir), Entry: stat(dir + "/file"), Layers: true, Merged: stat(dir + "/file")}
	must(t, w.CheckProbe(probe))
	probe.Merged = &wire.CollectStat{CtimeNs: probe.Entry.CtimeNs - 1}
	if err := w.CheckProbe(probe); !errors.Is(err, workspace.ErrElsewhere) {
		t.Errorf("another time: %v", err)
	}
	probe.Merged = nil
	if err := w.CheckProbe(probe); !errors.Is(err, workspace.ErrElsewhere) {
		t.Errorf("nothing there: %v", err)
	}
}
