package tree_test

import (
	"errors"
	"os"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/yolo-run/yolo-run/entrypoint/internal/tree"
)

// What is no file is told of, never opened: a FIFO would keep the collector waiting, a device could do anything. What is huge and empty is not read where
// its size says enough.
func TestCompareOpensNothingStrange(t *testing.T) {
	t.Parallel()
	r := newOverlay(t)
	project(t, r.Lower)
	for name, mode := range map[string]uint32{"fifo": unix.S_IFIFO, "socket": unix.S_IFSOCK, "char": unix.S_IFCHR, "block": unix.S_IFBLK} {
		must(t, unix.Mknod(r.Lower+"/old-"+name, mode|0o644, int(unix.Mkdev(1, 3))))
	}
	mount(t, r)
	for name, mode := range map[string]uint32{"fifo": unix.S_IFIFO, "socket": unix.S_IFSOCK, "char": unix.S_IFCHR, "block": unix.S_IFBLK} {
		must(t, errors.Join(unix.Mknod(r.Merged+"/new-"+name, mode|0o644, int(unix.Mkdev(1, 3))), os.Remove(r.Merged+"/old-"+name)))
	}
	must(t, unix.Mknod(r.Merged+"/whiteout-that-is-none", unix.S_IFCHR|0o644, int(unix.Mkdev(0, 1))))
	must(t, os.WriteFile(r.Merged+"/sparse", nil, 0o644))
	must(t, os.Truncate(r.Merged+"/sparse", 1<<40))
	must(t, os.Truncate(r.Merged+"/a.txt", 1<<40))

	begun := time.Now()
	got, _ := compare(t, r)
	if took := time.Since(begun); took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
	want := []string{
		`+ "new-block" device (a device cannot be carried)`, `+ "new-char" device (a device cannot be carried)`, `+ "new-fifo" fifo (a fifo cannot be carried)`,
		`+ "new-socket" socket (a socket cannot be carried)`, `+ "sparse" 644:1099511627776`, `+ "whiteout-that-is-none" device (a device cannot be carried)`,
		`- "old-block" device (the removal of a device is not carried)`, `- "old-char" device (the removal of a device is not carried)`,
		`- "old-fifo" fifo (the removal of a fifo is not carried)`, `- "old-socket" socket (the removal of a socket is not carried)`, `~ "a.txt" 644:6 644:1099511627776`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	for _, name := range []string{"new-fifo", "new-socket", "new-char", "new-block", "link"} {
		if f, _, err := tree.OpenFile(r.Merged, name); err == nil {
			f.Close()
			t.Errorf("%s was opened", name)
		}
	}
}
