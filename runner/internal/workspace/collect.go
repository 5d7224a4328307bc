package workspace

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/yolo-run/yolo-run/entrypoint/wire"
	"github.com/yolo-run/yolo-run/reports"
)

// Bounds of names, in bytes: of all that the collector tells of, ignored files included, and of what the patch could carry. Names are kept in
// memory and written into every report; an agent needs seconds for a hundred thousand of 4 KB each.
const (
	maxToldNames    = 64 << 20
	maxCarriedNames = 16 << 20
)

// CollectOptions bound what is taken over from the collector.
type CollectOptions struct {
	MaxFileBytes  int64 // of one version of one file; 0: 64 MiB. Larger ones are listed in NotCarried
	MaxTotalBytes int64 // of all contents; 0: 1 GiB. What comes after is listed in NotCarried
}

// Collect asks the collector (in is its standard input, out its standard output, after [Workspace.Probe]) for what the agent changed and makes
// the patch. Each line is one Write, so that the caller can go on sending heartbeats beside it where Write is atomic. A read from out that blocks
// is ended by closing out, not by ctx. The Changes must be closed.
func (w *Workspace) Collect(ctx context.Context, in io.Writer, out io.Reader, o CollectOptions) (*Changes, error) {
	if o.MaxFileBytes == 0 {
		o.MaxFileBytes = 64 << 20
	}
	if o.MaxTotalBytes == 0 {
		o.MaxTotalBytes = 1 << 30
	}
	scratch, err := os.MkdirTemp("", "yolo-run-changes-")
	if err != nil {
		return nil, fmt.Errorf("collect changes: %w", err)
	}
	c := &Changes{w: w, scratch: scratch}
	collection := &collection{w: w, o: o, send: wire.NewWriter(in), recv: wire.NewCollectReader(out), changes: c}
	if err := collection.run(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("collect changes: %w", err), c.Close())
	}
	for _, skipped := range w.Skipped() {
		c.list(skipped)
	}
	return c, nil
}

// collection is one conversation with the collector.
type collection struct {
	w       *Workspace
	o       CollectOptions
	send    *wire.Writer
	recv    *wire.CollectReader
	changes *Changes
	stays   leftovers
}

// candidate is a change that the patch may carry.
type candidate struct {
	index    int
	path     string
	old, now *wire.CollectEntry // nil: nothing that git stores
}

func (c *collection) run(ctx context.Context) error {
	all, err := c.list(ctx)
	if err != nil {
		return err
	}
	candidates, err := c.choose(ctx, all)
	if err != nil {
		return err
	}
	if len(candidates) == 0 {
		return c.send.Send(wire.CollectRequest{Type: wire.TypeFinish})
	}
	gitDir := filepath.Join(c.changes.scratch, "repository")
	if err := initRepository(ctx, gitDir); err != nil {
		return err
	}
	if err := c.store(ctx, gitDir, candidates); err != nil {
		return err
	}
	if err := c.send.Send(wire.CollectRequest{Type: wire.TypeFinish}); err != nil {
		return err
	}
	return c.changes.compute(ctx, gitDir)
}

// list receives the names of everything that changed.
func (c *collection) list(ctx context.Context) ([]*wire.CollectChange, error) {
	if err := c.send.Send(wire.CollectRequest{Type: wire.TypeCollect}); err != nil {
		return nil, err
	}
	var all []*wire.CollectChange
	told := 0
	seen := map[string]bool{}
	for ctx.Err() == nil {
		m, err := c.recv.Next()
		switch {
		case err != nil:
			return nil, err
		case m.End != nil && m.End.Changes != int64(len(all)):
			return nil, fmt.Errorf("collector counts %d changes and sent %d", m.End.Changes, len(all))
		case m.End != nil:
			return all, nil
		case m.Change == nil || len(all) == wire.MaxCollectChanges:
			return nil, fmt.Errorf("collector sent %q out of turn", m.Type)
		}
		// A folder that became a file has a record of its own for its notes.
		if path := string(m.Change.Path); !m.Change.Same {
			if seen[path] {
				return nil, fmt.Errorf("collector sent %q twice", path)
			}
			seen[path] = true
		}
		all = append(all, m.Change)
		if told += nameBytes(m.Change); told > maxToldNames {
			return nil, fmt.Errorf("the names of what the agent changed have more than %d bytes", maxToldNames)
		}
	}
	return nil, ctx.Err()
}

// choose sorts out what the patch does not carry: git's own, hidden and ignored files, names and kinds that git cannot store, sizes over the bound.
func (c *collection) choose(ctx context.Context, all []*wire.CollectChange) ([]candidate, error) {
	s, err := c.w.scanOnce(ctx)
	if err != nil {
		return nil, err
	}
	hidden := make(map[string]bool, len(s.hidden))
	for _, h := range s.hidden {
		hidden[h] = true
	}
	paths := make([]string, len(all))
	for i, change := range all {
		paths[i] = string(change.Path)
	}
	rules, err := c.w.ignoreRules(ctx, c.changes.scratch, paths)
	if err != nil {
		return nil, err
	}
	c.changes.gitlinks = rules.gitlinks
	var candidates []candidate
	carried := 0
	for i, change := range all {
		path := paths[i]
		if change.Same {
			c.stays.folder(path)
		}
		switch {
		case isGitPath(path):
			if path != ".git" || !c.w.needsPrivateGit() { // it was we who replaced that one
				c.changes.notCarried(path, change.Notes...)
			}
		case hidden[path]:
			c.stays.file(path)
			if !placeholder(change.New) {
				c.changes.notCarried(path, "the file was hidden from the agent; what it wrote there is not carried")
			}
		case rules.ignored[path]:
			if change.Old != nil {
				c.stays.file(path)
			}
			c.changes.ignore(change)
		default:
			if candidate, ok := c.candidate(i, path, change); ok {
				candidates = append(candidates, candidate)
			} else if change.Old != nil && !change.Same {
				c.stays.file(path)
			}
			if change.Old != nil && storable(change.Old) == nil {
				c.stays.file(path)
			}
			if carried += nameBytes(change); carried > maxCarriedNames {
				return nil, fmt.Errorf("the names of what a patch would change have more than %d bytes", maxCarriedNames)
			}
		}
	}
	return candidates, nil
}

// nameBytes is how long a change's path and targets are.
func nameBytes(c *wire.CollectChange) int {
	n := len(c.Path)
	for _, e := range []*wire.CollectEntry{c.Old, c.New} {
		if e != nil {
			n += len(e.Target)
		}
	}
	return n
}

// placeholder reports whether a hidden file is still the empty one that the agent was given.
func placeholder(e *wire.CollectEntry) bool {
	return e != nil && e.Kind == wire.KindFile && e.Size == 0
}

// isGitPath reports whether a path is git's own folder or lies in one.
func isGitPath(path string) bool {
	for part := range strings.SplitSeq(path, "/") {
		if part == ".git" {
			return true
		}
	}
	return false
}

// candidate notes what cannot be carried of a change, and returns the rest of it.
func (c *collection) candidate(index int, path string, change *wire.CollectChange) (candidate, bool) {
	c.changes.notCarried(path, change.Notes...)
	if change.Same {
		return candidate{}, false
	}
	cand := candidate{index: index, path: path, old: storable(change.Old), now: storable(change.New)}
	if cand.old == nil && cand.now == nil {
		return candidate{}, false
	}
	if why := badName(path); why != "" {
		c.changes.notCarried(path, "git refuses the name: "+why)
		c.changes.badNames = append(c.changes.badNames, reports.Finding{Rule: RuleBadName, Severity: reports.Block, Path: quotePath(path), Reason: why})
		return candidate{}, false
	}
	for _, e := range []*wire.CollectEntry{cand.old, cand.now} {
		if e != nil && e.Size > c.o.MaxFileBytes {
			c.changes.notCarried(path, fmt.Sprintf("%d bytes: more than %d are not carried", e.Size, c.o.MaxFileBytes))
			return candidate{}, false
		}
	}
	return cand, true
}

// storable returns the entry if git can store its kind.
func storable(e *wire.CollectEntry) *wire.CollectEntry {
	if e != nil && (e.Kind == wire.KindFile || e.Kind == wire.KindSymlink) {
		return e
	}
	return nil
}
