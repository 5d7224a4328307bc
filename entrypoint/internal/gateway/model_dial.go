package gateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/yolo-run/yolo-run/entrypoint/internal/model"
	"github.com/yolo-run/yolo-run/entrypoint/policy"
)

// internalHeadStart is how long the network's own resolver has a trusted name to itself. It knows names of the container network, at once;
// on some engines it cannot answer anything else, and never says so.
const internalHeadStart = 250 * time.Millisecond

// modelDialer connects to the upstreams of models' APIs. They stand beside the policy: what the agent may reach says nothing about them.
//
// Invariant: an upstream of ours is on the public internet. One that the user named may also be private, or the host, but it is never
// loopback, link-local or a metadata service. What was checked is what is dialled.
type modelDialer struct {
	up       *upstream
	public   *resolver
	internal *resolver // with a cache of its own: the two may know different hosts by one name
}

func newModelDialer(cfg upstreamConfig) *modelDialer {
	own := cfg
	own.Resolvers = nil
	if cfg.InternalResolver.IsValid() {
		own.Resolvers = []netip.AddrPort{cfg.InternalResolver}
	}
	return &modelDialer{up: newUpstream(cfg), public: newResolver(cfg), internal: newResolver(own)}
}

// dial connects to an upstream. With an upstream proxy it is that proxy's to reach what is not private, and to resolve it.
func (d *modelDialer) dial(ctx context.Context, to model.Upstream) (net.Conn, netip.AddrPort, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	proxied := d.up.proxied(proxyTarget(to))
	found, lookupErr := d.lookup(ctx, to, proxied)
	addrs, err := d.check(to, found)
	if proxied && (len(found) == 0 || err == nil && !slices.ContainsFunc(found, policy.Private)) {
		conn, err := d.up.dialProxy(ctx, proxyTarget(to))
		if err != nil {
			return nil, netip.AddrPort{}, err // not conn: a nil pointer in an interface is not nil
		}
		return conn, netip.AddrPort{}, nil
	}
	if err := cmp.Or(lookupErr, err); err != nil {
		return nil, netip.AddrPort{}, err
	}
	var faults []error
	for _, addr := range addrs[:min(len(addrs), maxDialled)] {
		conn, err := d.up.dialAddr(ctx, addr)
		if err == nil {
			return conn, addr, nil
		}
		faults = append(faults, err)
	}
	return nil, addrs[0], errors.Join(faults...)
}

// proxyTarget names an upstream to a proxy.
func proxyTarget(to model.Upstream) target {
	t := target{name: to.Host, dst: netip.AddrPortFrom(netip.Addr{}, to.Port)}
	if addr, err := netip.ParseAddr(to.Host); err == nil {
		t = target{dst: netip.AddrPortFrom(addr, to.Port)}
	}
	return t
}

// lookup finds the addresses of an upstream. Behind a proxy a name that is nobody's on the container network need not be known here.
func (d *modelDialer) lookup(ctx context.Context, to model.Upstream, proxied bool) ([]netip.Addr, error) {
	if addr, err := netip.ParseAddr(to.Host); err == nil {
		return []netip.Addr{addr.Unmap()}, nil
	}
	name, err := policy.Normalize(to.Host)
	if err != nil {
		return nil, fmt.Errorf("host %q: %w", to.Host, err)
	}
	switch {
	case to.Trusted && proxied:
		return d.internal.lookup(ctx, name)
	case to.Trusted:
		return d.lookupBoth(ctx, name)
	case proxied:
		return nil, nil
	default:
		return d.public.lookup(ctx, name)
	}
}

// lookupBoth asks the network's own resolver first and the public ones soon after; the first that knows the name decides.
func (d *modelDialer) lookupBoth(ctx context.Context, name string) ([]netip.Addr, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type result struct {
		addrs []netip.Addr
		err   error
	}
	results := make(chan result, 2)
	failed := make(chan struct{})
	go func() {
		addrs, err := d.internal.lookup(ctx, name)
		if err != nil {
			close(failed)
		}
		results <- result{addrs, err}
	}()
	go func() {
		select {
		case <-failed:
		case <-time.After(internalHeadStart):
		case <-ctx.Done():
		}
		addrs, err := d.public.lookup(ctx, name)
		results <- result{addrs, err}
	}()
	first := <-results
	if first.err == nil {
		return first.addrs, nil
	}
	second := <-results
	if second.err == nil {
		return second.addrs, nil
	}
	return nil, errors.Join(first.err, second.err)
}

// check keeps the addresses that this upstream may have, at least one.
func (d *modelDialer) check(to model.Upstream, found []netip.Addr) ([]netip.AddrPort, error) {
	var addrs []netip.AddrPort
	reason := "it has no address"
	for _, ip := range found {
		what, special := policy.Special(ip)
		own := slices.Contains(d.up.cfg.Own, ip)
		switch {
		case special && !(to.Trusted && policy.Private(ip)):
			reason = fmt.Sprintf("%s is %s", ip, what)
		case own && !to.Trusted:
			reason = fmt.Sprintf("%s is the host or the next hop", ip)
		default:
			addrs = append(addrs, netip.AddrPortFrom(ip, to.Port))
		}
	}
	if len(addrs) == 0 {
		return nil, &model.RefusedError{Reason: "the model's API " + to.Host + " may not be reached: " + reason}
	}
	return addrs, nil
}
