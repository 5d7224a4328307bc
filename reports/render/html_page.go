package render

import (
	"html"
	"path"
	"strconv"
	"strings"

	"github.com/yolo-run/yolo-run/reports"
)

// The shares of the page, in bytes: no list can push another one out.
const (
	roomDiff    = 1500 << 10
	roomColour  = 700 << 10
	roomTree    = 900 << 10
	roomNetwork = 300 << 10
	roomSteps   = 300 << 10
	roomGate    = 100 << 10
	roomErrors  = 60 << 10
	roomFacts   = 40 << 10 // each of the small tables
)

// htmlPage is what the template shows. Every text in it is escaped by [Visible] and cut; the template escapes the markup.
type htmlPage struct {
	frame

	Title    string
	Outcome  string
	Tone     tone
	Headline string
	Meta     []string
	RunID    string
	Version  string
	Doubtful string

	Tiles    []tile
	Sections []section
	Errors   listing[string]
	Findings listing[finding]
	Gate     string
	Network  networkView
	Phases   timeline
	Usage    usageView
	Steps    stepsView
	Changes  changesView
	Facts    []factTable
}

// tone is the colour of something; words always say the same.
type tone string

const (
	good    tone = "good"
	bad     tone = "bad"
	caution tone = "caution"
	neutral tone = "neutral"
)

// tile is one answer of the first glance.
type tile struct {
	Label, Value, Note string
	Link               string // the section's name
	Tone               tone
}

// section is an entry of the page's table of contents.
type section struct{ ID, Title string }

// finding is one of the gate's.
type finding struct {
	Severity, Rule, Path, Reason string
	Tone                         tone
}

// factTable is something that one looks up.
type factTable struct {
	ID, Title string
	Header    []string
	Rows      listing[[]string]
}

func newHTMLPage(m Model, f frame, scale int) htmlPage {
	r := m.Report
	p := htmlPage{
		frame: f, Title: show(string(r.Outcome)) + " · " + show(r.ID) + " · yolo-run", Outcome: show(string(r.Outcome)), Tone: outcomeTone(r.Outcome),
		Headline: show(Headline(r)), Meta: meta(r), RunID: show(r.ID), Version: show(r.Version),
	}
	if doubtful(r) {
		p.Doubtful = incomplete
	}
	p.Errors = fit(len(r.Errors), 20, roomErrors/scale, func(i int) (string, int) {
		s := Visible(clip(r.Errors[i], paragraph))
		return s, weight(s) + 20
	})
	p.Gate, p.Findings = gate(r, roomGate/scale)
	p.Network = newNetworkView(m, roomNetwork/scale)
	p.Phases = newTimeline(m)
	p.Usage = newUsageView(r, roomFacts/scale)
	p.Steps = newStepsView(r.Transcript, roomSteps/scale)
	p.Changes = newChangesView(m, scale)
	p.Facts = facts(r, roomFacts/scale)
	p.Tiles = tiles(m)
	p.Sections = p.contents()
	return p
}

// contents lists the sections that the page has, in the order of the template.
func (p htmlPage) contents() []section {
	var list []section
	add := func(id, title string, there bool) {
		if there {
			list = append(list, section{id, title})
		}
	}
	add("errors", "Errors", p.Errors.Total > 0)
	add("gate", "Gate", p.Gate != "")
	add("network", "Network", true)
	add("time", "Time", len(p.Phases.Rows) > 0)
	add("usage", "Model", p.Usage.There)
	add("steps", "Steps", p.Steps.There)
	add("changes", "Changes", true)
	add("facts", "Record", len(p.Facts) > 0)
	return list
}

func outcomeTone(o reports.Outcome) tone {
	switch o {
	case reports.Success:
		return good
	case reports.NoChanges:
		return neutral
	case reports.Cancelled, reports.Timeout, reports.Budget:
		return caution
	default:
		return bad
	}
}

func meta(r *reports.Report) []string {
	words := []string{show(r.Agent.Name + " " + r.Agent.Version), show(r.Agent.Model), show(r.Agent.Image)}
	if !r.StartedAt.IsZero() {
		words = append(words, r.StartedAt.UTC().Format("2006-01-02 15:04:05 UTC"))
	}
	words = append(words, "exit code "+strconv.Itoa(r.ExitCode))
	kept := words[:0]
	for _, w := range words {
		if w = strings.TrimSpace(w); w != "" {
			kept = append(kept, w)
		}
	}
	return kept
}

func tiles(m Model) []tile {
	r := m.Report
	c, n := r.Changes, r.Network
	list := []tile{{Label: "Changed", Value: "nothing", Link: "changes", Tone: neutral}}
	if len(c.Files) > 0 {
		list[0].Value, list[0].Note = plural(int64(len(c.Files)), "file"), "+"+count(c.Insertions)+" −"+count(c.Deletions)+" lines"
	} else if c.Ignored.Files > 0 {
		list[0].Note = plural(c.Ignored.Files, "ignored file")
	}
	network := tile{Label: "Denied", Value: "nothing", Link: "network", Tone: good, Note: plural(n.Allowed, "attempt") + " allowed"}
	switch {
	case n.Denied > 0:
		network.Value, network.Tone = plural(n.Denied, "attempt"), bad
		network.Note = mostDenied(m.verdict(reports.Deny), network.Note)
	case n.WouldDeny > 0:
		network.Label, network.Value, network.Tone = "Would be denied", plural(n.WouldDeny, "attempt"), caution
	case doubtful(r) || r.Outcome == reports.Infrastructure:
		network.Value, network.Tone = "not known", caution
	}
	return append(append(list, network, gateTile(r)), costTile(r), tile{
		Label: "Took", Value: duration(r.DurationMs), Note: "the agent " + agentTime(r), Link: "time", Tone: neutral,
	})
}

// mostDenied names what was denied most often, and its program.
func mostDenied(dests []reports.Destination, otherwise string) string {
	if len(dests) == 0 || dests[0].Folded {
		return otherwise
	}
	text := Visible(clip(hostName(dests[0]), 60))
	if p := dests[0].Processes; len(p) > 0 && p[0].Exe != "" {
		text += ", by " + Visible(clip(path.Base(p[0].Exe), 30))
	}
	return text
}

func gateTile(r *reports.Report) tile {
	block, warn := severities(r.Gate)
	t := tile{Label: "Gate", Value: "passed", Note: "nothing found", Link: "gate", Tone: good}
	if warn > 0 {
		t.Note, t.Tone = plural(warn, "warning"), caution
	}
	if block > 0 {
		t.Note = plural(block, "blocking finding")
	}
	switch {
	case !r.Gate.Passed && block == 0:
		t.Value, t.Note, t.Tone = "not passed", "the run failed before it", caution
	case !r.Gate.Passed:
		t.Value, t.Tone = "not passed", bad
	case len(r.Changes.Files) == 0 && len(r.Gate.Findings) == 0:
		t.Note, t.Tone = "there was nothing to check", neutral
	}
	if gateText(r) == "" {
		t.Link = "changes"
	}
	return t
}

func severities(g reports.Gate) (block, warn int64) {
	for _, f := range g.Findings {
		if f.Severity == reports.Block {
			block++
		} else {
			warn++
		}
	}
	return block, warn
}

func costTile(r *reports.Report) tile {
	u := r.Usage
	t := tile{Label: "Model", Value: "not used", Link: "time", Tone: neutral}
	if u.Requests > 0 {
		t.Label, t.Link = "Cost", "usage"
		t.Note = Tokens(u.InputTokens) + " tokens in, " + Tokens(u.OutputTokens) + " out"
		if t.Value = strings.Replace(Cost(u), "at least ", "≥ ", 1); t.Value == "" {
			t.Value = "not known"
		}
	}
	return t
}

func agentTime(r *reports.Report) string {
	for _, p := range r.Phases {
		if p.Name == "agent" {
			return duration(p.DurationMs)
		}
	}
	return "did not start"
}

// gateText says what the gate thought, empty when there is nothing to say.
func gateText(r *reports.Report) string {
	block, warn := severities(r.Gate)
	switch {
	case block > 0 && !r.Gate.Passed:
		return "The patch did not pass: look at what blocks it before anybody applies it."
	case !r.Gate.Passed && warn > 0:
		return "The run failed before the gate could let the patch pass."
	case block > 0 || warn > 0:
		return "The patch passed; somebody should look at this first."
	}
	return ""
}

func gate(r *reports.Report, room int) (string, listing[finding]) {
	list := r.Gate.Findings
	return gateText(r), fit(len(list), 10, room, func(i int) (finding, int) {
		f := finding{Severity: show(string(list[i].Severity)), Rule: show(list[i].Rule), Path: show(list[i].Path), Reason: show(list[i].Reason), Tone: caution}
		if list[i].Severity == reports.Block {
			f.Tone = bad
		}
		return f, weight(f.Severity, f.Rule, f.Path, f.Reason) + 150
	})
}

// listing is a list in three parts: what is seen at once, what is folded, and how many are only in report.json.
type listing[T any] struct {
	Open, Folded []T
	Total, More  int
}

// MoreText counts what was left out.
func (l listing[T]) MoreText() string {
	if l.More == 0 {
		return ""
	}
	return "… and " + count(int64(l.More)) + " more in report.json"
}

// FoldedText is the label of the folded part.
func (l listing[T]) FoldedText() string { return count(int64(len(l.Folded)+l.More)) + " more" }

// fit makes rows while there is room for them. item also says what a row weighs, in bytes of the page.
func fit[T any](n, open, room int, item func(int) (T, int)) listing[T] {
	l := listing[T]{Total: n}
	for i := range n {
		row, bytes := item(i)
		if room -= bytes; room < 0 {
			l.More = n - i
			break
		}
		if i < open {
			l.Open = append(l.Open, row)
		} else {
			l.Folded = append(l.Folded, row)
		}
	}
	return l
}

// weight is what texts take on the page, in bytes.
func weight(texts ...string) int {
	n := 0
	for _, s := range texts {
		n += len(html.EscapeString(s))
	}
	return n
}
