package workspace_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/yolo-run/yolo-run/runner/internal/workspace"
)

// plantCode writes every way we know to make git run something, each touching a file of its own in fired.
func plantCode(t *testing.T, d, fired string) {
	t.Helper()
	script := func(name string) string {
		path := filepath.Join(d, "evil", name)
		write(t, path, "#!/bin/sh\ntouch '"+fired+"/"+name+"'\ncat\n")
		must(t, os.Chmod(path, 0o755))
		return path
	}
	config := "[core]\n\tfsmonitor = " + script("fsmonitor") + "\n\thooksPath = " + d + "/evil/hooks\n\tpager = " + script("pager") +
		"\n\tsshCommand = " + script("ssh") + "\n\teditor = " + script("editor") + "\n\tattributesFile = " + d + "/evil/attributes\n\texcludesFile = " + d +
		"/evil/excludes\n[diff]\n\texternal = " + script("external") + "\n[diff \"evil\"]\n\tcommand = " + script("command") + "\n\ttextconv = " + script("textconv") +
		"\n[filter \"evil\"]\n\tclean = " + script("clean") + "\n\tsmudge = " + script("smudge") + "\n\tprocess = " + script("process") +
		"\n\trequired = true\n[include]\n\tpath = " + d + "/evil/more.config\n[alias]\n\tapply = !" + script("alias") + "\n\tdiff-tree = !" + script("alias2") + "\n"
	config += "[core]\n\taskPass = " + script("askpass") + "\n\tgitProxy = " + script("gitproxy") + "\n\talternateRefsCommand = " + script("alternate-refs") +
		"\n\tuntrackedCache = true\n[credential]\n\thelper = !" + script("credential") + "\n[gpg]\n\tprogram = " + script("gpg") + "\n[gpg \"ssh\"]\n\tprogram = " +
		script("gpg-ssh") + "\n\tdefaultKeyCommand = " + script("gpg-key") + "\n[commit]\n\tgpgSign = true\n[tag]\n\tgpgSign = true\n[log]\n\tshowSignature = true\n[merge]\n\tverifySignatures = true" +
		"\n[merge \"evil\"]\n\tdriver = " + script("merge") + "\n\trecursive = evil\n[merge]\n\tdefault = evil\n\ttool = evil\n[mergetool \"evil\"]\n\tcmd = " + script("mergetool") +
		"\n[diff]\n\ttool = evil\n\tguitool = evil\n[difftool \"evil\"]\n\tcmd = " + script("difftool") + "\n[interactive]\n\tdiffFilter = " + script("difffilter") +
		"\n[sequence]\n\teditor = " + script("sequence") + "\n[pager]\n\tdiff = " + script("pager-diff") + "\n\tconfig = " + script("pager-config") + "\n\tls-files = " + script("pager-ls") +
		"\n\tstatus = " + script("pager-status") + "\n[uploadpack]\n\tpackObjectsHook = " + script("packobjects") + "\n[remote \"origin\"]\n\turl = ext::" + script("ext") +
		"\n\tuploadpack = " + script("uploadpack") + "\n\treceivepack = " + script("receivepack") + "\n\tpromisor = true\n\tpartialclonefilter = blob:none\n\tproxy = " + script("proxy") +
		"\n[protocol]\n\tallow = always\n[url \"ext::" + script("insteadof") + " \"]\n\tinsteadOf = https://\n[trailer \"x\"]\n\tcommand = " + script("trailer") +
		"\n[init]\n\ttemplateDir = " + d + "/evil/template\n[includeIf \"gitdir:/\"]\n\tpath = " + d + "/evil/more.config\n[browser \"x\"]\n\tcmd = " + script("browser") +
		"\n[help]\n\tautocorrect = immediate\n[fsck]\n\tskipList = " + script("skiplist") + "\n[extensions]\n\tworktreeConfig = true\n[submodule \"x\"]\n\tupdate = !" + script("update2") +
		"\n[hook \"x\"]\n\tcommand = " + script("config-hook") + "\n\tevent = post-index-change\n"
	write(t, d+"/evil/template/hooks/post-index-change", read(t, script("template-hook")))
	must(t, os.Chmod(d+"/evil/template/hooks/post-index-change", 0o755))
	write(t, d+"/.git/config.worktree", "[core]\n\tfsmonitor = "+script("worktree-config")+"\n")
	write(t, d+"/.git/hooks/fsmonitor-watchman", "#!/bin/sh\ntouch '"+fired+"/watchman'\n")
	write(t, d+"/.git/info/grafts", "\n")
	write(t, d+"/.git/objects/info/alternates", d+"/evil/objects\n")
	write(t, d+"/evil/more.config", "[core]\n\tfsmonitor = "+script("included")+"\n")
	write(t, d+"/evil/attributes", "* filter=evil diff=evil\n")
	write(t, d+"/evil/excludes", "*\n")
	for _, hook := range []string{
		"pre-commit", "post-index-change", "post-checkout", "pre-applypatch", "applypatch-msg", "post-applypatch", "reference-transaction", "post-rewrite",
		"fsmonitor-watchman", "post-merge", "pre-push", "pre-auto-gc", "update", "post-update", "pre-receive", "post-receive", "proc-receive", "push-to-checkout", "commit-msg", "prepare-commit-msg",
	} {
		for _, dir := range []string{"/evil/hooks/", "/.git/hooks/", "/.husky/"} {
			write(t, d+dir+hook, read(t, script("hook-"+hook)))
			must(t, os.Chmod(d+dir+hook, 0o755))
		}
	}
	write(t, d+"/.git/config", config)
	write(t, d+"/.git/info/attributes", "* filter=evil diff=evil\n")
	write(t, d+"/.git/info/exclude", "*\n")
	write(t, d+"/.gitattributes", "* filter=evil diff=evil merge=evil -text working-tree-encoding=UTF-16 export-subst\n")
	write(t, d+"/.gitignore", "*\n")
	write(t, d+"/.gitconfig", config)
	write(t, d+"/.gitmodules", "[submodule \"x\"]\n\tpath = x\n\turl = ext::sh -c touch% "+fired+"/submodule\n\tupdate = !"+script("update")+"\n")
	write(t, d+"/nested/.git/config", config)
	write(t, d+"/nested/.git/HEAD", "ref: refs/heads/main\n")
	must(t, os.MkdirAll(d+"/nested/.git/objects", 0o755))
	must(t, os.MkdirAll(d+"/nested/.git/refs", 0o755))
	write(t, d+"/nested/file", "x\n")
}

// Nothing that the agent wrote runs on the host, and nothing that it wrote is left out because it wrote a rule.
func TestNothingOfTheAgentRuns(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, func(dir string) { project(t, dir, true) })
	s.open(workspace.Options{})
	fired := s.dir + "/fired"
	must(t, os.Mkdir(fired, 0o777))
	command(t, "git", "-C", s.Merged, "update-index", "--assume-unchanged", "README.md")
	command(t, "git", "-C", s.Merged, "update-index", "--skip-worktree", "run.sh")
	plantCode(t, s.Merged, fired)
	write(t, s.Merged+"/README.md", "changed\n")
	write(t, s.Merged+"/run.sh", "changed\n")
	write(t, s.Merged+"/crlf.txt", "changed\r\n")
	want := snapshot(t, s.Merged)

	c := s.collect()
	patch := patchOf(t, c)
	c.Gate(workspace.GateOptions{Secrets: []string{"x"}})
	again, err := s.w.ReadPatch(t.Context(), strings.NewReader(string(patch)))
	must(t, err)
	defer again.Close()
	must(t, again.Apply(t.Context(), s.Lower))
	must(t, c.Close())
	if diff := diffSnapshots(want, snapshot(t, s.Lower)); len(diff) > 0 {
		t.Errorf("the patch differs from the agent's tree in %q", diff)
	}

	// Now that it is applied, attributes and ignore rules of the agent are in the host's tree. git still runs nothing for us.
	w, err := workspace.Open(t.Context(), workspace.Options{Dir: s.Lower})
	must(t, err)
	w.Git()
	if names := ls(t, fired); len(names) > 0 {
		t.Fatalf("ran on the host: %q", names)
	}

	// The canaries do sing where git is used carelessly, or this test would prove nothing.
	command(t, "sh", "-c", `cd "$1"; git diff; git status; git add .; true`, "sh", s.Merged)
	if names := ls(t, fired); !slices.Contains(names, "included") || !slices.Contains(names, "process") {
		t.Errorf("careless git ran only %q", names)
	}
}

func ls(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	must(t, err)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// A .git that is replaced changes nothing.
func TestReplacedGitFolder(t *testing.T) {
	t.Parallel()
	for name, replace := range map[string]func(t *testing.T, d string){
		"removed":   func(*testing.T, string) {},
		"a file":    func(t *testing.T, d string) { write(t, d+"/.git", "gitdir: evil\n") },
		"a symlink": func(t *testing.T, d string) { must(t, os.Symlink("/etc", d+"/.git")) },
		"another": func(t *testing.T, d string) {
			command(t, "git", "-C", d, "init", "-q")
			write(t, d+"/.git/info/exclude", "*\n")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSandbox(t, func(dir string) { project(t, dir, true) })
			s.open(workspace.Options{})
			must(t, os.RemoveAll(s.Merged+"/.git"))
			replace(t, s.Merged)
			write(t, s.Merged+"/new", "x\n")
			write(t, s.Merged+"/new.log", "ignored by the rules before the run\n")
			if got := paths(s.collect().Report().Files); !slices.Equal(got, []string{"added new"}) {
				t.Errorf("changes %q", got)
			}
		})
	}
}

// Names that are a .git on some file system do not leave, and block.
func TestNamesThatGitRefuses(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, func(dir string) { project(t, dir, false) })
	names := []string{".GIT", "git~1", "GIT~1", ".git ", ".git.", ".git...", ".git::$INDEX_ALLOCATION", ".g\u200cit", "\ufeff.git", `x\.git`}
	for _, name := range names {
		write(t, filepath.Join(s.Merged, name, "config"), "evil\n")
		write(t, filepath.Join(s.Merged, "dir", name), "evil\n")
	}
	write(t, s.Merged+"/.gitfoo/config", "harmless\n")
	c := s.collect()
	if got := paths(c.Report().Files); !slices.Equal(got, []string{"added .gitfoo/config"}) {
		t.Errorf("carried %q", got)
	}
	blocked := 0
	for _, f := range c.Gate(workspace.GateOptions{}).Findings {
		if f.Rule == workspace.RuleBadName {
			blocked++
		}
	}
	if blocked != 2*len(names) {
		t.Errorf("%d of %d names were found", blocked, 2*len(names))
	}
}
