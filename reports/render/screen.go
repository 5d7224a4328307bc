package render

import (
	"strings"
	"unicode/utf8"
)

// indent is the width of the column with the labels.
const indent = 16

// paragraph is how many characters of a text the screen shows at most.
const paragraph = 2000

// screen builds lines of a label and a text. Texts that came from a report go through fit or [Log].
type screen struct {
	strings.Builder
	color bool
	width int
}

// row writes a label and a text that is escaped and wrapped, at words where there are some.
func (s *screen) row(label, color, text string) {
	label = s.label(label, color, true)
	width := s.width - indent
	var line []rune
	for word := range strings.FieldsSeq(Log(clip(text, paragraph))) {
		if len(line) > 0 && len(line)+1+utf8.RuneCountInString(word) > width {
			s.put(label, string(line))
			label, line = "", nil
		}
		if len(line) > 0 {
			line = append(line, ' ')
		}
		for line = append(line, []rune(word)...); len(line) > width; line = line[width:] {
			s.put(label, string(line[:width]))
			label = ""
		}
	}
	s.put(label, string(line))
}

// put writes one line. Both parts are escaped; label is padded already unless it is empty. Wrapping can bring any word to the start of
// a line, so what Log did for the start of the text is done again here.
func (s *screen) put(label, text string) {
	if label == "" {
		label, text = strings.Repeat(" ", indent), lineStart(text)
	}
	s.WriteString(strings.TrimRight(label+text, " ") + "\n")
}

// label pads and paints a label; only the first row of a list shows it.
func (s *screen) label(text, color string, first bool) string {
	if !first || text == "" {
		return ""
	}
	return s.paint(color, pad(Log(clip(text, indent-2)), indent-2)) + "  "
}

func (s *screen) more(n int) {
	if n > 0 {
		s.put("", s.paint(dim, "… and "+count(int64(n))+" more in the report"))
	}
}

// fit escapes text and cuts it to the line. Escaping only makes it longer, so a long text is cut before, too.
func (s *screen) fit(text string) string { return clip(Log(clip(text, s.width)), s.width-indent) }

func (s *screen) paint(color, text string) string {
	if !s.color || color == "" || text == "" {
		return text
	}
	return "\x1b[" + color + "m" + text + "\x1b[0m"
}

func pad(s string, width int) string {
	return s + strings.Repeat(" ", max(width-utf8.RuneCountInString(s), 0))
}

// clipLeft keeps the last n characters of s.
func clipLeft(s string, n int) string {
	r := []rune(s)
	if len(r) <= n {
		return s
	}
	return "…" + string(r[len(r)-max(n-1, 0):])
}
