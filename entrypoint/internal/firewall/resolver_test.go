package firewall

import (
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"testing"
	"time"

	"github.com/yolo-run/yolo-run/entrypoint/internal/firewall/firewalltest"
)

// engineResolver stands in for Docker's embedded DNS: a socket on 127.0.0.11 at a port of its own, and the rules that lead port 53 there.
func engineResolver(t *testing.T) *net.UDPConn {
	t.Helper()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 11)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	port := conn.LocalAddr().(*net.UDPAddr).Port
	runIptables(t, "-t", "nat", "-N", "DOCKER_OUTPUT")
	runIptables(t, "-t", "nat", "-N", "DOCKER_POSTROUTING")
	runIptables(t, "-t", "nat", "-A", "OUTPUT", "-d", "127.0.0.11", "-j", "DOCKER_OUTPUT")
	runIptables(t, "-t", "nat", "-A", "POSTROUTING", "-d", "127.0.0.11", "-j", "DOCKER_POSTROUTING")
	runIptables(t, "-t", "nat", "-A", "DOCKER_OUTPUT", "-d", "127.0.0.11", "-p", "udp", "--dport", "53",
		"-j", "DNAT", "--to-destination", fmt.Sprintf("127.0.0.11:%d", port))
	runIptables(t, "-t", "nat", "-A", "DOCKER_POSTROUTING", "-s", "127.0.0.11", "-p", "udp", "--sport", fmt.Sprint(port), "-j", "SNAT", "--to-source", ":53")
	return conn
}

// lookup asks 127.0.0.11:53 as the gateway does and returns the answer.
func lookup(t *testing.T, resolver *net.UDPConn) (string, error) {
	t.Helper()
	conn, err := dialer(marked, from(LookupSource+":0")).Dial("udp4", EngineResolver+":53")
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close() }()
	if _, err := conn.Write([]byte("question")); err != nil {
		return "", err
	}
	buf := make([]byte, 64)
	_ = resolver.SetReadDeadline(time.Now().Add(10 * time.Second))
	n, client, err := resolver.ReadFromUDPAddrPort(buf)
	if err != nil {
		return "", fmt.Errorf("the question did not reach the resolver: %w", err)
	}
	if _, err := resolver.WriteToUDPAddrPort(append([]byte("to "), buf[:n]...), client); err != nil {
		return "", err
	}
	_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	n, err = conn.Read(buf)
	return string(buf[:n]), err
}

func TestTheEnginesResolverServesTheGatewayOnly(t *testing.T) {
	if !firewalltest.Isolated(t) {
		return
	}
	var resolver *net.UDPConn
	c := newClosed(t, func() { resolver = engineResolver(t) })
	if answer, err := lookup(t, resolver); err != nil || answer != "to question" {
		t.Errorf("the gateway's lookup: %q, %v", answer, err)
	}
	c.answers(t, "127.0.0.11:53") // the agent's come to our DNS

	raw := resolver.LocalAddr().(*net.UDPAddr).AddrPort()
	_ = send("udp4", raw.String())
	c.refused(t, ProtoUDP, raw)
	_ = resolver.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if n, from, err := resolver.ReadFrom(make([]byte, 64)); err == nil {
		t.Errorf("the resolver got %d bytes from %v", n, from)
	}
	if err := c.Verify(t.Context()); err != nil {
		t.Error(err)
	}
}

// The agent binds 127.0.0.11:53, which the engine's resolver does not hold, and sends to every port that the gateway may ask from,
// so that conntrack takes the gateway's next question for the reply.
func TestTheAgentCannotBecomeTheResolver(t *testing.T) {
	if !firewalltest.Isolated(t) {
		return
	}
	var resolver *net.UDPConn
	c := newClosed(t, func() { resolver = engineResolver(t) })
	agent, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 11), Port: 53})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = agent.Close() }()
	target := netip.MustParseAddr(LookupSource)
	const seeds = 28232
	for port := range seeds {
		_, _ = agent.WriteToUDPAddrPort([]byte("seed"), netip.AddrPortFrom(target, uint16(32768+port)))
	}
	if n := c.counters(t); n.Denied != seeds {
		t.Errorf("%d of %d seeds were denied", n.Denied, seeds)
	}
	for range 100 {
		if answer, err := lookup(t, resolver); err != nil || answer != "to question" {
			t.Fatalf("the gateway's lookup: %q, %v", answer, err)
		}
	}
	_ = agent.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if n, from, err := agent.ReadFrom(make([]byte, 64)); err == nil {
		t.Errorf("the agent got %d bytes from %v", n, from)
	}
}

// Redirects of the agent's own questions stay in conntrack for half a minute; the gateway's questions to the same resolver from any
// port must not follow them.
func TestStaleRedirectsDoNotCaptureTheGateway(t *testing.T) {
	if !firewalltest.Isolated(t) {
		return
	}
	c := newClosed(t)
	var resolver *net.UDPConn
	c.outside.Do(func() {
		var err error
		if resolver, err = net.ListenUDP("udp4", &net.UDPAddr{IP: net.ParseIP(firewalltest.OutsideAddr), Port: 53}); err != nil {
			t.Error(err)
		}
	})
	defer func() { _ = resolver.Close() }()
	const ports = 200
	for port := range ports {
		if err := send("udp4", firewalltest.OutsideAddr+":53", from(fmt.Sprintf("%s:%d", firewalltest.InsideAddr, 40000+port))); err != nil {
			t.Fatal(err)
		}
	}
	for port := range ports {
		if err := send("udp4", firewalltest.OutsideAddr+":53", marked, from(fmt.Sprintf("%s:%d", firewalltest.InsideAddr, 40000+port))); err != nil {
			t.Fatalf("the gateway's lookup from port %d: %v", 40000+port, err)
		}
		_ = resolver.SetReadDeadline(time.Now().Add(10 * time.Second))
		if _, _, err := resolver.ReadFrom(make([]byte, 64)); err != nil {
			t.Fatalf("the gateway's lookup from port %d was captured: %v", 40000+port, err)
		}
	}
}

// Rules of two back ends in one namespace are both in force and do not see each other.
func TestTheEnginesBackEndIsOurs(t *testing.T) {
	if !firewalltest.Isolated(t) {
		return
	}
	c := newClosed(t, func() {
		for _, args := range [][]string{
			{"-N", "DOCKER_OUTPUT"},
			{"-A", "OUTPUT", "-d", "127.0.0.11", "-j", "DOCKER_OUTPUT"},
			{"-A", "DOCKER_OUTPUT", "-d", "127.0.0.11", "-p", "udp", "--dport", "53", "-j", "DNAT", "--to-destination", "127.0.0.11:40000"},
		} {
			cmd := exec.CommandContext(t.Context(), "iptables-legacy", append([]string{"-t", "nat"}, args...)...)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v: %v\n%s", cmd.Args, err, out)
			}
		}
	})
	if c.Backend() != legacy {
		t.Fatalf("applied with %s", c.Backend())
	}
	c.answers(t, "127.0.0.11:53")
	if err := send("udp4", "198.51.100.1:9"); err == nil {
		t.Error("UDP was sent")
	}
	c.refused(t, ProtoUDP, netip.MustParseAddrPort("198.51.100.1:9"))
	c.nothingLeft(t)
	if n := c.counters(t); n.Denied != 1 {
		t.Errorf("counters %+v, want 1 denied", n)
	}
}

func TestRefusedPacketsAreReadAtOnce(t *testing.T) {
	if !firewalltest.Isolated(t) {
		return
	}
	c := newClosed(t)
	var worst, sum time.Duration
	const packets = 100
	for port := range packets {
		addr := netip.AddrPortFrom(netip.MustParseAddr("198.51.100.1"), uint16(1000+port))
		start := time.Now()
		_ = send("udp4", addr.String())
		c.refused(t, ProtoUDP, addr)
		took := time.Since(start)
		sum, worst = sum+took, max(worst, took)
	}
	t.Logf("from send to reader: mean %v, worst %v", sum/packets, worst)
	if sum/packets > 50*time.Millisecond {
		t.Errorf("mean %v: packets wait in the kernel", sum/packets)
	}
}
