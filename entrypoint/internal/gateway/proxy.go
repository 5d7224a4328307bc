package gateway

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/yolo-run/yolo-run/entrypoint/policy"
	"github.com/yolo-run/yolo-run/reports"
)

const (
	// maxConns is how many connections the agent may have at once. One costs two to six descriptors and, in the middle of a ClientHello or of an
	// HTTP header, up to 100 KiB: all of them together must fit the container's memory, or the agent could end the record.
	maxConns = 1024
	// handshakeTime is how long a client may take to say which name it wants: a slow one holds a place no longer.
	handshakeTime = 10 * time.Second
	// dialTime bounds lookup and connect together.
	dialTime = 15 * time.Second
)

// The ports that have a protocol whatever rule opened them; every other one is opened by a rule that names it.
const (
	portHTTP  = 80
	portHTTPS = 443
)

// proxy takes every TCP connection of the agent's: the firewall redirects it here.
//
// Invariant: a connection is decided on by name and port, and by what its first bytes say, before anything is looked up or dialled;
// then the address that was checked is the address that is dialled. Each attempt ends in exactly one event, over HTTP each request does.
type proxy struct {
	policy *policy.Policy
	pool   *pool
	rec    recorder
	attr   attributor

	dial     func(context.Context, target) (duplex, netip.AddrPort, error)
	original func(*net.TCPConn) (netip.AddrPort, error)

	maxConns  int
	handshake time.Duration
	crowd     *crowd
}

func newProxy(p *policy.Policy, pool *pool, up *upstream, rec recorder, attr attributor) *proxy {
	return &proxy{
		policy: p, pool: pool, rec: rec, attr: attr,
		dial: up.Dial, original: originalDst,
		maxConns: maxConns, handshake: handshakeTime, crowd: newCrowd(),
	}
}

// Serve takes connections until ctx ends (then nil) or ln fails. It closes ln and every connection, and returns after the last of
// their events was recorded.
func (p *proxy) Serve(ctx context.Context, ln *net.TCPListener) error {
	return acceptAll(ctx, ln, p.maxConns+spareConns, p.serve, p.refuseFull)
}

// target is where a connection of the agent's wants to go.
type target struct {
	name string         // what our DNS gave dst to; empty for a literal address
	dst  netip.AddrPort // the original destination: synthetic when there is a name
}

func (t target) String() string {
	if t.name == "" {
		return t.dst.String()
	}
	return net.JoinHostPort(t.name, strconv.Itoa(int(t.dst.Port())))
}

// attempt is one connection of the agent's with the verdict on it.
type attempt struct {
	*proxy
	agent   *net.TCPConn
	to      target
	verdict policy.Verdict
	traffic traffic

	process func() *reports.Process // waits for the search, which starts with the attempt, while the socket surely lives
}

func (p *proxy) serve(ctx context.Context, conn *net.TCPConn) {
	defer p.crowd.leave(conn)
	if !p.crowd.enter(conn, p.maxConns) {
		p.refuseFull(conn)
		return
	}
	a := p.attempt(conn)
	if a.verdict.Verdict == reports.Deny {
		a.refuse()
		return
	}
	switch a.to.dst.Port() {
	case portHTTPS:
		a.serveTLS(ctx)
	case portHTTP:
		a.serveHTTP(ctx)
	default:
		a.serveTCP(ctx)
	}
}

// attempt finds out where a connection wants to go, and decides.
func (p *proxy) attempt(conn *net.TCPConn) *attempt {
	a := &attempt{proxy: p, agent: conn}
	dst, err := p.original(conn)
	a.to.dst = dst
	a.process = sync.OnceValue(func() *reports.Process {
		return p.attr.Process("tcp", remoteAddr(conn), dst)
	})
	if err != nil {
		a.verdict = policy.Verdict{Verdict: reports.Deny, Reason: "the original destination is unknown"}
		return a
	}
	go a.process() // every attempt ends in an event, which waits for it
	a.to.name, a.verdict = p.decide(dst)
	return a
}

func (p *proxy) decide(dst netip.AddrPort) (string, policy.Verdict) {
	if name, ok := p.pool.name(dst.Addr()); ok {
		return name, p.policy.Connect(name, dst.Port())
	}
	if synthetic().Contains(dst.Addr()) {
		return "", policy.Verdict{Verdict: reports.Deny, Reason: fmt.Sprintf("%s is a synthetic address that was given to no name", dst.Addr())}
	}
	return "", p.policy.Literal(dst)
}

// refuse is the end of a connection that the policy denies by name and port. On port 80 the client may learn which rule is missing;
// everywhere else it is reset, before a byte of it was read.
func (a *attempt) refuse() {
	a.record(a.event(reports.LayerTCP))
	if a.to.dst.Port() == portHTTP {
		a.explain()
	}
	abort(a.agent)
}

// refuseFull does not look for the process: that would let a flood of connections stop the listener.
func (p *proxy) refuseFull(conn *net.TCPConn) {
	dst, _ := p.original(conn)
	a := &attempt{
		proxy: p, agent: conn, to: target{dst: dst},
		verdict: policy.Verdict{Verdict: reports.Deny, Reason: fmt.Sprintf("more than %d connections at once", p.maxConns)},
		process: func() *reports.Process { return nil },
	}
	a.to.name, _ = p.pool.name(dst.Addr())
	a.record(a.event(reports.LayerTCP))
	abort(conn)
}

// event is what is known of the attempt by now, with the verdict on its name and port.
func (a *attempt) event(layer reports.Layer) reports.Event {
	e := reports.Event{
		Verdict: a.verdict.Verdict, Rule: a.verdict.Rule, Reason: a.verdict.Reason,
		Layer: layer, Proto: "tcp", Name: a.to.name, Port: int(a.to.dst.Port()),
	}
	if a.to.name == "" && a.to.dst.IsValid() {
		e.Addr = a.to.dst.Addr().String()
	}
	return e
}

// record completes an event and hands it on. It comes before the agent's socket is closed, or its process could not be found.
func (a *attempt) record(e reports.Event) {
	e.Process = a.process()
	a.rec.Record(e)
}

// deny is the end of a connection whose first bytes are not what its port allows. asked is the name that they contain, if any.
func (a *attempt) deny(layer reports.Layer, asked, reason string) {
	e := a.event(layer)
	e.Verdict, e.Rule, e.Reason = reports.Deny, "", reason
	if asked != "" {
		e.Name, e.Addr = asked, ""
	}
	a.record(e)
	abort(a.agent)
}

// originalDst asks the connection's conntrack entry for the destination before the redirect (SO_ORIGINAL_DST).
func originalDst(conn *net.TCPConn) (netip.AddrPort, error) {
	const soOriginalDst = 80 // linux/netfilter_ipv4.h
	raw, err := conn.SyscallConn()
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("original destination: %w", err)
	}
	// The kernel fills a sockaddr_in of 16 octets; IPv6Mreq begins with 16 octets and has a getter.
	var got *unix.IPv6Mreq
	var sockErr error
	err = raw.Control(func(fd uintptr) {
		got, sockErr = unix.GetsockoptIPv6Mreq(int(fd), unix.SOL_IP, soOriginalDst) //nolint:gosec // a descriptor is an int
	})
	if err == nil {
		err = sockErr
	}
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("original destination: %w", err)
	}
	sa := got.Multiaddr // family, port, address
	addr := netip.AddrFrom4([4]byte(sa[4:8]))
	return netip.AddrPortFrom(addr, binary.BigEndian.Uint16(sa[2:4])), nil
}
