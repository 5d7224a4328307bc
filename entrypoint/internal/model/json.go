package model

import (
	"bytes"
	"errors"
	"math"
	"strings"
	"unicode/utf8"
)

// Bounds of a document beyond its size. Real requests stay far below them; a hostile one may not make 100 MB of brackets into gigabytes of tree.
const (
	maxDepth  = 512
	maxValues = 1 << 19
	maxFields = 1 << 16  // of one object
	maxNames  = 16 << 20 // bytes of the names of all fields: copies are made of them
)

// document is a JSON text with its shape: what stands where. Strings stay where they are.
//
// It is stricter than RFC 8259 where parsers differ, so that this one and the upstream's see the same: names are unique in their object after
// their escapes are resolved, all is valid UTF-8, and nothing follows.
type document struct {
	text   []byte
	values []value
}

// value is one place in a document, 32 bits an offset because bodies are bounded.
type value struct {
	kind       byte   // one of { [ " 0 t f n
	start, end uint32 // of the text
	key, keyTo uint32 // of the name in its object, without quotes
	child      uint32 // the first, 0 for none: the root is nobody's child
	next       uint32 // the next one in the same parent
}

var (
	errJSON      = errors.New("it is not valid JSON")
	errDuplicate = errors.New("a name stands twice in one object")
	errLimits    = errors.New("it is nested too deeply, has too many values or too long names")
)

// parse reads one JSON text.
func parse(text []byte) (*document, error) {
	if uint64(len(text)) >= math.MaxUint32 {
		return nil, errLimits
	}
	p := parser{text: text, values: make([]value, 0, 64+len(text)/256)}
	p.space()
	if err := p.value(0, 0, 0); err != nil {
		return nil, err
	}
	if p.space(); p.at != len(text) {
		return nil, errJSON
	}
	return &document{text: text, values: p.values}, nil
}

type parser struct {
	text   []byte
	at     int
	names  int // bytes of those so far
	values []value
}

func (p *parser) space() {
	for p.at < len(p.text) {
		switch p.text[p.at] {
		case ' ', '\t', '\n', '\r':
			p.at++
		default:
			return
		}
	}
}

// take consumes c if it is next.
func (p *parser) take(c byte) bool {
	if p.at < len(p.text) && p.text[p.at] == c {
		p.at++
		return true
	}
	return false
}

// value reads one, and appends it with all that is in it.
func (p *parser) value(depth int, key, keyTo uint32) error {
	if depth > maxDepth || len(p.values) >= maxValues {
		return errLimits
	}
	if p.at >= len(p.text) {
		return errJSON
	}
	me := len(p.values)
	c := p.text[p.at]
	p.values = append(p.values, value{kind: c, start: offset(p.at), key: key, keyTo: keyTo})
	var err error
	switch c {
	case '{':
		err = p.object(me, depth)
	case '[':
		err = p.array(me, depth)
	case '"':
		_, _, err = p.string(false)
	case 't':
		err = p.word("true")
	case 'f':
		err = p.word("false")
	case 'n':
		err = p.word("null")
	default:
		p.values[me].kind = '0'
		err = p.number()
	}
	p.values[me].end = offset(p.at)
	return err
}

func (p *parser) object(me, depth int) error {
	p.at++
	if p.space(); p.take('}') {
		return nil
	}
	var names nameSet
	last := 0
	for {
		p.space()
		if p.at >= len(p.text) || p.text[p.at] != '"' {
			return errJSON
		}
		key, keyTo, err := p.string(true)
		if err != nil {
			return err
		}
		if p.names += keyTo - key; p.names > maxNames {
			return errLimits
		}
		if err := names.add(p.text[key:keyTo]); err != nil {
			return err
		}
		if p.space(); !p.take(':') {
			return errJSON
		}
		p.space()
		last = p.link(me, last)
		if err := p.value(depth+1, offset(key), offset(keyTo)); err != nil {
			return err
		}
		if p.space(); p.take('}') {
			return nil
		}
		if !p.take(',') {
			return errJSON
		}
	}
}

func (p *parser) array(me, depth int) error {
	p.at++
	if p.space(); p.take(']') {
		return nil
	}
	last := 0
	for {
		p.space()
		last = p.link(me, last)
		if err := p.value(depth+1, 0, 0); err != nil {
			return err
		}
		if p.space(); p.take(']') {
			return nil
		}
		if !p.take(',') {
			return errJSON
		}
	}
}

// link makes the value that comes next the child of parent, behind last, and returns its place.
func (p *parser) link(parent, last int) int {
	at := offset(len(p.values))
	if last == 0 {
		p.values[parent].child = at
	} else {
		p.values[last].next = at
	}
	return int(at)
}

// string reads one and returns where its inside is. In a name every escape must be half of nothing: lone surrogates become whatever the reader likes.
func (p *parser) string(name bool) (from, to int, err error) {
	p.at++
	from = p.at
	for {
		for p.at < len(p.text) && isOrdinary(p.text[p.at]) {
			p.at++
		}
		if p.at >= len(p.text) {
			return 0, 0, errJSON
		}
		switch c := p.text[p.at]; {
		case c == '"':
			p.at++
			return from, p.at - 1, nil
		case c < ' ':
			return 0, 0, errJSON
		case c == '\\':
			if err := p.escape(name); err != nil {
				return 0, 0, err
			}
		default:
			r, n := utf8.DecodeRune(p.text[p.at:])
			if r == utf8.RuneError && n == 1 {
				return 0, 0, errJSON
			}
			p.at += n
		}
	}
}

// isOrdinary: what a string has most of, and what means nothing in it.
func isOrdinary(c byte) bool { return c >= ' ' && c != '"' && c != '\\' && c < utf8.RuneSelf }

func (p *parser) escape(name bool) error {
	rest := p.text[p.at:]
	if len(rest) < 2 {
		return errJSON
	}
	if rest[1] != 'u' {
		if strings.IndexByte(`"\/bfnrt`, rest[1]) < 0 {
			return errJSON
		}
		p.at += 2
		return nil
	}
	r, ok := hex4(rest)
	if !ok {
		return errJSON
	}
	p.at += 6
	if name && 0xd800 <= r && r < 0xe000 {
		low, ok := hex4(p.text[p.at:])
		if r >= 0xdc00 || !ok || low < 0xdc00 || low >= 0xe000 {
			return errJSON
		}
		p.at += 6
	}
	return nil
}

// hex4 reads \uXXXX.
func hex4(b []byte) (rune, bool) {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return 0, false
	}
	var r rune
	for _, c := range b[2:6] {
		digit := strings.IndexByte("0123456789abcdef", c|0x20)
		if c < '0' || digit < 0 {
			return 0, false
		}
		r = r<<4 | rune(digit) //nolint:gosec // below 16
	}
	return r, true
}

func (p *parser) word(w string) error {
	if !bytes.HasPrefix(p.text[p.at:], []byte(w)) {
		return errJSON
	}
	p.at += len(w)
	return nil
}

func (p *parser) number() error {
	p.take('-')
	if !p.take('0') && p.digits() == 0 {
		return errJSON
	}
	if p.take('.') && p.digits() == 0 {
		return errJSON
	}
	if p.take('e') || p.take('E') {
		if !p.take('+') {
			p.take('-')
		}
		if p.digits() == 0 {
			return errJSON
		}
	}
	return nil
}

func (p *parser) digits() int {
	from := p.at
	for p.at < len(p.text) && '0' <= p.text[p.at] && p.text[p.at] <= '9' {
		p.at++
	}
	return p.at - from
}

// offset: parse refuses texts that are longer than an offset can say.
func offset(n int) uint32 { return uint32(n) } //nolint:gosec // bounded by parse

// nameSet finds names that stand twice: in small objects by comparing, in larger ones by a map.
type nameSet struct {
	few  [16][]byte
	n    int
	many map[string]struct{}
}

func (s *nameSet) add(raw []byte) error {
	name := raw
	if bytes.IndexByte(raw, '\\') >= 0 {
		name = []byte(unquote(raw))
	}
	if s.many != nil {
		return s.addToMany(name)
	}
	for _, other := range s.few[:s.n] {
		if bytes.Equal(other, name) {
			return errDuplicate
		}
	}
	if s.n < len(s.few) {
		s.few[s.n] = name
		s.n++
		return nil
	}
	s.many = make(map[string]struct{}, 4*len(s.few))
	for _, n := range s.few {
		s.many[string(n)] = struct{}{}
	}
	return s.addToMany(name)
}

func (s *nameSet) addToMany(name []byte) error {
	if _, twice := s.many[string(name)]; twice {
		return errDuplicate
	}
	if s.many[string(name)] = struct{}{}; len(s.many) > maxFields {
		return errLimits
	}
	return nil
}
