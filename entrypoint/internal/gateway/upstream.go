package gateway

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"syscall"
	"time"

	"github.com/yolo-run/yolo-run/entrypoint/policy"
	"github.com/yolo-run/yolo-run/reports"
)

const (
	// connectTime bounds one connect, so that a second address has its turn within dialTime.
	connectTime = 5 * time.Second
	// maxDialled is how many addresses of one name are tried.
	maxDialled = 4
)

// upstreamConfig is where the gateway's own traffic goes.
type upstreamConfig struct {
	Resolvers        []netip.AddrPort // asked for public names, in this order
	InternalResolver netip.AddrPort   // asked for names of the policy's Internal entries: the network's own
	// Control marks every socket before its first packet; nil marks none.
	Control      func(network, address string, c syscall.RawConn) error
	LookupSource netip.Addr   // local address of lookups at a resolver on loopback
	Own          []netip.Addr // never dialled: the host's addresses, the next hop
	Policy       *policy.Policy
	Proxy        string         // URL of the HTTP proxy for what is allowed, empty for none; with a faulty one every dial fails
	NoProxy      string         // what is dialled directly all the same
	Roots        *x509.CertPool // trusted when Proxy is https; nil for the system's
}

// upstream resolves and dials what was allowed.
//
// Invariant: every address is checked between the lookup and the dial, and what was checked is what is dialled: a name that
// changes its address (DNS rebinding) gains nothing. Behind an upstream proxy the lookup, and with it this check, is the proxy's.
type upstream struct {
	cfg      upstreamConfig
	resolver *resolver
	dialer   net.Dialer
	proxyFor func(*url.URL) (*url.URL, error) // reads NoProxy; nil without a proxy
}

func newUpstream(cfg upstreamConfig) *upstream {
	return &upstream{
		cfg: cfg, resolver: newResolver(cfg), proxyFor: bypass(cfg),
		dialer: net.Dialer{Timeout: connectTime, Control: cfg.Control},
	}
}

// refusedError is an allowed name whose addresses the policy refuses.
type refusedError struct {
	name    string
	addr    netip.Addr
	verdict policy.Verdict
}

// Error says which address it was and why.
func (e *refusedError) Error() string {
	if e.name == "" {
		return e.verdict.Reason
	}
	return fmt.Sprintf("%s resolved to %s: %s", e.name, e.addr, e.verdict.Reason)
}

// Dial connects to a target that was allowed, and returns the address that it dialled (none behind a proxy). The error is a
// [*refusedError] when the policy refuses every address.
func (u *upstream) Dial(ctx context.Context, to target) (duplex, netip.AddrPort, error) {
	internal := u.cfg.Policy.InternalName(to.name) || to.name == "" && policy.Private(to.dst.Addr())
	if !internal && u.proxied(to) {
		conn, err := u.dialProxy(ctx, to)
		return conn, netip.AddrPort{}, err
	}
	addrs, err := u.addresses(ctx, to)
	if err != nil {
		return nil, netip.AddrPort{}, err
	}
	var faults []error
	for _, addr := range addrs[:min(len(addrs), maxDialled)] {
		conn, err := u.dialAddr(ctx, addr)
		if err == nil {
			return conn, addr, nil
		}
		faults = append(faults, err)
	}
	return nil, addrs[0], errors.Join(faults...)
}

// addresses are those of the target that may be dialled, at least one.
func (u *upstream) addresses(ctx context.Context, to target) ([]netip.AddrPort, error) {
	if to.name == "" {
		// The policy allowed this very address; it does not know which ones are the host's.
		if slices.Contains(u.cfg.Own, to.dst.Addr()) {
			v := policy.Verdict{Verdict: reports.Deny, Reason: fmt.Sprintf("%s is the host or the next hop", to.dst.Addr())}
			return nil, &refusedError{addr: to.dst.Addr(), verdict: v}
		}
		return []netip.AddrPort{to.dst}, nil
	}
	found, err := u.resolver.lookup(ctx, to.name)
	if err != nil {
		return nil, err
	}
	var refused *refusedError
	var addrs []netip.AddrPort
	for _, ip := range found {
		addr := netip.AddrPortFrom(ip, to.dst.Port())
		v := u.cfg.Policy.Resolved(to.name, addr, u.cfg.Own)
		switch {
		case v.Verdict != reports.Deny:
			addrs = append(addrs, addr)
		case refused == nil:
			refused = &refusedError{name: to.name, addr: ip, verdict: v}
		}
	}
	if len(addrs) == 0 {
		return nil, refused
	}
	return addrs, nil
}

// dialAddr takes nothing but an address: no name gets past the check.
func (u *upstream) dialAddr(ctx context.Context, addr netip.AddrPort) (*net.TCPConn, error) {
	return u.dialer.DialTCP(ctx, "tcp", netip.AddrPort{}, addr)
}
