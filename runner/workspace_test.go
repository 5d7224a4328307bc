package runner_test

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/yolo-run/yolo-run/reports"
	"github.com/yolo-run/yolo-run/runner"
)

// The agent's work in the tests below: every kind of change that a patch can carry, names that are hard to write, and some that it cannot.
const manyChanges = `
echo added > added.txt
printf 'no newline' > 'no newline at end'
echo changed >> changed.txt
rm deleted.txt
mv renamed.txt 'new name.txt'
mv folder moved
mkdir -p deep/er/than && echo x > deep/er/than/before
chmod +x mode.sh
ln -s changed.txt link
rm -r becomes-file && echo file > becomes-file
rm becomes-folder && mkdir becomes-folder && echo in > becomes-folder/in
head -c 5000 /dev/urandom > binary.bin
printf 'x\n' > $'new\nline'; printf 'x\n' > $'tab\there'; printf 'x\n' > '"quoted"'; printf 'x\n' > $'bad\xffutf8'
printf 'x\n' > $(printf 'n%.0s' $(seq 255))
sed -i 's/$/\r/' crlf.txt
echo more > ignored/file
`

// makeTree makes the workspace that manyChanges works on, owned by owner.
func makeTree(t *testing.T, git bool, owner int) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "project")
	script := `mkdir -p "$1/folder/sub" "$1/becomes-file" "$1/ignored" && cd "$1"
for f in changed deleted renamed crlf; do printf 'one\ntwo\nthree\nfour\n%s\n' $f > $f.txt; done
echo '#!/bin/sh' > mode.sh; echo f > becomes-file/f; echo f > becomes-folder
for i in 1 2 3; do printf 'a\nb\nc\nd\ne\nf%s\n' $i > folder/$i; printf 'a\nb\nc\nd\ne\ns%s\n' $i > folder/sub/$i; done
head -c 9000 /dev/urandom > binary.bin
echo 'ignored/' > .gitignore; echo old > ignored/file`
	if git {
		script += `
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1
git init -q -b main . && git -c user.name=t -c user.email=t@t add -A . && git -c user.name=t -c user.email=t@t commit -qm base
echo uncommitted >> changed.txt; echo untracked > untracked.txt`
	}
	command := exec.CommandContext(t.Context(), "bash", "-ec", script, "bash", dir)
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("make the tree: %v\n%s", err, out)
	}
	chownTree(t, dir, owner)
	return dir
}

func chownTree(t *testing.T, dir string, owner int) {
	t.Helper()
	if os.Getuid() != 0 {
		return
	}
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, owner, owner)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// modeOfRoots is the mode of a workspace that belongs to root: a kernel from 6.15 on shows it as the agent's. Empty: it depends on where the engine is.
func modeOfRoots(t *testing.T) string {
	t.Helper()
	if os.Getenv("DOCKER_HOST") != "" {
		return ""
	}
	release := strings.TrimSpace(string(readFile(t, "/proc/sys/kernel/osrelease")))
	var major, minor int
	if _, err := fmt.Sscanf(release, "%d.%d", &major, &minor); err != nil {
		t.Fatalf("kernel %q: %v", release, err)
	}
	if major > 6 || major == 6 && minor >= 15 {
		return "overlay"
	}
	return "copy"
}

func TestThePatchGivesTheAgentsTreeByteForByte(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		git   bool
		owner int
		asked string
		mode  string
	}{
		{"overlay-git", true, 1000, "auto", "overlay"},
		{"overlay-plain", false, 1000, "auto", "overlay"},
		{"mapped-git", true, 0, "auto", modeOfRoots(t)},
		{"copy-git", true, 0, "copy", "copy"},
		{"copy-plain", false, 0, "copy", "copy"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if os.Getuid() != 0 {
				t.Fatal("this test needs root: it makes workspaces of other owners (run make test as root, or through sudo)")
			}
			dir := makeTree(t, c.git, c.owner)
			run(t, dir, "mkfifo pipe")
			before := snapshot(t, dir)
			r := try(t, manyChanges+"\ntar cf - --exclude=./.git --exclude=./ignored . | base64 | tr -d '\\n' | sed 's/^/tree=/'; echo",
				func(cfg *runner.Config) {
					cfg.Workspace, cfg.WorkspaceMode, cfg.FailOn = dir, c.asked, []string{"none"}
				})
			r.want(t, reports.Success)
			if c.mode != "" && r.Workspace.Mode != c.mode {
				t.Errorf("mode %s (%s), want %s", r.Workspace.Mode, r.Workspace.ModeReason, c.mode)
			}
			if r.Workspace.Mode == "copy" && r.Workspace.ModeReason == "" {
				t.Error("the reason for the copy is not in the report")
			}
			left := slices.ContainsFunc(r.Changes.NotCarried, func(n reports.NotCarried) bool { return n.Path == "pipe" })
			if left != (r.Workspace.Mode == "copy") {
				t.Errorf("a pipe, which no copy can have, is listed as left out: %v; %+v", left, r.Changes.NotCarried)
			}
			if after := snapshot(t, dir); after != before {
				t.Errorf("the run wrote to the host's tree:\n%s\n%s", before, after)
			}
			wantIgnored := int64(0)
			if c.git {
				wantIgnored = 1
			}
			if r.Changes.Ignored.Files != wantIgnored {
				t.Errorf("%d ignored files, want %d", r.Changes.Ignored.Files, wantIgnored)
			}
			applied := applyPatch(t, dir, filepath.Join(r.out, "changes.patch"))
			compareTrees(t, applied, unpack(t, r.says(t, "tree")), !c.git)
		})
	}
}

// snapshot describes every file of a tree.
func snapshot(t *testing.T, dir string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "bash", "-ec", `cd "$1"
find . -path ./.git/index -prune -o -printf '%p %y %m %s %l %T@\n' | sort
find . -type f -not -path './.git/index' -print0 | sort -z | xargs -0 sha256sum`, "bash", dir).Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// applyPatch applies a patch to a copy of the tree with plain git, as a user would.
func applyPatch(t *testing.T, dir, patch string) string {
	t.Helper()
	target := filepath.Join(t.TempDir(), "applied")
	out, err := exec.CommandContext(t.Context(), "bash", "-ec", `cp -a "$1" "$2"
rm -rf "$2/.git"
cd "$2"
GIT_CEILING_DIRECTORIES=/ git apply --whitespace=nowarn "$3"`, "bash", dir, target, patch).CombinedOutput()
	if err != nil {
		t.Fatalf("the patch does not apply: %v\n%s", err, out)
	}
	return target
}

func unpack(t *testing.T, encoded string) string {
	t.Helper()
	dir := t.TempDir()
	command := exec.CommandContext(t.Context(), "bash", "-c", `base64 -d | tar xf - -C "$1"`, "bash", dir)
	command.Stdin = strings.NewReader(encoded)
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("unpack: %v\n%s", err, out)
	}
	return dir
}

// compareTrees compares files, symlinks and executable bits. Ignored files are in the patch only where there is no git to ignore them.
func compareTrees(t *testing.T, got, want string, ignored bool) {
	t.Helper()
	list := func(dir string) string {
		out, err := exec.CommandContext(t.Context(), "bash", "-ec", `cd "$1"
find . -path ./.git -prune -o -path ./ignored -prune -o \
  \( -type l -printf '%p -> %l\n' -o -type f -perm -u+x -printf '%p x\n' -o -type f -printf '%p\n' \) | sort
find . -path ./.git -prune -o -path ./ignored -prune -o -type f -print0 | sort -z | xargs -0 sha256sum -z`, "bash", dir).Output()
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	if g, w := list(got), list(want); g != w {
		t.Errorf("the patched tree differs from the agent's:\ngot\n%s\nwant\n%s", g, w)
	}
	if ignored && string(readFile(t, filepath.Join(got, "ignored/file"))) != "more\n" {
		t.Error("without git nothing is ignored, but a file is missing from the patch")
	}
}

// Attack 19, the part of this issue: what the agent writes about git runs nowhere on the host.
func TestAttack19NothingOfTheAgentsRunsOnTheHost(t *testing.T) {
	t.Parallel()
	dir := makeTree(t, true, 1000)
	canary := filepath.Join(t.TempDir(), "canary")
	r := try(t, `
git config core.fsmonitor "touch `+canary+`"; git config core.hooksPath /workspace/hooks; git config diff.external "touch `+canary+`"
git config filter.x.clean "touch `+canary+`"; git config filter.x.smudge "touch `+canary+`"; git config diff.y.textconv "touch `+canary+`"
mkdir -p hooks
for h in post-checkout pre-commit post-index-change reference-transaction; do
  printf '#!/bin/sh\ntouch `+canary+`\n' > hooks/$h; chmod +x hooks/$h; cp hooks/$h .git/hooks/
done
printf '* filter=x diff=y -diff\n*.txt working-tree-encoding=UTF-16 eol=crlf\n' > .gitattributes
printf '*\n' > .gitignore; printf '*\n' > .git/info/exclude
git update-index --assume-unchanged changed.txt; git update-index --skip-worktree mode.sh
echo hidden >> changed.txt; echo 'echo evil' >> mode.sh; echo secretly > new-but-ignored.txt
mkdir nested && cd nested && git init -q . && echo in > nested-file
`, func(cfg *runner.Config) { cfg.Workspace = dir; cfg.FailOn = []string{"none"} })
	r.want(t, reports.Success)
	if _, err := os.Lstat(canary); err == nil {
		t.Error("something of the agent's ran on the host")
	}
	changed := map[string]bool{}
	for _, f := range r.Changes.Files {
		changed[f.Path] = true
	}
	for _, path := range []string{"changed.txt", "mode.sh", "new-but-ignored.txt", ".gitignore", ".gitattributes", "nested/nested-file", "hooks/pre-commit"} {
		if !changed[path] {
			t.Errorf("%s is not in the patch: %v", path, changed)
		}
	}
	patch := string(readFile(t, filepath.Join(r.out, "changes.patch")))
	if !strings.Contains(patch, "+hidden") || strings.Contains(patch, ".git/config") {
		t.Error("the patch lacks the agent's text, or carries git's own files")
	}
	if r.Gate.Passed {
		t.Error("the gate passed protected files")
	}
}

// The agent sees neither credentials of the checkout nor hidden files, and git works for it.
func TestCredentialsAndHiddenFilesStayOutside(t *testing.T) {
	t.Parallel()
	for _, owner := range []int{1000, 0} {
		dir := makeTree(t, true, owner)
		run(t, dir, `printf 'CANARY-env\n' > .env; printf 'K=v\n' > .env.example; printf 'CANARY-pem\n' > key.pem
printf 'machine x password CANARY-netrc\n' > .netrc; mkdir own; echo CANARY-own > own/file
git config http.https://example.com/.extraheader 'AUTHORIZATION: basic CANARY-header'
git config remote.origin.url https://user:CANARY-url@example.com/r.git`)
		chownTree(t, dir, owner)
		r := try(t, `grep -rs CANARY . /home /tmp /etc 2>/dev/null; echo "hits=$(grep -rsl CANARY . | wc -l)"
cat .env.example | sed 's/^/example-/'; git status --porcelain | wc -l | sed 's/^/status=/'; git log --oneline | wc -l | sed 's/^/commits=/'
git remote get-url origin | sed 's/^/url=/'; echo new > new.txt; git add new.txt && git commit -qm work && git log --oneline | wc -l | sed 's/^/after=/'`,
			func(cfg *runner.Config) {
				cfg.Workspace = dir
				cfg.Hide = []string{".env", ".netrc", "*.pem", "own/*", ".git/logs"}
			})
		r.want(t, reports.Success)
		for name, want := range map[string]string{"hits": "0", "example-K": "v", "commits": "1", "after": "2", "url": "https://example.com/r.git"} {
			if got := r.says(t, name); got != want {
				t.Errorf("owner %d: %s=%s, want %s", owner, name, got, want)
			}
		}
		if len(r.Changes.Files) != 1 || r.Changes.Files[0].Path != "new.txt" {
			t.Errorf("owner %d: the patch has more than the agent's file: %+v", owner, r.Changes.Files)
		}
		if len(r.Workspace.Hidden) < 4 {
			t.Errorf("owner %d: hidden %q", owner, r.Workspace.Hidden)
		}
	}
}

// run runs a script on the host for a test.
func run(t testing.TB, dir, script string) string {
	t.Helper()
	command := exec.CommandContext(t.Context(), "bash", "-ec", script)
	command.Dir = dir
	command.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1",
		"GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*")
	out, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return string(out)
}

func tarOf(t testing.TB, files map[string]string) io.Reader {
	t.Helper()
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	for name, content := range files {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(content))}); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return &archive
}

func readAll(t testing.TB, r io.Reader) string {
	t.Helper()
	data, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// An engine that has another folder at the same path must not be given it: the runner stands in a mount namespace of its own here, in which its workspace is
// a file system that the engine does not see.
func TestAWorkspaceThatTheEngineDoesNotSeeIsCopied(t *testing.T) {
	t.Parallel()
	needEngine(t)
	dir := t.TempDir()
	out := filepath.Join(dir, "out")
	run(t, dir, `mkdir ws && echo "the engine's" > ws/file && chown -R 1000:1000 ws
unshare -m --propagation private bash -ec 'mount -t tmpfs none ws; echo "the runner'"'"'s" > ws/file; chown -R 1000:1000 ws
"$0" --workspace ws --out out --min-free-disk 64m --agent shell --prompt "cat file; echo new > file"' `+yoloRun(t))
	rep := (&process{out: out}).report(t)
	if rep.Workspace.Mode != "copy" || !strings.Contains(rep.Workspace.ModeReason, "does not see") {
		t.Errorf("mode %s, reason %q", rep.Workspace.Mode, rep.Workspace.ModeReason)
	}
	if got := string(readFile(t, filepath.Join(out, "agent.log"))); got != "the runner's\n" {
		t.Errorf("the agent saw %q", got)
	}
	if rep.Outcome != reports.Success || len(rep.Changes.Files) != 1 {
		t.Errorf("outcome %s, files %+v, errors %q", rep.Outcome, rep.Changes.Files, rep.Errors)
	}
}
