package gateway

import (
	"fmt"
	"net/netip"
	"strconv"

	"github.com/yolo-run/yolo-run/entrypoint/internal/firewall"
	"github.com/yolo-run/yolo-run/entrypoint/policy"
	"github.com/yolo-run/yolo-run/reports"
)

// packetEvent describes an attempt that the rules refused. loopback is the index of the loopback device.
func packetEvent(p firewall.Packet, loopback uint32) reports.Event {
	e := reports.Event{Verdict: reports.Deny, Port: int(p.Dst.Port()), Reason: packetReason(p, loopback)}
	if p.Dst.Addr().IsValid() {
		e.Addr = p.Dst.Addr().String()
	}
	switch p.Proto {
	case firewall.ProtoTCP:
		e.Layer, e.Proto = reports.LayerTCP, "tcp"
	case firewall.ProtoUDP:
		e.Layer, e.Proto = reports.LayerUDP, "udp"
	case firewall.ProtoICMP, firewall.ProtoICMPv6:
		e.Layer, e.Proto = reports.LayerICMP, "icmp"
	default:
		e.Layer, e.Proto = reports.LayerOther, strconv.Itoa(p.Proto)
	}
	return e
}

// packetReason says which wall it was. The rules have one log prefix; the packet tells the rest.
func packetReason(p firewall.Packet, loopback uint32) string {
	dst := p.Dst.Addr()
	special, isSpecial := policy.Special(dst)
	switch {
	case !dst.IsValid():
		return "malformed packet"
	case dst == netip.MustParseAddr(firewall.EngineResolver), dst == netip.MustParseAddr(firewall.LookupSource):
		return "the container engine's resolver and the gateway's lookups are closed to the agent"
	case p.Src.Addr() == netip.MustParseAddr(firewall.EngineResolver), p.Src.Addr() == netip.MustParseAddr(firewall.LookupSource):
		return "the sender poses as the container engine's resolver or as the gateway"
	case boundToDevice(p, loopback):
		return reasonDevice
	case p.OutDev == loopback && loopback != 0 && !dst.IsLoopback():
		return "sent to the loopback device, but the address is not here"
	case isSpecial:
		return special + ": closed for every protocol but TCP by name"
	case p.Proto == firewall.ProtoUDP:
		return "UDP is closed, except DNS, which the gateway answers"
	case p.Proto == firewall.ProtoICMP, p.Proto == firewall.ProtoICMPv6:
		return "ICMP is closed"
	case p.Proto == firewall.ProtoTCP:
		return "not a connection that the gateway could take over"
	default:
		return fmt.Sprintf("IP protocol %d is closed", p.Proto)
	}
}

// networkOf is the protocol's name in /proc/net; empty where sockets cannot be found.
func networkOf(p firewall.Packet) string {
	switch p.Proto {
	case firewall.ProtoTCP:
		return "tcp"
	case firewall.ProtoUDP:
		return "udp"
	default:
		return ""
	}
}

const reasonDevice = "the socket is bound to a network device, by which nothing leaves"

// boundToDevice: what is for loopback leaves by another device only where a socket is bound to that. It may have been redirected: then the
// destination is the gateway's, and the agent's is lost.
func boundToDevice(p firewall.Packet, loopback uint32) bool {
	return p.Dst.Addr().IsLoopback() && p.OutDev != loopback && loopback != 0
}
