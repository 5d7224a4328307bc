package render

import (
	"fmt"
	"math"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/yolo-run/yolo-run/reports"
)

// Usage says in one line what the models were asked for, empty when nothing was. Names of models are not in it.
func Usage(u reports.Usage) string {
	if u.Requests == 0 {
		return ""
	}
	s := plural(u.Requests, "request") + ", " + Tokens(u.InputTokens) + " tokens in"
	if u.CachedInputTokens > 0 && u.InputTokens > 0 {
		s += fmt.Sprintf(" (%.0f %% cached)", math.Floor(100*float64(u.CachedInputTokens)/float64(u.InputTokens)))
	}
	s += ", " + Tokens(u.OutputTokens) + " out"
	if cost := Cost(u); cost != "" {
		s += ", " + cost
	}
	return s
}

// Cost is what it cost as far as that is known, empty where it is not.
func Cost(u reports.Usage) string {
	unpriced := false
	for _, m := range u.Models {
		unpriced = unpriced || m.Unpriced && m.Requests > 0
	}
	switch {
	case u.Requests == 0, unpriced && u.CostUSD == 0:
		return ""
	case unpriced:
		return "at least " + Dollars(u.CostUSD)
	default:
		return Dollars(u.CostUSD)
	}
}

// doubts says what is not known for sure about a model's usage.
func doubts(m reports.ModelUsage) string {
	var parts []string
	if m.Unpriced {
		parts = append(parts, "its price is not known")
	}
	if m.Estimated > 0 {
		parts = append(parts, plural(m.Estimated, "request")+" estimated")
	}
	return strings.Join(parts, ", ")
}

// modelCost is what a model cost, empty where its price is not known.
func modelCost(m reports.ModelUsage) string {
	if m.Unpriced {
		return ""
	}
	return Dollars(m.CostUSD)
}

// Work says in a few words how much the agent did, empty where its output does not tell.
func Work(t reports.Transcript) string {
	if t.Turns == 0 && t.Tools == 0 {
		return ""
	}
	return plural(t.Turns, "turn") + ", " + plural(t.Tools, "tool call")
}

// clock writes milliseconds as m:ss, or h:mm:ss.
func clock(ms int64) string {
	s := max(ms, 0) / 1000
	if s < 3600 {
		return fmt.Sprintf("%d:%02d", s/60, s%60)
	}
	return fmt.Sprintf("%d:%02d:%02d", s/3600, s/60%60, s%60)
}

// Bounds of the final message.
const (
	saidLines    = 6    // of the screen
	saidOnScreen = 240  // characters of a line there
	saidLine     = 1000 // characters of a line on a page
)

func (s *screen) agent(r *reports.Report) {
	t := r.Transcript
	s.said("agent's error", red, t.Error)
	s.said("agent says", dim, t.Final)
	if work := Work(t); work != "" {
		s.row("agent did", dim, work)
	}
}

// said shows the first lines of a text.
func (s *screen) said(label, color, text string) {
	n := 0
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		if n == saidLines {
			s.put("", s.paint(dim, "… the rest is in the report"))
			return
		}
		if n++; n > 1 {
			label = ""
		}
		s.row(label, color, clip(line, saidOnScreen))
	}
}

// joinWords puts a text of several lines on one.
func joinWords(text string) string { return strings.Join(strings.Fields(text), " ") }

func (s *screen) usage(u reports.Usage) {
	line := Usage(u)
	if line == "" {
		return
	}
	if len(u.Models) == 1 {
		line += " by " + clip(u.Models[0].Model, 80)
		if d := doubts(u.Models[0]); d != "" {
			line += " (" + d + ")"
		}
	}
	s.row("models", dim, line)
	if len(u.Models) == 1 {
		return
	}
	for _, m := range u.Models[:min(len(u.Models), terminalRows)] {
		text := fmt.Sprintf("%s: %s in, %s out", m.Model, Tokens(m.InputTokens), Tokens(m.OutputTokens))
		s.put("", s.paint(dim, s.fit(joined(text, modelCost(m), doubts(m)))))
	}
	s.more(len(u.Models) - terminalRows)
}

// agent is the section about what the agent did: its last words, its steps, and what the models were asked for.
func (p *page) agent(r *reports.Report) {
	t, u := r.Transcript, r.Usage
	p.section("What the agent did", len(t.Steps)+len(t.Final)+len(t.Error)+int(min(u.Requests, 1)))
	if t.Error != "" {
		p.line("**It says that it failed:**")
		p.quote(t.Error, 10<<10)
	}
	p.quote(t.Final, 20<<10)
	var facts []string
	for _, s := range []string{Work(t), Usage(u)} {
		if s != "" {
			facts = append(facts, s)
		}
	}
	if len(facts) > 0 {
		p.line(strings.Join(facts, " · "))
	}
	p.models(u)
	p.steps(t)
}

// quote is a text as it was written, line by line. A line that Markdown could find something in is code; so is one that begins with
// anything but a letter, as lists, headings and rules do.
func (p *page) quote(text string, bytes int) {
	if strings.TrimSpace(text) == "" {
		return
	}
	end := p.left - bytes
	for line := range strings.Lines(text) {
		line = clip(strings.TrimSpace(line), saidLine)
		if line == "" {
			continue
		}
		if first, _ := utf8.DecodeRuneInString(line); !plain(line) || !unicode.IsLetter(first) {
			line = Code(line)
		}
		if p.left-len(line) < end {
			p.put("> … the rest is in `report.json`\n>\n")
			break
		}
		p.put("> " + line + "\n>\n")
	}
	p.put("\n")
}

func (p *page) models(u reports.Usage) {
	p.table(table{
		header: []string{"Model", "API", "", "Requests", "Input", "Cached", "Output", "Cost"}, right: 5, rows: len(u.Models), open: 10, bytes: 12 << 10,
		row: func(i int) []string {
			m := u.Models[i]
			return []string{
				code(m.Model), text(m.API), doubts(m), count(m.Requests), count(m.InputTokens), count(m.CachedInputTokens), count(m.OutputTokens), modelCost(m),
			}
		},
	})
}

func (p *page) steps(t reports.Transcript) {
	rows := len(t.Steps)
	gap := rows // where steps were left out
	if t.Omitted > 0 {
		rows, gap = rows+1, min(rows, reports.FirstSteps)
	}
	p.fold(plural(int64(len(t.Steps))+t.Omitted, "step"), rows, func() {
		p.table(table{
			header: []string{"At", "What", "", "Result", "Took"}, right: 1, rows: rows, open: rows, bytes: 110 << 10,
			row: func(i int) []string {
				switch {
				case i < gap:
					return stepRow(t.Steps[i])
				case i == gap:
					return []string{"…", "", plural(t.Omitted, "step") + " not listed", "", ""}
				default:
					return stepRow(t.Steps[i-1])
				}
			},
		})
	})
}

// How many characters of a step a page shows.
const (
	stepText   = 200
	stepResult = 120
)

func stepRow(s reports.Step) []string {
	what, said := text(string(s.Kind)), Text(clip(joinWords(s.Text), stepText))
	if s.Kind == reports.StepTool {
		what, said = code(s.Tool), Code(clip(s.Input, stepText))
	}
	if s.Depth > 0 {
		what = "↳ " + what
	}
	result, took := Code(clip(s.Result, stepResult)), ""
	if s.Failed {
		result = strings.TrimSpace("**failed** " + result)
	}
	if s.DurationMs > 0 {
		took = Duration(s.DurationMs)
	}
	return []string{clock(s.AtMs), what, said, result, took}
}
