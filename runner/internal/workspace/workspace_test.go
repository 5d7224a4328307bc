package workspace_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/yolo-run/yolo-run/entrypoint/wire"
	"github.com/yolo-run/yolo-run/runner/internal/workspace"
)

func TestOpenFindsTheWorkTree(t *testing.T) {
	t.Parallel()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	must(t, err)
	repo := dir + "/repo"
	project(t, repo, true)
	write(t, dir+"/plain/sub/file", "x")
	must(t, os.MkdirAll(dir+"/fake/.git", 0o755)) // empty: no repository
	must(t, os.Symlink(repo+"/dir", dir+"/shortcut"))
	for _, tc := range []struct{ dir, root, sub string }{
		{repo, repo, "."},
		{repo + "/dir/sub", repo, "dir/sub"},
		{dir + "/shortcut", repo, "dir"},
		{dir + "/plain/sub", dir + "/plain/sub", "."},
		{dir + "/fake", dir + "/fake", "."},
	} {
		w, err := workspace.Open(t.Context(), workspace.Options{Dir: tc.dir})
		must(t, err)
		if w.Root() != tc.root || w.Sub() != tc.sub {
			t.Errorf("%s: root %s, sub %s", tc.dir, w.Root(), w.Sub())
		}
		if git := w.Git(); (git != nil) != (tc.root == repo) {
			t.Errorf("%s: git %+v", tc.dir, git)
		} else if git != nil && (len(git.Head) != 40 || git.Branch != "main" || !git.Dirty) {
			t.Errorf("%s: git %+v", tc.dir, git)
		}
	}
}

// Somebody else's repository in a folder above does not decide what is mounted.
func TestOpenIgnoresForeignRepositories(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("changes owners: needs root")
	}
	dir, err := filepath.EvalSymlinks(t.TempDir())
	must(t, err)
	project(t, dir, true)
	must(t, os.Chown(dir+"/dir", 1234, 1234))
	w, err := workspace.Open(t.Context(), workspace.Options{Dir: dir + "/dir"})
	must(t, err)
	if w.Root() != dir+"/dir" || w.Git() != nil {
		t.Errorf("root %s", w.Root())
	}
	if uid, gid := w.Owner(); uid != 1234 || gid != 1234 {
		t.Errorf("owner %d:%d", uid, gid)
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir+"/file", "x")
	for _, name := range []string{dir + "/missing", dir + "/file"} {
		_, err := workspace.Open(t.Context(), workspace.Options{Dir: name})
		var fault *workspace.Error
		if !errors.Is(err, workspace.ErrNotReadable) || !errors.As(err, &fault) || fault.Path != name || fault.Hint == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestOpenNeedsGit(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	if _, err := workspace.Open(t.Context(), workspace.Options{Dir: t.TempDir()}); !errors.Is(err, workspace.ErrNoGit) {
		t.Errorf("without git: %v", err)
	}
}

func TestNeedsMap(t *testing.T) {
	t.Parallel()
	uid, gid := os.Getuid(), os.Getgid()
	for _, tc := range []struct {
		name string
		dir  string
		uid  int
		want string // part of the reason, empty: suitable
	}{
		{"one's own", "plain", uid, ""},
		{"a space", "a b", uid, ""},
		{"somebody else's", "plain", uid + 1000, "belongs to"},
		{"a colon", "a:b", uid, "character"},
		{"a comma", "a,b", uid, "character"},
		{"a backslash", `a\b`, uid, "character"},
		{"a quote", `a"b`, uid, "character"},
		{"a newline", "a\nb", uid, "character"},
		{"no UTF-8", "a\xff", uid, "UTF-8"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "w") // the test's name is part of the folder's
			if strings.ContainsAny(dir, `:,\'"`) {
				t.Fatal("the folder itself is unsuitable")
			}
			dir = filepath.Join(dir, tc.dir)
			write(t, dir+"/file", "x")
			w, err := workspace.Open(t.Context(), workspace.Options{Dir: dir})
			must(t, err)
			got := w.NeedsMap(tc.uid, gid)
			if (tc.want == "") != (got == "") || !strings.Contains(got, tc.want) {
				t.Errorf("got %q, want %q in it", got, tc.want)
			}
		})
	}
}

func TestUnsuitableMountBelow(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, func(dir string) { project(t, dir, false) })
	s.open(workspace.Options{})
	if why := s.w.Unsuitable(); why != "" {
		t.Fatalf("before the mount: %s", why)
	}
	must(t, unix.Mount("tmpfs", s.Lower+"/dir", "tmpfs", 0, "size=64k"))
	t.Cleanup(func() { must(t, unix.Unmount(s.Lower+"/dir", unix.MNT_DETACH)) })
	if why := s.w.Unsuitable(); !strings.Contains(why, "/lower/dir") {
		t.Errorf("got %q", why)
	}
}

func TestProbeChecksTheLayers(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, func(dir string) { project(t, dir, false) })
	s.open(workspace.Options{})
	must(t, unix.Mount("", s.Merged, "", unix.MS_REMOUNT|unix.MS_RDONLY|unix.MS_BIND, ""))
	layers := wire.Layers{Lower: s.Lower, Upper: s.Upper, Work: s.Work}
	must(t, s.probe(s.Lower, &layers))
	layers.Lower = s.before
	if err := s.probe(s.Lower, &layers); err == nil {
		t.Error("other layers passed")
	}
}
