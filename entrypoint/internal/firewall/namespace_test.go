package firewall

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/yolo-run/yolo-run/entrypoint/internal/firewall/firewalltest"
	"golang.org/x/sys/unix"
)

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
			if took > time.Second { // without a refusal it would be the two of send
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
		deadline := time.After(10 * time.Second)
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
	_ = c.dns.SetReadDeadline(time.Now().Add(10 * time.Second))
	n, client, err := c.dns.ReadFromUDPAddrPort(buf)
	if err != nil || string(buf[:n]) != "question" {
		t.Fatalf("%s: the DNS got %q, %v", addr, buf[:n], err)
	}
	if _, err := c.dns.WriteToUDPAddrPort([]byte("answer"), client); err != nil {
		t.Fatal(err)
	}
	_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
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

func TestSyntheticAddressesNeedNoWayOut(t *testing.T) {
	if !firewalltest.Isolated(t) {
		return
	}
	c := newClosed(t, func() {
		if out, err := exec.CommandContext(t.Context(), "ip", "route", "del", "default").CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	})
	if err := send("udp4", "203.0.113.9:1"); !errors.Is(err, unix.ENETUNREACH) {
		t.Errorf("control: there is still a way out: %v", err)
	}
	conn, err := dialer().Dial("tcp4", "198.18.0.7:5432")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	accepted, err := c.proxy.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = accepted.Close() }()
	if got := originalDestination(t, accepted); got != "198.18.0.7:5432" {
		t.Errorf("the proxy sees %s", got)
	}
	if err := send("udp4", "198.18.0.7:443"); err == nil {
		t.Error("UDP to a synthetic address was sent")
	}
	c.refused(t, ProtoUDP, netip.MustParseAddrPort("198.18.0.7:443"))
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
		_ = u.SetReadDeadline(time.Now().Add(10 * time.Second))
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
	runIptables(t, "-t", "mangle", "-I", "POSTROUTING", "1", "-p", "tcp", "--sport", "8080", "-j", "ACCEPT")
	if err := outsideDials(c.outside, firewalltest.InsideAddr+":8080", 10*time.Second); err != nil {
		t.Errorf("control: with the port opened: %v", err)
	}
	_ = l.Close()
	if err := c.Verify(t.Context()); err == nil || !strings.Contains(err.Error(), "INPUT") && !strings.Contains(err.Error(), "OUTPUT") && !strings.Contains(err.Error(), "POSTROUTING") {
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

// A socket that is bound to a device stays with it: after a redirect to 127.0.0.1 its packets would leave by that device, with that address.
func TestRedirectsLeaveByNoDevice(t *testing.T) {
	if !firewalltest.Isolated(t) {
		return
	}
	c := newClosed(t)
	for _, test := range []struct {
		network, addr string
		proto         int
		to            net.Addr
	}{
		{"udp4", "203.0.113.9:53", ProtoUDP, c.dns.LocalAddr()},
		{"tcp4", "203.0.113.9:53", ProtoTCP, c.dnsTCP.Addr()},
		{"tcp4", "203.0.113.9:443", ProtoTCP, c.proxy.Addr()},
		{"tcp4", "198.18.0.1:443", ProtoTCP, c.proxy.Addr()},
	} {
		before := c.counters(t)
		if err := send(test.network, test.addr, boundTo("eth0")); test.proto == ProtoTCP && err == nil {
			t.Errorf("%s %s: connected", test.network, test.addr)
		}
		c.refused(t, test.proto, netip.MustParseAddrPort(test.to.String()))
		if after := c.counters(t); after.Denied == before.Denied {
			t.Errorf("%s %s: not counted", test.network, test.addr)
		}
	}
	c.nothingLeft(t)
}
