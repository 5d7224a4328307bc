package model

import (
	"bytes"
	"encoding/json"
	"math"
	"strconv"
)

// node is a value of a document. The zero node is one that is not there.
type node struct {
	doc *document
	at  uint32
}

func (d *document) root() node { return node{d, 0} }

func (n node) value() value {
	if n.doc == nil {
		return value{}
	}
	return n.doc.values[n.at]
}

// kind is that of the value; a null counts as absent, which is how every vendor reads it.
func (n node) kind() byte {
	if k := n.value().kind; k != 'n' {
		return k
	}
	return 0
}

func (n node) absent() bool { return n.kind() == 0 }

// name is the field's name in its object, escapes resolved.
func (n node) name() string {
	v := n.value()
	return unquote(n.doc.text[v.key:v.keyTo])
}

// text is a string's, escapes resolved; empty for everything else. Of one that is too long to be a word of the API's it is the beginning, which is no
// such word either: a copy of all of it would be the agent's way to fill the gateway's memory.
func (n node) text() string {
	if n.kind() != '"' {
		return ""
	}
	if len(n.raw()) > headBytes {
		return n.head()
	}
	return unquote(n.raw())
}

// raw is the inside of a string as it stands.
func (n node) raw() []byte {
	v := n.value()
	return n.doc.text[v.start+1 : v.end-1]
}

// head is the beginning of a string, escapes resolved: data may be too long to be copied.
func (n node) head() string {
	if n.kind() != '"' {
		return ""
	}
	raw := n.raw()
	raw = raw[:min(len(raw), headBytes)]
	for range len(`\\ud83d\\ude00`) { // the cut may have gone through an escape
		var s string
		if json.Unmarshal(append(append([]byte{'"'}, raw...), '"'), &s) == nil {
			return s
		}
		raw = raw[:max(len(raw)-1, 0)]
	}
	return ""
}

const headBytes = 1 << 10

// isTrue and isFalse are what they say; a string or a number is neither.
func (n node) isTrue() bool  { return n.kind() == 't' }
func (n node) isFalse() bool { return n.kind() == 'f' }

// number is that of a number which is whole and not negative.
func (n node) number() (int64, bool) {
	if n.kind() != '0' {
		return 0, false
	}
	v := n.value()
	f, err := strconv.ParseFloat(string(n.doc.text[v.start:v.end]), 64)
	if err != nil || f < 0 || f > 1<<40 || f != math.Trunc(f) {
		return 0, false
	}
	return int64(f), true
}

// each calls fn for the elements of an array or the fields of an object.
func (n node) each(fn func(node)) {
	if k := n.kind(); k != '[' && k != '{' {
		return
	}
	for at := n.value().child; at != 0; at = n.doc.values[at].next {
		fn(node{n.doc, at})
	}
}

// unquote resolves the escapes of the inside of a string that was parsed.
func unquote(raw []byte) string {
	if bytes.IndexByte(raw, '\\') < 0 {
		return string(raw)
	}
	quoted := append(append([]byte{'"'}, raw...), '"')
	var s string
	if err := json.Unmarshal(quoted, &s); err != nil {
		return string(raw) // cannot be: it was parsed
	}
	return s
}
