package workspace

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/yolo-run/yolo-run/entrypoint/wire"
)

// store fetches the contents of the candidates and stores both trees.
func (c *collection) store(ctx context.Context, gitDir string, candidates []candidate) error {
	im, err := startImport(ctx, gitDir)
	if err != nil {
		return err
	}
	t := &transfer{
		collection: c, im: im,
		marks: map[wire.CollectWant]int{}, failed: map[wire.CollectWant]string{}, idents: map[string]wire.CollectWant{},
	}
	if err := t.run(ctx, candidates); err != nil {
		return errors.Join(err, im.abort())
	}
	return im.close()
}

// transfer moves contents from the collector into git, one batch of requests after the other. No more than one buffer of them is in memory.
type transfer struct {
	*collection
	im     *importer
	marks  map[wire.CollectWant]int    // what is stored
	failed map[wire.CollectWant]string // what could not be
	idents map[string]wire.CollectWant // files that are known to have the same contents are fetched once
	total  int64
}

func (t *transfer) run(ctx context.Context, candidates []candidate) error {
	var batch []wire.CollectWant
	for _, c := range candidates {
		for _, side := range []wire.Side{wire.SideOld, wire.SideNew} {
			want, needed := t.plan(c, side)
			if needed {
				batch = append(batch, want)
			}
		}
		if len(batch) >= wire.MaxCollectWant-1 {
			if err := t.fetch(ctx, batch); err != nil {
				return err
			}
			batch = batch[:0]
		}
	}
	if err := t.fetch(ctx, batch); err != nil {
		return err
	}
	return t.trees(candidates)
}

// entryOn is the version on one side.
func (c candidate) entryOn(side wire.Side) *wire.CollectEntry {
	if side == wire.SideOld {
		return c.old
	}
	return c.now
}

// key is under which contents are stored: those of another file if they are known to be the same.
func (t *transfer) key(c candidate, side wire.Side) wire.CollectWant {
	want := wire.CollectWant{Index: c.index, Side: side}
	if e := c.entryOn(side); e.Ident != "" {
		if first, ok := t.idents[e.Ident]; ok {
			return first
		}
		t.idents[e.Ident] = want
	}
	return want
}

// plan decides whether one side's contents must be fetched.
func (t *transfer) plan(c candidate, side wire.Side) (wire.CollectWant, bool) {
	e := c.entryOn(side)
	if e == nil || e.Kind != wire.KindFile {
		return wire.CollectWant{}, false
	}
	want := wire.CollectWant{Index: c.index, Side: side}
	if t.key(c, side) != want {
		return want, false
	}
	if t.total+e.Size > t.o.MaxTotalBytes {
		t.failed[want] = fmt.Sprintf("all changes together are over %d bytes", t.o.MaxTotalBytes)
		return want, false
	}
	t.total += e.Size
	return want, true
}

// fetch asks for contents and stores them as they come.
func (t *transfer) fetch(ctx context.Context, batch []wire.CollectWant) error {
	if len(batch) == 0 {
		return nil
	}
	if err := t.send.Send(wire.CollectRequest{Type: wire.TypeFetch, Want: batch}); err != nil {
		return err
	}
	for _, want := range batch {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := t.receive(want); err != nil {
			return err
		}
	}
	return nil
}

func (t *transfer) receive(want wire.CollectWant) error {
	m, err := t.recv.Next()
	switch {
	case err != nil:
		return err
	case m.Content == nil || m.Content.Index != want.Index || m.Content.Side != want.Side:
		return fmt.Errorf("collector sent %q where contents belong", m.Type)
	case m.Content.Error != "":
		t.failed[want] = "cannot be read: " + plain(m.Content.Error)
		return nil
	case m.Content.Size > t.o.MaxFileBytes:
		return fmt.Errorf("collector sent %d bytes for one file", m.Content.Size)
	}
	mark, err := t.im.blob(t.recv.Body(), m.Content.Size)
	if err != nil {
		return err
	}
	end, err := t.recv.Next()
	switch {
	case err != nil:
		return err
	case end.ContentEnd == nil:
		return fmt.Errorf("collector sent %q where the end of contents belongs", end.Type)
	case end.ContentEnd.Error != "":
		t.failed[want] = plain(end.ContentEnd.Error)
		return nil
	}
	t.marks[want] = mark
	return nil
}

// plain makes one line of a message of the other side.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, s[:min(len(s), 200)])
}

// trees stores the two trees. A change is in both or in neither.
func (t *transfer) trees(candidates []candidate) error {
	t.leave(candidates)
	var old, now []entry
	for _, c := range candidates {
		if c.now != nil && t.stays.inTheWayOf(c.path) {
			t.changes.notCarried(c.path, "something stands there that a patch does not take away")
			continue
		}
		o, whyOld, err := t.entry(c, wire.SideOld)
		if err != nil {
			return err
		}
		n, whyNew, err := t.entry(c, wire.SideNew)
		if err != nil {
			return err
		}
		if why := whyOld + whyNew; why != "" {
			t.changes.notCarried(c.path, why)
			continue
		}
		if o != nil {
			old = append(old, *o)
		}
		if n != nil {
			now = append(now, *n)
		}
	}
	if err := t.im.commit(refOld, old); err != nil {
		return err
	}
	return t.im.commit(refNew, now)
}

// leave notes which old versions stay because their change could not be fetched.
func (t *transfer) leave(candidates []candidate) {
	for _, c := range candidates {
		for _, side := range []wire.Side{wire.SideOld, wire.SideNew} {
			if e := c.entryOn(side); c.old != nil && e != nil && e.Kind == wire.KindFile && t.failed[t.key(c, side)] != "" {
				t.stays.file(c.path)
			}
		}
	}
}

// entry returns one side as a tree has it: nil where there is nothing, or why it cannot be had.
func (t *transfer) entry(c candidate, side wire.Side) (e *entry, why string, err error) {
	v := c.entryOn(side)
	switch {
	case v == nil:
		return nil, "", nil
	case v.Kind == wire.KindSymlink:
		mark, err := t.im.blob(bytes.NewReader(v.Target), int64(len(v.Target)))
		return &entry{path: c.path, mode: modeSymlink, mark: mark}, "", err
	}
	key := t.key(c, side)
	mark, ok := t.marks[key]
	if !ok {
		return nil, t.failed[key], nil
	}
	mode := modeFile
	if v.Perm&0o100 != 0 {
		mode = modeExecutable
	}
	return &entry{path: c.path, mode: mode, mark: mark}, "", nil
}

// git's modes.
const (
	modeFile       = "100644"
	modeExecutable = "100755"
	modeSymlink    = "120000"
	modeGitlink    = "160000"
)
