package reports

import "unicode"

// Printable reports whether r may be shown as it is. It is false for everything that can act on a terminal, a log or the order of
// the text around it: control characters (C0, DEL, C1), separators other than the space, format characters (among them the bidi
// controls of "Trojan Source", CVE-2021-42574, and zero-width characters), private use, unassigned code points, U+FFFD, and
// characters that are drawn as nothing.
func Printable(r rune) bool {
	return unicode.IsPrint(r) && r != unicode.ReplacementChar && !blank(r)
}

// blank reports letters and marks that fonts draw as nothing: with them two different names look equal, and variation selectors
// can carry a hidden text.
func blank(r rune) bool {
	switch r {
	case '\u034f', '\u115f', '\u1160', '\u17b4', '\u17b5', '\u2800', '\u3164', '\uffa0':
		return true
	}
	return unicode.Is(unicode.Variation_Selector, r)
}

// clip cuts s to at most n bytes between two runes and marks the cut.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	const mark = "…"
	cut := max(n-len(mark), 0)
	for cut > 0 && s[cut]&0xc0 == 0x80 { // inside a UTF-8 sequence
		cut--
	}
	return s[:cut] + mark
}
