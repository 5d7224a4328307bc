package render

import (
	"errors"
	"io"
	"slices"
	"strconv"

	"github.com/yolo-run/yolo-run/reports"
)

// timeline is the run from left to right: a bar for each phase, marks for what happened in it.
type timeline struct {
	Rows  []phaseRow
	Marks []markRow
	Note  string
	More  string
}

// phaseRow is one phase. X and Width are per cent of the run.
type phaseRow struct {
	Name, Start, Took string
	X, Width          string
	Class             string // agent, or within: it began and ended inside of another one
}

// markRow is one kind of events.
type markRow struct {
	Name, Count string
	Class       string
	Ticks       []tick
}

// tick is what happened in one slice of the run.
type tick struct{ X, Title string }

// Bounds of the time line.
const (
	timeSlices = 200 // of a row of marks
	phaseRows  = 40
	eventBytes = 32 << 20 // that are read of network.jsonl
	longest    = 1 << 50  // milliseconds of a run; with more, which only an edited report has, sums and products would overflow
)

func newTimeline(m Model) timeline {
	r := m.Report
	total := max(r.DurationMs, 1)
	for _, p := range r.Phases {
		total = max(total, p.StartMs+p.DurationMs)
	}
	total = min(total, longest)
	var t timeline
	var agentStart int64
	for i, p := range r.Phases {
		if p.Name == "agent" {
			agentStart = p.StartMs
		}
		if i >= phaseRows {
			t.More = "… and " + count(int64(len(r.Phases)-phaseRows)) + " more in report.json"
			break
		}
		t.Rows = append(t.Rows, phaseRow{
			Name: show(p.Name), Start: duration(p.StartMs), Took: duration(p.DurationMs),
			X: percent(min(p.StartMs, total*996/1000), total), Width: percent(max(p.DurationMs, total*4/1000), total), Class: phaseClass(r.Phases[:i], p),
		})
	}
	if row, ok := toolMarks(r.Transcript, agentStart, total); ok {
		t.Marks = append(t.Marks, row)
	}
	rows, note := denialMarks(m, total)
	t.Marks, t.Note = append(t.Marks, rows...), note
	return t
}

func phaseClass(earlier []reports.Phase, p reports.Phase) string {
	if p.Name == "agent" {
		return "agent"
	}
	if slices.ContainsFunc(earlier, func(e reports.Phase) bool {
		end := e.StartMs + e.DurationMs
		return p.StartMs < end && p.StartMs+p.DurationMs <= end
	}) {
		return "within"
	}
	return ""
}

// percent places ms on the run. What a report that somebody edited has outside of it is put at the edge.
func percent(ms, total int64) string {
	share := float64(min(max(ms, 0), total)) / float64(total)
	return strconv.FormatFloat(share*100, 'f', 2, 64) + "%"
}

// marks counts events by slice of the run.
type marks struct {
	counts [timeSlices]int64
	first  [timeSlices]string
	total  int64
	all    int64 // milliseconds
}

func (k *marks) add(ms, n int64, what string) {
	i := min(max(ms, 0), k.all-1) * timeSlices / k.all
	if k.counts[i] == 0 {
		k.first[i] = what
	}
	k.counts[i] += n
	k.total += n
}

func (k *marks) row(name, class, noun string) (markRow, bool) {
	row := markRow{Name: name, Class: class, Count: count(k.total)}
	for i, n := range k.counts {
		if n == 0 {
			continue
		}
		title := plural(n, noun) + ": " + k.first[i]
		if n > 1 {
			title += ", …"
		}
		row.Ticks = append(row.Ticks, tick{strconv.FormatFloat(float64(i)*100/timeSlices, 'f', 1, 64) + "%", title})
	}
	return row, k.total > 0
}

func toolMarks(t reports.Transcript, agentStart, total int64) (markRow, bool) {
	k := marks{all: total}
	for _, s := range t.Steps {
		if s.Kind == reports.StepTool {
			k.add(agentStart+s.AtMs, 1, Visible(clip(s.Tool, 40)))
		}
	}
	return k.row("Tool calls", "tool", "tool call")
}

// denialMarks reads when attempts were denied: report.json has no times of them.
func denialMarks(m Model, total int64) (rows []markRow, note string) {
	r := m.Report
	if m.Dir == "" || r.Network.Denied+r.Network.WouldDeny == 0 || r.StartedAt.IsZero() {
		return nil, ""
	}
	in, err := reports.OpenArtifact(m.Dir, "network.jsonl")
	if err != nil {
		return nil, "When attempts were denied is not shown: network.jsonl could not be read."
	}
	defer in.Close()
	denied, would := marks{all: total}, marks{all: total}
	limited := &io.LimitedReader{R: in, N: eventBytes}
	err = reports.ReadEvents(limited, func(e reports.Event) error {
		k := &denied
		switch e.Verdict {
		case reports.Allow:
			return nil
		case reports.WouldDeny:
			k = &would
		}
		k.add(e.Time.Sub(r.StartedAt).Milliseconds(), e.Count, show(eventTarget(e)))
		return nil
	})
	switch {
	case limited.N == 0:
		note = "Only the first " + size(eventBytes) + " of network.jsonl are on the time line."
	case errors.Is(err, io.ErrUnexpectedEOF): // its last line was cut, the others count
	case err != nil:
		note = "The time line ends where network.jsonl could not be read any further."
	}
	for _, k := range []struct {
		marks       *marks
		name, class string
	}{{&denied, "Denied", "deny"}, {&would, "Would be denied", "would"}} {
		if row, ok := k.marks.row(k.name, k.class, "attempt"); ok {
			rows = append(rows, row)
		}
	}
	return rows, note
}

func eventTarget(e reports.Event) string {
	return Target(reports.Destination{Name: e.Name, Addr: e.Addr, Port: e.Port})
}
