package model

import (
	"bytes"
	"cmp"
	"io"
	"slices"
)

// edits are changes to a document's text. The text itself stays as it is: it may be large.
type edits struct {
	text []byte
	list []edit
}

type edit struct {
	from, to int
	with     string
}

// insertion puts a field first into an object.
func insertion(object node, field string) *edit {
	v := object.value()
	if v.child != 0 {
		field += ","
	}
	return &edit{int(v.start) + 1, int(v.start) + 1, field}
}

// put replaces what stands between two places. The last word on the same place counts; insertions are other words.
func (e *edits) put(from, to int, with string) {
	if from < to {
		e.list = slices.DeleteFunc(e.list, func(old edit) bool { return old.from == from && old.to == to })
	}
	e.list = append(e.list, edit{from, to, with})
}

// pieces are the changed text.
func (e *edits) pieces() [][]byte {
	list := slices.Clone(e.list)
	slices.SortStableFunc(list, func(a, b edit) int { return cmp.Compare(a.from, b.from) })
	var pieces [][]byte
	at := 0
	for _, x := range list {
		pieces = append(pieces, e.text[at:x.from], []byte(x.with))
		at = x.to
	}
	return append(pieces, e.text[at:])
}

// reader reads the changed text. Each call begins anew.
func (e *edits) reader() io.ReadCloser {
	var readers []io.Reader
	for _, p := range e.pieces() {
		readers = append(readers, bytes.NewReader(p))
	}
	return io.NopCloser(io.MultiReader(readers...))
}

// size is the length of the changed text.
func (e *edits) size() int64 {
	n := 0
	for _, p := range e.pieces() {
		n += len(p)
	}
	return int64(n)
}
