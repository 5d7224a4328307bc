package firewall

import (
	"encoding/binary"
	"net/netip"
)

// snapLength is how much of a packet is copied: both headers with all their options.
const snapLength = 128

// IP protocols that have a name in reports.
const (
	ProtoICMP   = 1
	ProtoTCP    = 6
	ProtoUDP    = 17
	ProtoICMPv6 = 58
)

// Packet is the head of a refused packet. Everything in it was chosen by the agent.
type Packet struct {
	Proto int // IP protocol number
	// Src and Dst have ports for TCP, UDP, SCTP, DCCP and UDP-Lite, else 0.
	Src, Dst netip.AddrPort
	// Type and Code are ICMP's.
	Type, Code uint8
	// UID and HasUID: the owner of the socket, absent for packets that the kernel itself made.
	UID    uint32
	HasUID bool
	// OutDev is the index of the device that the packet would have left by.
	OutDev uint32
	Prefix string
}

// parsePacket reads the IP header and the first bytes behind it. What is cut off or malformed stays zero; ok is false only
// where there are no two addresses.
func parsePacket(b []byte) (p Packet, ok bool) {
	if len(b) == 0 {
		return Packet{}, false
	}
	switch b[0] >> 4 {
	case 4:
		return parseIPv4(b)
	case 6:
		return parseIPv6(b)
	default:
		return Packet{}, false
	}
}

func parseIPv4(b []byte) (Packet, bool) {
	header := int(b[0]&0x0f) * 4
	if header < 20 || len(b) < header {
		return Packet{}, false
	}
	p := Packet{
		Proto: int(b[9]),
		Src:   netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[12:16])), 0),
		Dst:   netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[16:20])), 0),
	}
	if binary.BigEndian.Uint16(b[6:])&0x1fff == 0 { // a later fragment has no transport header
		p.transport(b[header:])
	}
	return p, true
}

// ipv6Extensions bounds the walk over extension headers (RFC 8200, section 4).
const ipv6Extensions = 8

func parseIPv6(b []byte) (Packet, bool) {
	if len(b) < 40 {
		return Packet{}, false
	}
	p := Packet{
		Proto: int(b[6]),
		Src:   netip.AddrPortFrom(netip.AddrFrom16([16]byte(b[8:24])), 0),
		Dst:   netip.AddrPortFrom(netip.AddrFrom16([16]byte(b[24:40])), 0),
	}
	rest := b[40:]
	for range ipv6Extensions {
		size := 0
		switch p.Proto {
		case 0, 43, 60: // hop-by-hop, routing, destination options
			if len(rest) < 2 {
				return p, true
			}
			size = (int(rest[1]) + 1) * 8
		case 44: // fragment
			if len(rest) < 8 || binary.BigEndian.Uint16(rest[2:])&0xfff8 != 0 {
				return p, true
			}
			size = 8
		default:
			p.transport(rest)
			return p, true
		}
		if len(rest) < size {
			return p, true
		}
		p.Proto, rest = int(rest[0]), rest[size:]
	}
	return p, true
}

func (p *Packet) transport(b []byte) {
	if len(b) < 4 {
		return
	}
	switch p.Proto {
	case ProtoTCP, ProtoUDP, 33, 132, 136: // DCCP, SCTP, UDP-Lite
		p.Src = netip.AddrPortFrom(p.Src.Addr(), binary.BigEndian.Uint16(b))
		p.Dst = netip.AddrPortFrom(p.Dst.Addr(), binary.BigEndian.Uint16(b[2:]))
	case ProtoICMP, ProtoICMPv6:
		p.Type, p.Code = b[0], b[1]
	}
}

func nativeUint16(b []byte) uint16 { return binary.NativeEndian.Uint16(b) }
