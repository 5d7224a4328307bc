package render

import (
	"fmt"

	"github.com/yolo-run/yolo-run/reports"
)

// facts are what one looks up: proof, policy, surroundings, files.
func facts(r *reports.Report, room int) []factTable {
	tables := []factTable{
		factRows("policy", "Policy", []string{"Setting", "Value"}, policyFacts(r), room),
		factRows("selftest", "Self-test of the firewall", []string{"Probe", "Result", "Detail"}, selfTestFacts(r), room),
		factRows("environment", "Environment", []string{"What", "Value"}, environmentFacts(r), room),
		factRows("hidden", "Hidden from the agent", []string{"File"}, column(r.Workspace.Hidden), room),
		factRows("artifacts", "Artifacts", []string{"File", "Size", "SHA-256"}, artifactFacts(r), room),
	}
	kept := tables[:0]
	for _, t := range tables {
		if t.Rows.Total > 0 {
			kept = append(kept, t)
		}
	}
	return kept
}

func factRows(id, title string, header []string, rows [][]string, room int) factTable {
	return factTable{id, title, header, fit(len(rows), len(rows), room, func(i int) ([]string, int) {
		row := make([]string, len(rows[i]))
		for j, s := range rows[i] {
			row[j] = show(s)
		}
		return row, weight(row...) + 20 + 10*len(row)
	})}
}

func column(list []string) [][]string {
	rows := make([][]string, len(list))
	for i, s := range list {
		rows[i] = []string{s}
	}
	return rows
}

func policyFacts(r *reports.Report) [][]string {
	p := r.Policy
	rows := [][]string{{"Egress", p.Egress}}
	for _, l := range []struct {
		title   string
		entries []string
	}{
		{"Allowed", p.AllowedDomains}, {"Denied", p.DeniedDomains}, {"Allowed internal", p.AllowedInternal}, {"Fails the run", r.FailOn},
	} {
		for _, e := range l.entries {
			rows = append(rows, []string{l.title, e})
		}
	}
	rows = append(rows, []string{"Upstream proxy", weakens(r.Network.Upstream)}, []string{"SHA-256", p.SHA256}, []string{"SHA-256 of --config", p.ConfigSHA256})
	return said(rows)
}

// weakens says what an upstream proxy takes from the sandbox.
func weakens(proxy string) string {
	if proxy == "" {
		return ""
	}
	return proxy + " (it looked names up: their addresses were not checked)"
}

func selfTestFacts(r *reports.Report) [][]string {
	var rows [][]string
	for _, c := range r.SelfTest {
		rows = append(rows, []string{c.Name, c.Result, c.Detail})
	}
	return rows
}

func environmentFacts(r *reports.Report) [][]string {
	l, a, e := r.Sandbox.Limits, r.Agent, r.Engine
	rows := [][]string{
		{"yolo-run", r.Version},
		{"Agent", joined(a.Name, a.Version, a.Model)},
		{"Image", a.Image},
		{"Image's digest", a.ImageDigest},
		{"Workspace", joined(r.Workspace.Path, r.Workspace.Mode, r.Workspace.ModeReason)},
		{"Engine", joined(e.Version, e.OS, e.Kernel, e.Host)},
	}
	if g := r.Workspace.Git; g != nil {
		state := "clean"
		if g.Dirty {
			state = "with changes that were not committed"
		}
		rows = append(rows, []string{"Commit", joined(g.Head, g.Branch, state)})
	}
	if e.Rootless {
		rows = append(rows, []string{"Engine's user", "not root (rootless)"})
	}
	if l.TimeoutMs > 0 {
		rows = append(rows,
			[]string{"User", fmt.Sprintf("%d:%d", r.Sandbox.UID, r.Sandbox.GID)},
			[]string{"Limits", fmt.Sprintf("%s, %s memory, %g CPUs, %s processes", duration(l.TimeoutMs), size(l.MemoryBytes), l.CPUs, count(l.PIDs))},
			[]string{"Used", fmt.Sprintf("%s CPU time, %s memory", duration(a.CPUMs), size(a.MaxRSSBytes))})
	}
	if a.ExitCode != nil {
		rows = append(rows, []string{"Agent's exit code", fmt.Sprint(*a.ExitCode)})
	}
	return said(append(rows, []string{"Agent's end", a.Signal}))
}

func artifactFacts(r *reports.Report) [][]string {
	var rows [][]string
	for _, a := range r.Artifacts {
		rows = append(rows, []string{a.File, size(a.Bytes), a.SHA256})
	}
	return rows
}

// said drops the rows that have no value.
func said(rows [][]string) [][]string {
	kept := rows[:0]
	for _, row := range rows {
		if row[1] != "" {
			kept = append(kept, row)
		}
	}
	return kept
}

// labelled is a cell that says what it is where the table has no room for a head.
type labelled struct{ Label, Text string }

// usageView is what the models cost.
type usageView struct {
	There  bool
	Header []string
	Models listing[[]labelled]
	Notes  []string
}

func newUsageView(r *reports.Report, room int) usageView {
	u := r.Usage
	if u.Requests == 0 && len(u.Models) == 0 {
		return usageView{}
	}
	v := usageView{There: true, Header: []string{"Model", "API", "Requests", "Tokens in", "Of them cached", "Tokens out", "Cost"}}
	v.Models = fit(len(u.Models), 20, room, func(i int) ([]labelled, int) {
		m := u.Models[i]
		cost := modelCost(m)
		if m.Unpriced {
			cost = "price not known"
		}
		row := []labelled{{Text: show(m.Model)}}
		for j, s := range []string{show(m.API), count(m.Requests), count(m.InputTokens), count(m.CachedInputTokens), count(m.OutputTokens), cost} {
			row = append(row, labelled{v.Header[j+1], s})
		}
		return row, weight(row[0].Text, row[1].Text) + 350
	})
	unpriced, estimated := false, int64(0)
	for _, m := range u.Models {
		unpriced = unpriced || m.Unpriced
		estimated += m.Estimated
	}
	if unpriced {
		v.Notes = append(v.Notes, "A model's price is not known: it is not in the sum.")
	}
	if estimated > 0 {
		v.Notes = append(v.Notes, plural(estimated, "request")+" ended without a usage and are counted by estimate.")
	}
	return v
}
