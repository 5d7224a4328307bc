package workspace_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/yolo-run/yolo-run/runner/internal/workspace"
)

// agentsArchive is what the agent's container gets on top of an overlay: names and contents.
func agentsArchive(t *testing.T, w *workspace.Workspace) map[string]string {
	t.Helper()
	var archive bytes.Buffer
	tw := tar.NewWriter(&archive)
	must(t, w.WriteUpper(t.Context(), tw, os.Getuid(), os.Getgid()))
	must(t, tw.Close())
	entries := map[string]string{}
	for tr := tar.NewReader(&archive); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return entries
		}
		must(t, err)
		content, err := io.ReadAll(tr)
		must(t, err)
		entries[h.Name] = string(content)
	}
}

// agentsCopy is the same in copy mode.
func agentsCopy(t *testing.T, w *workspace.Workspace) string {
	t.Helper()
	var archive bytes.Buffer
	tw := tar.NewWriter(&archive)
	_, err := w.WriteCopy(t.Context(), tw, os.Getuid(), os.Getgid(), nil)
	must(t, err)
	must(t, tw.Close())
	to := t.TempDir()
	extract(t, &archive, "./", to)
	return to
}

// Who made the workspace chose where its .git leads. What does not name the workspace as its own is neither mounted nor copied.
func TestAForeignRepositoryIsNotLent(t *testing.T) {
	t.Parallel()
	for name, lead := range map[string]func(t *testing.T, dir, home string){
		"to a repository of the user's": func(t *testing.T, dir, home string) {
			write(t, dir+"/.git", "gitdir: "+home+"/other/.git\n")
		},
		"to it by a symlink": func(t *testing.T, dir, home string) {
			must(t, os.Symlink(home+"/other/.git", dir+"/.git"))
		},
		"to it by a forged work tree": func(t *testing.T, dir, home string) {
			write(t, dir+"/.git", "gitdir: fake/worktrees/x\n")
			write(t, dir+"/fake/worktrees/x/HEAD", "ref: refs/heads/main\n")
			write(t, dir+"/fake/worktrees/x/gitdir", dir+"/.git\n")
			write(t, dir+"/fake/worktrees/x/commondir", home+"/other/.git\n")
		},
		"to its submodule": func(t *testing.T, dir, home string) {
			write(t, dir+"/.git", "gitdir: "+home+"/other/.git/modules/m\n")
		},
		"to objects that are a folder of the user's": func(t *testing.T, dir, home string) {
			write(t, dir+"/.git", "gitdir: fake\n")
			write(t, dir+"/fake/HEAD", "ref: refs/heads/main\n")
			write(t, dir+"/fake/config", "[core]\n\tworktree = "+dir+"\n")
			must(t, os.MkdirAll(dir+"/fake/refs", 0o755))
			must(t, os.Symlink(home+"/secrets", dir+"/fake/objects"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			base := t.TempDir()
			dir, home := base+"/work", base+"/home"
			project(t, home+"/other", true)
			write(t, home+"/secrets/key", canary)
			write(t, home+"/other/.git/modules/m/HEAD", "ref: refs/heads/main\n")
			write(t, home+"/other/.git/modules/m/config", "[core]\n\tworktree = ../../../m\n")
			write(t, home+"/other/.git/modules/m/objects/info/packs", "\n")
			write(t, dir+"/file", "x\n")
			lead(t, dir, home)
			w, err := workspace.Open(t.Context(), workspace.Options{Dir: dir})
			must(t, err)
			if w.ObjectsDir() != "" || w.NotLent() == nil {
				t.Errorf("objects of %q would be mounted (%v)", w.ObjectsDir(), w.NotLent())
			}
			for name, content := range agentsArchive(t, w) {
				if strings.Contains(content, canary) || strings.HasPrefix(name, "workspace/.git") {
					t.Errorf("the agent gets %q", name)
				}
			}
			copied := agentsCopy(t, w)
			if found := findCanary(t, copied); len(found) > 0 {
				t.Errorf("the copy has %q", found)
			}
			if info, err := os.Lstat(copied + "/.git"); err != nil || info.IsDir() {
				t.Errorf("the copy has a repository: %v", err)
			}
		})
	}
}

// A repository that says so itself is lent: of a work tree, a submodule, one that was put elsewhere, one that lies in the workspace.
func TestARepositoryThatNamesTheWorkspaceIsLent(t *testing.T) {
	t.Parallel()
	base := t.TempDir()
	worktree(t, base+"/side", base+"/repo")
	project(t, base+"/sub", true)
	project(t, base+"/super", true)
	command(t, "git", "-C", base+"/super", "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", "../sub", "m")
	command(t, "git", "init", "-q", "--separate-git-dir", base+"/apart.git", base+"/apart")
	must(t, os.MkdirAll(base+"/within/.real", 0o755))
	command(t, "git", "init", "-q", "--separate-git-dir", base+"/within/.real/git", base+"/within")
	open := func(name string) *workspace.Workspace {
		w, err := workspace.Open(t.Context(), workspace.Options{Dir: base + "/" + name})
		must(t, err)
		return w
	}
	if w := open("apart"); w.NotLent() == nil || w.ObjectsDir() != "" {
		t.Error("a repository that says nothing is lent")
	}
	command(t, "git", "--git-dir", base+"/apart.git", "config", "core.worktree", base+"/apart")
	for name, objects := range map[string]string{
		"side": "/repo/.git/objects", "super/m": "/super/.git/modules/m/objects", "apart": "/apart.git/objects", "within": "/within/.real/git/objects",
	} {
		if w := open(name); w.NotLent() != nil || w.ObjectsDir() != base+objects {
			t.Errorf("%s: objects in %q, %v", name, w.ObjectsDir(), w.NotLent())
		}
	}
}

// What is called like a file of git's may lead to any file of the host's.
func TestFilesOfGitThatLeadElsewhereAreNotRead(t *testing.T) {
	t.Parallel()
	base := t.TempDir()
	dir, home := base+"/work", base+"/home"
	write(t, home+"/secrets/exclude", canary)
	write(t, home+"/secrets/key", canary)
	write(t, home+"/rclone.conf", "[remote]\n\ttoken = "+canary+"\n")
	write(t, dir+"/.git", "gitdir: fake\n")
	write(t, dir+"/fake/HEAD", "ref: refs/heads/main\n")
	write(t, dir+"/fake/objects/info/packs", "\n")
	must(t, os.MkdirAll(dir+"/fake/refs", 0o755))
	must(t, os.Symlink(home+"/rclone.conf", dir+"/fake/config"))
	write(t, dir+"/nested/.git/HEAD", "ref: refs/heads/main\n")
	must(t, os.Symlink(home+"/rclone.conf", dir+"/nested/.git/config"))
	must(t, unix.Mkfifo(dir+"/nested/.git/config.worktree", 0o600))
	for _, name := range []string{"index", "shallow"} {
		must(t, os.Symlink(home+"/secrets/key", dir+"/fake/"+name))
	}
	must(t, os.Symlink(home+"/secrets", dir+"/fake/info"))
	w, err := workspace.Open(t.Context(), workspace.Options{Dir: dir})
	must(t, err)
	var archive bytes.Buffer
	if err := w.WriteUpper(t.Context(), tar.NewWriter(&archive), 1, 1); err == nil {
		t.Error("the agent gets a repository of files from elsewhere")
	}
	if bytes.Contains(archive.Bytes(), []byte(canary)) {
		t.Error("the agent gets a file of the host's")
	}
}

// Credentials are taken out wherever a repository may have its configuration: of submodules with any name, and of repositories that are not called .git.
func TestEveryConfigurationOfARepositoryIsSanitised(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	project(t, dir, true)
	secret := "[remote \"origin\"]\n\turl = https://me:" + canary + "@example.com/x\n[http]\n\textraheader = " + canary + "\n"
	var want []string
	for _, repo := range []string{
		".git/modules/lfs", ".git/modules/vendor/hooks", ".git/modules/info/modules/logs", ".git/modules/objects", "mirror.git", "cache/refs",
	} {
		for _, name := range []string{"/HEAD", "/objects/info/packs", "/refs/heads/main"} {
			write(t, dir+"/"+repo+name, strings.Repeat("0", 40)+"\n")
		}
		write(t, dir+"/"+repo+"/config", secret)
		want = append(want, repo+"/config")
	}
	write(t, dir+"/mirror.git/tree/config", "plain: "+"no configuration of git\n")
	write(t, dir+"/.git/refs/heads/config", strings.Repeat("0", 40)+"\n")
	must(t, os.Symlink("../mirror.git/config", dir+"/cache/config"))
	w, err := workspace.Open(t.Context(), workspace.Options{Dir: dir})
	must(t, err)
	copied := agentsCopy(t, w)
	if found := findCanary(t, copied); len(found) > 0 {
		t.Errorf("the agent sees %q", found)
	}
	for _, config := range want {
		if !strings.Contains(read(t, copied+"/"+config), "https://example.com/x") {
			t.Errorf("%s: the agent sees %q", config, read(t, copied+"/"+config))
		}
	}
	if got := read(t, copied+"/mirror.git/tree/config"); !strings.HasPrefix(got, "plain") {
		t.Errorf("a file beside a repository became %q", got)
	}
}

// A repository that somebody else made may name any program for what git does by itself: to compare a file, to get an object that is missing. And it may
// hold what is never read to its end.
func TestNothingOfAHostileRepositoryRuns(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, func(dir string) { project(t, dir, true) })
	fired := s.dir + "/fired"
	must(t, os.Mkdir(fired, 0o777))
	hostile := func(d string) {
		plantCode(t, d, fired)
		// git finds that files look changed, and takes them through their filter.
		now := time.Now().Add(time.Hour)
		for _, name := range []string{"run.sh", "dir/one"} {
			must(t, os.Chtimes(d+"/"+name, now, now))
		}
		// The tree of the last commit is missing: a partial clone fetches it, from where and by what its configuration says.
		config := read(t, d+"/.git/config")
		config = strings.Replace(config, "url = ext::", "url = "+s.dir+"\n\tx = ext::", 1)
		write(t, d+"/.git/config", config+"[core]\n\trepositoryformatversion = 1\n[extensions]\n\tpartialClone = origin\n")
		tree := strings.TrimSpace(command(t, "git", "-c", "core.fsmonitor=", "-C", s.before, "rev-parse", "HEAD^{tree}"))
		must(t, os.Remove(d+"/.git/objects/"+tree[:2]+"/"+tree[2:]))
	}
	hostile(s.Lower)
	must(t, os.RemoveAll(s.before))
	command(t, "cp", "-a", s.Lower, s.before)
	s.open(workspace.Options{})
	s.w.Git()
	agentsCopy(t, s.w)
	write(t, s.Merged+"/README.md", "changed\n")
	c := s.collect()
	again, err := s.w.ReadPatch(t.Context(), strings.NewReader(string(patchOf(t, c))))
	must(t, err)
	defer again.Close()
	must(t, again.Apply(t.Context(), s.Lower))
	must(t, c.Close())
	if names := ls(t, fired); len(names) > 0 {
		t.Errorf("ran on the host: %q", names)
	}

	// The canaries sing for a git that is used as everybody does.
	command(t, "sh", "-c", `cd "$1"; timeout 2 git -c core.fsmonitor= status
timeout 2 git -c core.fsmonitor= -c filter.evil.required=false -c filter.evil.process= status; true`, "sh", s.before)
	if names := ls(t, fired); !slices.Contains(names, "uploadpack") || !slices.Contains(names, "process") {
		t.Errorf("careless git ran only %q", names)
	}
}

// The state of a repository that is sound is seen as before, and a filter that would have to run makes a file count as changed at most.
func TestTheStateIsSeenWithoutFilters(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	project(t, dir, true)
	command(t, "git", "-C", dir, "add", "-A", "-f")
	command(t, "git", "-C", dir, "commit", "-q", "-m", "all")
	command(t, "git", "-C", dir, "config", "filter.a.clean", "touch "+dir+"/ran; cat")
	command(t, "git", "-C", dir, "config", "filter.a.required", "true")
	write(t, dir+"/.git/info/attributes", "* filter=a\n")
	state := func() bool {
		w, err := workspace.Open(t.Context(), workspace.Options{Dir: dir})
		must(t, err)
		g := w.Git()
		if g.Branch != "main" || len(g.Head) != 40 {
			t.Errorf("%+v", g)
		}
		return g.Dirty
	}
	past := time.Now().Add(-time.Hour)
	must(t, os.Chtimes(dir+"/noeol", past, past))
	if state() {
		t.Error("a touched file counts as a changed one")
	}
	write(t, dir+"/noeol", "changed")
	if !state() {
		t.Error("a changed file is not seen")
	}
	command(t, "git", "-C", dir, "config", "filter.a=b.clean", "touch "+dir+"/ran; cat")
	w, err := workspace.Open(t.Context(), workspace.Options{Dir: dir})
	must(t, err)
	if g := w.Git(); g == nil || g.Head != "" {
		t.Errorf("a filter that cannot be switched off: %+v", g)
	}
	if _, err := os.Lstat(dir + "/ran"); err == nil {
		t.Error("the filter ran")
	}
}

// The list of ignored files that a repository names is not waited for, and what is no list ignores nothing.
func TestAPipeInPlaceOfIgnoreRulesHoldsNothingUp(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, func(dir string) {
		project(t, dir, true)
		must(t, unix.Mkfifo(dir+"/dir/.gitignore", 0o600))
		must(t, unix.Mkfifo(dir+"/pipe", 0o600))
		command(t, "git", "-C", dir, "config", "core.excludesFile", dir+"/pipe")
	})
	s.open(workspace.Options{})
	write(t, s.Merged+"/dir/new", "x\n")
	write(t, s.Merged+"/dir/new.log", "ignored\n")
	began := time.Now()
	r := s.collect().Report()
	if got := paths(r.Files); !slices.Equal(got, []string{"added dir/new"}) || r.Ignored.Files != 1 {
		t.Errorf("changes %q, ignored %+v", got, r.Ignored)
	}
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("it took %v", took)
	}
}
