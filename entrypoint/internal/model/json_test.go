package model

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

func TestJSONThatParsersReadDifferently(t *testing.T) {
	for _, text := range []string{
		``, ` `, `{`, `}`, `{"a":1,}`, `[1,]`, `{"a" 1}`, `{a:1}`, `{'a':1}`, `01`, `1.`, `.5`, `+1`, `1e`, `NaN`, `nul`, `true false`, `"a`, "\"\n\"", `"\x"`, `"\u12"`, `"\u12g4"`,
		"\xef\xbb\xbf{}", "{}\x00", `{"a":1,"a":2}`, `{"a":1,"\u0061":2}`, `{"x":{"b":1,"b":1}}`, "\"\xc0\xaf\"", "\"\xed\xa0\x80\"", `{"\ud800":1}`, `{"\udc00\ud800":1}`,
		strings.Repeat("[", 1000) + strings.Repeat("]", 1000), "[" + strings.Repeat("0,", maxValues) + "0]",
	} {
		if _, err := parse([]byte(text)); err == nil {
			t.Errorf("%.40q is accepted", text)
		}
	}
	for _, text := range []string{
		`{}`, ` [ ] `, `"\ud800"`, `{"\ud83d\ude00":"😀"}`, `-0.5e+10`, `[{"a":1},{"a":1}]`, `{"a":{"a":{"a":null}}}`, `"\"\\\/\b\f\n\r\t\u00e9"`, strings.Repeat("[", 500) + strings.Repeat("]", 500),
	} {
		if _, err := parse([]byte(text)); err != nil {
			t.Errorf("control: %.40q: %v", text, err)
		}
	}
}

// tree is what encoding/json would make of a node.
func (n node) tree() any {
	switch n.value().kind {
	case '{':
		m := map[string]any{}
		n.each(func(f node) { m[f.name()] = f.tree() })
		return m
	case '[':
		l := []any{}
		n.each(func(e node) { l = append(l, e.tree()) })
		return l
	case '"':
		return unquote(n.raw())
	case '0':
		v := n.value()
		return json.Number(n.doc.text[v.start:v.end])
	case 't', 'f':
		return n.isTrue()
	}
	return nil
}

// FuzzParse: what is accepted is valid to encoding/json too, and means the same.
func FuzzParse(f *testing.F) {
	for _, c := range accepted {
		f.Add(c.text())
	}
	for _, c := range refused {
		f.Add(c.text())
	}
	f.Add(`{"a":[1,-2.5e3,true,false,null,"\ud83d\ude00\u0000"],"":{}}`)
	f.Fuzz(func(t *testing.T, text string) {
		doc, err := parse([]byte(text))
		if err != nil {
			return
		}
		decoder := json.NewDecoder(strings.NewReader(text))
		decoder.UseNumber()
		var want any
		if err := decoder.Decode(&want); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if got := doc.root().tree(); !reflect.DeepEqual(got, want) {
			t.Fatalf("%q: %v, want %v", text, got, want)
		}
	})
}
