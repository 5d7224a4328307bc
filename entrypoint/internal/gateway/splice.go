package gateway

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
)

// duplex is a connection whose two directions end separately. A *net.TCPConn is one, and so is a *tls.Conn.
type duplex interface {
	net.Conn
	CloseWrite() error
}

var _ duplex = (*net.TCPConn)(nil)

// traffic counts what passed. Its fields are read while the directions still run.
type traffic struct {
	in, out atomic.Int64 // to the agent, from the agent
}

// relay copies both ways until both directions ended, and closes both connections. first writes what the agent's side has to say
// before the rest is copied. An end is handed on as an end and a reset as a reset, so that neither side takes half for the whole.
// Between TCP connections the kernel moves the bytes (splice(2), through io.Copy).
func relay(agent, upstream duplex, t *traffic, first func() error) error {
	var once sync.Once
	var fault error
	fail := func(err error) {
		once.Do(func() { fault = err })
		abort(agent)
		abort(upstream)
	}
	var down sync.WaitGroup
	down.Go(func() {
		if err := copyHalf(agent, upstream, &t.in); err != nil {
			fail(err)
		}
	})
	err := first()
	if err == nil {
		err = copyHalf(upstream, agent, &t.out)
	}
	if err != nil {
		fail(err)
	}
	down.Wait()
	_ = agent.Close()
	_ = upstream.Close()
	return fault
}

// copyHalf moves one direction to its end and hands the end on.
func copyHalf(dst, src duplex, n *atomic.Int64) error {
	moved, err := io.Copy(dst, src)
	n.Add(moved)
	if err != nil {
		return err
	}
	return dst.CloseWrite()
}

// abort closes a connection with a reset: nothing that is still queued is sent, and the other side sees an error, not an end.
func abort(conn net.Conn) {
	if l, ok := conn.(interface{ SetLinger(seconds int) error }); ok {
		_ = l.SetLinger(0)
	}
	_ = conn.Close()
}
