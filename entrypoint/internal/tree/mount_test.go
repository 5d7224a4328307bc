package tree_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/yolo-run/yolo-run/entrypoint/internal/tree"
	"github.com/yolo-run/yolo-run/entrypoint/wire"
)

func TestCheckLayers(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name    string
		options string
		flags   uintptr
		change  func(*wire.Layers)
		ok      bool
	}{
		{"exactly these", "redirect_dir=on,metacopy=off,index=off", unix.MS_RDONLY, func(*wire.Layers) {}, true},
		{"writable", "redirect_dir=on", 0, func(*wire.Layers) {}, false},
		{"another lower", "redirect_dir=on", unix.MS_RDONLY, func(l *wire.Layers) { l.Lower = "/" }, false},
		{"another upper", "redirect_dir=on", unix.MS_RDONLY, func(l *wire.Layers) { l.Upper += "x" }, false},
		{"another work", "redirect_dir=on", unix.MS_RDONLY, func(l *wire.Layers) { l.Work = l.Upper }, false},
		{"metadata copied without contents", "metacopy=on", unix.MS_RDONLY, func(*wire.Layers) {}, false},
		{"redirects not followed", "redirect_dir=nofollow", unix.MS_RDONLY, func(*wire.Layers) {}, false},
		{"attributes that anybody can set", "userxattr", unix.MS_RDONLY, func(*wire.Layers) {}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			r := newOverlay(t)
			layers := wire.Layers{Lower: r.Lower, Upper: r.Upper, Work: filepath.Join(filepath.Dir(r.Upper), "work")}
			options := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s,%s", layers.Lower, layers.Upper, layers.Work, tc.options)
			must(t, unix.Mount("overlay", r.Merged, "overlay", tc.flags, options))
			t.Cleanup(func() { must(t, unix.Unmount(r.Merged, unix.MNT_DETACH)) })
			tc.change(&layers)
			if err := tree.CheckLayers(r.Merged, layers); (err == nil) != tc.ok {
				t.Errorf("got %v, want accepted: %v", err, tc.ok)
			}
		})
	}
	t.Run("no mount", func(t *testing.T) {
		t.Parallel()
		if err := tree.CheckLayers(t.TempDir(), wire.Layers{}); err == nil {
			t.Error("accepted a plain folder")
		}
	})
}

// On two file systems inode numbers of folders prove nothing: the comparison is slower and still right.
func TestCompareOnTwoFileSystems(t *testing.T) {
	t.Parallel()
	r := newOverlay(t)
	dir := filepath.Dir(r.Upper)
	must(t, unix.Mount("tmpfs", r.Upper, "tmpfs", 0, "size=1m"))
	t.Cleanup(func() { must(t, unix.Unmount(r.Upper, unix.MNT_DETACH)) })
	upper, work := r.Upper+"/upper", r.Upper+"/work"
	must(t, os.Mkdir(upper, 0o755))
	must(t, os.Mkdir(work, 0o755))
	project(t, r.Lower)
	options := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s,redirect_dir=on", r.Lower, upper, work)
	must(t, unix.Mount("overlay", r.Merged, "overlay", 0, options))
	t.Cleanup(func() { must(t, unix.Unmount(r.Merged, unix.MNT_DETACH)) })
	must(t, os.Rename(r.Merged+"/dir", r.Merged+"/folder"))
	write(t, r.Merged+"/b.txt", "gamma\n")
	got, stats := compare(t, tree.Roots{Lower: r.Lower, Upper: upper, Merged: r.Merged})
	want := []string{
		`+ "folder/one" 644:2`, `+ "folder/sub/three" 644:2`, `+ "folder/two" 644:2`,
		`- "dir/one" 644:2`, `- "dir/sub/three" 644:2`, `- "dir/two" 644:2`, `~ "b.txt" 644:5 644:6`,
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%s: got %q, want %q", dir, got, want)
	}
	if stats.Folders < 8 {
		t.Errorf("compared %d folders: not all", stats.Folders)
	}
}
