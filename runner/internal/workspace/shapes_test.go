package workspace_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/yolo-run/yolo-run/runner/internal/workspace"
)

// shapes are repositories as people have them. Each has the files of shapeFiles, committed, and nothing else to do with the others.
var shapes = []struct {
	name string
	make func(t *testing.T, dir, origin string) // origin has shapeFiles, and is gone before the agent comes
	sub  string                                 // where --workspace points
}{
	{"plain", func(t *testing.T, dir, origin string) { clone(t, dir, origin) }, ""},
	{"a folder of a monorepo", func(t *testing.T, dir, origin string) { clone(t, dir, origin) }, "packages/a"},
	{"a shallow clone", func(t *testing.T, dir, origin string) { clone(t, dir, origin, "--depth=1") }, ""},
	{"a partial clone", func(t *testing.T, dir, origin string) {
		command(t, "git", "-C", origin, "config", "uploadpack.allowFilter", "true")
		clone(t, dir, origin, "--filter=blob:none")
	}, ""},
	{"a sparse checkout", func(t *testing.T, dir, origin string) {
		clone(t, dir, origin)
		command(t, "git", "-C", dir, "sparse-checkout", "set", "packages/a")
	}, ""},
	{"a sparse checkout with a sparse index", func(t *testing.T, dir, origin string) {
		clone(t, dir, origin)
		command(t, "git", "-C", dir, "sparse-checkout", "set", "--sparse-index", "packages/a")
	}, ""},
	{"a detached head", func(t *testing.T, dir, origin string) {
		clone(t, dir, origin)
		command(t, "git", "-C", dir, "checkout", "-q", "--detach")
	}, ""},
	{"a submodule", func(t *testing.T, dir, origin string) {
		clone(t, dir, origin)
		command(t, "git", "-C", dir, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", "file://"+origin, "lib")
		command(t, "git", "-C", dir, "commit", "-q", "-m", "lib")
	}, ""},
	{"a nested repository", func(t *testing.T, dir, origin string) {
		clone(t, dir, origin)
		clone(t, dir+"/nested", origin)
	}, ""},
	{"a nested repository that lies elsewhere", func(t *testing.T, dir, origin string) {
		clone(t, dir, origin)
		clone(t, dir+"/nested", origin, "--separate-git-dir="+dir+"-elsewhere")
	}, ""},
	{"SHA-256", func(t *testing.T, dir, _ string) {
		shapeFiles(t, dir)
		command(t, "git", "-C", dir, "init", "-q", "-b", "main", "--object-format=sha256")
		command(t, "git", "-C", dir, "add", ".")
		command(t, "git", "-C", dir, "commit", "-q", "-m", "first")
	}, ""},
	{"a split index", func(t *testing.T, dir, origin string) {
		clone(t, dir, origin)
		command(t, "git", "-C", dir, "update-index", "--split-index")
	}, ""},
}

func shapeFiles(t *testing.T, dir string) {
	for _, name := range []string{"README", "packages/a/main", "packages/a/old", "packages/b/main"} {
		write(t, dir+"/"+name, strings.Repeat(name+"\n", 20))
	}
}

func clone(t *testing.T, dir, origin string, args ...string) {
	command(t, "git", append(append([]string{"clone", "-q"}, args...), "file://"+origin, dir)...)
}

// In every shape of repository the agent's git works, the user's unfinished work is the baseline, and the patch has what the agent did and no more.
func TestShapesOfRepositories(t *testing.T) {
	t.Parallel()
	for _, shape := range shapes {
		t.Run(shape.name, func(t *testing.T) {
			t.Parallel()
			origin := t.TempDir() + "/origin"
			shapeFiles(t, origin)
			command(t, "git", "-C", origin, "init", "-q", "-b", "main")
			command(t, "git", "-C", origin, "add", ".")
			command(t, "git", "-C", origin, "commit", "-q", "-m", "first")
			command(t, "git", "-C", origin, "commit", "-q", "--allow-empty", "-m", "second")
			s := newSandbox(t, func(dir string) {
				must(t, os.Remove(dir))
				shape.make(t, dir, origin)
				write(t, dir+"/packages/a/main", "unfinished\n"+read(t, dir+"/packages/a/main"))
				write(t, dir+"/packages/a/staged", "staged\n")
				command(t, "git", "-C", dir, "add", "packages/a/staged")
				write(t, dir+"/packages/a/untracked", "untracked\n")
			})
			must(t, os.Rename(origin, origin+"-gone"))
			s.open(workspace.Options{Dir: s.Lower + "/" + shape.sub})
			if got := s.w.Git(); got == nil || !got.Dirty || got.Head == "" {
				t.Errorf("git %+v", got)
			}
			users := gitInside(t, s.Lower, "status", "--porcelain")
			if got := gitInside(t, s.Merged, "status", "--porcelain"); got != users {
				t.Errorf("the agent's status is %q, the user's %q", got, users)
			}
			workLikeAnAgent(t, s)
			c := s.collect()
			want := []string{"renamed packages/a/new", "modified packages/a/main", "added packages/a/made"}
			got := paths(c.Report().Files)
			slices.Sort(want)
			slices.Sort(got)
			if !slices.Equal(got, want) || len(c.Report().NotCarried) > 0 {
				t.Errorf("the patch has %q, want %q; not carried: %+v", got, want, c.Report().NotCarried)
			}
			if changed := diffSnapshots(snapshot(t, s.before), snapshot(t, s.Lower)); len(changed) > 0 {
				t.Errorf("the host's tree was changed: %q", changed)
			}
			if patch := string(patchOf(t, c)); strings.Contains(patch, "+unfinished") || strings.Contains(patch, "untracked") || strings.Contains(patch, "staged") {
				t.Errorf("the user's own work is in the patch:\n%s", patch)
			}
			wantTree := snapshot(t, s.Merged)
			must(t, c.Apply(t.Context(), s.Lower))
			if diff := diffSnapshots(wantTree, snapshot(t, s.Lower)); len(diff) > 0 {
				t.Errorf("applied, the tree differs in %q", diff)
			}
		})
	}
}

// workLikeAnAgent uses every command that an agent is likely to.
func workLikeAnAgent(t *testing.T, s *sandbox) {
	t.Helper()
	d := s.Merged
	gitInside(t, d, "mv", "packages/a/old", "packages/a/new")
	gitInside(t, d, "commit", "-q", "-m", "move")
	write(t, d+"/packages/a/main", read(t, d+"/packages/a/main")+"the agent's\n")
	write(t, d+"/packages/a/made", "made\n")
	gitInside(t, d, "add", "packages/a/made")
	gitInside(t, d, "stash", "-q", "--include-untracked")
	if _, err := os.Lstat(d + "/packages/a/made"); !os.IsNotExist(err) {
		t.Errorf("after the stash: %v", err)
	}
	gitInside(t, d, "stash", "pop", "-q")
	gitInside(t, d, "diff", "HEAD")
	gitInside(t, d, "commit", "-q", "-m", "made", "packages/a/made")
	gitInside(t, d, "branch", "side")
	gitInside(t, d, "worktree", "add", "-q", "--no-checkout", s.dir+"/linked", "side")
	gitInside(t, d, "worktree", "remove", "--force", s.dir+"/linked")
	if log := gitInside(t, d, "log", "--oneline"); strings.Count(log, "\n") < 3 {
		t.Errorf("log %q", log)
	}
}
