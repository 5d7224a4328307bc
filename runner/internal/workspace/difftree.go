package workspace

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/yolo-run/yolo-run/reports"
)

// treeChange is one difference of the two trees.
type treeChange struct {
	path, oldPath         string // oldPath only of a rename
	mode, oldMode         string // six octal digits; "000000" is nothing
	id, oldID             string
	status                byte // A, M, D, R, T
	insertions, deletions int64
	binary                bool
}

const nothing = "000000"

// diffTrees lists the differences with their sizes in lines.
func diffTrees(ctx context.Context, gitDir string) ([]treeChange, error) {
	out, err := run(privateGit(ctx, gitDir, diffArgs("-z", "--raw", "--numstat", "--no-abbrev")...), nil)
	if err != nil {
		return nil, err
	}
	return parseDiff(string(out))
}

// fields hands out the NUL-terminated fields of git's -z output.
type fields struct{ rest string }

func (f *fields) next() (string, bool) {
	field, rest, ok := strings.Cut(f.rest, "\x00")
	if ok {
		f.rest = rest
	}
	return field, ok
}

// parseDiff reads `git diff-tree -z --raw --numstat`: all of the one, then all of the other, in one order.
func parseDiff(out string) ([]treeChange, error) {
	f := &fields{rest: out}
	var changes []treeChange
	for strings.HasPrefix(f.rest, ":") {
		c, err := parseRaw(f)
		if err != nil {
			return nil, err
		}
		changes = append(changes, c)
	}
	for i := range changes {
		if err := parseNumstat(f, &changes[i]); err != nil {
			return nil, err
		}
	}
	if f.rest != "" {
		return nil, fmt.Errorf("read git's diff: %d bytes too many", len(f.rest))
	}
	return changes, nil
}

// parseRaw reads ":oldmode mode oldid id status" and one path, or two of a rename.
func parseRaw(f *fields) (treeChange, error) {
	head, _ := f.next()
	part := strings.Fields(strings.TrimPrefix(head, ":"))
	path, ok := f.next()
	if len(part) != 5 || !ok {
		return treeChange{}, fmt.Errorf("read git's diff: bad record %q", head)
	}
	c := treeChange{oldMode: part[0], mode: part[1], oldID: part[2], id: part[3], status: part[4][0], path: path}
	if c.status == 'R' || c.status == 'C' {
		c.oldPath = path
		if c.path, ok = f.next(); !ok {
			return treeChange{}, fmt.Errorf("read git's diff: bad record %q", head)
		}
	}
	return c, nil
}

// parseNumstat reads "insertions TAB deletions TAB path", or without the path and followed by two of a rename. A binary file has "-".
func parseNumstat(f *fields, c *treeChange) error {
	head, ok := f.next()
	part := strings.SplitN(head, "\t", 3)
	if !ok || len(part) != 3 {
		return fmt.Errorf("read git's diff: bad numbers %q", head)
	}
	path := part[2]
	if path == "" {
		f.next()
		path, _ = f.next()
	}
	if path != c.path {
		return fmt.Errorf("read git's diff: numbers of %q where those of %q belong", path, c.path)
	}
	if part[0] == "-" {
		c.binary = true
		return nil
	}
	var err error
	if c.insertions, err = strconv.ParseInt(part[0], 10, 64); err != nil {
		return fmt.Errorf("read git's diff: %w", err)
	}
	if c.deletions, err = strconv.ParseInt(part[1], 10, 64); err != nil {
		return fmt.Errorf("read git's diff: %w", err)
	}
	return nil
}

// report is the change as report.json has it.
func (c treeChange) report() reports.FileChange {
	r := reports.FileChange{
		Path: quotePath(c.path), Insertions: c.insertions, Deletions: c.deletions, Binary: c.binary,
		Status: map[byte]string{'A': "added", 'M': "modified", 'D': "deleted", 'R': "renamed", 'T': "type-changed"}[c.status],
	}
	if c.oldPath != "" {
		r.OldPath = quotePath(c.oldPath)
	}
	if c.mode != nothing {
		r.Mode = c.mode
	}
	if c.oldMode != nothing && c.oldMode != c.mode {
		r.OldMode = c.oldMode
	}
	return r
}
