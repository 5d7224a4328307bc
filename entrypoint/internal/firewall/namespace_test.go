package firewall

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/yolo-run/yolo-run/entrypoint/internal/firewall/firewalltest"
	"golang.org/x/sys/unix"
)

// closed is a network namespace with the rules applied to it, stand-ins for the gateway's listeners, and a reader of refused packets.
type closed struct {
	*Firewall
	outside *firewalltest.Outside
	sniffer *firewalltest.Sniffer
	packets chan Packet
	log     *Log
	dns     *net.UDPConn
	dnsTCP  net.Listener
	proxy   net.Listener
}

// newClosed also takes what has to be there before the rules.
func newClosed(t *testing.T, before ...func()) *closed {
	t.Helper()
	c := &closed{outside: firewalltest.NewOutside(t), packets: make(chan Packet, 1024)}
	for _, fn := range before {
		fn()
	}
	var err error
	if c.dns, err = net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}); err != nil {
		t.Fatal(err)
	}
	port := c.dns.LocalAddr().(*net.UDPAddr).Port
	c.dnsTCP = listen(t, fmt.Sprintf("127.0.0.1:%d", port))
	c.proxy = listen(t, "127.0.0.1:0")
	t.Cleanup(func() { _ = c.dns.Close() })
	cfg := Config{DNSPort: uint16(port), ProxyPort: uint16(c.proxy.Addr().(*net.TCPAddr).Port)}

	start := time.Now()
	if c.Firewall, err = Apply(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	t.Logf("Apply: %d rules with %s in %v; IPv6: %s", c.Rules(), c.Backend(), time.Since(start).Round(time.Millisecond), c.IPv6())
	if c.log, err = Listen(t.Context(), func(p Packet) { c.packets <- p }); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.log.Close(); err != nil {
			t.Error(err)
		}
	})
	c.sniffer = c.outside.Sniff()
	return c
}

func listen(t *testing.T, addr string) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp4", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// refused waits for the NFLOG message of an attempt on dst.
func (c *closed) refused(t *testing.T, proto int, dst netip.AddrPort) Packet {
	t.Helper()
	deadline := time.After(2 * time.Second)
	for {
		select {
		case p := <-c.packets:
			if p.Proto == proto && p.Dst == dst && p.Prefix == Prefix {
				return p
			}
		case <-deadline:
			t.Fatalf("no NFLOG message for protocol %d to %v", proto, dst)
		}
	}
}

func (c *closed) counters(t *testing.T) Counters {
	t.Helper()
	n, err := c.Counters(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// nothingLeft sends a marked packet, which must arrive outside, and checks that nothing else did before it.
func (c *closed) nothingLeft(t *testing.T) {
	t.Helper()
	before := len(c.sniffer.Packets())
	if err := send("udp4", firewalltest.OutsideAddr+":4242", marked); err != nil {
		t.Fatalf("the gateway's own packet: %v", err)
	}
	c.sniffer.Wait(t, func(p firewalltest.Packet) bool { return p.DstPort == 4242 })
	for _, p := range c.sniffer.Packets()[:before] {
		t.Errorf("left: %+v", p)
	}
}

// control is a socket option to be set before use.
type control = func(fd int) error

func marked(fd int) error { return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_MARK, Mark) }

func boundTo(device string) control {
	return func(fd int) error { return unix.SetsockoptString(fd, unix.SOL_SOCKET, unix.SO_BINDTODEVICE, device) }
}

func from(addr string) control {
	return func(fd int) error {
		a := netip.MustParseAddrPort(addr)
		return unix.Bind(fd, &unix.SockaddrInet4{Addr: a.Addr().As4(), Port: int(a.Port())})
	}
}

func dialer(controls ...control) *net.Dialer {
	return &net.Dialer{Timeout: 2 * time.Second, Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		if raw := c.Control(func(fd uintptr) {
			for _, set := range controls {
				err = errors.Join(err, set(int(fd)))
			}
		}); raw != nil {
			return raw
		}
		return err
	}}
}

// send connects, and for datagrams sends one and reads what comes back at once: nil when the kernel took it.
func send(network, addr string, controls ...control) error {
	conn, err := dialer(controls...).DialContext(context.Background(), network, addr)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	_, err = conn.Write([]byte("attempt"))
	return err
}

func runIptables(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.Command("iptables-nft", args...).CombinedOutput(); err != nil {
		t.Fatalf("iptables %v: %v\n%s", args, err, out)
	}
}

func TestNothingLeavesWithoutTheMark(t *testing.T) {
	if !firewalltest.Isolated(t) {
		return
	}
	c := newClosed(t)
	tests := []struct {
		name     string
		network  string
		addr     string
		proto    int
		controls []control
	}{
		{"UDP", "udp4", "198.51.100.1:9999", ProtoUDP, nil},
		{"QUIC", "udp4", "198.51.100.1:443", ProtoUDP, nil},
		{"UDP beyond the next hop", "udp4", "198.51.100.77:123", ProtoUDP, nil},
		{"multicast", "udp4", "224.0.0.251:5353", ProtoUDP, nil},
		{"UDP on the loopback device", "udp4", "198.51.100.1:9998", ProtoUDP, []control{boundTo("lo")}},
		{"TCP on the engine's resolver", "tcp4", "127.0.0.11:41234", ProtoTCP, nil},
		{"UDP on the engine's resolver", "udp4", "127.0.0.11:41234", ProtoUDP, nil},
		{"UDP posing as the resolver", "udp4", "127.0.0.1:9", ProtoUDP, []control{from("127.0.0.11:53")}},
		{"UDP posing as the gateway", "udp4", "127.0.0.1:10", ProtoUDP, []control{from("127.83.0.1:5300")}},
		{"UDP to the gateway's source", "udp4", "127.83.0.1:5301", ProtoUDP, nil},
		{"TCP posing as the resolver", "tcp4", "127.0.0.1:11", ProtoTCP, []control{from("127.0.0.11:54")}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			before := c.counters(t)
			start := time.Now()
			err := send(test.network, test.addr, test.controls...)
			took := time.Since(start)
			p := c.refused(t, test.proto, netip.MustParseAddrPort(test.addr))
			if test.proto == ProtoTCP && err == nil {
				t.Error("connected")
			}
			if took > 500*time.Millisecond {
				t.Errorf("refused only after %v (%v)", took, err)
			}
			if !p.HasUID || p.UID != 0 {
				t.Errorf("owner %v %v, want 0", p.UID, p.HasUID)
			}
			after := c.counters(t)
			if after.Denied-before.Denied != 1 || after.Stray != before.Stray {
				t.Errorf("counters %+v, then %+v", before, after)
			}
		})
	}
	c.nothingLeft(t)
}

func TestICMPAndOtherProtocolsAreAttempts(t *testing.T) {
	if !firewalltest.Isolated(t) {
		return
	}
	c := newClosed(t)
	for _, proto := range []string{"ip4:icmp", "ip4:132", "ip4:253"} { // SCTP, experimental
		_ = send(proto, "198.51.100.1") // how the kernel says no differs
		number := map[string]int{"ip4:icmp": ProtoICMP, "ip4:132": 132, "ip4:253": 253}[proto]
		deadline := time.After(2 * time.Second)
		select {
		case p := <-c.packets:
			if p.Proto != number || p.Dst.Addr().String() != "198.51.100.1" {
				t.Errorf("%s: got %+v", proto, p)
			}
		case <-deadline:
			t.Errorf("%s: no NFLOG message", proto)
		}
	}
	if n := c.counters(t); n.Denied != 3 {
		t.Errorf("counters %+v, want 3 denied", n)
	}
	c.nothingLeft(t)
}

func TestConnectionsAndQuestionsComeToTheGateway(t *testing.T) {
	if !firewalltest.Isolated(t) {
		return
	}
	c := newClosed(t)
	for _, addr := range []string{"198.51.100.1:443", "198.51.100.77:22", "198.18.0.1:5432", "203.0.113.9:1"} {
		conn, err := dialer().Dial("tcp4", addr)
		if err != nil {
			t.Fatalf("%s: %v", addr, err)
		}
		accepted, err := c.proxy.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if got := originalDestination(t, accepted); got != addr {
			t.Errorf("the proxy sees %s, want %s", got, addr)
		}
		if accepted.RemoteAddr().String() != conn.LocalAddr().String() {
			t.Errorf("the proxy sees the client %v, it is %v", accepted.RemoteAddr(), conn.LocalAddr())
		}
		_, _ = conn.Close(), accepted.Close()
	}
	for _, addr := range []string{"198.51.100.1:53", "127.0.0.11:53", "127.0.0.1:53", "8.8.8.8:53"} {
		c.answers(t, addr)
		conn, err := dialer().Dial("tcp4", addr)
		if err != nil {
			t.Fatalf("%s over TCP: %v", addr, err)
		}
		accepted, err := c.dnsTCP.Accept()
		if err != nil {
			t.Fatal(err)
		}
		_, _ = conn.Close(), accepted.Close()
	}
	if n := c.counters(t); n.Denied != 0 {
		t.Errorf("counters %+v: allowed calls count as denied", n)
	}
	c.nothingLeft(t)
}

// answers asks our stand-in for the DNS and gets the answer from the address that it asked.
func (c *closed) answers(t *testing.T, addr string) {
	t.Helper()
	conn, err := dialer().Dial("udp4", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	buf := make([]byte, 64)
	if _, err := conn.Write([]byte("question")); err != nil {
		t.Fatalf("%s: %v", addr, err)
	}
	_ = c.dns.SetReadDeadline(time.Now().Add(2 * time.Second))
	n, client, err := c.dns.ReadFromUDPAddrPort(buf)
	if err != nil || string(buf[:n]) != "question" {
		t.Fatalf("%s: the DNS got %q, %v", addr, buf[:n], err)
	}
	if _, err := c.dns.WriteToUDPAddrPort([]byte("answer"), client); err != nil {
		t.Fatal(err)
	}
	_ = conn.SetReadDeadline(time.Now().Add(2 * time.Second))
	if n, err = conn.Read(buf); err != nil || string(buf[:n]) != "answer" {
		t.Fatalf("%s: answer %q, %v", addr, buf[:n], err)
	}
}

func originalDestination(t *testing.T, conn net.Conn) string {
	t.Helper()
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var req *unix.IPv6Mreq // as large as a sockaddr_in
	if e := raw.Control(func(fd uintptr) { req, err = unix.GetsockoptIPv6Mreq(int(fd), unix.SOL_IP, unix.SO_ORIGINAL_DST) }); e != nil || err != nil {
		t.Fatal(e, err)
	}
	b := req.Multiaddr
	return fmt.Sprintf("%d.%d.%d.%d:%d", b[4], b[5], b[6], b[7], int(b[2])<<8|int(b[3]))
}

func TestLoopbackIsOpenBetweenTheAgentsProcesses(t *testing.T) {
	if !firewalltest.Isolated(t) {
		return
	}
	c := newClosed(t)
	for _, addr := range []string{"127.0.0.1:0", "127.1.2.3:0", firewalltest.InsideAddr + ":0"} {
		l := listen(t, addr)
		if err := send("tcp4", l.Addr().String()); err != nil {
			t.Errorf("TCP %v: %v", l.Addr(), err)
		}
		u, err := net.ListenPacket("udp4", addr)
		if err != nil {
			t.Fatal(err)
		}
		if err := send("udp4", u.LocalAddr().String()); err != nil {
			t.Errorf("UDP %v: %v", u.LocalAddr(), err)
		}
		_ = u.SetReadDeadline(time.Now().Add(2 * time.Second))
		if _, _, err := u.ReadFrom(make([]byte, 64)); err != nil {
			t.Errorf("UDP %v: %v", u.LocalAddr(), err)
		}
		_ = u.Close()
	}
	// A port that nobody listens on is refused by its owner, not by us.
	if err := send("tcp4", "127.0.0.1:1"); !errors.Is(err, unix.ECONNREFUSED) {
		t.Errorf("got %v", err)
	}
	if n := c.counters(t); n.Denied != 0 {
		t.Errorf("counters %+v", n)
	}
}

func TestNeighboursCannotReachIn(t *testing.T) {
	if !firewalltest.Isolated(t) {
		return
	}
	outsideDials := func(o *firewalltest.Outside, addr string, timeout time.Duration) (err error) {
		o.Do(func() {
			d := dialer()
			d.Timeout = timeout
			var conn net.Conn
			if conn, err = d.Dial("tcp4", addr); err == nil {
				_ = conn.Close()
			}
		})
		return err
	}
	c := newClosed(t)
	l := listen(t, "0.0.0.0:8080")
	if err := outsideDials(c.outside, firewalltest.InsideAddr+":8080", 300*time.Millisecond); err == nil {
		t.Error("a neighbour connected")
	}
	runIptables(t, "-I", "INPUT", "1", "-p", "tcp", "--dport", "8080", "-j", "ACCEPT")
	runIptables(t, "-I", "OUTPUT", "1", "-p", "tcp", "--sport", "8080", "-j", "ACCEPT")
	if err := outsideDials(c.outside, firewalltest.InsideAddr+":8080", 2*time.Second); err != nil {
		t.Errorf("control: with the port opened: %v", err)
	}
	_ = l.Close()
	if err := c.Verify(t.Context()); err == nil || !strings.Contains(err.Error(), "INPUT") && !strings.Contains(err.Error(), "OUTPUT") {
		t.Errorf("Verify does not see the opened port: %v", err)
	}
}

func TestRepliesToTheGatewayComeIn(t *testing.T) {
	if !firewalltest.Isolated(t) {
		return
	}
	c := newClosed(t)
	var l net.Listener
	c.outside.Do(func() { l = listen(t, firewalltest.OutsideAddr+":443") })
	if err := send("tcp4", firewalltest.OutsideAddr+":443", marked); err != nil {
		t.Errorf("the gateway's own connection: %v", err)
	}
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 16)
	if n, err := conn.Read(buf); err != nil || string(buf[:n]) != "attempt" {
		t.Errorf("got %q, %v", buf[:n], err)
	}
	_ = conn.Close()
}

func TestStraysAreNoAttempts(t *testing.T) {
	if !firewalltest.Isolated(t) {
		return
	}
	c := newClosed(t)
	// A reset without a connection: 20 bytes of TCP header from port 5000 to 443 with the RST flag.
	reset := []byte{0x13, 0x88, 0x01, 0xbb, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 0x04, 0, 0, 0, 0, 0, 0}
	conn, err := dialer().Dial("ip4:tcp", "198.51.100.1")
	if err != nil {
		t.Fatal(err)
	}
	_, _ = conn.Write(reset)
	_ = conn.Close()
	if n := c.counters(t); n.Denied != 0 || n.Stray != 1 {
		t.Errorf("after a reset: %+v", n)
	}
	if err := send("ip4:2", "224.0.0.22"); err == nil { // an IGMP report, as the kernel sends it when a process joins a group
		t.Error("IGMP was sent")
	}
	if n := c.counters(t); n.Denied != 0 || n.Stray != 2 {
		t.Errorf("after an IGMP report: %+v", n)
	}
	c.nothingLeft(t)
}
