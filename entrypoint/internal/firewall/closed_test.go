package firewall

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
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
	cfg := testConfig()
	cfg.DNSPort, cfg.ProxyPort = uint16(port), uint16(c.proxy.Addr().(*net.TCPAddr).Port)

	start := time.Now()
	backend, err := Open()
	if err != nil {
		t.Fatal(err)
	}
	if c.Firewall, err = backend.Apply(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	if backend.NeedsRaw() != (c.Backend() == legacy) {
		t.Errorf("with %s the programs need CAP_NET_RAW: %v", c.Backend(), backend.NeedsRaw())
	}
	t.Logf("Apply: %d rules with %s in %v", c.Rules(), c.Backend(), time.Since(start).Round(time.Millisecond))
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
	deadline := time.After(10 * time.Second)
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
	if out, err := exec.CommandContext(t.Context(), "iptables-nft", args...).CombinedOutput(); err != nil {
		t.Fatalf("iptables %v: %v\n%s", args, err, out)
	}
}
