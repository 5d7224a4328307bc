package gateway

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/yolo-run/yolo-run/entrypoint/policy"
	"github.com/yolo-run/yolo-run/reports"
)

// patience is how long a test waits for what must come.
const patience = 10 * time.Second

// logbook is a recorder that tests read from.
type logbook struct{ events chan reports.Event }

func newLogbook() *logbook { return &logbook{events: make(chan reports.Event, 1<<10)} }

func (j *logbook) Record(e reports.Event) { j.events <- e }

func (j *logbook) next(t *testing.T) reports.Event {
	t.Helper()
	select {
	case e := <-j.events:
		return e
	case <-time.After(patience):
		t.Fatal("no event came")
		return reports.Event{}
	}
}

// none asserts that every event was read. Call it when nothing can come any more.
func (j *logbook) none(t *testing.T) {
	t.Helper()
	select {
	case e := <-j.events:
		t.Errorf("one more event: %+v", e)
	default:
	}
}

// curl is the process behind every socket of these tests.
type curl struct{}

func (curl) Process(string, netip.AddrPort, netip.AddrPort) *reports.Process {
	return &reports.Process{PID: 42, Exe: "/usr/bin/curl"}
}

func mustPolicy(t testing.TB, s policy.Spec) *policy.Policy {
	t.Helper()
	p, err := policy.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func listenTCP(t testing.TB) *net.TCPListener {
	t.Helper()
	ln, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln
}

// rig is a proxy whose connections all want to go to one destination, and an upstream that its dials end at.
type rig struct {
	*logbook
	proxy    *proxy
	addr     net.Addr
	upstream *net.TCPListener

	mu      sync.Mutex
	dialled []target
}

// newRig starts a proxy. to is name:port, which gets a synthetic address, or address:port.
func newRig(t testing.TB, spec policy.Spec, to string, adjust ...func(*proxy)) *rig {
	t.Helper()
	r := &rig{logbook: newLogbook(), upstream: listenTCP(t)}
	p := mustPolicy(t, spec)
	pool := newPool(maxNames)
	r.proxy = newProxy(p, pool, newUpstream(upstreamConfig{Policy: p}), r.logbook, curl{})
	dst := destination(t, pool, to)
	r.proxy.original = func(*net.TCPConn) (netip.AddrPort, error) { return dst, nil }
	r.proxy.dial = r.dial
	for _, f := range adjust {
		f(r.proxy)
	}
	ln := listenTCP(t)
	r.addr = ln.Addr()
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- r.proxy.Serve(ctx, ln) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return r
}

func destination(t testing.TB, pool *pool, to string) netip.AddrPort {
	t.Helper()
	if dst, err := netip.ParseAddrPort(to); err == nil {
		return dst
	}
	host, port, err := net.SplitHostPort(to)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		t.Fatal(err)
	}
	addr, ok := pool.addr(host)
	if !ok {
		t.Fatal("the pool is used up")
	}
	return netip.AddrPortFrom(addr, uint16(n))
}

func (r *rig) dial(ctx context.Context, to target) (duplex, netip.AddrPort, error) {
	r.mu.Lock()
	r.dialled = append(r.dialled, to)
	r.mu.Unlock()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", r.upstream.Addr().String())
	if err != nil {
		return nil, netip.AddrPort{}, err
	}
	return conn.(*net.TCPConn), netip.MustParseAddrPort("198.51.100.7:443"), nil
}

func (r *rig) dials() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.dialled)
}

// connect is the agent's side of a new connection.
func (r *rig) connect(t testing.TB) *net.TCPConn {
	t.Helper()
	conn, err := net.Dial("tcp", r.addr.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return conn.(*net.TCPConn)
}

// accept is the upstream's side of it.
func (r *rig) accept(t testing.TB) *net.TCPConn {
	t.Helper()
	if err := r.upstream.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	conn, err := r.upstream.AcceptTCP()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return conn
}

func send(t testing.TB, conn net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
}

func expect(t testing.TB, conn net.Conn, text string) {
	t.Helper()
	got := make([]byte, len(text))
	if n, err := io.ReadFull(conn, got); err != nil || string(got) != text {
		t.Fatalf("read %q, %v; want %q", got[:n], err, text)
	}
}

// expectRefusal asserts that a new connection ends by a reset, which may come as early as in connect(2).
func (r *rig) expectRefusal(t testing.TB) {
	t.Helper()
	conn, err := net.Dial("tcp", r.addr.String())
	if errors.Is(err, syscall.ECONNRESET) {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	expectReset(t, conn)
}

// expectReset asserts that the connection ends by a reset with nothing before it.
func expectReset(t testing.TB, conn net.Conn) {
	t.Helper()
	n, err := conn.Read(make([]byte, 1))
	if n != 0 || !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("read %d octets, %v; want a reset", n, err)
	}
}
