package model

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"net"
	"net/netip"
	"sync"

	"github.com/yolo-run/yolo-run/reports"
)

func tlsConfig(roots *x509.CertPool) *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots}
}

// silent drops what net/http has to say about broken connections: it would be the agent's text on the gateway's standard error.
func silent() *log.Logger { return log.New(io.Discard, "", 0) }

// limitedListener refuses connections over a limit instead of leaving them waiting.
type limitedListener struct {
	net.Listener
	places chan struct{}
	refuse func(net.Conn)
}

// Accept returns the next connection that has a place.
func (l *limitedListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		select {
		case l.places <- struct{}{}:
			return &placedConn{Conn: conn, leave: sync.OnceFunc(func() { <-l.places })}, nil
		default:
			l.refuse(conn)
			_ = conn.Close()
		}
	}
}

// placedConn gives its place back when it is closed.
type placedConn struct {
	net.Conn
	leave func()
}

// Close closes the connection.
func (c *placedConn) Close() error {
	defer c.leave()
	return c.Conn.Close()
}

// refuseFull does not look for the process: that would let a flood of connections stop the listener.
func (s *Server) refuseFull(conn net.Conn) {
	local := addrPort(conn.LocalAddr())
	s.cfg.Record(reports.Event{
		Verdict: reports.Deny, Layer: reports.LayerModel, Proto: "tcp", Addr: local.Addr().String(), Port: int(local.Port()),
		Reason: "too many connections to the models at once",
	})
}

// processKey finds the process behind a connection in the context of its requests.
type processKey struct{}

// attribute looks for the process once for each connection, at its first request.
func (s *Server) attribute(ctx context.Context, conn net.Conn) context.Context {
	local, remote := addrPort(conn.RemoteAddr()), addrPort(conn.LocalAddr()) // the agent's side is the connection's remote one
	find := sync.OnceValue(func() *reports.Process {
		if s.cfg.Process == nil {
			return nil
		}
		return s.cfg.Process(local, remote)
	})
	return context.WithValue(ctx, processKey{}, find)
}

func processOf(ctx context.Context) func() *reports.Process {
	find, ok := ctx.Value(processKey{}).(func() *reports.Process)
	if !ok {
		return func() *reports.Process { return nil }
	}
	return find
}

func addrPort(a net.Addr) netip.AddrPort {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	ap := tcp.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

// serving counts requests that are under way. After its end there is none, and none begins.
type serving struct {
	mu    sync.Mutex
	ended bool
	group sync.WaitGroup
}

func (s *Server) enter() bool {
	s.serving.mu.Lock()
	defer s.serving.mu.Unlock()
	if s.serving.ended {
		return false
	}
	s.serving.group.Add(1)
	return true
}

func (s *Server) leave() { s.serving.group.Done() }

func (g *serving) end() {
	g.mu.Lock()
	g.ended = true
	g.mu.Unlock()
	g.group.Wait()
}
