package workspace_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

// Names are few, so that edits meet each other, and some are such as make trouble: for git, for a patch's lines, for who quotes them.
var randomNames = []string{
	"a", "b", "c.txt", "dir", "sub", "dir.log", "note.log", "build", ".env", "ä", "new\nline", "tab\t", `"quoted"`, "bad\xff\xfe", "-rf", " lead",
	"trail ", `back\slash`, "*", ":(top)x", "a => b", "{a", "b/", ".gitattributes", ".gitignore", ".gitkeep", ".lfsconfig", "dev", "null",
	strings.Repeat("n", 255),
}

// Contents are whole files of kinds that somebody's tool is known to break.
var randomContents = []string{
	"", "\n", "x\n", "no newline", strings.Repeat("a line\n", 40), strings.Repeat("a line\r\n", 40), "mixed\r\nends\nof\rlines", "\x00\x01\xff\x00",
	"\xff\xfeU\x00T\x00F\x00\n\x00", "\xe4\xf6\xfc\n", "\ufeffbom\n", "$Id$\n", strings.Repeat("x", 9000), strings.Repeat("\x00long", 3000),
	"version https://git-lfs.github.com/spec/v1\noid sha256:" + strings.Repeat("ab", 32) + "\nsize 12345\n",
	"diff --git a/a b/a\n--- a/a\n+++ b/a\n@@ -1 +1 @@\n-x\n+y\n", "-- \n", "GIT binary patch\nliteral 0\n", "* text=auto eol=crlf\n", "*\n",
}

// Attributes that change what git would store or write, if anybody asked it.
const randomAttributes = "* text=auto\n*.txt eol=crlf working-tree-encoding=UTF-16\na filter=lfs diff=lfs merge=lfs -text\nb filter=nosuch\nc.txt ident\nsub -diff\n"

// randomEdits changes a tree as somebody might, or as nobody in his senses would.
type randomEdits struct {
	t    *rapid.T
	tb   fataler
	root string
	log  []string
}

type fataler interface {
	Helper()
	Fatal(args ...any)
}

func (e *randomEdits) do(count int) {
	kinds := []func(){
		e.write, e.write, e.write, e.edit, e.edit, e.remove, e.remove, e.rename, e.rename, e.swap, e.mkdir, e.chmod, e.chmod, e.symlink, e.hardlink,
		e.special, e.xattr, e.touch, e.repository, e.copyTree,
	}
	names := []string{
		"write", "write", "write", "edit", "edit", "remove", "remove", "rename", "rename", "swap", "mkdir", "chmod", "chmod", "symlink", "hardlink",
		"special", "xattr", "touch", "repository", "copy",
	}
	for range count {
		i := rapid.IntRange(0, len(kinds)-1).Draw(e.t, "kind")
		e.log = append(e.log, names[i])
		kinds[i]()
	}
}

// existing are all paths, git's own left out.
func (e *randomEdits) existing() []string {
	var list []string
	_ = filepath.WalkDir(e.root, func(path string, d os.DirEntry, err error) error {
		if err != nil || path == e.root {
			return nil //nolint:nilerr // folders that cannot be read are not edited
		}
		if d.Name() == ".git" {
			return skip(d)
		}
		list = append(list, path)
		return nil
	})
	return list
}

func skip(d os.DirEntry) error {
	if d.IsDir() {
		return filepath.SkipDir
	}
	return nil
}

// some is a path that is there; empty in an empty tree.
func (e *randomEdits) some() string {
	list := e.existing()
	if len(list) == 0 {
		return ""
	}
	return list[rapid.IntRange(0, len(list)-1).Draw(e.t, "path")]
}

// place is a path in a folder that is there, or in a new one; nothing is promised about what is at it.
func (e *randomEdits) place() string {
	folders := []string{e.root}
	for _, p := range e.existing() {
		if info, err := os.Lstat(p); err == nil && info.IsDir() {
			folders = append(folders, p)
		}
	}
	at := folders[rapid.IntRange(0, len(folders)-1).Draw(e.t, "folder")]
	if strings.Count(at[len(e.root):], "/") < 4 && rapid.IntRange(0, 3).Draw(e.t, "deeper") == 0 {
		at = filepath.Join(at, rapid.SampledFrom(randomNames).Draw(e.t, "name"))
		if err := os.Mkdir(at, 0o755); err != nil && !os.IsExist(err) {
			return ""
		}
	}
	return filepath.Join(at, rapid.SampledFrom(randomNames).Draw(e.t, "name"))
}

// clear takes away what is at a path, as whoever wants to put something there.
func (e *randomEdits) clear(path string) bool {
	if path == "" || filepath.Base(path) == ".git" {
		return false
	}
	return os.RemoveAll(path) == nil
}

func (e *randomEdits) content() []byte {
	if rapid.IntRange(0, 3).Draw(e.t, "kind of content") == 0 {
		return rapid.SliceOfN(rapid.SampledFrom([]byte("\x00\r\n\t ab+-@\\\xff")), 0, 200).Draw(e.t, "bytes")
	}
	return []byte(rapid.SampledFrom(randomContents).Draw(e.t, "content"))
}

func (e *randomEdits) write() {
	p := e.place()
	if info, err := os.Lstat(p); err == nil && info.Mode().IsRegular() && rapid.Bool().Draw(e.t, "in place") {
		_ = os.WriteFile(p, e.content(), 0o644)
		return
	}
	if e.clear(p) {
		_ = os.WriteFile(p, e.content(), rapid.SampledFrom([]os.FileMode{0o644, 0o644, 0o755, 0o600}).Draw(e.t, "mode"))
	}
}

// edit changes a few bytes, so that renames are found and hunks have contexts.
func (e *randomEdits) edit() {
	p := e.some()
	content, ok := readRegular(p)
	if !ok {
		return
	}
	at := rapid.IntRange(0, len(content)).Draw(e.t, "offset")
	_ = os.WriteFile(p, slices.Concat(content[:at], e.content(), content[at:]), 0o644)
}

func (e *randomEdits) remove() { e.clear(e.some()) }

func (e *randomEdits) rename() {
	from, to := e.some(), e.place()
	if from == "" || to == "" || strings.HasPrefix(to+"/", from+"/") || strings.HasPrefix(from+"/", to+"/") {
		return
	}
	if e.clear(to) {
		_ = os.Rename(from, to)
	}
}

func (e *randomEdits) swap() {
	a, b := e.some(), e.some()
	if a == "" || strings.HasPrefix(a+"/", b+"/") || strings.HasPrefix(b+"/", a+"/") {
		return
	}
	tmp := filepath.Join(e.root, "swap")
	if e.clear(tmp) && os.Rename(a, tmp) == nil && os.Rename(b, a) == nil {
		_ = os.Rename(tmp, b)
	}
}

func (e *randomEdits) mkdir() {
	if p := e.place(); p != "" {
		_ = os.MkdirAll(p, 0o755)
	}
}

func (e *randomEdits) chmod() {
	p := e.some()
	info, err := os.Lstat(p)
	if err != nil || info.Mode()&os.ModeSymlink != 0 {
		return
	}
	modes := []os.FileMode{0o644, 0o755, 0o744, 0o600, 0o444, 0o664}
	if info.IsDir() {
		modes = []os.FileMode{0o755, 0o775, 0o700}
	}
	_ = os.Chmod(p, rapid.SampledFrom(modes).Draw(e.t, "mode"))
}

func (e *randomEdits) symlink() {
	if p := e.place(); e.clear(p) {
		targets := []string{"a", "../a", "/etc/passwd", "nowhere", "dir", ".", strings.Repeat("l", 300), "new\nline", "bad\xff", ".git/config"}
		_ = os.Symlink(rapid.SampledFrom(targets).Draw(e.t, "target"), p)
	}
}

func (e *randomEdits) hardlink() {
	from, to := e.some(), e.place()
	if info, err := os.Lstat(from); err == nil && info.Mode().IsRegular() && from != to && !strings.HasPrefix(from, to+"/") && e.clear(to) {
		_ = os.Link(from, to)
	}
}

func (e *randomEdits) special() {
	if p := e.place(); e.clear(p) {
		mode := rapid.SampledFrom([]uint32{unix.S_IFIFO, unix.S_IFSOCK}).Draw(e.t, "special")
		_ = unix.Mknod(p, mode|0o644, 0)
	}
}

func (e *randomEdits) xattr() {
	if p := e.some(); p != "" {
		_ = unix.Lsetxattr(p, "user.test", []byte(rapid.SampledFrom([]string{"1", "2"}).Draw(e.t, "value")), 0)
	}
}

func (e *randomEdits) touch() {
	p := e.some()
	if content, ok := readRegular(p); ok {
		_ = os.WriteFile(p, content, 0o644)
	}
}

// readRegular reads files and nothing else: a FIFO would keep it waiting.
func readRegular(p string) ([]byte, bool) {
	if info, err := os.Lstat(p); err != nil || !info.Mode().IsRegular() {
		return nil, false
	}
	content, err := os.ReadFile(p)
	return content, err == nil
}

// repository makes a folder a repository, or looks as if.
func (e *randomEdits) repository() {
	p := e.some()
	if info, err := os.Lstat(p); err != nil || !info.IsDir() {
		return
	}
	git := filepath.Join(p, ".git")
	if _, err := os.Lstat(git); err == nil {
		return
	}
	if rapid.Bool().Draw(e.t, "a file") {
		_ = os.WriteFile(git, []byte("gitdir: ../elsewhere\n"), 0o644)
		return
	}
	_ = os.MkdirAll(git+"/objects", 0o755)
	_ = os.MkdirAll(git+"/refs", 0o755)
	_ = os.WriteFile(git+"/HEAD", []byte("ref: refs/heads/main\n"), 0o644)
}

func (e *randomEdits) copyTree() {
	from, to := e.some(), e.place()
	content, ok := readRegular(from)
	if ok && from != to && !strings.HasPrefix(from, to+"/") && e.clear(to) {
		_ = os.WriteFile(to, content, 0o644)
	}
}
