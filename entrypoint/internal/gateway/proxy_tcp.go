package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/yolo-run/yolo-run/entrypoint/policy"
	"github.com/yolo-run/yolo-run/reports"
)

// serveTLS is port 443: nothing is looked up before the client named the host that it is allowed to reach.
func (a *attempt) serveTLS(ctx context.Context) {
	a.readWithin(a.handshake)
	hello, head, err := readClientHello(a.agent)
	if err != nil && len(head) == 0 && !errors.Is(err, os.ErrDeadlineExceeded) {
		a.record(a.event(reports.LayerTLS)) // came and went without a word, as nc -z does: it was let in, and nothing left
		return
	}
	if asked, reason := a.checkHello(hello, err); reason != "" {
		a.deny(reports.LayerTLS, asked, reason)
		return
	}
	a.forward(ctx, reports.LayerTLS, func(up duplex) error {
		a.readWithin(0)
		return a.write(up, head)
	})
}

// readWithin gives the agent's next reads a deadline, 0 takes it away. A connection that has no deadlines is closed already, and
// its reads say so. While it has one it is silent, and may have to make room for others.
func (a *attempt) readWithin(d time.Duration) {
	a.crowd.waits(a.agent, d > 0)
	var t time.Time
	if d > 0 {
		t = time.Now().Add(d)
	}
	if err := a.agent.SetReadDeadline(t); err != nil {
		abort(a.agent)
	}
}

// serveTCP is a port that a rule names, where the server may speak first: bytes to the client flow at once. What the client says is
// looked at before it is passed on: if it is TLS, it must carry the name.
func (a *attempt) serveTCP(ctx context.Context) {
	a.crowd.waits(a.agent, false)
	a.forward(ctx, reports.LayerTCP, func(up duplex) error {
		head, err := a.firstBytes()
		if err != nil {
			return err
		}
		return a.write(up, head)
	})
}

// The types of record that a TLS connection can begin with (RFC 8446, 5.1): a ClientHello, and before it, for some servers, warnings that they pass
// over. The first octet of the version has always been 3.
const (
	tlsChangeCipherSpec = 20
	tlsHandshake        = 22
	tlsMajor            = 3
)

// beginsLikeTLS looks at one octet, or at two.
func beginsLikeTLS(b []byte) bool {
	return len(b) > 0 && tlsChangeCipherSpec <= b[0] && b[0] <= tlsHandshake && (len(b) == 1 || b[1] == tlsMajor)
}

// firstBytes waits for what the client says first, without a deadline, and checks it. The error is a [*helloError] when it is refused.
func (a *attempt) firstBytes() ([]byte, error) {
	first := make([]byte, 1<<10)
	n, err := a.agent.Read(first)
	first = first[:n]
	if !beginsLikeTLS(first) {
		if errors.Is(err, io.EOF) {
			err = nil // a client that only listens
		}
		return first, err
	}
	a.readWithin(a.handshake)
	defer a.readWithin(0)
	in := &prefixed{head: first, r: a.agent}
	hello, head, err := readClientHello(in)
	head = append(head, in.head...) // what came in one piece with the hello, and was not looked at
	if errors.Is(err, errNotTLS) && !beginsLikeTLS(head) {
		return head, nil
	}
	if asked, reason := a.checkHello(hello, err); reason != "" {
		return nil, &helloError{asked: asked, reason: reason}
	}
	return head, nil
}

// helloError is a ClientHello that was refused after the connection was dialled.
type helloError struct{ asked, reason string }

// Error returns the reason.
func (e *helloError) Error() string { return e.reason }

// checkHello returns why a ClientHello is refused and the server name that it asks for; no reason when it is not.
func (a *attempt) checkHello(hello clientHello, err error) (asked, reason string) {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "", fmt.Sprintf("no complete ClientHello within %s", a.handshake)
	case errors.Is(err, net.ErrClosed):
		return "", "ended in the middle of the ClientHello, to make room for others or because the run ends"
	case errors.Is(err, errNotTLS), errors.Is(err, errHelloSize):
		return "", err.Error()
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "", "the connection ended inside the ClientHello"
	case err != nil:
		return "", "malformed ClientHello"
	case hello.ech:
		return a.asked(hello.serverName), "encrypted ClientHello: the name that it is for cannot be seen"
	case hello.serverName == "" && a.to.name != "":
		return "", "no server name in the ClientHello"
	case hello.serverName != "" && !a.owns(hello.serverName):
		return a.asked(hello.serverName), fmt.Sprintf("server name %q on a connection to %s", hello.serverName, a.host())
	}
	return "", ""
}

// owns reports whether a client that says host on this connection stays with what was decided. On a connection to a literal address,
// which a rule opened, that is the address itself or any name that may be reached at this port.
func (a *attempt) owns(host string) bool {
	name, err := policy.Normalize(host)
	if a.to.name != "" {
		return err == nil && name == a.to.name
	}
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr == a.to.dst.Addr()
	}
	return err == nil && a.policy.Connect(name, a.to.dst.Port()).Verdict != reports.Deny
}

// asked is the form in which a claimed name stands in an event, empty when it is no name.
func (a *attempt) asked(host string) string {
	name, err := policy.Normalize(host)
	if err != nil {
		return ""
	}
	return name
}

// host is the destination without its port.
func (a *attempt) host() string {
	if a.to.name != "" {
		return a.to.name
	}
	return a.to.dst.Addr().String()
}

// forward dials, copies until both sides are done, and records the attempt. first writes what was read of the client already.
func (a *attempt) forward(ctx context.Context, layer reports.Layer, first func(up duplex) error) {
	e := a.event(layer)
	up, addr, err := a.connect(ctx)
	if addr.IsValid() {
		e.Addr = addr.Addr().String()
	}
	if err != nil {
		a.unreached(e, err)
		return
	}
	stop := context.AfterFunc(ctx, func() { abort(up) })
	defer stop()
	err = relay(a.agent, up, &a.traffic, func() error { return first(up) })
	e.BytesIn, e.BytesOut = a.traffic.in.Load(), a.traffic.out.Load()
	if hello, ok := errors.AsType[*helloError](err); ok {
		e.Layer, e.Verdict, e.Rule, e.Reason = reports.LayerTLS, reports.Deny, "", hello.reason
		if hello.asked != "" {
			e.Name = hello.asked
		}
	}
	a.record(e)
}

func (a *attempt) connect(ctx context.Context) (duplex, netip.AddrPort, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	return a.dial(ctx, a.to)
}

// unreached is the end of an allowed connection that came to nothing: its addresses are refused, or nobody answered.
func (a *attempt) unreached(e reports.Event, err error) {
	a.blame(&e, err)
	a.record(e)
	abort(a.agent)
}

// blame writes into an event why its destination was not reached.
func (a *attempt) blame(e *reports.Event, err error) {
	if refused, ok := errors.AsType[*refusedError](err); ok {
		e.Verdict, e.Rule, e.Reason = reports.Deny, refused.verdict.Rule, refused.Error()
		e.Addr = refused.addr.String()
		return
	}
	why := reports.NotReached + err.Error()
	if e.Reason != "" {
		why = e.Reason + "; " + why
	}
	e.Reason = why
}

func (a *attempt) write(up duplex, head []byte) error {
	n, err := up.Write(head)
	a.traffic.out.Add(int64(n))
	return err
}

// prefixed reads head, then r.
type prefixed struct {
	head []byte
	r    io.Reader
}

// Read implements [io.Reader].
func (p *prefixed) Read(b []byte) (int, error) {
	if len(p.head) == 0 {
		return p.r.Read(b)
	}
	n := copy(b, p.head)
	p.head = p.head[n:]
	return n, nil
}
