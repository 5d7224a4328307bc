// Package render shows a report to people: as Markdown for a step's summary and as a few lines at the end of a run on a terminal.
//
// Every string of a report may have been chosen by the agent or by the network. Invariant: none reaches an output but through
// [Log], [Code] or [Text], so that nothing in it can act: no control character, no markup, no link, no workflow command.
package render

import (
	"io"
	"strings"

	"github.com/yolo-run/yolo-run/reports"
)

// Renderer writes one form of a report. The error is the writer's.
type Renderer interface {
	Render(w io.Writer, m Model) error
}

// Model is what the renderers show. It is not changed by them.
type Model struct {
	Report *reports.Report
	Dir    string // the output folder, empty when it is not known
}

// notReached returns the destinations that were allowed and did not answer, with what kept them in the place of the reason.
func (m Model) notReached() []reports.Destination {
	var out []reports.Destination
	for _, d := range m.verdict(reports.Allow) {
		if why, ok := strings.CutPrefix(d.Reason, reports.NotReached); ok {
			d.Reason = why
			out = append(out, d)
		}
	}
	return out
}

// verdict returns the destinations with this verdict, in the report's order.
func (m Model) verdict(v reports.Verdict) []reports.Destination {
	var out []reports.Destination
	for _, d := range m.Report.Network.Destinations {
		if d.Verdict == v {
			out = append(out, d)
		}
	}
	return out
}
