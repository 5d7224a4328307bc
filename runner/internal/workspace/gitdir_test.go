package workspace_test

import (
	"archive/tar"
	"bytes"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/yolo-run/yolo-run/entrypoint/wire"
	"github.com/yolo-run/yolo-run/runner/internal/workspace"
)

// gitInside runs git in a tree as the agent would, with the objects where they are mounted.
func gitInside(t testing.TB, dir string, args ...string) string {
	t.Helper()
	return command(t, "git", append([]string{"-c", "safe.directory=*", "-C", dir}, args...)...)
}

// worktree fills dir with a linked work tree of a repository outside of it.
func worktree(t testing.TB, dir, repo string) {
	t.Helper()
	project(t, repo, true)
	write(t, repo+"/.git/config", read(t, repo+"/.git/config")+"[http]\n\textraheader = "+canary+"\n")
	command(t, "git", "-C", repo, "worktree", "add", "-q", "-b", "side", dir)
	write(t, dir+"/README.md", "uncommitted\n")
}

// The agent of a linked work tree has a git that works, commits, and shares nothing that can be written.
func TestWorkTreeGetsAPrivateRepository(t *testing.T) {
	t.Parallel()
	repo := t.TempDir() + "/repo"
	s := newSandbox(t, func(dir string) {
		must(t, os.Remove(dir))
		worktree(t, dir, repo)
	})
	s.open(workspace.Options{})
	if want := repo + "/.git/objects"; s.w.ObjectsDir() != want {
		t.Errorf("objects in %q, want %q", s.w.ObjectsDir(), want)
	}
	if found := findCanary(t, s.Merged); len(found) > 0 {
		t.Errorf("the agent sees %q", found)
	}
	if got := read(t, s.Merged+"/.git/objects/info/alternates"); got != wire.GitObjects+"\n" {
		t.Errorf("alternates %q", got)
	}
	before := command(t, "git", "-C", repo, "for-each-ref")
	// The engine mounts the objects there; here it is enough to say where they are.
	write(t, s.Merged+"/.git/objects/info/alternates", s.w.ObjectsDir()+"\n")
	if got := gitInside(t, s.Merged, "status", "--porcelain"); got != " M README.md\n" {
		t.Errorf("status %q", got)
	}
	if got := strings.TrimSpace(gitInside(t, s.Merged, "branch", "--show-current")); got != "side" {
		t.Errorf("branch %q", got)
	}
	gitInside(t, s.Merged, "commit", "-q", "-a", "-m", "agent")
	if got := strings.Count(gitInside(t, s.Merged, "log", "--oneline"), "\n"); got != 2 {
		t.Errorf("%d commits", got)
	}
	if after := command(t, "git", "-C", repo, "for-each-ref"); after != before {
		t.Errorf("the host's references changed:\n%s\n%s", before, after)
	}

	write(t, s.Merged+"/new.log", "ignored\n")
	write(t, s.Merged+"/new", "x\n")
	r := s.collect().Report()
	if got := paths(r.Files); !slices.Equal(got, []string{"added new"}) || r.Ignored.Files != 1 || len(r.NotCarried) != 0 {
		t.Errorf("changes %q, ignored %+v, not carried %+v", got, r.Ignored, r.NotCarried)
	}
}

func TestCopyOfAWorkTreeHasItsObjects(t *testing.T) {
	t.Parallel()
	dir, to := t.TempDir()+"/side", t.TempDir()
	repo := t.TempDir() + "/repo"
	worktree(t, dir, repo)
	w, err := workspace.Open(t.Context(), workspace.Options{Dir: dir})
	must(t, err)
	var archive bytes.Buffer
	tw := tar.NewWriter(&archive)
	_, err = w.WriteCopy(t.Context(), tw, os.Getuid(), os.Getgid(), nil)
	must(t, err)
	must(t, tw.Close())
	must(t, os.Rename(repo, repo+"-gone"))
	extract(t, &archive, "./", to)
	if got := gitInside(t, to, "status", "--porcelain"); got != " M README.md\n" {
		t.Errorf("status %q", got)
	}
	gitInside(t, to, "fsck", "--strict")

	// What the agent's container gets on top of a copy must not point at objects that nobody mounts there.
	archive.Reset()
	tw = tar.NewWriter(&archive)
	must(t, w.WriteUpper(t.Context(), tw, os.Getuid(), os.Getgid()))
	must(t, tw.Close())
	extract(t, &archive, "workspace/", to)
	if _, err := os.Lstat(to + "/.git/objects/info/alternates"); err == nil {
		t.Error("the copy borrows objects")
	}
}

// The objects that would be mounted are reachable only for those who see them: nothing of the repository is in the archive for an overlay.
func TestUpperOfAWorkTreeIsSmall(t *testing.T) {
	t.Parallel()
	dir := t.TempDir() + "/side"
	worktree(t, dir, t.TempDir()+"/repo")
	w, err := workspace.Open(t.Context(), workspace.Options{Dir: dir})
	must(t, err)
	var archive bytes.Buffer
	tw := tar.NewWriter(&archive)
	must(t, w.WriteUpper(t.Context(), tw, 1, 1))
	must(t, tw.Close())
	to := t.TempDir()
	extract(t, &archive, "workspace/", to)
	var st unix.Stat_t
	must(t, unix.Lstat(to+"/.git", &st))
	if names := ls(t, to+"/.git/objects/pack"); len(names) > 0 || st.Uid != 1 {
		t.Errorf("objects %q, owner %d", names, st.Uid)
	}
}

// A repository that borrows objects says from where, so that its user can be told why the agent's git finds no history.
func TestBorrowedObjectsAreTold(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	project(t, dir+"/origin", true)
	for name, want := range map[string][]string{"plain": nil, "shared": {dir + "/origin/.git/objects"}, "inside": nil} {
		args := []string{"clone", "-q", dir + "/origin", dir + "/" + name}
		if name == "shared" {
			args = append(args, "--shared")
		}
		command(t, "git", args...)
		if name == "inside" {
			must(t, os.MkdirAll(dir+"/inside/cache", 0o755))
			write(t, dir+"/inside/.git/objects/info/alternates", "../../cache\n")
		}
		w, err := workspace.Open(t.Context(), workspace.Options{Dir: dir + "/" + name})
		must(t, err)
		if got := w.Borrows(); !slices.Equal(got, want) {
			t.Errorf("%s borrows from %q, want %q", name, got, want)
		}
	}
}

// What looks like a repository and is none, as to git itself, has the ignore rules of the one around it.
func TestABrokenRepositoryHasTheRulesAroundIt(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, func(dir string) {
		project(t, dir, true)
		write(t, dir+"/broken/.git", "gitdir: ../elsewhere\n")
		write(t, dir+"/whole/.git/HEAD", "ref: refs/heads/main\n")
		must(t, os.MkdirAll(dir+"/whole/.git/objects", 0o755))
		must(t, os.MkdirAll(dir+"/whole/.git/refs", 0o755))
	})
	s.open(workspace.Options{})
	write(t, s.Merged+"/broken/new.log", "ignored\n")
	write(t, s.Merged+"/whole/new.log", "control: a repository of its own has rules of its own\n")
	r := s.collect().Report()
	if got := paths(r.Files); !slices.Equal(got, []string{"added whole/new.log"}) || r.Ignored.Files != 1 {
		t.Errorf("changes %q, ignored %+v", got, r.Ignored)
	}
}
