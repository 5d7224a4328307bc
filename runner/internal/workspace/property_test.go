package workspace_test

import (
	"bytes"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"github.com/yolo-run/yolo-run/reports"
	"github.com/yolo-run/yolo-run/runner/internal/workspace"
)

// A random tree and random edits: the patch, applied to the original, gives the agent's tree byte for byte, and where it does not, the report
// lists that path; and it lists no other. It makes the same 20 trees a view each time; others, and more:
// go test ./runner/internal/workspace -run TestPatchOfRandomTrees -rapid.checks=1000.
func TestPatchOfRandomTrees(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("mounts overlays")
	}
	manyTrees(t)
	for _, view := range []string{"overlay", "overlay on two file systems", "two trees"} {
		t.Run(view, func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(r *rapid.T) { randomTree(&rapidTB{TB: t, r: r}, view) })
		})
	}
}

// manyTrees sets how many trees are made where the command line does not.
func manyTrees(t *testing.T) {
	t.Helper()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "rapid.checks" || f.Name == "rapid.seed" })
	if !given {
		must(t, flag.Set("rapid.checks", "20"))
		must(t, flag.Set("rapid.seed", "1")) // the same trees each time: what others find belongs to whoever looks for it
	}
}

// rapidTB lets what the other tests use fail one case of many, which rapid then makes smaller.
type rapidTB struct {
	testing.TB
	r *rapid.T
}

func (t *rapidTB) Helper()                           { t.r.Helper() }
func (t *rapidTB) Fatal(args ...any)                 { t.r.Helper(); t.r.Fatal(args...) }
func (t *rapidTB) Fatalf(format string, args ...any) { t.r.Helper(); t.r.Fatalf(format, args...) }
func (t *rapidTB) Error(args ...any)                 { t.r.Helper(); t.r.Error(args...) }
func (t *rapidTB) Errorf(format string, args ...any) { t.r.Helper(); t.r.Errorf(format, args...) }
func (t *rapidTB) Cleanup(f func())                  { t.r.Cleanup(f) }

// randomTree is one case.
func randomTree(t *rapidTB, view string) {
	isGit := rapid.Bool().Draw(t.r, "git")
	var before []string
	s := newSandbox(t, func(dir string) { before = randomProject(t, dir, isGit) }, view)
	s.open(workspace.Options{})
	agent := &randomEdits{t: t.r, tb: t, root: s.Merged}
	agent.do(rapid.IntRange(1, 12).Draw(t.r, "edits"))
	t.r.Logf("the user: %q, the agent: %q", before, agent.log)

	c := s.collect()
	patch := patchOf(t, c)
	o := newOracle(t, s, isGit)
	applied := s.dir + "/applied"
	command(t, "cp", "-a", s.before, applied)
	must(t, c.Apply(t.r.Context(), applied))
	o.judge(t, "Apply", applied, c.Report().NotCarried)

	plain := s.dir + "/plain"
	command(t, "cp", "-a", s.before, plain)
	command(t, "find", plain, "-name", ".git", "-prune", "-exec", "rm", "-rf", "{}", "+")
	must(t, gitApply(t, plain, patch))
	o.withoutGit = true
	o.judge(t, "git apply", plain, c.Report().NotCarried)

	again, err := s.w.ReadPatch(t.r.Context(), bytes.NewReader(patch))
	must(t, err)
	defer again.Close()
	if a, b := paths(c.Report().Files), paths(again.Report().Files); !slices.Equal(a, b) {
		t.Errorf("the stored patch changes %q, the collected one %q", b, a)
	}
}

// randomProject fills a workspace; in half of the cases it is a repository with tracked, changed, untracked and ignored files.
func randomProject(t *rapidTB, dir string, isGit bool) []string {
	e := &randomEdits{t: t.r, tb: t, root: dir}
	if isGit && rapid.Bool().Draw(t.r, "attributes") {
		write(t, dir+"/.gitattributes", randomAttributes)
	}
	e.do(rapid.IntRange(0, 12).Draw(t.r, "files"))
	if !isGit {
		return e.log
	}
	// The rules are known to the oracle; those that the edits made are not. A filter that is not there fails an add: those files stay untracked.
	rules := func() { e.clear(dir + "/.gitignore"); write(t, dir+"/.gitignore", "*.log\n/build/\n") }
	rules()
	command(t, "sh", "-c", `cd "$1"; find . -mindepth 2 -name .gitignore ! -type d -exec rm -f {} +; git init -q -b main; printf 'swap\n' >> .git/info/exclude
[ ! -d build ] || git add -f build >/dev/null 2>&1; git add --ignore-errors -A >/dev/null 2>&1; git commit -q -m base >/dev/null 2>&1; true`, "sh", dir)
	e.do(rapid.IntRange(0, 4).Draw(t.r, "uncommitted"))
	rules()
	command(t, "find", dir, "-mindepth", "2", "-name", ".gitignore", "!", "-type", "d", "-delete")
	return e.log
}

// oracle knows what a tree must be after the patch, from three trees and without any code of ours.
type oracle struct {
	original, agent map[string]thing
	ignored         func(string) bool
	withoutGit      bool
}

// thing is what lies at a path: core is what a patch carries, beside is what it does not.
type thing struct{ core, beside string }

func newOracle(t *rapidTB, s *sandbox, isGit bool) *oracle {
	o := &oracle{original: things(t, s.before), agent: things(t, s.Merged), ignored: func(string) bool { return false }}
	hidden := func(p string) bool { // the default patterns, as far as the names go
		_, there := o.original[p]
		return there && slices.Contains(strings.Split(p, "/"), ".env") && !strings.HasPrefix(o.original[p].core, "folder")
	}
	o.ignored = hidden
	if !isGit {
		return o
	}
	tracked := map[string]bool{}
	out, err := exec.Command("git", "-C", s.before, "ls-files", "-z").Output()
	must(t, err)
	for name := range strings.SplitSeq(string(out), "\x00") {
		tracked[name] = true
	}
	nested := func(p string) bool { // in a repository of its own, with rules of its own: none
		for dir := path.Dir(p); dir != "."; dir = path.Dir(dir) {
			if _, err := os.Lstat(filepath.Join(s.before, dir, ".git", "HEAD")); err == nil {
				return true
			}
		}
		return false
	}
	o.ignored = func(p string) bool {
		if hidden(p) {
			return true
		}
		if tracked[p] || nested(p) {
			return false
		}
		return p == "swap" || strings.HasPrefix(p, "build/") || slices.ContainsFunc(strings.Split(p, "/"), func(name string) bool {
			return strings.HasSuffix(name, ".log") || name == "swap"
		})
	}
	return o
}

// judge compares the tree that the patch gave with the agent's.
func (o *oracle) judge(t *rapidTB, by, dir string, notCarried []reports.NotCarried) {
	t.Helper()
	got := things(t, dir)
	listed := map[string][]string{}
	for _, n := range notCarried {
		listed[n.Path] = append(listed[n.Path], n.Reason)
	}
	all := map[string]bool{}
	for _, tree := range []map[string]thing{o.original, o.agent, got} {
		for p := range tree {
			all[p] = true
		}
	}
	explained := func(p string) bool {
		for below := range all {
			if (below == p || strings.HasPrefix(below, p+"/")) && (listed[quoted(below)] != nil || listed[quoted(below+"/.git")] != nil) {
				return true
			}
		}
		return false
	}
	differs := map[string]bool{}
	for p := range all {
		folder := strings.HasPrefix(got[p].core+o.agent[p].core, "folder")
		switch want := o.agent[p]; {
		case o.ignored(p):
			if got[p].core != o.original[p].core && !folder {
				t.Errorf("%s: %q is ignored and was changed", by, p)
			}
			differs[quoted(p)] = true
		case got[p].core == want.core:
			differs[quoted(p)] = got[p].beside != want.beside
		case explained(p):
			differs[quoted(p)] = true
		case folder && o.leftovers(p, got):
		default:
			t.Errorf("%s: %q is %.60q, the agent's is %.60q, and nothing says so: %v", by, p, got[p].core, want.core, notCarried)
		}
	}
	for p := range all {
		// With git alone new files have the modes of the umask, so that the other way round is only true of ours.
		if reasons := listed[quoted(p)]; reasons != nil && !differs[quoted(p)] && !o.withoutGit && !o.moot(p, reasons, explained) {
			t.Errorf("%s: %q is listed without a reason: %q", by, p, reasons)
		}
	}
}

// moot: the collector tells what is so of a path by itself. That a file of an odd mode is a renamed one, which keeps its mode, and that a folder which was
// emptied stays because of what was in it, shows only in the whole patch.
func (o *oracle) moot(p string, reasons []string, explained func(string) bool) bool {
	emptied := strings.HasPrefix(o.original[p].core, "folder") && strings.Contains(reasons[0], "emptied")
	for below := range o.original {
		if emptied && strings.HasPrefix(below, p+"/") && (o.ignored(below) || explained(below)) {
			return true
		}
	}
	return len(reasons) == 1 && strings.HasPrefix(reasons[0], "mode ")
}

// leftovers: a folder stays while something is in it that a patch does not take away, and is not made for what it does not bring.
func (o *oracle) leftovers(p string, got map[string]thing) bool {
	for _, tree := range []map[string]thing{got, o.agent} {
		for below := range tree {
			if strings.HasPrefix(below, p+"/") && o.ignored(below) {
				return true
			}
		}
	}
	_, err := os.Lstat(p)
	return err == nil
}

// quoted is how reports write a path.
func quoted(p string) string {
	if strings.ToValidUTF8(p, "") == p {
		return p
	}
	var b strings.Builder
	for i := range len(p) {
		switch c := p[i]; {
		case c == '"' || c == '\\':
			b.WriteString(`\` + string(rune(c)))
		case c < ' ' || c >= 0x7f:
			fmt.Fprintf(&b, `\%03o`, c)
		default:
			b.WriteByte(c)
		}
	}
	return `"` + b.String() + `"`
}

func things(t testing.TB, root string) map[string]thing {
	t.Helper()
	out := map[string]thing{}
	must(t, filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil || name == root {
			return err
		}
		if d.Name() == ".git" {
			return skip(d)
		}
		var st unix.Stat_t
		if err := unix.Lstat(name, &st); err != nil {
			return err
		}
		value := make([]byte, 16)
		n, _ := unix.Lgetxattr(name, "user.test", value)
		perm := st.Mode & 0o777 &^ 0o022
		th := thing{beside: fmt.Sprintf("%o %q", perm, value[:max(n, 0)])}
		switch st.Mode & unix.S_IFMT {
		case unix.S_IFDIR:
			th.core = "folder"
		case unix.S_IFREG:
			th.core = fmt.Sprintf("file %v %s", st.Mode&0o100 != 0, read(t, name))
			th.beside += fmt.Sprintf(" links %d", st.Nlink)
		case unix.S_IFLNK:
			target, err := os.Readlink(name)
			must(t, err)
			th = thing{core: "-> " + target}
		default:
			th.core = fmt.Sprintf("special %o", st.Mode&unix.S_IFMT)
		}
		out[name[len(root)+1:]] = th
		return nil
	}))
	return out
}
