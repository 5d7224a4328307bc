package workspace

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// maxBase bounds what is kept for a later merge, in bytes as packed.
const maxBase = 16 << 20

// Base makes a pack of the old versions of the files that the patch changes in part: with it, [Options].Base, a merge is possible where they were never
// committed. It returns the pack's path, which lasts until Close; empty where nothing is to be kept, or too much.
func (c *Changes) Base(ctx context.Context) (string, error) {
	var list strings.Builder
	for _, d := range c.diff {
		if isFileMode(d.oldMode) && isFileMode(d.mode) && d.oldID != d.id && !d.binary {
			list.WriteString(d.oldID + "\n")
		}
	}
	if list.Len() == 0 {
		return "", nil
	}
	name, err := run(privateGit(ctx, c.gitDir, "pack-objects", "-q", "--no-reuse-delta", filepath.Join(c.scratch, "base")), strings.NewReader(list.String()))
	if err != nil {
		return "", fmt.Errorf("pack old versions: %w", err)
	}
	pack := filepath.Join(c.scratch, "base-"+strings.TrimSpace(string(name))+".pack")
	info, err := os.Stat(pack)
	if err != nil || info.Size() > maxBase {
		return "", err
	}
	return pack, nil
}

func isFileMode(mode string) bool { return mode == modeFile || mode == modeExecutable }

// lendBase gives git what [Changes.Base] packed. Without it a merge may not be possible, which is no fault.
func (w *Workspace) lendBase(ctx context.Context, gitDir string) {
	if w.base == "" {
		return
	}
	pack, err := os.Open(w.base)
	if err != nil {
		return
	}
	defer pack.Close()
	if _, err := run(privateGit(ctx, gitDir, "unpack-objects", "-q"), pack); err != nil {
		w.log.Debug("old versions cannot be used", "error", err)
	}
}
