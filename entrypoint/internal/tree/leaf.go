package tree

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"github.com/yolo-run/yolo-run/entrypoint/wire"
)

// maxCompare bounds how much of two files of one size is read to find out whether they are equal: above it they count as changed.
const maxCompare = 4 << 30

// leaf compares what is at one path and is no folder.
func (w *walker) leaf(v versions) error {
	c := wire.CollectChange{Path: []byte(v.rel)}
	var err error
	if c.Old, err = w.entry(w.roots.Lower, v.rel, v.lower, true); err != nil {
		c.Notes = append(c.Notes, "before: "+unreadable(err))
	}
	if c.New, err = w.entry(w.roots.Merged, v.rel, v.merged, w.untouched(v)); err != nil {
		c.Notes = append(c.Notes, "now: "+unreadable(err))
	}
	if c.Old == nil && c.New == nil && len(c.Notes) == 0 {
		return nil
	}
	c.Same, err = w.same(v, c.Old, c.New)
	if err != nil {
		c.Notes = append(c.Notes, unreadable(err))
	}
	c.Notes = append(c.Notes, w.leafNotes(v, c)...)
	if c.Same && len(c.Notes) == 0 {
		return nil
	}
	return w.send(c)
}

// untouched reports whether the merged file is one of the lower layer: nothing stands before it in upper.
func (w *walker) untouched(v versions) bool { return w.roots.Upper != "" && v.upper == nil }

// entry describes one version. Folders and nothing are nil.
func (w *walker) entry(root, rel string, n *node, ofLower bool) (*wire.CollectEntry, error) {
	if n == nil || n.isDir() {
		return nil, nil
	}
	e := &wire.CollectEntry{Kind: n.kind(), Perm: n.perm()}
	switch {
	case n.isFile():
		e.Size = n.Size
		if ofLower && w.roots.Upper != "" {
			e.Ident = n.ident()
		}
	case n.isLink():
		buf := make([]byte, wire.MaxCollectPath+1)
		size, err := unix.Readlink(join(root, rel), buf)
		if err != nil {
			return nil, err
		}
		e.Target = buf[:size]
	}
	return e, nil
}

// same reports whether git would store both versions as one.
func (w *walker) same(v versions, old, now *wire.CollectEntry) (bool, error) {
	switch {
	case old == nil || now == nil:
		return old == now, nil
	case old.Kind != now.Kind:
		return false, nil
	case old.Kind == wire.KindSymlink:
		return bytes.Equal(old.Target, now.Target), nil
	case old.Kind == wire.KindDevice:
		return v.lower.Rdev == v.merged.Rdev, nil
	case old.Kind != wire.KindFile:
		return true, nil
	case old.Size != now.Size || v.lower.executable() != v.merged.executable():
		return false, nil
	case old.Ident != "" && old.Ident == now.Ident:
		return true, nil
	case old.Size > maxCompare:
		return false, nil
	}
	return w.equalContents(v.rel)
}

// equalContents reads both versions of a file.
func (w *walker) equalContents(rel string) (bool, error) {
	old, _, err := OpenFile(w.roots.Lower, rel)
	if err != nil {
		return false, err
	}
	defer old.Close()
	now, _, err := OpenFile(w.roots.Merged, rel)
	if err != nil {
		return false, err
	}
	defer now.Close()
	a, b := make([]byte, 128<<10), make([]byte, 128<<10)
	for {
		if err := w.ctx.Err(); err != nil {
			return false, err
		}
		n, errOld := fill(old, a)
		m, errNow := fill(now, b)
		if err := errors.Join(errOld, errNow); err != nil {
			return false, err
		}
		if !bytes.Equal(a[:n], b[:m]) {
			return false, nil
		}
		if n < len(a) {
			return true, nil
		}
	}
}

// fill reads until buf is full or the file ends.
func fill(f *os.File, buf []byte) (int, error) {
	n, err := io.ReadFull(f, buf)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil
	}
	return n, err
}

func unreadable(err error) string {
	if errno, ok := errors.AsType[unix.Errno](err); ok {
		return fmt.Sprintf("cannot be read: %v", errno) // without the path: it may hold control characters
	}
	return "cannot be read"
}
