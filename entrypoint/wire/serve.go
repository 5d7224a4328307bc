package wire

import (
	"errors"
	"fmt"
	"math"
	"net/netip"

	"github.com/yolo-run/yolo-run/reports"
)

// What the gateway's two processes say to each other: PID 1, which has the rules and the record, and the one that serves the agent, which reads
// hostile bytes and may be somebody else's after it. One object a line in both directions, like everything here; what PID 1 reads is bounded by
// [MaxMessageLine] and [ServeMessage.Check].

// ServeRequest is one line from PID 1. The first is a "config".
type ServeRequest struct {
	Type   string       `json:"type"`
	Config *ServeConfig `json:"config,omitempty"`
	Owner  *ServeOwner  `json:"owner,omitempty"`
}

// The types of a [ServeRequest] beside [TypeConfig] and [TypeFinish], and of a [ServeMessage] beside those of a [GatewayMessage].
const (
	TypeOwner = "owner" // asks for the process behind a socket, and answers
	TypeLost  = "lost"  // decisions that no event describes
	TypeDone  = "done"  // all was said
)

// ServeConfig is the gateway's configuration with what PID 1 found around it. MaxServeConfigLine bounds its line.
type ServeConfig struct {
	GatewayConfig

	// Resolvers are asked for public names, InternalResolver is the network's own.
	Resolvers        []netip.AddrPort `json:"resolvers"`
	InternalResolver netip.AddrPort   `json:"internalResolver"`
	// Own are the addresses that nobody may reach: the host's, the next hop.
	Own []netip.Addr `json:"own"`
}

// MaxServeConfigLine is more than [MaxConfigLine] by what PID 1 adds.
const MaxServeConfigLine = MaxConfigLine + 64<<10

// ServeOwner asks for the process behind a socket of the agent's, or answers: then Process is nil where none was found.
type ServeOwner struct {
	ID      uint64           `json:"id"`
	Network string           `json:"network,omitempty"`
	Local   netip.AddrPort   `json:"local"`
	Remote  netip.AddrPort   `json:"remote"`
	Process *reports.Process `json:"process,omitempty"`
}

// ServeMessage is one line to PID 1. Exactly one of the pointers that Type names is set; "ready" and "done" have none.
type ServeMessage struct {
	Type   string         `json:"type"`
	Event  *reports.Event `json:"event,omitempty"`
	Owner  *ServeOwner    `json:"owner,omitempty"`
	Lost   *ServeLost     `json:"lost,omitempty"`
	Usage  *reports.Usage `json:"usage,omitempty"`
	Budget *BudgetSpent   `json:"budget,omitempty"`
	Fatal  *Fatal         `json:"fatal,omitempty"`
}

// ServeLost is how many decisions found no room in the queue of events.
type ServeLost struct {
	Allowed   int64 `json:"allowed"`
	WouldDeny int64 `json:"wouldDeny"`
	Denied    int64 `json:"denied"`
}

// Bounds of what one message may claim: a sum of all that a run can send stays a number.
const (
	maxServeCount  = 1 << 32
	maxServeBytes  = 1 << 48
	maxServeTokens = 1 << 48
	maxServeModels = 128
)

// Check returns why a message cannot come from an honest process. What passes may still be a lie, but only about what that process decides.
func (m *ServeMessage) Check() error {
	set := 0
	for _, has := range []bool{m.Event != nil, m.Owner != nil, m.Lost != nil, m.Usage != nil, m.Budget != nil, m.Fatal != nil} {
		if has {
			set++
		}
	}
	fits, want := false, 1
	var err error
	switch m.Type {
	case TypeReady, TypeDone:
		fits, want = true, 0
	case TypeEvent:
		if fits = m.Event != nil; fits {
			err = checkEvent(m.Event)
		}
	case TypeOwner:
		if fits = m.Owner != nil; fits && m.Owner.Network != "tcp" && m.Owner.Network != "udp" {
			err = fmt.Errorf("network %q", m.Owner.Network)
		}
	case TypeLost:
		if fits = m.Lost != nil; fits {
			err = within("count", maxServeCount, m.Lost.Allowed, m.Lost.WouldDeny, m.Lost.Denied)
		}
	case TypeUsage:
		if fits = m.Usage != nil; fits {
			err = checkUsage(m.Usage)
		}
	case TypeBudget:
		fits = m.Budget != nil
	case TypeFatal:
		fits = m.Fatal != nil
	}
	if !fits || set != want {
		return fmt.Errorf("not a message: type %.20q with %d values", m.Type, set)
	}
	if err != nil {
		return fmt.Errorf("message %q: %w", m.Type, err)
	}
	return nil
}

// checkEvent: the time is PID 1's to set, and refused packets are its own to report.
func checkEvent(e *reports.Event) error {
	var faults []error
	switch e.Verdict {
	case reports.Allow, reports.WouldDeny, reports.Deny:
	default:
		faults = append(faults, fmt.Errorf("verdict %.20q", e.Verdict))
	}
	switch e.Layer {
	case reports.LayerDNS, reports.LayerTLS, reports.LayerHTTP, reports.LayerTCP, reports.LayerModel:
	default:
		faults = append(faults, fmt.Errorf("layer %.20q", e.Layer))
	}
	if e.Proto != "tcp" && e.Proto != "udp" {
		faults = append(faults, fmt.Errorf("protocol %.20q", e.Proto))
	}
	if !e.Time.IsZero() {
		faults = append(faults, errors.New("a time"))
	}
	if p := e.Process; p != nil {
		faults = append(faults, within("process", math.MaxInt32, int64(p.PID)))
	}
	return errors.Join(append(faults,
		within("port", math.MaxUint16, int64(e.Port)),
		within("status", 999, int64(e.Status)),
		within("count", maxServeCount, e.Count),
		within("bytes", maxServeBytes, e.BytesIn, e.BytesOut),
	)...)
}

func checkUsage(u *reports.Usage) error {
	if len(u.Models) > maxServeModels {
		return fmt.Errorf("%d models", len(u.Models))
	}
	faults := []error{checkCost(u.CostUSD), within("tokens", maxServeTokens, u.Requests, u.InputTokens, u.OutputTokens, u.CachedInputTokens)}
	for _, m := range u.Models {
		faults = append(faults, checkCost(m.CostUSD),
			within("tokens", maxServeTokens, m.Requests, m.InputTokens, m.OutputTokens, m.CachedInputTokens, m.Estimated))
	}
	return errors.Join(faults...)
}

func checkCost(usd float64) error {
	if !(usd >= 0 && usd < maxServeTokens) { // NaN is neither
		return fmt.Errorf("cost %g", usd)
	}
	return nil
}

func within(what string, bound int64, values ...int64) error {
	for _, v := range values {
		if v < 0 || v > bound {
			return fmt.Errorf("%s %d", what, v)
		}
	}
	return nil
}
