package tree_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/yolo-run/yolo-run/entrypoint/internal/tree"
	"github.com/yolo-run/yolo-run/entrypoint/wire"
)

// project is what every case starts from.
func project(t testing.TB, dir string) {
	t.Helper()
	for name, content := range map[string]string{
		"a.txt": "alpha\n", "b.txt": "beta\n", "run.sh": "#!/bin/sh\n",
		"dir/one": "1\n", "dir/two": "2\n", "dir/sub/three": "3\n",
		"other/one": "eins\n", "other/sub/three": "drei\n",
		".git/config": "[core]\n", ".git/HEAD": "ref: refs/heads/main\n",
	} {
		write(t, filepath.Join(dir, name), content)
	}
	must(t, os.Symlink("a.txt", filepath.Join(dir, "link")))
	must(t, os.Mkdir(filepath.Join(dir, "empty"), 0o755))
	must(t, os.Link(filepath.Join(dir, "a.txt"), filepath.Join(dir, "hard")))
}

func write(t testing.TB, name, content string) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(name), 0o755))
	must(t, os.WriteFile(name, []byte(content), 0o644))
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// show writes a change as one line: - removed, + added, ~ changed, = only noted.
func show(c wire.CollectChange) string {
	describe := func(e *wire.CollectEntry) string {
		switch {
		case e == nil:
			return ""
		case e.Kind == wire.KindSymlink:
			return "->" + string(e.Target)
		case e.Kind == wire.KindFile:
			return fmt.Sprintf("%o:%d", e.Perm, e.Size)
		default:
			return string(e.Kind)
		}
	}
	sign := "~"
	switch {
	case c.Same:
		sign = "="
	case c.Old == nil:
		sign = "+"
	case c.New == nil:
		sign = "-"
	}
	line := fmt.Sprintf("%s %q %s %s", sign, c.Path, describe(c.Old), describe(c.New))
	if c.Same {
		line = fmt.Sprintf("= %q", c.Path)
	}
	if len(c.Notes) > 0 {
		line += " (" + strings.Join(c.Notes, "; ") + ")"
	}
	return strings.Join(strings.Fields(line), " ")
}

func compare(t testing.TB, r tree.Roots) ([]string, tree.Stats) {
	t.Helper()
	var lines []string
	stats, err := tree.Compare(t.Context(), r, func(c wire.CollectChange) error {
		lines = append(lines, show(c))
		return nil
	})
	must(t, err)
	slices.Sort(lines)
	return lines, stats
}

func TestCompare(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name  string
		agent func(t *testing.T, dir string) // what was done in the merged tree
		want  []string
	}{
		{"nothing", func(*testing.T, string) {}, nil},
		{"touched and rewritten with the same bytes", func(t *testing.T, d string) {
			must(t, os.Chtimes(d+"/a.txt", time.Unix(1, 0), time.Unix(1, 0)))
			write(t, d+"/b.txt", "beta\n")
		}, nil},
		{"added, changed, deleted", func(t *testing.T, d string) {
			write(t, d+"/new/x", "x")
			write(t, d+"/b.txt", "gamma\n")
			must(t, os.Remove(d+"/dir/one"))
		}, []string{`+ "new/x" 644:1`, `- "dir/one" 644:2`, `~ "b.txt" 644:5 644:6`}},
		{"replaced through a temporary file", func(t *testing.T, d string) {
			write(t, d+"/b.tmp", "BETA\n")
			must(t, os.Rename(d+"/b.tmp", d+"/b.txt"))
		}, []string{`~ "b.txt" 644:5 644:5`}},
		{"executable bit", func(t *testing.T, d string) {
			must(t, os.Chmod(d+"/run.sh", 0o755))
		}, []string{`~ "run.sh" 644:10 755:10`}},
		{"other mode bits", func(t *testing.T, d string) {
			must(t, os.Chmod(d+"/b.txt", 0o600))
			must(t, os.Chmod(d+"/dir", 0o700))
			write(t, d+"/secret", "s")
			must(t, os.Chmod(d+"/secret", 0o400))
			must(t, os.Chmod(d+"/dir/one", 0o664)) // a umask, nobody's intent
		}, []string{
			`+ "secret" 400:1 (mode 0400: of a mode only the executable bit is carried)`,
			`= "b.txt" (mode 0600: of a mode only the executable bit is carried)`, `= "dir" (mode 0700 of a folder is not carried)`,
		}},
		{"a renamed file", func(t *testing.T, d string) {
			must(t, os.Rename(d+"/dir/one", d+"/dir/uno"))
		}, []string{`+ "dir/uno" 644:2`, `- "dir/one" 644:2`}},
		{"a renamed folder", func(t *testing.T, d string) {
			must(t, os.Rename(d+"/dir", d+"/folder"))
		}, []string{
			`+ "folder/one" 644:2`, `+ "folder/sub/three" 644:2`, `+ "folder/two" 644:2`,
			`- "dir/one" 644:2`, `- "dir/sub/three" 644:2`, `- "dir/two" 644:2`,
		}},
		{"a folder renamed, changed, and its name taken by a new one", func(t *testing.T, d string) {
			must(t, os.Rename(d+"/dir", d+"/folder"))
			write(t, d+"/folder/sub/three", "III\n")
			write(t, d+"/dir/one", "1\n")
		}, []string{
			`+ "folder/one" 644:2`, `+ "folder/sub/three" 644:4`, `+ "folder/two" 644:2`,
			`- "dir/sub/three" 644:2`, `- "dir/two" 644:2`,
		}},
		{"swapped folders", func(t *testing.T, d string) {
			must(t, os.Rename(d+"/dir", d+"/tmp"))
			must(t, os.Rename(d+"/other", d+"/dir"))
			must(t, os.Rename(d+"/tmp", d+"/other"))
		}, []string{
			`+ "other/two" 644:2`, `- "dir/two" 644:2`, `~ "dir/one" 644:2 644:5`, `~ "dir/sub/three" 644:2 644:5`,
			`~ "other/one" 644:5 644:2`, `~ "other/sub/three" 644:5 644:2`,
		}},
		{"a folder moved out of one that is removed", func(t *testing.T, d string) {
			must(t, os.Rename(d+"/dir/sub", d+"/kept"))
			must(t, os.RemoveAll(d+"/dir"))
		}, []string{`+ "kept/three" 644:2`, `- "dir/one" 644:2`, `- "dir/sub/three" 644:2`, `- "dir/two" 644:2`}},
		{"removed and made again", func(t *testing.T, d string) {
			must(t, os.RemoveAll(d+"/dir"))
			write(t, d+"/dir/one", "1\n")
			write(t, d+"/dir/four", "4\n")
		}, []string{`+ "dir/four" 644:2`, `- "dir/sub/three" 644:2`, `- "dir/two" 644:2`}},
		{"a folder becomes a file, a file becomes a folder", func(t *testing.T, d string) {
			must(t, os.RemoveAll(d+"/dir"))
			write(t, d+"/dir", "file\n")
			must(t, os.Remove(d+"/b.txt"))
			write(t, d+"/b.txt/inside", "x")
		}, []string{
			`+ "b.txt/inside" 644:1`, `+ "dir" 644:5`, `- "b.txt" 644:5`, `- "dir/one" 644:2`, `- "dir/sub/three" 644:2`, `- "dir/two" 644:2`,
		}},
		{"symlinks are read, not followed", func(t *testing.T, d string) {
			must(t, os.Remove(d+"/link"))
			must(t, os.Symlink("../../../etc/passwd", d+"/link"))
			must(t, os.RemoveAll(d+"/other"))
			must(t, os.Symlink("/", d+"/other"))
		}, []string{
			`+ "other" ->/`, `- "other/one" 644:5`, `- "other/sub/three" 644:5`, `~ "link" ->a.txt ->../../../etc/passwd`,
		}},
		{"what cannot be carried", func(t *testing.T, d string) {
			must(t, unix.Mkfifo(d+"/fifo", 0o644))
			must(t, os.Remove(d+"/b.txt"))
			must(t, unix.Mkfifo(d+"/b.txt", 0o644))
			must(t, os.Mkdir(d+"/hollow", 0o755))
			must(t, os.Remove(d+"/empty"))
			must(t, os.Remove(d+"/other/sub/three"))
			write(t, d+"/x", "x")
			must(t, os.Link(d+"/x", d+"/y"))
		}, []string{
			`+ "fifo" fifo (a fifo cannot be carried)`, `+ "x" 644:1 (a hard link is carried as a file of its own)`,
			`+ "y" 644:1 (a hard link is carried as a file of its own)`, `- "other/sub/three" 644:5`,
			`= "empty" (the removal of an empty folder is not carried)`, `= "hollow" (an empty folder is not carried)`,
			`= "other/sub" (a folder that was emptied is removed with its last file)`, `~ "b.txt" 644:5 fifo (a fifo cannot be carried)`,
		}},
		{"attributes", func(t *testing.T, d string) {
			must(t, unix.Setxattr(d+"/b.txt", "user.note", []byte("1"), 0))
		}, []string{`= "b.txt" (extended attributes are not carried)`}},
		{"git's own folder", func(t *testing.T, d string) {
			write(t, d+"/.git/config", "[core]\n\tfsmonitor = evil\n")
			write(t, d+"/.git/hooks/post-checkout", "evil")
			write(t, d+"/nested/.git/config", "evil")
			write(t, d+"/nested/file", "x")
		}, []string{
			`+ "nested/file" 644:1`, `= "nested/.git" (a new git repository: its files are carried, its history is not)`,
		}},
		{"odd names", func(t *testing.T, d string) {
			for _, name := range []string{"new\nline", "tab\t", `"quoted"`, "\xff\xfe", strings.Repeat("n", 255), `back\slash`, "-rf"} {
				write(t, filepath.Join(d, "odd", name), "x")
			}
		}, []string{
			`+ "odd/-rf" 644:1`, `+ "odd/\"quoted\"" 644:1`, `+ "odd/back\\slash" 644:1`, `+ "odd/new\nline" 644:1`,
			`+ "odd/` + strings.Repeat("n", 255) + `" 644:1`, `+ "odd/tab\t" 644:1`, `+ "odd/\xff\xfe" 644:1`,
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			r := newOverlay(t)
			project(t, r.Lower)
			mount(t, r)
			tc.agent(t, r.Merged)
			want := slices.Sorted(slices.Values(tc.want))
			got, _ := compare(t, r)
			if !slices.Equal(got, want) {
				t.Errorf("with upper:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
			// The same trees without the overlay's help. What only upper shows is not noted then.
			full, _ := compare(t, tree.Roots{Lower: r.Lower, Merged: r.Merged})
			if got, want := changed(full), changed(want); !slices.Equal(got, want) {
				t.Errorf("without upper:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		})
	}
}

// changed leaves out notes, of which the comparison in full has fewer.
func changed(lines []string) []string {
	var out []string
	for _, l := range lines {
		if l, _, _ = strings.Cut(l, " ("); !strings.HasPrefix(l, "=") {
			out = append(out, l)
		}
	}
	return out
}

// A tree that cannot be read at all must not look like one in which nothing has changed.
func TestCompareFailsWhereThereIsNoTree(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	must(t, os.WriteFile(file, nil, 0o600))
	for _, r := range []tree.Roots{{Lower: dir, Merged: file}, {Lower: dir, Merged: dir + "/none"}, {Lower: dir + "/none", Merged: dir}} {
		if _, err := tree.Compare(t.Context(), r, func(wire.CollectChange) error { return nil }); err == nil {
			t.Errorf("%+v are equal", r)
		}
	}
}

// The cost grows with the changes, not with the tree.
func TestCompareVisitsOnlyWhatChanged(t *testing.T) {
	t.Parallel()
	r := newOverlay(t)
	for i := range 300 {
		for j := range 5 {
			write(t, fmt.Sprintf("%s/d%d/s%d/f", r.Lower, i, j), "x")
		}
	}
	mount(t, r)
	write(t, r.Merged+"/d7/s3/f", "y")
	write(t, r.Merged+"/d9/new", "y")
	got, stats := compare(t, r)
	if want := []string{`+ "d9/new" 644:1`, `~ "d7/s3/f" 644:1 644:1`}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if stats.Folders != 4 { // the root, d7, d7/s3, d9
		t.Errorf("compared %d folders, want 4", stats.Folders)
	}
}

// Two files of the lower layer that are one inode have one identity, wherever they are in the merged tree.
func TestCompareRecognisesMovedFiles(t *testing.T) {
	t.Parallel()
	r := newOverlay(t)
	project(t, r.Lower)
	mount(t, r)
	must(t, os.Rename(r.Merged+"/dir", r.Merged+"/folder"))
	write(t, r.Merged+"/folder/two", "2\n") // copied up: no longer the lower file
	ident := map[string]string{}
	_, err := tree.Compare(t.Context(), r, func(c wire.CollectChange) error {
		for _, e := range []*wire.CollectEntry{c.Old, c.New} {
			if e != nil {
				ident[string(c.Path)] = e.Ident
			}
		}
		return nil
	})
	must(t, err)
	if a, b := ident["dir/one"], ident["folder/one"]; a == "" || a != b {
		t.Errorf("moved file: identities %q and %q", a, b)
	}
	if got := ident["folder/two"]; got != "" {
		t.Errorf("written file has the identity %q", got)
	}
}

func TestOpenFileOpensOnlyRegularFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir+"/file", "content")
	must(t, os.Symlink("file", dir+"/link"))
	must(t, unix.Mkfifo(dir+"/fifo", 0o644))
	for _, name := range []string{"link", "fifo", ".", "..", "", "/etc/passwd", "../x", "missing"} {
		if f, _, err := tree.OpenFile(dir, name); err == nil {
			f.Close()
			t.Errorf("opened %q", name)
		}
	}
	f, size, err := tree.OpenFile(dir, "file")
	must(t, err)
	defer f.Close()
	var got bytes.Buffer
	if _, err := got.ReadFrom(f); err != nil || got.String() != "content" || size != 7 {
		t.Errorf("read %q of %d bytes, %v", got.String(), size, err)
	}
}
