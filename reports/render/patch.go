package render

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/bluekeyes/go-gitdiff/gitdiff"
)

// patchFile is one file of a patch, as much of it as there was room for.
type patchFile struct {
	name, oldName string
	binary        bool
	hunks         []hunk
	hidden        int  // lines that were not kept
	full          bool // there is no room for more of it
	room          int
}

// hunk is one place of a file.
type hunk struct {
	head  string // what git says behind the second @@: the function
	lines []patchLine
}

// patchLine is one line of a hunk. Its text is the agent's, as it stands in the patch, without the sign.
type patchLine struct {
	op       byte // ' ', '+' or '-'
	old, new int  // line numbers, 0 where it has none
	text     string
	noEOL    bool
}

// Bounds of reading a patch.
const (
	patchBytes   = 64 << 20
	patchLineMax = 64 << 10 // bytes of a line that are kept
	patchHeader  = 64 << 10 // bytes of what stands before a file's first hunk
	patchFiles   = 20_000
	shownLine    = 2000 // characters of a line
	lineWeight   = 75   // bytes of the page that a line takes beside its text
)

// patchReader reads a patch of git's in one pass and in bounded memory. It is more forgiving than git apply, and it never inflates binary data:
// what it finds is looked at, nothing is done with it. Headers are go-gitdiff's business, quoted names and all.
type patchReader struct {
	in    *bufio.Reader
	line  int
	files []*patchFile

	perFile, room int // bytes of the page that one file, and all of them, may still take

	file             *patchFile
	header           bytes.Buffer
	inHeader         bool
	oldLeft, newLeft int // lines that the hunk still has
	old, new         int
}

// readPatch returns the files of a patch up to the first fault.
func readPatch(r io.Reader, perFile, room int) ([]*patchFile, error) {
	p := &patchReader{in: bufio.NewReaderSize(r, patchLineMax), perFile: perFile, room: room}
	for {
		line, err := p.next()
		if errors.Is(err, io.EOF) {
			return p.files, p.closeHeader()
		}
		if err != nil {
			return p.files, err
		}
		p.line++
		if err := p.take(line); err != nil {
			return p.files, fmt.Errorf("line %d of the patch: %w", p.line, err)
		}
	}
}

// next returns a line without its newline, cut where it is too long.
func (p *patchReader) next() ([]byte, error) {
	line, err := p.in.ReadSlice('\n')
	if err == nil {
		return line[:len(line)-1], nil
	}
	if errors.Is(err, io.EOF) && len(line) > 0 {
		return line, nil
	}
	if !errors.Is(err, bufio.ErrBufferFull) {
		return nil, err
	}
	kept := bytes.Clone(line)
	for errors.Is(err, bufio.ErrBufferFull) {
		_, err = p.in.ReadSlice('\n')
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return kept, nil
}

func (p *patchReader) take(line []byte) error {
	switch {
	case p.oldLeft > 0 || p.newLeft > 0 || bytes.HasPrefix(line, []byte(`\`)) && p.file != nil && !p.inHeader:
		return p.takeLine(line)
	case bytes.HasPrefix(line, []byte("diff --git ")):
		return p.open(line)
	case p.file == nil:
		return errors.New("something stands before the first file")
	case bytes.HasPrefix(line, []byte("@@ ")):
		return p.openHunk(string(line))
	case p.inHeader && (bytes.Equal(line, []byte("GIT binary patch")) || bytes.HasPrefix(line, []byte("Binary files "))):
		p.file.binary = true
		return p.closeHeader()
	case p.inHeader:
		if p.header.Len()+len(line) > patchHeader {
			return errors.New("a file's header is too long")
		}
		p.header.Write(line)
		p.header.WriteByte('\n')
		return nil
	case p.file.binary: // the data
		return nil
	default:
		return errors.New("neither a file nor a hunk begins here")
	}
}

// open begins a file.
func (p *patchReader) open(line []byte) error {
	if err := p.closeHeader(); err != nil {
		return err
	}
	if len(p.files) >= patchFiles {
		return fmt.Errorf("more than %d files", patchFiles)
	}
	p.file = &patchFile{room: p.perFile}
	p.files = append(p.files, p.file)
	p.inHeader = true
	p.header.Reset()
	p.header.Write(line)
	p.header.WriteByte('\n')
	return nil
}

// closeHeader reads the names when the header is over.
func (p *patchReader) closeHeader() error {
	if !p.inHeader {
		return nil
	}
	p.inHeader = false
	files, _, err := gitdiff.Parse(bytes.NewReader(p.header.Bytes()))
	if err != nil {
		return err
	}
	if len(files) != 1 {
		return errors.New("a file's header is not one")
	}
	p.file.name, p.file.oldName = files[0].NewName, files[0].OldName
	if p.file.name == "" {
		p.file.name = p.file.oldName
	}
	return nil
}

func (p *patchReader) openHunk(line string) error {
	if err := p.closeHeader(); err != nil {
		return err
	}
	ranges, head, ok := strings.Cut(strings.TrimPrefix(line, "@@ "), " @@")
	oldRange, newRange, both := strings.Cut(ranges, " ")
	var errOld, errNew error
	p.old, p.oldLeft, errOld = lineRange(oldRange, "-")
	p.new, p.newLeft, errNew = lineRange(newRange, "+")
	if !ok || !both || errOld != nil || errNew != nil {
		return errors.New("a hunk's header is not one")
	}
	if p.keep(lineWeight + len(head)) {
		p.file.hunks = append(p.file.hunks, hunk{head: strings.TrimSpace(head)})
	}
	return nil
}

// lineRange reads "-12,3".
func lineRange(s, sign string) (start, n int, err error) {
	s, ok := strings.CutPrefix(s, sign)
	if !ok {
		return 0, 0, strconv.ErrSyntax
	}
	from, count, many := strings.Cut(s, ",")
	start64, err := strconv.ParseUint(from, 10, 31)
	n64 := uint64(1)
	if many && err == nil {
		n64, err = strconv.ParseUint(count, 10, 31)
	}
	return int(start64), int(n64), err //nolint:gosec // 31 bits
}

func (p *patchReader) takeLine(line []byte) error {
	op, text := byte(' '), []byte(nil)
	if len(line) > 0 {
		op, text = line[0], line[1:]
	}
	l := patchLine{op: op}
	switch {
	case op == '\\': // No newline at end of file
		p.markNoEOL()
		return nil
	case op == ' ' && p.oldLeft > 0 && p.newLeft > 0:
		l.old, l.new = p.old, p.new
	case op == '-' && p.oldLeft > 0:
		l.old = p.old
	case op == '+' && p.newLeft > 0:
		l.new = p.new
	default:
		return errors.New("a hunk ends before its header says")
	}
	if op != '+' {
		p.old++
		p.oldLeft--
	}
	if op != '-' {
		p.new++
		p.newLeft--
	}
	l.text = string(text)
	if !p.keep(lineWeight + weight(shownText(l.text))) {
		p.file.hidden++
		return nil
	}
	last := &p.file.hunks[len(p.file.hunks)-1]
	last.lines = append(last.lines, l)
	return nil
}

func (p *patchReader) markNoEOL() {
	if n := len(p.file.hunks); n > 0 && !p.file.full {
		if lines := p.file.hunks[n-1].lines; len(lines) > 0 {
			lines[len(lines)-1].noEOL = true
		}
	}
}

// keep takes bytes of the page for the file, if it and all of them have them left. What comes behind something that had no room has none.
func (p *patchReader) keep(n int) bool {
	if p.file.full = p.file.full || p.file.room < n || p.room < n; p.file.full {
		return false
	}
	p.file.room -= n
	p.room -= n
	return true
}

// shownText is a line's text as the page shows it, before escapes of its markup.
func shownText(s string) string { return visibleTabs(clip(strings.TrimSuffix(s, "\r"), shownLine)) }
