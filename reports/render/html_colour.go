package render

import (
	"path"
	"strings"
	"time"

	"github.com/alecthomas/chroma/v2"
	"github.com/alecthomas/chroma/v2/lexers"
)

// Bounds of colours. Lexers are regular expressions that backtrack, and what they read is the agent's: without bounds a file could be
// written that takes them for ever.
const (
	colourTime  = 2 * time.Second // for the page; what comes later is plain
	colourBytes = 256 << 10       // of code, for the page: well below that time but for code that was made to be slow
	colourHunk  = 16 << 10        // bytes of one side of a hunk
	colourLine  = 1000            // bytes; a hunk with a longer line is plain
	spanWeight  = 25
)

// painter finds the colours of code.
type painter struct {
	until  time.Time
	room   int // bytes of the page that colours may still take
	bytes  int // of code that may still be read
	lexers map[string]chroma.Lexer
}

func newPainter(room int) *painter {
	return &painter{until: time.Now().Add(colourTime), room: room, bytes: colourBytes, lexers: map[string]chroma.Lexer{}}
}

// span is a piece of a line in one colour. The text is escaped by [Visible], but for its tabs.
type span struct{ Class, Text string }

// paint returns the spans of each line. A line that it has no colours for is one span.
func (p *painter) paint(name string, lines []patchLine) [][]span {
	spans := make([][]span, len(lines))
	if lexer := p.lexer(name); lexer != nil {
		// Both sides are code only by themselves. Lines that both have are painted as the new one.
		p.side(lexer, lines, '+', spans)
		p.side(lexer, lines, '-', spans)
	}
	for i, l := range lines {
		if spans[i] == nil || len(l.text) > colourLine {
			spans[i] = []span{{Text: shownText(l.text)}}
		}
	}
	return spans
}

func (p *painter) lexer(name string) chroma.Lexer {
	if p.room <= 0 || p.bytes <= 0 {
		return nil
	}
	base := path.Base(name)
	key := path.Ext(base)
	if key == "" || key == base {
		key = base
	}
	lexer, known := p.lexers[key]
	if !known {
		lexer = lexers.Match(base) // not coalesced: between two tokens the time is looked at
		if len(p.lexers) < 500 {
			p.lexers[key] = lexer
		}
	}
	return lexer
}

// side paints the lines of one side: those with its sign, and for the new one those that both have.
func (p *painter) side(lexer chroma.Lexer, lines []patchLine, op byte, spans [][]span) {
	var text strings.Builder
	var at []int
	changed := false
	for i, l := range lines {
		if l.op != op && l.op != ' ' {
			continue
		}
		if len(l.text) > colourLine || text.Len()+len(l.text) > colourHunk {
			break
		}
		changed = changed || l.op == op
		at = append(at, i)
		text.WriteString(strings.TrimSuffix(l.text, "\r") + "\n")
	}
	if op == '-' && !changed || time.Now().After(p.until) {
		return
	}
	p.bytes -= text.Len()
	// A lexer that cannot cope with a file must not cost the report.
	defer func() { _ = recover() }()
	tokens, err := lexer.Tokenise(&chroma.TokeniseOptions{State: "root"}, text.String())
	if err != nil {
		return
	}
	line := []span{}
	for token := tokens(); token != chroma.EOF; token = tokens() {
		class := colour(token.Type)
		for n, part := range strings.Split(token.Value, "\n") {
			if n > 0 {
				if len(at) == 0 || !p.finish(line, lines[at[0]], op, &spans[at[0]]) {
					return
				}
				line, at = []span{}, at[1:]
			}
			line = appendSpan(line, class, part)
		}
		if p.room < 0 || time.Now().After(p.until) {
			return
		}
	}
}

// finish keeps a painted line, if the lexer gave back what it was given: some change it.
func (p *painter) finish(line []span, l patchLine, op byte, to *[]span) bool {
	var text strings.Builder
	for _, s := range line {
		text.WriteString(s.Text)
	}
	if text.String() != strings.TrimSuffix(l.text, "\r") {
		return false
	}
	if l.op == ' ' && op == '-' {
		return true
	}
	for i := range line {
		if line[i].Text = visibleTabs(line[i].Text); line[i].Class != "" {
			p.room -= spanWeight
		}
	}
	*to = line
	return true
}

// appendSpan joins what has the same colour; space has any.
func appendSpan(line []span, class, text string) []span {
	if text == "" {
		return line
	}
	if n := len(line); n > 0 && (line[n-1].Class == class || strings.TrimSpace(text) == "") {
		line[n-1].Text += text
		return line
	}
	return append(line, span{class, text})
}

// colour is the class of a token, empty for plain text. Few colours are calmer than many.
func colour(t chroma.TokenType) string {
	switch {
	case t.InCategory(chroma.Comment):
		return "c"
	case t.InSubCategory(chroma.LiteralString):
		return "s"
	case t.InSubCategory(chroma.LiteralNumber), t == chroma.KeywordConstant:
		return "n"
	case t == chroma.KeywordType, t == chroma.NameClass, t == chroma.NameTag:
		return "t"
	case t.InCategory(chroma.Keyword):
		return "k"
	case t == chroma.NameFunction, t == chroma.NameAttribute, t == chroma.NameDecorator, t == chroma.NameBuiltin:
		return "f"
	}
	return ""
}
