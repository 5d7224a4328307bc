package render

import (
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"io"
	"path"
	"strconv"

	"github.com/yolo-run/yolo-run/reports"
)

// changesView is what the agent changed: the tree of files, and their differences.
type changesView struct {
	Summary    string
	Tree       []node
	TreeMore   string
	Search     bool // there are enough files to look for one
	Diffs      []fileDiff
	Notes      []string
	NotCarried listing[[]string]
}

// fileDiff is one file with its hunks.
type fileDiff struct {
	ID           string
	Letter       string
	Status       string
	Folder, Name string
	OldPath      string
	Mode         string
	Plus, Minus  string
	Hunks        []hunkView
	Note         string
	Open         bool
}

type hunkView struct {
	Head  string
	Lines []lineView
}

type lineView struct {
	Class, Old, New, Sign string
	Spans                 []span
	NoEOL                 bool
}

const (
	openLines = 500 // of all files that are open at first
	openFile  = 250 // of one of them
	fileHead  = 520 // bytes of the page that a file's head takes
)

func newChangesView(m Model, scale int) changesView {
	c := m.Report.Changes
	v := changesView{Summary: changesSummary(c), Search: len(c.Files) > 10}
	patch, notes := findPatch(m, scale)
	v.Notes = notes
	paint := newPainter(roomColour / scale)
	room, lines := roomDiff/scale, 0
	for i, f := range c.Files {
		p := patch.of(i, f)
		if p == nil {
			continue
		}
		if room -= fileHead + weight(show(f.Path))*2 + weight(show(f.OldPath)); room < 0 {
			break
		}
		if len(p.hunks) == 0 && !p.binary && p.hidden > 0 {
			continue
		}
		d := newFileDiff("f"+strconv.Itoa(i), f, p, paint)
		n := p.kept()
		if d.Open = f.Status != "deleted" && n <= openFile && lines+n <= openLines; d.Open {
			lines += n
		}
		v.Diffs = append(v.Diffs, d)
	}
	v.Tree, v.TreeMore = newTree(c.Files, v.Diffs, roomTree/scale)
	if left := len(c.Files) - len(v.Diffs); left > 0 && len(v.Diffs) > 0 {
		v.Notes = append(v.Notes, "The page has no room for the differences of "+plural(int64(left), "more file")+": see changes.patch.")
	}
	v.NotCarried = fit(len(c.NotCarried), 10, roomFacts/scale, func(i int) ([]string, int) {
		row := []string{show(c.NotCarried[i].Path), show(c.NotCarried[i].Reason)}
		return row, weight(row...) + 40
	})
	return v
}

func changesSummary(c reports.Changes) string {
	text := "Nothing changed."
	if len(c.Files) > 0 {
		text = plural(int64(len(c.Files)), "file") + ", " + plural(c.Insertions, "insertion") + ", " + plural(c.Deletions, "deletion") + "."
	}
	if c.Ignored.Files > 0 {
		text += " Not in the patch: " + plural(c.Ignored.Files, "changed file") + " that git ignores (" + size(c.Ignored.Bytes) + ")."
	}
	return text
}

// foundPatch is the patch of the folder, by file.
type foundPatch struct {
	files  []*patchFile
	byName map[string]*patchFile
}

// of finds a changed file in the patch. Report and patch have the same order and, but for names that are not UTF-8, the same names.
func (p foundPatch) of(i int, f reports.FileChange) *patchFile {
	if found := p.byName[f.Path]; found != nil {
		return found
	}
	if i < len(p.files) && p.byName[p.files[i].name] == p.files[i] && inQuotes(f.Path) {
		return p.files[i]
	}
	return nil
}

// inQuotes reports whether a report has a name in the form of git patches.
func inQuotes(path string) bool { return len(path) > 1 && path[0] == '"' && path[len(path)-1] == '"' }

// findPatch reads changes.patch of the folder, and says on the page what of it is not there.
func findPatch(m Model, scale int) (foundPatch, []string) {
	c := m.Report.Changes
	switch {
	case len(c.Files) == 0:
		return foundPatch{}, nil
	case m.Dir == "":
		return foundPatch{}, []string{"The differences are in changes.patch; this page was made without it."}
	}
	in, err := reports.OpenArtifact(m.Dir, "changes.patch")
	if err != nil {
		return foundPatch{}, []string{"The differences are not shown: changes.patch could not be read."}
	}
	defer in.Close()
	sum := sha256.New()
	limited := &io.LimitedReader{R: in, N: patchBytes}
	// A file gets its part of the page, and a few long ones what many short ones would leave.
	perFile := max(12<<10, roomDiff/scale/max(min(len(c.Files), 30), 3))
	files, err := readPatch(io.TeeReader(limited, sum), perFile/scale, roomDiff/scale)
	notes := patchNotes(err, limited, sum, c.Patch)
	found := foundPatch{files: files, byName: map[string]*patchFile{}}
	for _, f := range files {
		found.byName[f.name] = f
	}
	return found, notes
}

func patchNotes(err error, rest *io.LimitedReader, sum hash.Hash, described *reports.Patch) []string {
	switch {
	case rest.N == 0:
		return []string{"Only the first " + size(patchBytes) + " of changes.patch are shown."}
	case err != nil:
		return []string{"changes.patch could not be read to its end: " + show(err.Error()) + "."}
	}
	_, _ = io.Copy(sum, rest) // in full already; a fault would show as another digest
	if described != nil && described.SHA256 != hex.EncodeToString(sum.Sum(nil)) {
		return []string{"changes.patch is not the one that the report describes: its digest is another. What is shown is what lies there now."}
	}
	return nil
}

func (f *patchFile) kept() int {
	n := 0
	for _, h := range f.hunks {
		n += len(h.lines)
	}
	return n
}

func newFileDiff(id string, f reports.FileChange, p *patchFile, paint *painter) fileDiff {
	folder, name := path.Split(show(f.Path))
	d := fileDiff{ID: id, Letter: statusLetter(f.Status), Status: show(f.Status), Folder: folder, Name: name, OldPath: show(f.OldPath), Mode: modeChange(f)}
	if name == "" {
		d.Folder, d.Name = "", folder
	}
	d.Plus, d.Minus = stat(f)
	for _, h := range p.hunks {
		if len(h.lines) > 0 {
			d.Hunks = append(d.Hunks, newHunkView(f.Path, h, paint))
		}
	}
	d.Note = diffNote(f, p)
	return d
}

// stat is how many lines came and went, empty where lines are not what changed.
func stat(f reports.FileChange) (plus, minus string) {
	if f.Binary {
		return "", ""
	}
	if f.Insertions > 0 {
		plus = "+" + count(f.Insertions)
	}
	if f.Deletions > 0 {
		minus = "−" + count(f.Deletions)
	}
	return plus, minus
}

func modeChange(f reports.FileChange) string {
	switch {
	case f.Mode == "120000":
		return "symbolic link"
	case f.Mode == "160000":
		return "submodule"
	case f.Mode != "" && f.OldMode != "" && f.Mode != f.OldMode:
		return "mode " + show(f.OldMode) + " → " + show(f.Mode)
	case f.Mode == "100755" && f.OldMode == "":
		return "executable"
	}
	return ""
}

func diffNote(f reports.FileChange, p *patchFile) string {
	switch {
	case p.hidden > 0:
		return "… and " + plural(int64(p.hidden), "more line") + ": see changes.patch"
	case p.binary || f.Binary:
		return "Binary file"
	case len(p.hunks) > 0:
		return ""
	case f.OldPath != "":
		return "Renamed, not changed"
	case f.Status == "added" || f.Status == "deleted":
		return "An empty file"
	}
	return "No line changed"
}

func newHunkView(name string, h hunk, paint *painter) hunkView {
	v := hunkView{Head: show(h.head), Lines: make([]lineView, len(h.lines))}
	spans := paint.paint(name, h.lines)
	for i, l := range h.lines {
		v.Lines[i] = lineView{Old: lineNumber(l.old), New: lineNumber(l.new), Spans: spans[i], NoEOL: l.noEOL}
		switch l.op {
		case '+':
			v.Lines[i].Class, v.Lines[i].Sign = "a", "+"
		case '-':
			v.Lines[i].Class, v.Lines[i].Sign = "d", "-"
		}
	}
	return v
}

func lineNumber(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}
