package render

import (
	"math"
	"net/netip"
	"strconv"
	"strings"

	"github.com/yolo-run/yolo-run/entrypoint/policy"
	"github.com/yolo-run/yolo-run/reports"
)

// Flag returns the flag that would have let the attempts at d through, such as "--allowed-domain example.com:8443", and "" where no
// flag would: the policy itself is asked with the flag added, so that what is shown here works.
func Flag(p reports.Policy, d reports.Destination) string {
	return newAdviser(p).flag(d)
}

// adviser answers for many destinations of one policy. It is nil when no flag can help.
type adviser struct {
	now  *policy.Policy
	spec policy.Spec
}

func newAdviser(p reports.Policy) *adviser {
	if p.Egress == string(policy.None) {
		return nil
	}
	// In audit mode the question is what enforce would need.
	spec := policy.Spec{Egress: policy.Enforce, Allow: p.AllowedDomains, Deny: p.DeniedDomains, Internal: p.AllowedInternal}
	now, err := policy.Parse(spec)
	if err != nil {
		return nil // a report that somebody edited
	}
	return &adviser{now: now, spec: spec}
}

func (a *adviser) flag(d reports.Destination) string {
	if a == nil || d.Folded || opens(a.now, d) {
		return ""
	}
	for _, flag := range candidates(d) {
		if p, ok := a.with(flag); ok && opens(p, d) {
			return flag
		}
	}
	return ""
}

// with returns what the policy says with one more flag, as far as the flag can make a difference: the other allowed names cannot.
func (a *adviser) with(flag string) (*policy.Policy, bool) {
	name, entry, _ := strings.Cut(flag, " ")
	spec := policy.Spec{Egress: a.spec.Egress, Deny: a.spec.Deny, Internal: a.spec.Internal}
	switch name {
	case "--allowed-domain":
		spec.Allow = []string{entry}
	case "--allowed-internal":
		spec.Internal = append([]string{entry}, a.spec.Internal...)
	default:
		return nil, false
	}
	p, err := policy.Parse(spec)
	return p, err == nil
}

// candidates are the flags that may help, the narrowest meaning first.
func candidates(d reports.Destination) []string {
	port, ok := tcpPort(d)
	if !ok {
		return nil
	}
	if d.Name == "" {
		return []string{policy.Suggest(d.Addr, port)}
	}
	flags := []string{policy.Suggest(d.Name, port)}
	if name, err := policy.Normalize(d.Name); err == nil && port != 0 {
		flags = append(flags, "--allowed-internal "+name+":"+strconv.Itoa(int(port)))
	}
	return flags
}

// tcpPort is the port that a rule would have to open, 0 for a lookup. Rules open names and TCP, nothing else.
func tcpPort(d reports.Destination) (port uint16, ok bool) {
	switch d.Layer {
	case reports.LayerDNS:
		return 0, true
	case reports.LayerTLS, reports.LayerHTTP, reports.LayerTCP:
		if d.Port <= 0 || d.Port > math.MaxUint16 {
			return 0, false
		}
		return uint16(d.Port), true
	default:
		return 0, false
	}
}

// opens reports whether d is open under the policy, as far as the policy decides about it.
func opens(p *policy.Policy, d reports.Destination) bool {
	port, ok := tcpPort(d)
	if !ok {
		return false
	}
	addr, err := netip.ParseAddr(d.Addr)
	dst := netip.AddrPortFrom(addr, port)
	switch {
	case d.Name == "":
		return err == nil && p.Literal(dst).Verdict == reports.Allow
	case port == 0:
		return p.Name(d.Name).Verdict == reports.Allow
	case err == nil && p.Resolved(d.Name, dst, nil).Verdict != reports.Allow:
		return false
	default:
		return p.Connect(d.Name, port).Verdict == reports.Allow
	}
}
