package render

import (
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/yolo-run/yolo-run/reports"
)

// Terminal is the summary at the end of a run, some lines for people.
type Terminal struct {
	Color bool // with ANSI colours
	Width int  // columns, 0 for 100
}

var _ Renderer = Terminal{}

// How many rows of a list the terminal shows; the report has all.
const (
	terminalRows  = 10
	terminalWidth = 100
	minWidth      = 60 // less is wrapped by the terminal
)

// The colours, as SGR parameters. Colour only repeats what the words say.
const (
	plainText = ""
	bold      = "1"
	dim       = "2"
	red       = "31"
	green     = "32"
	yellow    = "33"
)

// Render writes the summary in one Write.
func (t Terminal) Render(w io.Writer, m Model) error {
	s := &screen{color: t.Color, width: t.Width}
	if s.width <= 0 {
		s.width = terminalWidth
	}
	s.width = max(s.width, minWidth)
	r := m.Report
	s.outcome(r)
	s.errors(r.Errors)
	s.agent(r)
	s.usage(r.Usage)
	s.files(r.Changes)
	advice := newAdviser(r.Policy)
	for _, v := range []struct {
		label   string
		verdict reports.Verdict
		color   string
	}{{"denied", reports.Deny, red}, {"would deny", reports.WouldDeny, yellow}} {
		s.denials(advice, v.label, v.color, m.verdict(v.verdict))
	}
	s.denials(nil, "not reached", yellow, m.notReached())
	if doubtful(r) {
		s.row("network", yellow, incomplete)
	}
	s.findings(r.Gate)
	s.artifacts(m)
	if _, err := io.WriteString(w, s.String()); err != nil {
		return fmt.Errorf("summary: %w", err)
	}
	return nil
}

func (s *screen) outcome(r *reports.Report) {
	color := red
	switch r.Outcome {
	case reports.Success, reports.NoChanges:
		color = green
	case reports.Cancelled, reports.Budget, reports.Timeout:
		color = yellow
	}
	s.row(string(r.Outcome), color, Headline(r)+" ("+duration(r.DurationMs)+")")
	if attempts := Attempts(r.Network); attempts != "" {
		s.row("", plainText, attempts)
	}
}

func (s *screen) files(c reports.Changes) {
	files := c.Files[:min(len(c.Files), terminalRows)]
	names := make([]string, len(files))
	width := 0
	for i, f := range files {
		// The end of a path says more than its start.
		names[i] = clipLeft(Log(clipLeft(fileName(f), s.width)), s.width-indent-20)
		width = max(width, utf8.RuneCountInString(names[i]))
	}
	for i, f := range files {
		stat := "binary"
		if !f.Binary {
			stat = s.paint(green, fmt.Sprintf("%6s", "+"+count(f.Insertions))) + " " + s.paint(red, fmt.Sprintf("%6s", "-"+count(f.Deletions)))
		}
		s.put(s.label("changed", dim, i == 0), statusLetter(f.Status)+" "+pad(names[i], width)+" "+stat)
	}
	s.more(len(c.Files) - len(files))
	if left := leftOut(c); left != "" {
		s.put(s.label("changed", dim, len(files) == 0), s.paint(dim, s.fit("not in the patch: "+left)))
	}
}

// leftOut says what changed and is not in the patch, empty when that is nothing.
func leftOut(c reports.Changes) string {
	var parts []string
	if c.Ignored.Files > 0 {
		parts = append(parts, plural(c.Ignored.Files, "file")+" that git ignores")
	}
	if n := len(c.NotCarried); n > 0 {
		parts = append(parts, plural(int64(n), "change")+" that a patch cannot carry (report.md)")
	}
	return strings.Join(parts, ", ")
}

func (s *screen) denials(advice *adviser, label, color string, dests []reports.Destination) {
	told := map[string]bool{} // a name and a port of it are two rows, and one flag
	for i, d := range dests {
		if i == terminalRows {
			break
		}
		text := fmt.Sprintf("%s× %s (%s)", count(d.Count), Target(d), d.Layer)
		if d.Reason != "" {
			text += ": " + d.Reason
		}
		s.put(s.label(label, color, i == 0), s.fit(text))
		if len(d.Processes) > 0 {
			q := d.Processes[0]
			by := "by " + Command(q) + " (process " + strconv.Itoa(q.PID) + ")"
			if len(d.Processes) > 1 || d.MoreProcesses {
				by += " and others"
			}
			s.put("", s.paint(dim, s.fit(by)))
		}
		if flag := advice.flag(d); flag != "" && !told[flag] {
			told[flag] = true
			s.put("", s.paint(dim, "to allow it: ")+Log(flag)) // never cut: it is there to be copied
		}
	}
	s.more(len(dests) - terminalRows)
}

func (s *screen) findings(g reports.Gate) {
	for i, f := range g.Findings {
		if i == terminalRows {
			break
		}
		color := yellow
		if f.Severity == reports.Block {
			color = red
		}
		text := string(f.Severity) + " " + f.Rule
		if f.Path != "" {
			text += ", " + f.Path
		}
		s.put(s.label("gate", color, i == 0), s.fit(text+": "+f.Reason))
	}
	s.more(len(g.Findings) - terminalRows)
}

func (s *screen) errors(errs []string) {
	for i, e := range errs {
		if i == terminalRows {
			break
		}
		s.put(s.label("error", red, i == 0), Log(clip(e, paragraph))) // whole: there may be nothing else to go by
	}
	s.more(len(errs) - terminalRows)
}

func (s *screen) artifacts(m Model) {
	if m.Dir == "" {
		return
	}
	s.put(s.label("artifacts", dim, true), s.paint(bold, Log(m.Dir)))
	names := []string{"report.html", "report.md"} // what to read first
	for _, a := range m.Report.Artifacts {
		names = append(names, filepath.Base(a.File))
	}
	// The report has no digest of itself, nor of the log, which goes on after it.
	names = append(names, "report.json", "junit.xml", "run.log")
	s.row("", plainText, strings.Join(names, ", "))
}

func fileName(f reports.FileChange) string {
	if f.OldPath == "" {
		return f.Path
	}
	return f.OldPath + " → " + f.Path
}

func statusLetter(status string) string {
	switch status {
	case "added":
		return "A"
	case "deleted":
		return "D"
	case "renamed":
		return "R"
	case "type-changed":
		return "T"
	default:
		return "M"
	}
}
