package workspace

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/yolo-run/yolo-run/entrypoint/wire"
	"github.com/yolo-run/yolo-run/reports"
)

// maxNotCarried bounds a list that the agent can make as long as it likes; the rest is one line.
const maxNotCarried = 1000

// Changes are what the agent changed: two trees in a repository of our own, and the patch between them.
type Changes struct {
	w         *Workspace
	scratch   string // a temporary folder: the private repository and the patch
	gitDir    string
	patch     string // file
	patchSize int64

	diff     []treeChange
	gitlinks []string
	badNames []reports.Finding
	report   reports.Changes
	more     int64 // not carried beyond the list
}

// compute fills in what follows from the two trees.
func (c *Changes) compute(ctx context.Context, gitDir string) error {
	c.gitDir = gitDir
	var err error
	if c.diff, err = diffTrees(ctx, gitDir); err != nil {
		return err
	}
	for _, d := range c.diff {
		c.report.Files = append(c.report.Files, d.report())
		c.report.Insertions += d.insertions
		c.report.Deletions += d.deletions
	}
	if len(c.diff) == 0 {
		return nil
	}
	c.patch = filepath.Join(c.scratch, "changes.patch")
	if err := writePatch(ctx, gitDir, c.patch); err != nil {
		return err
	}
	info, err := os.Stat(c.patch)
	if err != nil {
		return fmt.Errorf("write patch: %w", err)
	}
	c.patchSize = info.Size()
	return nil
}

// Empty reports whether there is no patch.
func (c *Changes) Empty() bool { return len(c.diff) == 0 }

// Report is what report.json says about the changes. Its Patch is nil: the caller knows where the patch is put.
func (c *Changes) Report() reports.Changes {
	r := c.report
	if r.Files == nil {
		r.Files = []reports.FileChange{}
	}
	r.NotCarried = append([]reports.NotCarried{}, r.NotCarried...)
	if c.more > 0 {
		r.NotCarried = append(r.NotCarried, reports.NotCarried{Path: "…", Reason: fmt.Sprintf("and %d more", c.more)})
	}
	return r
}

// Patch opens the patch: git's format, binary, with full object names and renames. It is empty when nothing changed.
func (c *Changes) Patch() (io.ReadCloser, error) {
	if c.patch == "" {
		return os.Open(os.DevNull)
	}
	f, err := os.Open(c.patch)
	if err != nil {
		return nil, fmt.Errorf("open patch: %w", err)
	}
	return f, nil
}

// Close removes the private repository and the patch.
func (c *Changes) Close() error {
	if err := os.RemoveAll(c.scratch); err != nil {
		return fmt.Errorf("remove the private repository: %w", err)
	}
	return nil
}

// notCarried lists what the patch leaves out.
func (c *Changes) notCarried(path string, reasons ...string) {
	for _, reason := range reasons {
		c.list(reports.NotCarried{Path: quotePath(path), Reason: reason})
	}
}

func (c *Changes) list(n reports.NotCarried) {
	if len(c.report.NotCarried) >= maxNotCarried {
		c.more++
		return
	}
	c.report.NotCarried = append(c.report.NotCarried, n)
}

// ignore counts a change that the rules from before the run leave out.
func (c *Changes) ignore(change *wire.CollectChange) {
	if change.Same {
		return
	}
	c.report.Ignored.Files++
	if change.New != nil {
		c.report.Ignored.Bytes += change.New.Size
	}
}
