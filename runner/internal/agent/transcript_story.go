package agent

import (
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/yolo-run/yolo-run/reports"
)

// Bounds of a story, in bytes but for the last: a report with all of it stays readable.
const (
	maxStepText  = 4 << 10
	maxStepInput = 2 << 10
	maxToolName  = 100
	maxOpenSteps = 100
)

// story is what an agent did, within bounds: the first steps, the last ones, and those that are not over.
type story struct {
	watcher Watcher
	start   time.Time
	now     time.Time // of the line that is being read

	turns, tools int64
	answering    bool   // the model speaks; a result of a tool ends its turn
	final        string // the last message so far
	fault        string

	first   []*reports.Step
	last    []*reports.Step // a ring when it is full: at is its oldest one
	at      int
	omitted int64
	open    []openStep // in the order in which they began
}

// openStep is a step that is not over. What is said has no id; there is one of it at most, the last.
type openStep struct {
	id    string
	begun time.Time
	step  *reports.Step
}

func newStory(start time.Time, w Watcher) *story { return &story{start: start, now: start, watcher: w} }

// said adds a text that is whole. Empty ones are nothing.
func (s *story) said(kind reports.StepKind, text string, depth int) {
	s.hush()
	text = strings.TrimSpace(text)
	if text == "" {
		return
	}
	step := &reports.Step{Kind: kind, AtMs: s.elapsed(), Depth: depth}
	step.Text, step.Cut = cutText(text, maxStepText)
	if kind == reports.StepText && depth == 0 {
		s.final = step.Text
	}
	s.keep(step)
	s.watcher.Ended(*step)
}

// saying adds a part of what the model says; it is over when anything else happens.
func (s *story) saying(part string) {
	if n := len(s.open); n == 0 || s.open[n-1].step.Kind != reports.StepText {
		if strings.TrimSpace(part) == "" {
			return
		}
		s.begin("", &reports.Step{Kind: reports.StepText})
	}
	step := s.open[len(s.open)-1].step
	if step.Cut {
		return
	}
	step.Text, step.Cut = cutText(step.Text+part, maxStepText)
}

// hush ends what the model was saying.
func (s *story) hush() {
	n := len(s.open)
	if n == 0 || s.open[n-1].step.Kind != reports.StepText {
		return
	}
	step := s.open[n-1].step
	s.open = s.open[:n-1]
	step.Text = strings.TrimSpace(step.Text)
	s.final = step.Text
	s.watcher.Ended(*step)
}

// called adds a call of a tool that goes on until returned is told of the id.
func (s *story) called(id, tool, input string, depth int) {
	s.hush()
	s.tools++
	step := &reports.Step{Kind: reports.StepTool, Depth: depth}
	step.Tool, _ = cutText(tool, maxToolName)
	step.Input, step.Cut = cutText(input, maxStepInput)
	s.begin(id, step)
	s.watcher.Began(*step)
}

func (s *story) begin(id string, step *reports.Step) {
	step.AtMs = s.elapsed()
	s.keep(step)
	if len(s.open) == maxOpenSteps { // calls that nobody answers
		s.end(0)
	}
	s.open = append(s.open, openStep{id: shortID(id), begun: s.now, step: step})
}

// returned ends the call with this id, and reports whether there is one.
func (s *story) returned(id, result string, failed bool) bool {
	s.hush()
	id = shortID(id)
	i := slices.IndexFunc(s.open, func(o openStep) bool { return o.id == id })
	if i < 0 {
		return false
	}
	step := s.open[i].step
	result, cut := cutMiddle(strings.TrimSpace(result), maxStepText)
	step.Result, step.Failed, step.Cut = result, failed, step.Cut || cut
	s.end(i)
	return true
}

// end ends the open step at i.
func (s *story) end(i int) {
	o := s.open[i]
	s.open = slices.Delete(s.open, i, i+1)
	o.step.DurationMs = max(s.now.Sub(o.begun).Milliseconds(), 0)
	s.watcher.Ended(*o.step)
}

// answer counts a turn where the model begins one, for streams that do not name them: everything up to a tool's result is one.
func (s *story) answer() {
	if !s.answering {
		s.answering = true
		s.turns++
	}
}

// close ends everything that is open.
func (s *story) close() {
	s.hush()
	for len(s.open) > 0 {
		s.end(0)
	}
}

// keep lists a step: the first ones, and the last ones in place of those between.
func (s *story) keep(step *reports.Step) {
	switch {
	case len(s.first) < reports.FirstSteps:
		s.first = append(s.first, step)
	case len(s.last) < reports.LastSteps:
		s.last = append(s.last, step)
	default:
		s.last[s.at] = step
		s.at = (s.at + 1) % reports.LastSteps
		s.omitted++
	}
}

func (s *story) elapsed() int64 { return max(s.now.Sub(s.start).Milliseconds(), 0) }

func (s *story) report() reports.Transcript {
	steps := make([]reports.Step, 0, len(s.first)+len(s.last))
	for _, list := range [][]*reports.Step{s.first, s.last[s.at:], s.last[:s.at]} {
		for _, step := range list {
			steps = append(steps, *step)
		}
	}
	final, _ := cutText(strings.TrimSpace(s.final), maxStepText)
	fault, _ := cutText(strings.TrimSpace(s.fault), maxStepText)
	return reports.Transcript{Turns: s.turns, Tools: s.tools, Final: final, Error: fault, Steps: steps, Omitted: s.omitted}
}

// cutText cuts s to n bytes, between two characters. It is a copy: s may be a few letters between megabytes of spaces, which are not to be kept with
// them.
func cutText(s string, n int) (string, bool) {
	if len(s) <= n {
		return strings.Clone(s), false
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return strings.Clone(s[:n]), true
}

// shortID is what is kept of an id, which the agent may have made as long as a line.
func shortID(id string) string {
	id, _ = cutText(id, maxToolName)
	return id
}

// cutMiddle cuts s to about n bytes and keeps both ends: what a command did stands first, why it failed last.
func cutMiddle(s string, n int) (string, bool) {
	if len(s) <= n {
		return strings.Clone(s), false
	}
	head, _ := cutText(s, n/2)
	from := len(s) - n/2
	for from < len(s) && !utf8.RuneStart(s[from]) {
		from++
	}
	return head + "\n…\n" + s[from:], true
}

// has reports whether a call with this id is open.
func (s *story) has(id string) bool {
	id = shortID(id)
	return slices.ContainsFunc(s.open, func(o openStep) bool { return o.id == id })
}

// amend says what an open call was called with, where that was not known before.
func (s *story) amend(id, input string) {
	id = shortID(id)
	for _, o := range s.open {
		if o.id == id && o.step.Input == "" {
			o.step.Input, o.step.Cut = cutText(input, maxStepInput)
		}
	}
}
