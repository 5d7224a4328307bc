package firewalltest

import (
	"encoding/binary"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func itoa(n int) string { return strconv.Itoa(n) }

// Packet is one IPv4 packet that arrived outside.
type Packet struct {
	Proto    int
	Src, Dst netip.Addr
	DstPort  uint16
}

// Sniffer keeps every IPv4 packet that arrives in the second namespace from inside: the proof that nothing left.
type Sniffer struct {
	file *os.File

	mu   sync.Mutex
	seen []Packet
	more chan struct{} // receives, without blocking the reader, when seen grew
}

// Sniff starts to listen on the outside's end of the veth pair.
func (o *Outside) Sniff() *Sniffer {
	s := &Sniffer{more: make(chan struct{}, 1)}
	var err error
	o.Do(func() { s.file, err = packetSocket("out0") })
	if err != nil {
		o.t.Fatalf("packet socket: %v", err)
	}
	go s.read()
	o.t.Cleanup(func() { _ = s.file.Close() })
	return s
}

func packetSocket(device string) (*os.File, error) {
	iface, err := net.InterfaceByName(device)
	if err != nil {
		return nil, err
	}
	proto := binary.BigEndian.Uint16(binary.NativeEndian.AppendUint16(nil, unix.ETH_P_IP))
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, int(proto))
	if err != nil {
		return nil, err
	}
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: proto, Ifindex: iface.Index}); err != nil {
		_ = syscall.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), "packets on "+device), nil
}

func (s *Sniffer) read() {
	buf := make([]byte, 2048)
	for {
		n, err := s.file.Read(buf)
		if err != nil {
			return
		}
		b := buf[:n]
		if n < 24 || isOutside(netip.AddrFrom4([4]byte(b[12:16]))) { // its own answers
			continue
		}
		header := int(b[0]&15) * 4
		p := Packet{Proto: int(b[9]), Src: netip.AddrFrom4([4]byte(b[12:16])), Dst: netip.AddrFrom4([4]byte(b[16:20]))}
		if (p.Proto == 6 || p.Proto == 17) && n >= header+4 {
			p.DstPort = binary.BigEndian.Uint16(b[header+2:])
		}
		s.mu.Lock()
		s.seen = append(s.seen, p)
		s.mu.Unlock()
		select {
		case s.more <- struct{}{}:
		default:
		}
	}
}

func isOutside(a netip.Addr) bool { return a.String() == OutsideAddr || a.String() == ServerAddr }

// Packets returns what arrived so far.
func (s *Sniffer) Packets() []Packet {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Packet(nil), s.seen...)
}

// Wait returns once a packet arrived for which match is true, or fails the test after ten seconds.
func (s *Sniffer) Wait(t testing.TB, match func(Packet) bool) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	for {
		if slices.ContainsFunc(s.Packets(), match) {
			return
		}
		select {
		case <-s.more:
		case <-deadline:
			t.Fatalf("no such packet arrived outside, only %v", s.Packets())
		}
	}
}
