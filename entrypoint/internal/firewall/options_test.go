package firewall

import (
	"encoding/binary"
	"net"
	"net/netip"
	"os"
	"testing"

	"github.com/yolo-run/yolo-run/entrypoint/internal/firewall/firewalltest"
	"golang.org/x/sys/unix"
)

// socketOption is what a program without privilege may ask of a socket before it sends: options that choose a device, a source or a route.
type socketOption struct {
	name string
	set  control
}

func socketOptions(device int) []socketOption {
	number := func(level, name, value int) control {
		return func(fd int) error { return unix.SetsockoptInt(fd, level, name, value) }
	}
	bigEndian := int(binary.NativeEndian.Uint32(binary.BigEndian.AppendUint32(nil, uint32(device))))
	return []socketOption{
		{"none", func(int) error { return nil }},
		{"device eth0", boundTo("eth0")},
		{"device lo", boundTo("lo")},
		{"unicast interface", number(unix.IPPROTO_IP, unix.IP_UNICAST_IF, bigEndian)},
		{"multicast interface", func(fd int) error {
			return unix.SetsockoptIPMreqn(fd, unix.IPPROTO_IP, unix.IP_MULTICAST_IF, &unix.IPMreqn{Ifindex: int32(device)})
		}},
		{"no route", number(unix.SOL_SOCKET, unix.SO_DONTROUTE, 1)},
		{"broadcast", number(unix.SOL_SOCKET, unix.SO_BROADCAST, 1)},
		{"source eth0", from(firewalltest.InsideAddr + ":0")},
		{"source loopback", from("127.0.0.1:0")},
		{"source of the gateway", from(LookupSource + ":0")},
		{"source of the resolver", from(EngineResolver + ":0")},
		{"source of somebody else", func(fd int) error {
			if err := unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_FREEBIND, 1); err != nil {
				return err
			}
			return from(firewalltest.ServerAddr + ":0")(fd)
		}},
		{"source route", sourceRoute("\xc6\x33\x64\x01")},
		{"source route by loopback", sourceRoute("\x7f\x00\x00\x01")},
		{"priority", number(unix.SOL_SOCKET, unix.SO_PRIORITY, 6)},
		{"type of service", number(unix.IPPROTO_IP, unix.IP_TOS, 0xe0)},
	}
}

// sourceRoute is a loose one (RFC 791, 3.1) with one hop.
func sourceRoute(hop string) control {
	return func(fd int) error {
		return unix.SetsockoptString(fd, unix.IPPROTO_IP, unix.IP_OPTIONS, "\x83\x07\x04"+hop+"\x00")
	}
}

// Whatever option a socket has, and wherever it sends by whichever protocol, not a packet leaves.
func TestNoSocketOptionLeadsOut(t *testing.T) {
	if !firewalltest.Isolated(t) {
		return
	}
	if err := os.WriteFile("/proc/sys/net/ipv4/ping_group_range", []byte("0 0"), 0); err != nil { // as engines open it
		t.Log(err)
	}
	c := newClosed(t)
	eth0, err := net.InterfaceByName("eth0")
	if err != nil {
		t.Fatal(err)
	}
	sockets := map[string][2]int{
		"tcp": {unix.SOCK_STREAM, unix.IPPROTO_TCP}, "udp": {unix.SOCK_DGRAM, unix.IPPROTO_UDP}, "ping": {unix.SOCK_DGRAM, unix.IPPROTO_ICMP},
		"multipath tcp": {unix.SOCK_STREAM, unix.IPPROTO_MPTCP}, "udplite": {unix.SOCK_DGRAM, unix.IPPROTO_UDPLITE},
		"sctp": {unix.SOCK_STREAM, unix.IPPROTO_SCTP},
	}
	var targets []netip.AddrPort
	for _, addr := range []string{
		firewalltest.OutsideAddr, firewalltest.ServerAddr, "203.0.113.9", "198.18.0.1", "198.51.100.255", "255.255.255.255", "224.0.0.251",
		"127.0.0.1", firewalltest.InsideAddr, EngineResolver, LookupSource, "0.0.0.0",
	} {
		for _, port := range []uint16{53, 443, 9999} {
			targets = append(targets, netip.AddrPortFrom(netip.MustParseAddr(addr), port))
		}
	}
	tried := 0
	for name, kind := range sockets {
		for _, option := range socketOptions(eth0.Index) {
			for _, to := range targets {
				ok, err := attempt(kind, option, to)
				if err != nil { // not every kernel has every protocol
					t.Logf("%s: %v", name, err)
					break
				}
				if ok {
					tried++
				}
			}
		}
	}
	t.Logf("%d attempts", tried)
	c.nothingLeft(t)
}

// attempt connects, writes and sends; false where the kernel does not take the option.
func attempt(kind [2]int, option socketOption, to netip.AddrPort) (bool, error) {
	fd, err := unix.Socket(unix.AF_INET, kind[0]|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, kind[1])
	if err != nil {
		return false, err
	}
	defer func() { _ = unix.Close(fd) }()
	if option.set(fd) != nil {
		return false, nil
	}
	const echo = "\x08\x00\x00\x00\x00\x00\x00\x01" // for a ping socket
	sa := &unix.SockaddrInet4{Addr: to.Addr().As4(), Port: int(to.Port())}
	if unix.Connect(fd, sa) == nil {
		_, _ = unix.Write(fd, []byte(echo))
	}
	_ = unix.Sendto(fd, []byte(echo), unix.MSG_DONTROUTE, sa)
	return true, nil
}
