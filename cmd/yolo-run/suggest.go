package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/yolo-run/yolo-run/entrypoint/policy"
	"github.com/yolo-run/yolo-run/reports"
	"github.com/yolo-run/yolo-run/reports/render"
)

// suggestion is one entry that would open what was denied.
type suggestion struct {
	flag, entry string // --allowed-domain and example.com
	count       int64
	processes   []string
}

// policySuggest prints the entries that would have to be added to the policy, each once, the busiest first: as flags, then as inputs of the action. Of
// the rest it says that no entry helps.
func (a *app) policySuggest(spec policy.Spec, destinations []reports.Destination) error {
	list, hopeless := suggestions(spec, destinations)
	if len(list) > 0 {
		if _, err := fmt.Fprint(a.streams.Out, asFlags(list), "\n", asInputs(list)); err != nil {
			return err
		}
	}
	if len(list) == 0 && hopeless == 0 {
		a.logger().Info("nothing was denied", "destinations", len(destinations))
	}
	if hopeless > 0 {
		a.logger().Info("destinations that no flag would allow, or that this policy allows already", "count", hopeless)
	}
	return nil
}

// suggestions merges destinations that one entry opens, and counts those that none does.
func suggestions(spec policy.Spec, destinations []reports.Destination) (list []*suggestion, hopeless int) {
	have := reports.Policy{
		Egress: string(policy.Enforce), AllowedDomains: spec.Allow, DeniedDomains: spec.Deny, AllowedInternal: spec.Internal,
	}
	byFlag, byName := map[string]*suggestion{}, map[string]*suggestion{}
	for _, d := range connectionsFirst(destinations) {
		if d.Verdict == reports.Allow {
			continue
		}
		if s := byName[d.Name]; s != nil && d.Layer == reports.LayerDNS {
			s.add(d) // whose port is known now: no more than that one needs to be open
			continue
		}
		text := render.Flag(have, d)
		if text == "" {
			hopeless++
			continue
		}
		s := byFlag[text]
		if s == nil {
			s = &suggestion{}
			s.flag, s.entry, _ = strings.Cut(text, " ")
			byFlag[text], list = s, append(list, s)
		}
		s.add(d)
		if d.Name != "" && byName[d.Name] == nil {
			byName[d.Name] = s
		}
	}
	slices.SortStableFunc(list, func(a, b *suggestion) int { return cmp.Compare(b.count, a.count) })
	return list, hopeless
}

// connectionsFirst returns the destinations with the lookups behind the others.
func connectionsFirst(destinations []reports.Destination) []reports.Destination {
	var connections, lookups []reports.Destination
	for _, d := range destinations {
		if d.Layer == reports.LayerDNS {
			lookups = append(lookups, d)
			continue
		}
		connections = append(connections, d)
	}
	return append(connections, lookups...)
}

// maxNamed is how many programs a reason names.
const maxNamed = 3

func (s *suggestion) add(d reports.Destination) {
	s.count += d.Count
	for _, p := range d.Processes {
		if p.Exe != "" && len(s.processes) < maxNamed && !slices.Contains(s.processes, p.Exe) {
			s.processes = append(s.processes, p.Exe)
		}
	}
}

// reason is one line. The programs' names are the agent's text.
func (s *suggestion) reason() string {
	text := fmt.Sprintf("# denied %d×", s.count)
	if len(s.processes) > 0 {
		text += ", by " + render.Log(strings.Join(s.processes, ", "))
	}
	if kind := policy.Uploads(s.entry); kind != "" {
		text += "; WARNING: takes uploads from anyone (" + kind + ")"
	}
	return text + "\n"
}

func asFlags(list []*suggestion) string {
	var b strings.Builder
	for _, s := range list {
		b.WriteString(s.reason() + s.flag + " " + s.entry + "\n")
	}
	return b.String()
}

// asInputs writes what stands below "with:" where the action is used. Reasons stand before a list: inside of one a # would be an entry.
func asInputs(list []*suggestion) string {
	var b strings.Builder
	b.WriteString("# for the action\nwith:\n")
	for _, input := range []struct{ name, flag string }{{"allowed-domains", "--allowed-domain"}, {"allowed-internal", "--allowed-internal"}} {
		var reasons, entries strings.Builder
		for _, s := range list {
			if s.flag == input.flag {
				reasons.WriteString("  # " + s.entry + ": " + strings.TrimPrefix(s.reason(), "# "))
				entries.WriteString("    " + s.entry + "\n")
			}
		}
		if entries.Len() > 0 {
			b.WriteString(reasons.String() + "  " + input.name + ": |\n" + entries.String())
		}
	}
	return b.String()
}
