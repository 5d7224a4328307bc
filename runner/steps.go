package runner

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/yolo-run/yolo-run/reports"
	"github.com/yolo-run/yolo-run/reports/render"
	"github.com/yolo-run/yolo-run/runner/internal/agent"
)

var _ agent.Watcher = (*liveView)(nil)

// Began and Ended follow the agent's steps. They are called while v.mu is held, by who writes.
func (v *liveView) Began(step reports.Step) {
	v.showHeld("")
	v.running = append(v.running, step)
}

// Ended shows a step. What the agent said is held back until something follows it: its last message is in the summary.
func (v *liveView) Ended(step reports.Step) {
	v.showHeld("")
	v.count++
	for i, r := range v.running {
		if r.AtMs == step.AtMs && r.Tool == step.Tool {
			v.running = append(v.running[:i:i], v.running[i+1:]...)
			break
		}
	}
	if step.Kind == reports.StepText {
		v.steps.held = &step
		return
	}
	v.showStep(step)
}

// showHeld shows what was held back, unless it is the final message.
func (v *liveView) showHeld(final string) {
	held := v.steps.held
	v.steps.held = nil
	if held != nil && (final == "" || held.Text != final || !v.shown) {
		v.showStep(*held)
	}
}

// maxLoggedSteps bounds the records of a log for machines: run.log has them too, and the agent chooses how many there are.
const maxLoggedSteps = 10_000

func (v *liveView) showStep(step reports.Step) {
	if v.shown {
		line, status := v.steps.text(step, v.used), v.statusNow(time.Now())
		v.out.put(func() {
			v.run.screen.renewStatus(status) // or it would name what is over
			v.write(line)
		})
		return
	}
	v.steps.logged++
	used := v.used
	switch {
	case v.run.cfg.LogFormat != "json" || v.steps.logged > maxLoggedSteps+1:
	case v.steps.logged > maxLoggedSteps:
		v.out.put(func() { v.run.log.Info("further steps are not logged", "limit", maxLoggedSteps) })
	default:
		v.out.put(func() { v.run.log.Info("step", stepAttrs(step, used)...) })
	}
}

// stepAttrs names things as the report does.
func stepAttrs(step reports.Step, used reports.Usage) []any {
	attrs := []any{"kind", string(step.Kind), "atMs", step.AtMs}
	if step.Depth > 0 {
		attrs = append(attrs, "depth", step.Depth)
	}
	if step.Kind == reports.StepTool {
		attrs = append(attrs, "tool", step.Tool, "input", step.Input, "failed", step.Failed, "durationMs", step.DurationMs)
	} else {
		attrs = append(attrs, "text", step.Text)
	}
	if used.Requests > 0 {
		attrs = append(attrs, "requests", used.Requests, "inputTokens", used.InputTokens, "outputTokens", used.OutputTokens, "costUsd", used.CostUSD)
	}
	return attrs
}

// status is the line below everything: what is being done, for how long, and what it has cost.
func (v *liveView) status(now time.Time) string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.statusNow(now)
}

// statusNow is status while v.mu is held.
func (v *liveView) statusNow(now time.Time) string {
	if v.transcript == nil && v.used.Requests == 0 {
		return "" // its own output says enough
	}
	elapsed := now.Sub(v.begun).Milliseconds()
	doing := "waiting for the model"
	if v.transcript == nil {
		doing = v.run.agent.Name
	}
	if n := len(v.running); n > 0 {
		r := v.running[n-1]
		doing = r.Tool + " " + r.Input + " (" + clock(elapsed-r.AtMs) + ")"
	}
	end := ""
	if v.transcript != nil {
		end = " · " + plural(v.count, "step")
	}
	if s := usageText(v.used); s != "" {
		end += " · " + s
	}
	return v.steps.status(elapsed, doing, end)
}

// usageText says what was used so far, empty when nothing was.
func usageText(u reports.Usage) string {
	if u.Requests == 0 {
		return ""
	}
	s := render.Tokens(u.InputTokens) + " in, " + render.Tokens(u.OutputTokens) + " out"
	if u.CostUSD > 0 {
		s += ", " + render.Dollars(u.CostUSD)
	}
	return s
}

// stepView lays steps out: when, what, with what, and at the right how it ended.
type stepView struct {
	format    string
	colour    bool
	columns   func() int
	withUsage bool // where no status line has it
	usage     string
	held      *reports.Step
	logged    int
}

// Where the columns are.
const (
	stepIndent   = 9 // "  12:34  "
	stepEnd      = 9 // " ✓ 12.3s"
	stepWidth    = 100
	maxStepWidth = 140
	minStepWidth = 50
	maxSaidLines = 4
)

// toolWidth is the width of most of an agent's tools' names.
func (s *stepView) toolWidth() int {
	switch s.format {
	case "gemini":
		return 17 // run_shell_command
	case "codex":
		return 11 // apply_patch
	default:
		return 10
	}
}

// width is how much of the screen's width is used, never its last column, where some terminals begin a new line.
func (s *stepView) width() int {
	if n := s.columns(); n > 0 {
		return min(max(n-1, minStepWidth), maxStepWidth)
	}
	return stepWidth
}

// text is a step as lines of the screen.
func (s *stepView) text(step reports.Step, used reports.Usage) string {
	at := fmt.Sprintf("  %5s  ", clock(step.AtMs))
	width := s.width() - stepIndent
	indent := strings.Repeat("  ", min(step.Depth, 4))
	switch step.Kind {
	case reports.StepTool:
		return strings.TrimRight(s.paint(dim, at)+s.call(step, indent, width)+s.usageSince(used), " ") + "\n"
	case reports.StepError:
		return s.paint(dim, at) + s.said(red, indent, step.Text, width, maxSaidLines)
	case reports.StepThinking:
		return s.paint(dim, at) + s.said(dim, indent, "("+step.Text+")", width, 1)
	default:
		return s.paint(dim, at) + s.said(dim, indent, step.Text, width, maxSaidLines)
	}
}

func (s *stepView) call(step reports.Step, indent string, width int) string {
	mark, color := "✓", green
	if step.Failed {
		mark, color = "✗", red
	}
	took := ""
	if step.DurationMs >= 100 {
		took = render.Duration(step.DurationMs)
	}
	tool := pad(oneLine(indent+step.Tool, width), s.toolWidth()) + " "
	room := max(width-stepEnd-utf8.RuneCountInString(tool), 10)
	return tool + pad(oneLine(step.Input, room), room) + " " + s.paint(color, mark) + " " + pad(took, stepEnd-3)
}

// usageSince says what was used so far, when that is more than it said before.
func (s *stepView) usageSince(used reports.Usage) string {
	text := usageText(used)
	if !s.withUsage || text == s.usage {
		return ""
	}
	s.usage = text
	return "  " + s.paint(dim, text)
}

// said is a text in at most so many lines.
func (s *stepView) said(color, indent, text string, width, most int) string {
	rows := wrap(render.Log(cut(text, width*most*4)), width-len(indent))
	if len(rows) > most {
		rows = rows[:most]
		rows[most-1] = cut(rows[most-1]+" …", width-len(indent))
	}
	var b strings.Builder
	for i, row := range rows {
		if i > 0 {
			b.WriteString(strings.Repeat(" ", stepIndent))
		}
		b.WriteString(indent + s.paint(color, render.Log(row)) + "\n") // a cut can bring anything to the beginning of a line
	}
	return b.String()
}

// status is one line that a terminal does not wrap.
func (s *stepView) status(elapsed int64, doing, end string) string {
	at := fmt.Sprintf("  %5s  ", clock(elapsed))
	width := s.columns() - 1
	if width <= 0 {
		return ""
	}
	room := width - utf8.RuneCountInString(at+end)
	return s.paint(dim, cut(at+oneLine(doing, max(room, 0))+end, width))
}

// oneLine makes untrusted text one line of at most so many characters.
func oneLine(text string, width int) string {
	return cut(render.Log(cut(strings.TrimSpace(text), width)), width)
}

// The colours, as SGR parameters; the words say the same.
const (
	dim   = "2"
	red   = "31"
	green = "32"
)

func (s *stepView) paint(color, text string) string {
	if !s.colour || strings.TrimSpace(text) == "" {
		return text
	}
	return "\x1b[" + color + "m" + text + "\x1b[0m"
}

// clock writes milliseconds as m:ss, or h:mm:ss.
func clock(ms int64) string {
	s := max(ms, 0) / 1000
	if s < 3600 {
		return fmt.Sprintf("%d:%02d", s/60, s%60)
	}
	return fmt.Sprintf("%d:%02d:%02d", s/3600, s/60%60, s%60)
}

func pad(s string, width int) string {
	return s + strings.Repeat(" ", max(width-utf8.RuneCountInString(s), 0))
}

// cut cuts s to n characters and says so by its last one.
func cut(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	if n <= 0 {
		return ""
	}
	return string([]rune(s)[:n-1]) + "…"
}

// wrap breaks a text into lines, at its spaces where it has some.
func wrap(text string, width int) []string {
	var rows []string
	row := []rune{}
	for word := range strings.FieldsSeq(text) {
		if len(row) > 0 && len(row)+1+utf8.RuneCountInString(word) > width {
			rows, row = append(rows, string(row)), nil
		}
		if len(row) > 0 {
			row = append(row, ' ')
		}
		for row = append(row, []rune(word)...); len(row) > width; row = row[width:] {
			rows = append(rows, string(row[:width]))
		}
	}
	return append(rows, string(row))
}
