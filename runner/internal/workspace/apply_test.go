package workspace_test

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/yolo-run/yolo-run/runner/internal/workspace"
)

// A patch that does not fit changes nothing at all, wherever in it the misfit is.
func TestApplyIsAllOrNothing(t *testing.T) {
	t.Parallel()
	agent := func(t *testing.T, d string) {
		write(t, d+"/dir/one", "agent\n")
		must(t, os.Remove(d+"/noeol"))
		must(t, os.Rename(d+"/other", d+"/moved"))
		write(t, d+"/new/file", "new\n")
		write(t, d+"/zzz", "last\n")
	}
	for name, host := range map[string]func(t *testing.T, d string){
		"a file was changed":            func(t *testing.T, d string) { write(t, d+"/dir/one", "the user\n") },
		"a file is gone":                func(t *testing.T, d string) { must(t, os.Remove(d+"/noeol")) },
		"a mode was changed":            func(t *testing.T, d string) { must(t, os.Chmod(d+"/noeol", 0o755)) },
		"a new file is there already":   func(t *testing.T, d string) { write(t, d+"/zzz", "the user's\n") },
		"a folder stands in the way":    func(t *testing.T, d string) { write(t, d+"/zzz/file", "the user's\n") },
		"a file stands for a folder":    func(t *testing.T, d string) { write(t, d+"/new", "the user's\n") },
		"a symlink stands for a folder": func(t *testing.T, d string) { must(t, os.Symlink("dir", d+"/new")) },
		"a symlink stands for a file": func(t *testing.T, d string) {
			must(t, os.Rename(d+"/dir/one", d+"/elsewhere"))
			must(t, os.Symlink("../elsewhere", d+"/dir/one"))
		},
		"a symlink leads to the files": func(t *testing.T, d string) {
			must(t, os.Rename(d+"/other", d+"/real"))
			must(t, os.Symlink("real", d+"/other"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSandbox(t, func(dir string) { project(t, dir, false) })
			agent(t, s.Merged)
			c := s.collect()
			host(t, s.before)
			want := snapshot(t, s.before)
			if err := c.Apply(t.Context(), s.before); !errors.Is(err, workspace.ErrConflict) {
				t.Errorf("error %v", err)
			}
			if diff := diffSnapshots(want, snapshot(t, s.before)); len(diff) > 0 {
				t.Errorf("changed all the same: %q", diff)
			}
			if left := ls(t, s.before); strings.Contains(strings.Join(left, " "), "yolo-run") {
				t.Errorf("left behind: %q", left)
			}
		})
	}
}

// A step that fails after others were done takes them back: here the last file's folder cannot be written to.
func TestApplyTakesBack(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, func(dir string) {
		project(t, dir, false)
		write(t, dir+"/zzz/old", "old\n")
	})
	write(t, s.Merged+"/dir/one", "agent\n")
	write(t, s.Merged+"/new/file", "agent\n")
	must(t, os.RemoveAll(s.Merged+"/other"))
	write(t, s.Merged+"/zzz/new", "agent\n")
	c := s.collect()
	want := snapshot(t, s.before)
	// A file system of its own: what is prepared on another one cannot be moved there.
	must(t, unix.Mount("tmpfs", s.before+"/zzz", "tmpfs", 0, "size=64k"))
	err := c.Apply(t.Context(), s.before)
	must(t, unix.Unmount(s.before+"/zzz", unix.MNT_DETACH))
	if !errors.Is(err, unix.EXDEV) {
		t.Errorf("error %v", err)
	}
	if diff := diffSnapshots(want, snapshot(t, s.before)); len(diff) > 0 {
		t.Errorf("not taken back: %q", diff)
	}
}

func TestApplyKeepsOwnersAndModes(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, func(dir string) {
		project(t, dir, false)
		must(t, os.Chmod(dir+"/dir/one", 0o640))
		must(t, os.Chown(dir+"/dir/one", 1234, 1235))
		must(t, os.Chown(dir+"/other", 2000, 2001))
	})
	write(t, s.Merged+"/dir/one", "agent\n")
	must(t, os.Chmod(s.Merged+"/dir/one", 0o755))
	write(t, s.Merged+"/other/deep/new", "agent\n")
	must(t, s.collect().Apply(t.Context(), s.before))
	for name, want := range map[string][3]uint32{
		"dir/one": {1234, 1235, 0o750}, "other/deep": {2000, 2001, 0o755}, "other/deep/new": {2000, 2001, 0o644},
	} {
		var st unix.Stat_t
		must(t, unix.Lstat(s.before+"/"+name, &st))
		if got := [3]uint32{st.Uid, st.Gid, st.Mode & 0o777}; got != want {
			t.Errorf("%s: %d:%d mode %o, want %d:%d %o", name, got[0], got[1], got[2], want[0], want[1], want[2])
		}
	}
}

// A stored patch may meet a tree that has moved on, as long as its lines are found.
func TestReadPatchOnATreeThatMovedOn(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, func(dir string) { project(t, dir, true) })
	s.open(workspace.Options{})
	write(t, s.Merged+"/README.md", read(t, s.Merged+"/README.md")+"agent\n")
	patch := string(patchOf(t, s.collect()))
	write(t, s.Lower+"/README.md", "the user\n"+read(t, s.Lower+"/README.md"))
	want := read(t, s.Lower+"/README.md") + "agent\n"

	c, err := s.w.ReadPatch(t.Context(), strings.NewReader(patch))
	must(t, err)
	defer c.Close()
	must(t, c.Apply(t.Context(), s.Lower))
	if got := read(t, s.Lower+"/README.md"); got != want {
		t.Errorf("got %q", got)
	}
	if _, err := s.w.ReadPatch(t.Context(), strings.NewReader(strings.ReplaceAll(patch, " line", " other"))); !errors.Is(err, workspace.ErrConflict) {
		t.Errorf("a patch for another file: %v", err)
	}
}

// Where the lines around a change have changed, too, the version that the user had committed tells what is whose.
func TestReadPatchMergesThreeWays(t *testing.T) {
	t.Parallel()
	lines := func(a, b, c string) string { return "1\n2\n" + a + "\n" + b + "\n" + c + "\n6\n7\n" }
	s := newSandbox(t, func(dir string) {
		write(t, dir+"/file", lines("3", "4", "5"))
		write(t, dir+"/mine", "mine\n")
		write(t, dir+"/gone", lines("3", "4", "5"))
		project(t, dir, true)
	})
	s.open(workspace.Options{})
	write(t, s.Merged+"/file", lines("3", "4", "agent"))
	write(t, s.Merged+"/same", "both make it\n")
	must(t, os.Remove(s.Merged+"/gone"))
	patch := string(patchOf(t, s.collect()))

	write(t, s.Lower+"/file", lines("user", "4", "5")) // in the agent's context
	write(t, s.Lower+"/same", "both make it\n")
	c, err := s.w.ReadPatch(t.Context(), strings.NewReader(patch))
	must(t, err)
	defer c.Close()
	must(t, c.Apply(t.Context(), s.Lower))
	if got := read(t, s.Lower+"/file"); got != lines("user", "4", "agent") {
		t.Errorf("merged to %q", got)
	}
	if _, err := os.Lstat(s.Lower + "/gone"); !os.IsNotExist(err) {
		t.Errorf("the deleted file: %v", err)
	}

	write(t, s.Lower+"/file", lines("3", "4", "user"))
	write(t, s.Lower+"/gone", lines("3", "4", "5"))
	want := snapshot(t, s.Lower)
	_, err = s.w.ReadPatch(t.Context(), strings.NewReader(patch))
	var conflict *workspace.ConflictError
	if !errors.Is(err, workspace.ErrConflict) || !errors.As(err, &conflict) || !slices.Equal(conflict.Paths, []string{"file"}) {
		t.Errorf("changed on both sides: %v", err)
	}
	if diff := diffSnapshots(want, snapshot(t, s.Lower)); len(diff) > 0 {
		t.Errorf("changed all the same: %q", diff)
	}
}

// What a patch file says about itself is not believed.
func TestReadPatchRefusesHostilePatches(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	project(t, dir, true)
	must(t, os.Symlink("/tmp", dir+"/out"))
	w, err := workspace.Open(t.Context(), workspace.Options{Dir: dir})
	must(t, err)
	want := snapshot(t, dir)
	add := func(path string) string {
		return "diff --git a/" + path + " b/" + path + "\nnew file mode 100644\n--- /dev/null\n+++ b/" + path + "\n@@ -0,0 +1 @@\n+x\n"
	}
	for _, path := range []string{"../x", "/etc/x", ".git/hooks/x", ".GIT/x", "dir/../../x", "out/x", "README.md/x", "git~1/x"} {
		c, err := w.ReadPatch(t.Context(), strings.NewReader(add(path)))
		if err == nil {
			err = c.Apply(t.Context(), dir)
			must(t, c.Close())
		}
		if err == nil {
			t.Errorf("%q was applied", path)
		}
	}
	if diff := diffSnapshots(want, snapshot(t, dir)); len(diff) > 0 {
		t.Errorf("changed %q", diff)
	}
	c, err := w.ReadPatch(t.Context(), strings.NewReader(add("fine/x")))
	must(t, err)
	defer c.Close()
	must(t, c.Apply(t.Context(), dir))
	if read(t, dir+"/fine/x") != "x\n" {
		t.Error("an honest patch was not applied")
	}
}
