// Package policy is the allowlist: its grammar, matching and verdicts.
//
// It imports nothing but the standard library and does no I/O, so that the runner (which explains a policy) and the
// gateway (which enforces it) share every decision.
// Invariant: a verdict depends only on the policy and on what is asked; matching is by label; deny beats allow.
package policy

import (
	"net/netip"

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
	Egress   Egress   `json:"egress"`
	Allow    []string `json:"allow"`    // host, host:port[,port], *.host, address:port, CIDR:port
	Deny     []string `json:"deny"`     // the same forms; ports optional for addresses too
	Internal []string `json:"internal"` // HOST:PORT or CIDR:PORT; lifts private ranges for what it lists
}

// Verdict is a decision with its reason. Rule is the normalised entry that decided, empty where none did.
type Verdict struct {
	Verdict reports.Verdict
	Rule    string
	Reason  string
}

// Policy is a parsed [Spec]. It is immutable and safe for concurrent use.
type Policy struct {
	spec Spec
}

// Parse checks every entry and returns all faults joined; each names the list and the entry.
func Parse(s Spec) (*Policy, error) { panic("todo") }

// Spec returns the normalised entries.
func (p *Policy) Spec() Spec { return p.spec }

// Normalize returns the canonical form of a host name: lower case, no trailing dot, ASCII labels of 1 to 63 octets, at most 253.
// It refuses everything else. Underscores are accepted (they occur in real names).
func Normalize(host string) (string, error) { panic("todo") }

// Name decides whether a name may be resolved at all: whether some port of it is open (RFC 1034 names, already normalised or not).
func (p *Policy) Name(name string) Verdict { panic("todo") }

// Connect decides about one port of a name.
func (p *Policy) Connect(name string, port uint16) Verdict { panic("todo") }

// Literal decides about a connection to an address that did not come from our DNS.
func (p *Policy) Literal(dst netip.AddrPort) Verdict { panic("todo") }

// NamedPort reports whether port is open for name by an entry that names the port (then it need be neither TLS nor HTTP).
func (p *Policy) NamedPort(name string, port uint16) bool { panic("todo") }

// InternalName reports whether name is listed by an entry of Internal: it is resolved by the network's own resolver.
func (p *Policy) InternalName(name string) bool { panic("todo") }

// Resolved decides about the address that an allowed name resolved to: special addresses (see [Special]) are denied, private ones
// unless an entry of Internal lifts them for this name and port. own are further addresses that are always refused: the host's own, the next hop.
func (p *Policy) Resolved(name string, dst netip.AddrPort, own []netip.Addr) Verdict { panic("todo") }
