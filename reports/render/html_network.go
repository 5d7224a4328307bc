package render

import (
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/yolo-run/yolo-run/reports"
)

// networkView is the network by destination, what was denied first.
type networkView struct {
	Summary  string
	Denied   hosts
	Allowed  hosts
	Snippets []snippet
}

// hosts are some of the destinations under one title.
type hosts struct {
	Title string
	Tone  tone
	List  listing[host]
}

// host is all attempts at one name, or at one address that had no name.
type host struct {
	Name     string
	Attempts string
	Rows     []attempt
	MoreRows string
	Flags    []string // that would allow it
}

// attempt is one destination: a host, a port, a layer and a reason.
type attempt struct {
	Count, Port, Layer, Verdict, Reason string
	Processes                           []string
	In, Out                             string
	Tone                                tone
}

// snippet is a text to copy.
type snippet struct{ ID, Title, Text string }

// hostRows bounds the rows of one host: a scan of ports must not fill the page.
const hostRows = 20

func newNetworkView(m Model, room int) networkView {
	r := m.Report
	advice := newAdviser(r.Policy)
	denied := append(m.verdict(reports.Deny), m.verdict(reports.WouldDeny)...)
	v := networkView{
		Summary: networkSummary(r),
		Denied:  hosts{"Denied", bad, newHosts(denied, advice, 8, room*2/3)},
		Allowed: hosts{"Allowed", neutral, newHosts(m.verdict(reports.Allow), nil, 0, room/3)},
	}
	if r.Network.Denied == 0 && r.Network.WouldDeny > 0 {
		v.Denied.Title, v.Denied.Tone = "Would be denied", caution
	}
	var flags []string
	for _, h := range slices.Concat(v.Denied.List.Open, v.Denied.List.Folded) {
		for _, f := range h.Flags {
			if !slices.Contains(flags, f) {
				flags = append(flags, f)
			}
		}
	}
	v.Snippets = snippets(flags)
	return v
}

func networkSummary(r *reports.Report) string {
	n := r.Network
	switch {
	case len(n.Destinations) == 0 && r.Outcome == reports.Infrastructure:
		return "The sandbox never let the agent start, or broke: there is no record of the network."
	case len(n.Destinations) == 0 && n.Allowed+n.Denied+n.WouldDeny == 0:
		return "Nothing tried to reach the network."
	}
	text := count(n.Allowed) + " allowed, " + count(n.Denied) + " denied"
	if n.WouldDeny > 0 {
		text += ", " + count(n.WouldDeny) + " passed that enforce mode would deny"
	}
	return "Attempts: " + text + "."
}

// newHosts groups destinations by host, in the order of their first ones.
func newHosts(dests []reports.Destination, advice *adviser, open, room int) listing[host] {
	var names []string
	groups := map[string][]reports.Destination{}
	for _, d := range dests {
		name := hostName(d)
		if groups[name] == nil {
			names = append(names, name)
		}
		groups[name] = append(groups[name], d)
	}
	return fit(len(names), open, room, func(i int) (host, int) { return newHost(names[i], groups[names[i]], advice) })
}

// hostName is what destinations are grouped by.
func hostName(d reports.Destination) string {
	d.Port = 0
	return Target(d)
}

func newHost(name string, dests []reports.Destination, advice *adviser) (host, int) {
	h := host{Name: show(name)}
	var attempts int64
	bytes := weight(h.Name) + 300
	for i, d := range dests {
		attempts += d.Count
		if i >= hostRows {
			continue
		}
		row := newAttempt(d)
		h.Rows = append(h.Rows, row)
		bytes += weight(row.Reason, row.Layer, row.Verdict) + weight(row.Processes...) + 250 + 30*len(row.Processes)
		if f := advice.flag(d); f != "" && !slices.Contains(h.Flags, show(f)) {
			h.Flags = append(h.Flags, show(f))
			bytes += 4 * (weight(show(f)) + 40) // in the row, and in the three texts to copy
		}
	}
	if n := len(dests) - len(h.Rows); n > 0 {
		h.MoreRows = "… and " + count(int64(n)) + " more ports and reasons in report.json"
	}
	h.Attempts = plural(attempts, "attempt")
	return h, bytes
}

func newAttempt(d reports.Destination) attempt {
	a := attempt{Count: count(d.Count) + "×", Layer: show(string(d.Layer)), Verdict: show(string(d.Verdict)), Reason: show(d.Reason), Tone: bad}
	if d.Port != 0 {
		a.Port = strconv.Itoa(d.Port)
	}
	switch d.Verdict {
	case reports.Allow:
		a.Tone = good
	case reports.WouldDeny:
		a.Tone = caution
	}
	if d.BytesIn+d.BytesOut > 0 {
		a.In, a.Out = size(d.BytesIn), size(d.BytesOut)
	}
	for i, q := range d.Processes {
		if i == 3 {
			break
		}
		text := Visible(clip(Command(q), 160)) + " (" + strconv.Itoa(q.PID)
		if len(q.Parents) > 0 {
			text += ", from " + Visible(clip(q.Parents[0], 60))
		}
		a.Processes = append(a.Processes, text+")")
	}
	if len(d.Processes) > 3 || d.MoreProcesses {
		a.Processes = append(a.Processes, "and others")
	}
	return a
}

// snippets are the flags that would allow what was denied, in the forms that people paste.
func snippets(flags []string) []snippet {
	if len(flags) == 0 {
		return nil
	}
	entries := map[string][]string{}
	var keys []string
	for _, f := range flags {
		name, entry, _ := strings.Cut(strings.TrimPrefix(f, "--"), " ")
		if entries[name] == nil {
			keys = append(keys, name)
		}
		entries[name] = append(entries[name], entry)
	}
	slices.Sort(keys)
	var config, action strings.Builder
	for _, k := range keys {
		config.WriteString(k + ":\n")
		action.WriteString(actionInput(k) + ": |\n")
		for _, e := range entries[k] {
			config.WriteString("  - " + yamlText(e) + "\n")
			action.WriteString("  " + e + "\n")
		}
	}
	return []snippet{
		{"allow-flags", "Flags", strings.Join(flags, " \\\n")},
		{"allow-config", "Configuration file", strings.TrimSuffix(config.String(), "\n")},
		{"allow-action", "GitHub Action", strings.TrimSuffix(action.String(), "\n")},
	}
}

// actionInput is what the action calls a flag that may be repeated.
func actionInput(flag string) string {
	if flag == "allowed-domain" {
		return "allowed-domains"
	}
	return flag
}

// yamlText quotes what YAML could take for something else. Entries come from the policy's own grammar: names, addresses, ports.
func yamlText(s string) string {
	if _, _, err := net.SplitHostPort(s); err != nil && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz-.0123456789") == "" &&
		strings.ContainsAny(s, ".") && strings.ContainsAny(s, "abcdefghijklmnopqrstuvwxyz") && !strings.HasPrefix(s, "-") {
		return s
	}
	return `"` + s + `"`
}
