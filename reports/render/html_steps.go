package render

import (
	"strings"
	"unicode/utf8"

	"github.com/yolo-run/yolo-run/reports"
)

// stepsView is what the agent says that it did.
type stepsView struct {
	There   bool
	Summary string
	Final   string
	Error   string
	List    listing[step]
}

// step is one thing that the agent did.
type step struct {
	At, Kind, Title string
	Tool            bool
	Text            string // of the model, or what the tool was called with when that is long
	Result          string
	Took            string
	Failed, Nested  bool
	Long            bool // the text is worth a fold
	Note            string
}

// Bounds of one step on the page, in characters.
const (
	pageTitle  = 200
	pageText   = 4000
	pageResult = 2000
)

func newStepsView(t reports.Transcript, room int) stepsView {
	if t.Format == "" && len(t.Steps) == 0 && t.Final == "" && t.Error == "" {
		return stepsView{}
	}
	v := stepsView{
		There: true, Summary: Work(t),
		Final: multiline(t.Final, 8000), Error: multiline(t.Error, pageResult),
	}
	if t.Format != "" {
		v.Summary = strings.TrimPrefix(v.Summary+"; all that "+show(t.Format)+" printed is in transcript.jsonl", "; ")
	}
	rows, gap := len(t.Steps), -1
	if t.Omitted > 0 {
		rows, gap = rows+1, min(rows, reports.FirstSteps)
	}
	v.List = fit(rows, 0, room, func(i int) (step, int) {
		if i == gap {
			return step{Note: "… " + plural(t.Omitted, "step") + " not listed: transcript.jsonl has all that the agent printed"}, 300
		}
		if gap >= 0 && i > gap {
			i--
		}
		s := newStep(t.Steps[i])
		return s, weight(s.At, s.Kind, s.Title, s.Text, s.Result, s.Note) + 350
	})
	return v
}

func newStep(s reports.Step) step {
	v := step{At: duration(s.AtMs), Kind: show(string(s.Kind)), Failed: s.Failed || s.Kind == reports.StepError, Nested: s.Depth > 0}
	if s.DurationMs > 0 {
		v.Took = duration(s.DurationMs)
	}
	if s.Kind == reports.StepTool {
		v.Tool, v.Kind, v.Title = true, show(s.Tool), Visible(clip(s.Input, pageTitle))
		if strings.Contains(s.Input, "\n") || utf8.RuneCountInString(s.Input) > pageTitle {
			v.Text = multiline(s.Input, pageText)
		}
		v.Result = multiline(s.Result, pageResult)
	} else {
		v.Text = multiline(s.Text, pageText)
	}
	v.Long = v.Tool && (v.Text != "" || v.Result != "")
	if s.Cut {
		v.Note = "cut; transcript.jsonl has all of it"
	}
	return v
}

// multiline is [Visible] for a text of several lines, which keeps them, and its tabs.
func multiline(s string, most int) string {
	var b strings.Builder
	for i, line := range strings.Split(strings.TrimRight(clip(s, most), "\r\n"), "\n") {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(visibleTabs(strings.TrimSuffix(line, "\r")))
	}
	return b.String()
}

// visibleTabs is [Visible] that leaves tabs alone: in code they are the indent.
func visibleTabs(s string) string {
	if !strings.Contains(s, "\t") {
		return Visible(s)
	}
	parts := strings.Split(s, "\t")
	for i := range parts {
		parts[i] = Visible(parts[i])
	}
	return strings.Join(parts, "\t")
}
