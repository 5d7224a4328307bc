package render

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/yolo-run/yolo-run/reports"
)

// MarkdownLimit is the most that [Markdown] writes, in bytes. GitHub shows nothing of a step's summaries over 1 MiB.
const MarkdownLimit = 900 << 10

// Markdown is report.md: what somebody must know first, the rest folded. What does not fit is counted, never dropped in silence.
type Markdown struct{}

var _ Renderer = Markdown{}

// Render writes at most [MarkdownLimit] bytes, in one Write.
func (Markdown) Render(w io.Writer, m Model) error {
	p := &page{left: MarkdownLimit - 4<<10} // headings and the lines that count what was left out
	r := m.Report
	p.headline(r)
	p.errors(r)
	p.denials(m)
	p.findings(r)
	p.changes(r)
	p.agent(r)
	p.network(r)
	p.facts(r)
	if _, err := io.WriteString(w, p.String()); err != nil {
		return fmt.Errorf("markdown: %w", err)
	}
	return nil
}

func (p *page) headline(r *reports.Report) {
	p.line("# " + text(Headline(r)))
	if s := Attempts(r.Network); s != "" {
		p.line("**" + s + ".**")
	}
	if doubtful(r) {
		p.line("**" + incomplete + "**")
	}
	facts := []string{code(r.Agent.Name)}
	if r.Agent.Image != "" {
		facts = append(facts, code(r.Agent.Image))
	}
	if cost := Cost(r.Usage); cost != "" {
		facts = append(facts, cost)
	}
	facts = append(facts, duration(r.DurationMs), "exit code "+strconv.Itoa(r.ExitCode), "run "+code(r.ID))
	p.line(strings.Join(facts, " · "))
}

func (p *page) errors(r *reports.Report) {
	p.section("Errors", len(r.Errors))
	p.table(table{
		header: []string{"What went wrong"}, rows: len(r.Errors), open: 20, bytes: 40 << 10,
		row: func(i int) []string { return []string{Text(clip(r.Errors[i], paragraph))} },
	})
}

func (p *page) denials(m Model) {
	if proxy := m.Report.Network.Upstream; proxy != "" {
		p.line("Allowed connections went through the proxy " + Code(proxy) + ", which looked names up: their addresses were not checked.")
	}
	advice := newAdviser(m.Report.Policy)
	for _, s := range []struct {
		title   string
		verdict reports.Verdict
		bytes   int
	}{
		{"Denied", reports.Deny, 200 << 10},
		{"Would be denied", reports.WouldDeny, 90 << 10},
	} {
		dests := m.verdict(s.verdict)
		p.section(s.title, len(dests))
		p.table(table{
			header: []string{"Attempts", "Destination", "Layer", "Why", "Process", "To allow it"}, rows: len(dests), open: 20, bytes: s.bytes,
			row: func(i int) []string { return denial(advice, dests[i]) },
		})
	}
	lost := m.notReached()
	p.section("Allowed, and not reached", len(lost))
	p.table(table{
		header: []string{"Attempts", "Destination", "Layer", "Why", "Process"}, rows: len(lost), open: 20, bytes: 40 << 10,
		row: func(i int) []string { return denial(nil, lost[i])[:5] },
	})
	p.allow(m, advice)
}

// allowFlags bounds the flags of the texts to copy. Whoever wants more of them wants a wildcard.
const allowFlags = 100

// allow has what would allow all of it, to be pasted. Flags hold names and addresses in their canonical form only: letters, digits, and nothing
// that ends a block of code.
func (p *page) allow(m Model, advice *adviser) {
	var flags []string
	more := 0
	for _, d := range slices.Concat(m.verdict(reports.Deny), m.verdict(reports.WouldDeny)) {
		switch f := advice.flag(d); {
		case f == "" || slices.Contains(flags, f):
		case len(flags) == allowFlags:
			more++
		default:
			flags = append(flags, f)
		}
	}
	p.fold("To allow what a rule could allow", len(flags), func() {
		p.line("Only what the agent should reach: these names come from its attempts.")
		for _, s := range snippets(flags) {
			p.line(s.Title + ":\n\n```\n" + s.Text + "\n```")
		}
		p.more(more)
	})
}

func denial(advice *adviser, d reports.Destination) []string {
	return []string{
		count(d.Count), code(Target(d)), text(string(d.Layer)), text(d.Reason), processes(d, 3),
		code(advice.flag(d)),
	}
}

// processes lists the programs of a destination in one cell.
func processes(d reports.Destination, most int) string {
	var parts []string
	for i, q := range d.Processes {
		if i == most {
			break
		}
		s := Code(clip(Command(q), 120)) + " (" + strconv.Itoa(q.PID) + ")"
		if len(q.Parents) > 0 {
			s += " from " + Code(clip(q.Parents[0], 60))
		}
		parts = append(parts, s)
	}
	if len(d.Processes) > most || d.MoreProcesses {
		parts = append(parts, "and others")
	}
	return strings.Join(parts, ", ")
}

func (p *page) findings(r *reports.Report) {
	p.section("Gate", len(r.Gate.Findings))
	p.table(table{
		header: []string{"Severity", "Rule", "Path", "Why"}, rows: len(r.Gate.Findings), open: 30, bytes: 80 << 10,
		row: func(i int) []string {
			f := r.Gate.Findings[i]
			return []string{text(string(f.Severity)), text(f.Rule), code(f.Path), text(f.Reason)}
		},
	})
}

func (p *page) changes(r *reports.Report) {
	c := r.Changes
	p.section("Changes", len(c.Files)+len(c.NotCarried)+int(min(c.Ignored.Files, 1)))
	p.table(table{
		header: []string{"Status", "File", "+", "-"}, right: 2, rows: len(c.Files), open: 50, bytes: 140 << 10,
		row: func(i int) []string { return change(c.Files[i]) },
	})
	if c.Ignored.Files > 0 {
		p.line(fmt.Sprintf("Not in the patch: %s that git ignores (%s).", plural(c.Ignored.Files, "changed file"), size(c.Ignored.Bytes)))
	}
	p.table(table{
		header: []string{"Not in the patch", "Why"}, rows: len(c.NotCarried), open: 10, bytes: 40 << 10,
		row: func(i int) []string {
			return []string{code(c.NotCarried[i].Path), text(c.NotCarried[i].Reason)}
		},
	})
}

func change(f reports.FileChange) []string {
	name := code(f.Path)
	if f.OldPath != "" {
		name = code(f.OldPath) + " → " + name
	}
	if f.Mode != "" && f.OldMode != "" && f.Mode != f.OldMode {
		name += " (mode " + text(f.OldMode) + " → " + text(f.Mode) + ")"
	}
	if f.Binary {
		return []string{text(f.Status), name, "binary", ""}
	}
	return []string{text(f.Status), name, count(f.Insertions), count(f.Deletions)}
}

func (p *page) network(r *reports.Report) {
	n := r.Network
	p.fold(fmt.Sprintf("Network: %s allowed, %s denied", plural(n.Allowed, "attempt"), count(n.Denied)), len(n.Destinations), func() {
		p.table(table{
			header: []string{"Verdict", "Attempts", "Destination", "Layer", "In", "Out", "Process"}, rows: len(n.Destinations),
			open: len(n.Destinations), bytes: 80 << 10,
			row: func(i int) []string {
				d := n.Destinations[i]
				return []string{
					text(string(d.Verdict)), count(d.Count), code(Target(d)), text(string(d.Layer)),
					size(d.BytesIn), size(d.BytesOut), processes(d, 1),
				}
			},
		})
	})
}

// facts are what one looks up: phases, proof, policy, surroundings, files.
func (p *page) facts(r *reports.Report) {
	p.list("Phases", []string{"Phase", "Time"}, len(r.Phases), func(i int) []string {
		return []string{text(r.Phases[i].Name), duration(r.Phases[i].DurationMs)}
	})
	p.list("Self-test of the firewall", []string{"Probe", "Result", "Detail"}, len(r.SelfTest), func(i int) []string {
		c := r.SelfTest[i]
		return []string{text(c.Name), text(c.Result), text(c.Detail)}
	})
	policy := policyRows(r.Policy)
	p.list("Policy", []string{"", ""}, len(policy), func(i int) []string { return policy[i] })
	env := slices.DeleteFunc(environment(r), func(row []string) bool { return row[1] == "" })
	p.list("Environment", []string{"", ""}, len(env), func(i int) []string { return env[i] })
	p.list("Artifacts", []string{"File", "Size", "SHA-256"}, len(r.Artifacts), func(i int) []string {
		a := r.Artifacts[i]
		return []string{code(a.File), size(a.Bytes), code(a.SHA256)}
	})
}

func policyRows(p reports.Policy) [][]string {
	rows := [][]string{{"Egress", text(p.Egress)}}
	for _, l := range []struct {
		title   string
		entries []string
	}{
		{"Allowed", p.AllowedDomains}, {"Denied", p.DeniedDomains}, {"Allowed internal", p.AllowedInternal},
	} {
		for _, e := range l.entries {
			rows = append(rows, []string{l.title, code(e)})
		}
	}
	return append(rows, []string{"SHA-256", code(p.SHA256)})
}

func environment(r *reports.Report) [][]string {
	l := r.Sandbox.Limits
	rows := [][]string{
		{"yolo-run", text(r.Version)},
		{"Engine", text(joined(r.Engine.Version, r.Engine.OS, r.Engine.Kernel))},
		{"Image", code(r.Agent.ImageDigest)},
		{"User", fmt.Sprintf("%d:%d", r.Sandbox.UID, r.Sandbox.GID)},
		{"Limits", fmt.Sprintf("%s, %s memory, %g CPUs, %s processes", duration(l.TimeoutMs), size(l.MemoryBytes), l.CPUs, count(l.PIDs))},
		{"Used", fmt.Sprintf("%s CPU time, %s memory", duration(r.Agent.CPUMs), size(r.Agent.MaxRSSBytes))},
		{"Workspace", text(joined(r.Workspace.Mode, r.Workspace.ModeReason))},
	}
	if g := r.Workspace.Git; g != nil {
		rows = append(rows, []string{"Commit", code(joined(g.Head, g.Branch))})
	}
	if n := len(r.Workspace.Hidden); n > 0 {
		rows = append(rows, []string{"Hidden from the agent", plural(int64(n), "file")})
	}
	return rows
}

// joined lists the words that are not empty.
func joined(words ...string) string {
	return strings.Join(slices.DeleteFunc(words, func(s string) bool { return s == "" }), ", ")
}
