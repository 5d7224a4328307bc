package tree_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/yolo-run/yolo-run/entrypoint/internal/tree"
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
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		fmt.Fprintln(os.Stderr, "private mount namespace:", err)
		os.Exit(1)
	}
	os.Exit(cmd.ProcessState.ExitCode())
}

// newOverlay makes the four folders of an overlay. Nothing is mounted before [mount], so that lower can be filled.
func newOverlay(t testing.TB) tree.Roots {
	t.Helper()
	if testing.Short() {
		t.Skip("mounts an overlay")
	}
	if os.Getenv("YOLO_TEST_MOUNTS") == "" {
		t.Fatal("this test mounts overlays: run it as root, or leave it out with -short")
	}
	dir, err := os.MkdirTemp("", "tree") // t.TempDir has the test's name in it, and a comma ends an option of mount
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	holdOverlays(t, dir)
	roots := tree.Roots{Lower: filepath.Join(dir, "lower"), Upper: filepath.Join(dir, "upper"), Merged: filepath.Join(dir, "merged")}
	for _, d := range []string{roots.Lower, roots.Upper, roots.Merged, filepath.Join(dir, "work")} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return roots
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

// mount mounts with the options that the engine is given.
func mount(t testing.TB, r tree.Roots) {
	t.Helper()
	options := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s,redirect_dir=on,metacopy=off,index=off",
		r.Lower, r.Upper, filepath.Join(filepath.Dir(r.Upper), "work"))
	if err := unix.Mount("overlay", r.Merged, "overlay", unix.MS_NOSUID|unix.MS_NODEV, options); err != nil {
		t.Fatalf("mount overlay (%s): %v", options, err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(r.Merged, unix.MNT_DETACH); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
}
