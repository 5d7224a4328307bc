// Package policy is the allowlist: its grammar, matching and verdicts.
//
// It imports nothing but the standard library and does no I/O, so that the runner (which explains a policy) and the
// gateway (which enforces it) share every decision.
// Invariant: a verdict depends only on the policy and on what is asked; matching is by label; deny beats allow.
package policy

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/yolo-run/yolo-run/reports"
)

// Egress is the mode of the firewall.
type Egress string

// The modes. In [Audit] what a rule could allow passes and is recorded as would-deny; special addresses and everything that
// is not TCP stay closed.
const (
	Enforce Egress = "enforce"
	Audit   Egress = "audit"
	None    Egress = "none"
)

// Spec is a policy as the user wrote it: lists of entries, each in the grammar of docs/policy.md.
type Spec struct {
	Egress   Egress   `json:"egress"`   // empty means Enforce
	Allow    []string `json:"allow"`    // host, host:port[,port], *.host, address:port, CIDR:port
	Deny     []string `json:"deny"`     // the same forms; ports optional for addresses too
	Internal []string `json:"internal"` // HOST:PORT or CIDR:PORT; lifts private ranges for what it lists
}

// Verdict is a decision with its reason. Rule is the normalised entry that decided, empty where none did.
// Reason is empty when the verdict is [reports.Allow].
type Verdict struct {
	Verdict reports.Verdict
	Rule    string
	Reason  string
}

// Policy is a parsed [Spec]. It is immutable and safe for concurrent use.
type Policy struct {
	spec           Spec
	deny, internal []rule
	permit         []rule // allow, then internal: the rules that open something
}

// EntryError is one faulty entry of a [Spec]. List is the option that the entry stands in, such as allowed-domain.
type EntryError struct {
	List  string
	Entry string
	Err   error
}

// Error names the list, the entry and the fault.
func (e *EntryError) Error() string { return fmt.Sprintf("%s %q: %v", e.List, e.Entry, e.Err) }

// Unwrap returns the fault.
func (e *EntryError) Unwrap() error { return e.Err }

// Parse checks every entry and returns all faults joined; each names the list and the entry (see [EntryError]).
func Parse(s Spec) (*Policy, error) {
	p := &Policy{spec: Spec{Egress: s.Egress}}
	var allow []rule
	var faults []error
	switch s.Egress {
	case "":
		p.spec.Egress = Enforce
	case Enforce, Audit, None:
	default:
		faults = append(faults, fmt.Errorf("egress %q: want enforce, audit or none", s.Egress))
	}
	for _, l := range []struct {
		list    list
		entries []string
		rules   *[]rule
		texts   *[]string
	}{
		{allowList, s.Allow, &allow, &p.spec.Allow},
		{denyList, s.Deny, &p.deny, &p.spec.Deny},
		{internalList, s.Internal, &p.internal, &p.spec.Internal},
	} {
		*l.texts = []string{} // never null in JSON
		for _, entry := range l.entries {
			r, err := parseRule(l.list, entry)
			if err != nil {
				faults = append(faults, &EntryError{List: string(l.list), Entry: entry, Err: err})
				continue
			}
			if slices.Contains(*l.texts, r.text) {
				continue
			}
			*l.rules = append(*l.rules, r)
			*l.texts = append(*l.texts, r.text)
		}
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	p.permit = slices.Concat(allow, p.internal)
	return p, nil
}

// Spec returns the normalised entries in the order in which they were written, without repetitions. The lists are the caller's.
func (p *Policy) Spec() Spec {
	return Spec{
		Egress:   p.spec.Egress,
		Allow:    slices.Clone(p.spec.Allow),
		Deny:     slices.Clone(p.spec.Deny),
		Internal: slices.Clone(p.spec.Internal),
	}
}

// Name decides whether a name may be resolved at all: whether some port of it is open (RFC 1034 names, already normalised or not).
func (p *Policy) Name(name string) Verdict {
	host, err := Normalize(name)
	if err != nil {
		return denied("not a host name: " + err.Error())
	}
	if p.spec.Egress == None {
		return denied(reasonNone)
	}
	for _, r := range p.permit {
		if !r.matchesName(host) {
			continue
		}
		for _, port := range r.ports {
			if p.Connect(host, port).Verdict == reports.Allow {
				return Verdict{Verdict: reports.Allow, Rule: r.text}
			}
		}
	}
	if d := find(p.deny, func(r rule) bool { return r.matchesName(host) }); d != nil {
		return p.refused(d.text, "denied by rule "+d.text)
	}
	return p.refused("", "no rule allows "+host)
}

// Connect decides about one port of a name.
func (p *Policy) Connect(name string, port uint16) Verdict {
	host, err := Normalize(name)
	if err != nil {
		return denied("not a host name: " + err.Error())
	}
	if port == 0 {
		return denied("0 is not a port")
	}
	return p.decide(fmt.Sprintf("%s:%d", host, port), func(r rule) bool { return r.matchesName(host) && r.opens(port) })
}

// Literal decides about a connection to an address that did not come from our DNS.
func (p *Policy) Literal(dst netip.AddrPort) Verdict {
	dst = canonical(dst)
	if !dst.Addr().IsValid() || dst.Port() == 0 {
		return denied("not an address and port")
	}
	match := func(r rule) bool { return r.matchesAddr(dst.Addr()) && r.opens(dst.Port()) }
	if why, special := Special(dst.Addr()); special && p.lifting(dst, match) == nil {
		return denied(p.closed(dst, why, dst.String()))
	}
	return p.decide(dst.String(), match)
}

// InternalName reports whether name is listed by an entry of Internal: it is resolved by the network's own resolver.
func (p *Policy) InternalName(name string) bool {
	host, err := Normalize(name)
	return err == nil && find(p.internal, func(r rule) bool { return r.matchesName(host) }) != nil
}

// Resolved decides about the address that an allowed name resolved to: special addresses (see [Special]) are denied, private ones
// unless an entry of Internal lifts them for this name and port. own are further addresses that are always refused: the host's own, the next hop.
// It does not ask again whether the name is allowed: that is [Policy.Connect].
func (p *Policy) Resolved(name string, dst netip.AddrPort, own []netip.Addr) Verdict {
	host, err := Normalize(name)
	if err != nil {
		return denied("not a host name: " + err.Error())
	}
	dst = canonical(dst)
	addr := dst.Addr()
	switch {
	case p.spec.Egress == None:
		return denied(reasonNone)
	case !addr.IsValid() || dst.Port() == 0:
		return denied("not an address and port")
	case slices.ContainsFunc(own, func(o netip.Addr) bool { return o.Unmap().WithZone("") == addr }):
		return denied(fmt.Sprintf("%s is the host or the next hop", addr))
	}
	var lifted string
	if why, special := Special(addr); special {
		r := p.lifting(dst, func(r rule) bool {
			return r.opens(dst.Port()) && (r.matchesName(host) || r.matchesAddr(addr))
		})
		if r == nil {
			return denied(p.closed(dst, why, fmt.Sprintf("%s:%d", host, dst.Port())))
		}
		lifted = r.text
	}
	if d := find(p.deny, func(r rule) bool { return r.matchesAddr(addr) && r.opens(dst.Port()) }); d != nil {
		return p.refused(d.text, "denied by rule "+d.text)
	}
	return Verdict{Verdict: reports.Allow, Rule: lifted}
}

const reasonNone = "egress is none"

// decide applies the lists in their order of precedence. what is the missing rule, in the words of a reason.
func (p *Policy) decide(what string, match func(rule) bool) Verdict {
	if p.spec.Egress == None {
		return denied(reasonNone)
	}
	if d := find(p.deny, match); d != nil {
		return p.refused(d.text, "denied by rule "+d.text)
	}
	if a := find(p.permit, match); a != nil {
		return Verdict{Verdict: reports.Allow, Rule: a.text}
	}
	return p.refused("", "no rule allows "+what)
}

// lifting returns the entry of Internal that makes a special address reachable, nil when there is none or none could.
func (p *Policy) lifting(dst netip.AddrPort, match func(rule) bool) *rule {
	if !private(dst.Addr()) {
		return nil
	}
	return find(p.internal, match)
}

// closed is the reason for a special address. It names the missing entry of Internal only where one would help.
func (p *Policy) closed(dst netip.AddrPort, why, missing string) string {
	if !private(dst.Addr()) {
		return fmt.Sprintf("%s is %s, never reachable", dst.Addr(), why)
	}
	return fmt.Sprintf("%s is %s and no internal rule allows %s", dst.Addr(), why, missing)
}

// refused is the verdict on what a rule could have allowed: audit mode lets it pass.
func (p *Policy) refused(rule, reason string) Verdict {
	v := reports.Deny
	if p.spec.Egress == Audit {
		v = reports.WouldDeny
	}
	return Verdict{Verdict: v, Rule: rule, Reason: reason}
}

// denied is the verdict on what no rule could allow, in every mode.
func denied(reason string) Verdict { return Verdict{Verdict: reports.Deny, Reason: reason} }

func find(rules []rule, match func(rule) bool) *rule {
	if i := slices.IndexFunc(rules, match); i >= 0 {
		return &rules[i]
	}
	return nil
}

// canonical makes one address of ::ffff:192.0.2.1 and 192.0.2.1, which are one host to the kernel.
func canonical(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port())
}
