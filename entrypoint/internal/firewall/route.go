package firewall

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// routeToLoopback routes a prefix to the loopback device. The kernel looks for a route before it asks nat: without one, connections to
// synthetic addresses would fail on a network that has no way out (docker network create --internal), where names of the
// network itself may well be allowed. And should a redirect ever be missing, such packets go nowhere.
func routeToLoopback(prefix netip.Prefix) error {
	loopback, err := net.InterfaceByName("lo")
	if err != nil {
		return fmt.Errorf("route %v: %w", prefix, err)
	}
	conn, err := netlink.Dial(unix.NETLINK_ROUTE, nil)
	if err != nil {
		return fmt.Errorf("route %v: %w", prefix, err)
	}
	_, err = conn.Execute(netlink.Message{
		Header: netlink.Header{
			Type:  unix.RTM_NEWROUTE,
			Flags: netlink.Request | netlink.Acknowledge | netlink.Create | netlink.Replace,
		},
		Data: newRoute(prefix, uint32(loopback.Index)), //nolint:gosec // an index is small and positive
	})
	if err := errors.Join(err, conn.Close()); err != nil {
		return fmt.Errorf("route %v: %w", prefix, err)
	}
	return nil
}

// newRoute is a struct rtmsg with a destination and a device (rtnetlink(7)).
func newRoute(prefix netip.Prefix, device uint32) []byte {
	b := []byte{
		unix.AF_INET, byte(prefix.Bits()), 0, 0, //nolint:gosec // at most 32
		unix.RT_TABLE_MAIN, unix.RTPROT_STATIC, unix.RT_SCOPE_LINK, unix.RTN_UNICAST, 0, 0, 0, 0,
	}
	attribute := func(kind uint16, value []byte) {
		b = binary.NativeEndian.AppendUint16(b, unix.SizeofRtAttr+4)
		b = binary.NativeEndian.AppendUint16(b, kind)
		b = append(b, value...)
	}
	attribute(unix.RTA_DST, prefix.Masked().Addr().AsSlice())
	attribute(unix.RTA_OIF, binary.NativeEndian.AppendUint32(nil, device))
	return b
}
