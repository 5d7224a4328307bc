package workspace

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// quotePath makes a path fit for a report: UTF-8 stays as it is, anything else is written as git writes it in a patch.
func quotePath(path string) string {
	if utf8.ValidString(path) {
		return path
	}
	return cQuote(path)
}

// cQuote quotes every byte that is not plain ASCII, as git does (quote.c) and git fast-import reads.
func cQuote(path string) string {
	var b strings.Builder
	b.Grow(len(path) + 2)
	b.WriteByte('"')
	for i := range len(path) {
		switch c := path[i]; {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c < ' ' || c >= 0x7f:
			fmt.Fprintf(&b, `\%03o`, c)
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}
