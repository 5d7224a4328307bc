package render

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/yolo-run/yolo-run/reports"
)

// Visible returns s on one line with everything that is not [reports.Printable] written out: \n, \x1b, \u202e. Bytes that are not
// UTF-8 become \xNN. Backslashes are left alone, most strings of a report were escaped by who recorded them.
func Visible(s string) string {
	var b strings.Builder
	b.Grow(len(s))
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[0])
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case reports.Printable(r):
			b.WriteRune(r)
		case r < 0x100:
			fmt.Fprintf(&b, `\x%02x`, r)
		case r < 0x10000:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			fmt.Fprintf(&b, `\U%08x`, r)
		}
		s = s[n:]
	}
	return b.String()
}

// Log returns s for a terminal or the log of a CI system: [Visible], and without anything that such a system would obey. GitHub's
// runner takes "::" at the start of a line, after spaces too, and "##[" anywhere in it; Azure and TeamCity have commands of the second
// form with a word between.
func Log(s string) string {
	s = lineStart(Visible(s))
	if !strings.Contains(s, "##") {
		return s
	}
	var b strings.Builder
	var last rune
	for _, r := range s {
		if r == '#' && last == '#' {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
		last = r
	}
	return b.String()
}

// lineStart takes its meaning from a "::" that a line begins with.
func lineStart(s string) string {
	if strings.HasPrefix(strings.TrimLeft(s, " "), "::") {
		return strings.Replace(s, "::", `\::`, 1)
	}
	return s
}

// Code returns s as code in Markdown, also inside a table: a code span while that is safe in every dialect, else a code element with
// all punctuation as character references, which CommonMark (section 2.5) never takes for structure. Code is what GitHub leaves alone:
// no mention, issue reference, link or emoji comes out of it.
func Code(s string) string {
	if s == "" {
		return ""
	}
	s = Visible(s)
	if trimmed := strings.Trim(s, " "); len(trimmed) != len(s) { // a renderer would drop these spaces
		at := strings.Index(s, trimmed)
		s = strings.Repeat(`\x20`, at) + trimmed + strings.Repeat(`\x20`, len(s)-at-len(trimmed))
	}
	if !strings.ContainsAny(s, "`|<>&") && !strings.Contains(s, "##") {
		return "`" + s + "`"
	}
	return "<code>" + references(s) + "</code>"
}

// Text returns s as running text in Markdown, also inside a table: as it is while it is plain words, else as [Code]. It must not
// stand at the start of a line.
func Text(s string) string {
	if plain(s) {
		return s
	}
	return Code(s)
}

// plain reports whether no dialect of Markdown finds anything in s: no markup, link, mention, reference, emoji or formula.
func plain(s string) bool {
	for _, r := range s {
		switch {
		case r >= utf8.RuneSelf:
			if !unicode.IsLetter(r) || !reports.Printable(r) {
				return false
			}
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
		case !strings.ContainsRune(` .,;:()/'"=+%?-`, r):
			return false
		}
	}
	return utf8.ValidString(s) && s == strings.Trim(s, " ") && strings.Count(s, ":") < 2 && !strings.Contains(s, "//") &&
		!strings.Contains(strings.ToLower(s), "www.")
}

// references writes every ASCII character that is not a letter, a digit or a space as a numeric character reference.
func references(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case r >= utf8.RuneSelf, r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == ' ':
			b.WriteRune(r)
		default:
			fmt.Fprintf(&b, "&#%d;", r)
		}
	}
	return b.String()
}

// clip cuts s to at most n characters and says so by its last one.
func clip(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	i := 0
	for at := range s {
		if i == n-1 {
			return s[:at] + "…"
		}
		i++
	}
	return s
}

// show is [Visible], cut to a cell: for renderers whose own escapes do the rest.
func show(s string) string { return Visible(clip(s, cell)) }
