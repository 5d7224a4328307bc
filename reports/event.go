package reports

import "time"

// Verdict is what the firewall decided about one attempt.
type Verdict string

// The three verdicts of an [Event].
const (
	Allow     Verdict = "allow"
	Deny      Verdict = "deny"
	WouldDeny Verdict = "would-deny" // audit mode: passed, and would not have in enforce mode
)

// Layer says where in the stack an attempt was decided.
type Layer string

// The layers of an [Event].
const (
	LayerDNS   Layer = "dns"
	LayerTLS   Layer = "tls"
	LayerHTTP  Layer = "http"
	LayerTCP   Layer = "tcp"
	LayerUDP   Layer = "udp"
	LayerICMP  Layer = "icmp"
	LayerModel Layer = "model" // a request to a model, which the gateway makes for the agent: no policy entry decides on it
	LayerOther Layer = "other"
)

// NotReached begins the reason of an allowed attempt that came to nothing: its name has no address, or nobody answered.
const NotReached = "not reached: "

// Event is one line of network.jsonl: one decision of the firewall, or several equal ones within a second (Count).
// Every string in it may have been chosen by the agent or by the network and is untrusted.
type Event struct {
	Time     time.Time `json:"time"`
	Verdict  Verdict   `json:"verdict"`
	Layer    Layer     `json:"layer"`
	Proto    string    `json:"proto,omitempty"`  // udp, tcp, icmp, or the IP protocol's number
	Name     string    `json:"name,omitempty"`   // host name asked for or connected to
	QType    string    `json:"qtype,omitempty"`  // DNS query type
	Addr     string    `json:"addr,omitempty"`   // literal destination address, or the one that was dialled
	Port     int       `json:"port,omitempty"`   // destination port
	Rule     string    `json:"rule,omitempty"`   // the policy entry that decided
	Reason   string    `json:"reason,omitempty"` // why, in the firewall's own words
	Process  *Process  `json:"process,omitempty"`
	BytesIn  int64     `json:"bytesIn,omitempty"`  // from the destination to the agent
	BytesOut int64     `json:"bytesOut,omitempty"` // from the agent to the destination
	Count    int64     `json:"count"`              // attempts that this line stands for, at least 1

	Method string `json:"method,omitempty"` // HTTP only
	Path   string `json:"path,omitempty"`   // HTTP only, without the query
	Status int    `json:"status,omitempty"` // HTTP only
}

// Process is the process that made an attempt, as well as it could be found: best effort and untrusted text.
type Process struct {
	PID     int      `json:"pid"`
	Exe     string   `json:"exe,omitempty"`
	Cmdline string   `json:"cmdline,omitempty"`
	Parents []string `json:"parents,omitempty"` // executables from the parent up to the agent
}
