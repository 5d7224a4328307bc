package workspace_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/yolo-run/yolo-run/reports"
	"github.com/yolo-run/yolo-run/runner/internal/workspace"
)

// project fills a workspace; with git it has a commit, ignore rules, and uncommitted work.
func project(t testing.TB, dir string, git bool) {
	t.Helper()
	for name, content := range map[string]string{
		"README.md": strings.Repeat("line\n", 50), "run.sh": "#!/bin/sh\n", "crlf.txt": "a\r\nb\r\n", "noeol": "no newline",
		"binary": string([]byte{0, 1, 2, 0xff, 0}), "dir/one": strings.Repeat("one\n", 20), "dir/sub/two": strings.Repeat("two\n", 20),
		"other/one": strings.Repeat("eins\n", 20), "other/sub/two": strings.Repeat("zwei\n", 20), "latin1": "\xe4\xf6\xfc\n",
	} {
		write(t, filepath.Join(dir, name), content)
	}
	must(t, os.Symlink("README.md", filepath.Join(dir, "link")))
	if !git {
		return
	}
	write(t, dir+"/.gitignore", "*.log\n/build/\n")
	write(t, dir+"/tracked.log", "tracked although ignored\n")
	command(t, "git", "-C", dir, "init", "-q", "-b", "main")
	command(t, "git", "-C", dir, "add", "-f", ".")
	command(t, "git", "-C", dir, "commit", "-q", "-m", "first")
	write(t, dir+"/README.md", "uncommitted\n"+strings.Repeat("line\n", 50))
	write(t, dir+"/untracked", "the user's\n")
	write(t, dir+"/old.log", "ignored\n")
}

// edits are what an agent may do to project.
var edits = []struct {
	name string
	do   func(t *testing.T, d string)
}{
	{"nothing", func(*testing.T, string) {}},
	{"add, change, delete", func(t *testing.T, d string) {
		write(t, d+"/new/deep/file", "new\n")
		write(t, d+"/README.md", "uncommitted\n"+strings.Repeat("line\n", 25)+"changed\n"+strings.Repeat("line\n", 25))
		must(t, os.Remove(d+"/dir/one"))
		write(t, d+"/empty", "")
	}},
	{"rename a file", func(t *testing.T, d string) { must(t, os.Rename(d+"/dir/one", d+"/uno")) }},
	{"rename a folder", func(t *testing.T, d string) { must(t, os.Rename(d+"/dir", d+"/folder")) }},
	{"rename a folder and change it", func(t *testing.T, d string) {
		must(t, os.Rename(d+"/dir", d+"/folder"))
		write(t, d+"/folder/sub/two", strings.Repeat("two\n", 21))
		write(t, d+"/dir/sub/two", "new in the old place\n")
	}},
	{"swap folders", func(t *testing.T, d string) {
		must(t, os.Rename(d+"/dir", d+"/tmp"))
		must(t, os.Rename(d+"/other", d+"/dir"))
		must(t, os.Rename(d+"/tmp", d+"/other"))
	}},
	{"remove and make again", func(t *testing.T, d string) {
		must(t, os.RemoveAll(d+"/dir"))
		write(t, d+"/dir/sub/three", "3\n")
	}},
	{"mode only", func(t *testing.T, d string) { must(t, os.Chmod(d+"/run.sh", 0o755)) }},
	{"mode and content", func(t *testing.T, d string) {
		write(t, d+"/run.sh", "#!/bin/sh\necho\n")
		must(t, os.Chmod(d+"/run.sh", 0o755))
	}},
	{"symlinks", func(t *testing.T, d string) {
		must(t, os.Remove(d+"/link"))
		must(t, os.Symlink("dir/one", d+"/link"))
		must(t, os.Symlink("nowhere", d+"/dangling"))
	}},
	{"type changes", func(t *testing.T, d string) {
		must(t, os.Remove(d+"/link"))
		write(t, d+"/link", "a file now\n")
		must(t, os.Remove(d+"/noeol"))
		must(t, os.Symlink("README.md", d+"/noeol"))
		must(t, os.RemoveAll(d+"/dir"))
		write(t, d+"/dir", "a folder became a file\n")
		must(t, os.Remove(d+"/crlf.txt"))
		write(t, d+"/crlf.txt/inside", "a file became a folder\n")
	}},
	{"a folder becomes a symlink", func(t *testing.T, d string) {
		must(t, os.RemoveAll(d+"/dir"))
		must(t, os.Symlink("other", d+"/dir"))
	}},
	{"a symlink becomes a folder", func(t *testing.T, d string) {
		must(t, os.Remove(d+"/link"))
		write(t, d+"/link/file", "x\n")
	}},
	{"binary, line ends, encodings", func(t *testing.T, d string) {
		write(t, d+"/binary", string([]byte{0, 1, 3, 0xff}))
		write(t, d+"/crlf.txt", "a\nb\r\nc")
		write(t, d+"/noeol", "no newline either")
		write(t, d+"/latin1", "\xe4\xf6\xfc\xdf\n")
		write(t, d+"/large", strings.Repeat("x", 3<<20))
	}},
	{"odd names", func(t *testing.T, d string) {
		for _, name := range []string{
			"new\nline", "tab\t", `"quoted"`, "\xff\xfe", strings.Repeat("n", 255), `back\slash`, " lead", "trail ", "-rf", "ä", "a b", "*", "[x]", ":(top)x", "~",
		} {
			write(t, filepath.Join(d, "odd", name), "content of "+name+"\n")
			write(t, filepath.Join(d, "odd"+name[:min(len(name), 9)], "file"), "x\n")
		}
	}},
	{"git's files", func(t *testing.T, d string) {
		write(t, d+"/.gitattributes", "* -diff -text eol=crlf filter=evil working-tree-encoding=UTF-16 ident\n")
		write(t, d+"/.gitignore", "*\n")
		write(t, d+"/sub/.gitignore", "*\n")
		write(t, d+"/sub/hidden by the new rule", "$Id$\n")
		write(t, d+"/crlf.txt", "a\r\nb\r\nchanged\r\n")
		write(t, d+"/tracked.log", "changed\n")
	}},
	{"a nested repository", func(t *testing.T, d string) {
		write(t, d+"/nested/file", "x\n")
		command(t, "git", "-C", d+"/nested", "init", "-q")
		command(t, "git", "-C", d+"/nested", "add", ".")
		command(t, "git", "-C", d+"/nested", "commit", "-q", "-m", "x")
	}},
	{"delete everything", func(t *testing.T, d string) {
		entries, err := os.ReadDir(d)
		must(t, err)
		for _, e := range entries {
			if e.Name() != ".git" && e.Name() != "old.log" { // which is ignored
				must(t, os.RemoveAll(filepath.Join(d, e.Name())))
			}
		}
	}},
}

// The patch, applied to the original, gives the agent's tree, byte for byte: with git apply, with Apply, and read back from its file.
func TestPatchIsExact(t *testing.T) {
	t.Parallel()
	for _, git := range []bool{true, false} {
		for _, edit := range edits {
			t.Run(fmt.Sprintf("%s, git %v", edit.name, git), func(t *testing.T) {
				t.Parallel()
				s := newSandbox(t, func(dir string) { project(t, dir, git) })
				s.open(workspace.Options{})
				edit.do(t, s.Merged)
				want := snapshot(t, s.Merged)
				c := s.collect()

				if changed := diffSnapshots(snapshot(t, s.before), snapshot(t, s.Lower)); len(changed) > 0 {
					t.Errorf("the host's tree was changed: %q", changed)
				}
				patch := patchOf(t, c)
				if c.Empty() != (len(patch) == 0) || c.Empty() != (edit.name == "nothing") {
					t.Errorf("Empty() is %v with a patch of %d bytes", c.Empty(), len(patch))
				}

				again, err := s.w.ReadPatch(t.Context(), bytes.NewReader(patch))
				must(t, err)
				defer again.Close()
				for name, apply := range map[string]func(dir string) error{
					"git apply": func(dir string) error { return gitApply(t, dir, patch) },
					"Apply":     func(dir string) error { return c.Apply(t.Context(), dir) },
					"ReadPatch": func(dir string) error { return again.Apply(t.Context(), dir) },
				} {
					dir := filepath.Join(s.dir, strings.ReplaceAll(name, " ", "-"))
					command(t, "cp", "-a", s.before, dir)
					if err := apply(dir); err != nil {
						t.Errorf("%s: %v", name, err)
						continue
					}
					if diff := diffSnapshots(want, snapshot(t, dir)); len(diff) > 0 {
						t.Errorf("%s: differs in %q", name, diff)
					}
				}
			})
		}
	}
}

// gitApply applies without a repository around: no attributes, no configuration.
func gitApply(t testing.TB, dir string, patch []byte) error {
	t.Helper()
	if len(patch) == 0 {
		return nil
	}
	must(t, os.RemoveAll(dir+"/.git"))
	must(t, os.RemoveAll(dir+"/nested/.git"))
	file := filepath.Join(t.TempDir(), "patch")
	must(t, os.WriteFile(file, patch, 0o600))
	command(t, "sh", "-c", `cd "$1" && GIT_CEILING_DIRECTORIES="$1/.." git apply --whitespace=nowarn "$2"`, "sh", dir, file)
	return nil
}

func patchOf(t testing.TB, c *workspace.Changes) []byte {
	t.Helper()
	r, err := c.Patch()
	must(t, err)
	defer r.Close()
	patch, err := io.ReadAll(r)
	must(t, err)
	return patch
}

func paths(files []reports.FileChange) []string {
	var out []string
	for _, f := range files {
		out = append(out, f.Status+" "+f.Path)
	}
	return out
}

func TestReportOfChanges(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, func(dir string) { project(t, dir, true) })
	s.open(workspace.Options{})
	must(t, os.Rename(s.Merged+"/dir/one", s.Merged+"/dir/uno"))
	must(t, os.Chmod(s.Merged+"/run.sh", 0o755))
	write(t, s.Merged+"/\xff", "x")
	write(t, s.Merged+"/build/out", "12345")
	write(t, s.Merged+"/new.log", "123")
	write(t, s.Merged+"/old.log", "12")
	write(t, s.Merged+"/tracked.log", "in the patch\n")
	must(t, unix.Mkfifo(s.Merged+"/fifo", 0o644))
	must(t, unix.Mkfifo(s.Merged+"/build/fifo", 0o644))
	r := s.collect().Report()
	want := []string{"renamed dir/uno", "modified run.sh", "modified tracked.log", `added "\377"`}
	if got := paths(r.Files); !slices.Equal(got, want) {
		t.Errorf("files %q, want %q", got, want)
	}
	if r.Files[0].OldPath != "dir/one" || r.Files[1].Mode != "100755" || r.Files[1].OldMode != "100644" {
		t.Errorf("rename or mode: %+v", r.Files)
	}
	if want := (reports.Ignored{Files: 4, Bytes: 10}); r.Ignored != want {
		t.Errorf("ignored %+v, want %+v", r.Ignored, want)
	}
	if len(r.NotCarried) != 1 || r.NotCarried[0].Path != "fifo" {
		t.Errorf("not carried: %+v", r.NotCarried)
	}
	if r.Insertions != 2 || r.Deletions != 1 {
		t.Errorf("%d insertions, %d deletions", r.Insertions, r.Deletions)
	}
}

func TestSizesAreBounded(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, func(dir string) { project(t, dir, false) })
	s.maxFileBytes, s.maxTotalBytes = 1000, 1500
	write(t, s.Merged+"/a", strings.Repeat("a", 900))
	write(t, s.Merged+"/b", strings.Repeat("b", 900))
	write(t, s.Merged+"/c", strings.Repeat("c", 500))
	must(t, os.WriteFile(s.Merged+"/sparse", nil, 0o644))
	must(t, os.Truncate(s.Merged+"/sparse", 1<<40))
	r := s.collect().Report()
	if got := paths(r.Files); !slices.Equal(got, []string{"added a", "added c"}) {
		t.Errorf("files %q", got)
	}
	var not []string
	for _, n := range r.NotCarried {
		not = append(not, n.Path)
	}
	slices.Sort(not)
	if !slices.Equal(not, []string{"b", "sparse"}) {
		t.Errorf("not carried: %+v", r.NotCarried)
	}
}

func TestProbeProvesLocality(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, func(dir string) { project(t, dir, false) })
	s.open(workspace.Options{})
	must(t, s.probe(s.Lower, nil))
	if err := s.probe(s.before, nil); err == nil {
		t.Error("a copy passed for the workspace")
	}
}
