package firewall

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

const procSys = "/proc/sys/net"

// initialInode is PROC_NET_INIT_INO, the inode of the initial network namespace since Linux 6.18. Before, it was whatever came first.
const initialInode = "net:[4026531833]"

// ErrHostNamespace says that the process is in the network namespace of a machine and not of a container; nothing was touched.
var ErrHostNamespace = errors.New("refusing to change the rules of a host's network namespace")

// namespace is what can be seen of a network namespace from inside.
type namespace struct {
	inode string // as readlink(2) of /proc/self/ns/net shows it
	links []link
}

type link struct {
	name string
	kind string // veth, bridge, macvlan …; empty for loopback and for devices that have hardware behind them
	loop bool
}

func processNamespace() (namespace, error) {
	inode, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		return namespace{}, err
	}
	links, err := listLinks()
	return namespace{inode: inode, links: links}, err
}

// checkNamespace returns [ErrHostNamespace] when any of these shows a host:
//   - net.core.netdev_max_backlog exists: the kernel registers it for the initial namespace only, in every version that we can run on.
//   - the namespace has the inode of the initial one, where that is a constant.
//   - a device with hardware behind it, or Docker's bridge: a machine's own namespace even where a hypervisor or an outer
//     container hides the first two. What an engine gives to a container are veth, macvlan or ipvlan links.
//
// PID 1 is no help: it is this process.
func checkNamespace(sys string, read func() (namespace, error)) error {
	_, err := os.Stat(filepath.Join(sys, "core", "netdev_max_backlog"))
	switch {
	case err == nil:
		return fmt.Errorf("%w: it is the initial one", ErrHostNamespace)
	case !errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("network namespace: %w", err)
	}
	if _, err := os.Stat(filepath.Join(sys, "core", "somaxconn")); err != nil {
		return fmt.Errorf("network namespace: %w", err) // no sysctls at all: then the absence of one says nothing
	}
	ns, err := read()
	if err != nil {
		return fmt.Errorf("network namespace: %w", err)
	}
	if ns.inode == initialInode {
		return fmt.Errorf("%w: it is the initial one", ErrHostNamespace)
	}
	for _, l := range ns.links {
		if l.name == "docker0" || l.kind == "" && !l.loop {
			return fmt.Errorf("%w: it has the device %s", ErrHostNamespace, l.name)
		}
	}
	return nil
}

// listLinks asks rtnetlink; /sys may show another namespace's devices or be absent.
func listLinks() ([]link, error) {
	rib, err := syscall.NetlinkRIB(unix.RTM_GETLINK, unix.AF_UNSPEC)
	if err != nil {
		return nil, fmt.Errorf("list devices: %w", err)
	}
	messages, err := syscall.ParseNetlinkMessage(rib)
	if err != nil {
		return nil, fmt.Errorf("list devices: %w", err)
	}
	var links []link
	for _, m := range messages {
		if m.Header.Type != unix.RTM_NEWLINK {
			continue
		}
		attrs, err := syscall.ParseNetlinkRouteAttr(&m)
		if err != nil {
			return nil, fmt.Errorf("list devices: %w", err)
		}
		var l link
		for _, a := range attrs {
			switch a.Attr.Type {
			case unix.IFLA_IFNAME:
				l.name = strings.TrimRight(string(a.Value), "\x00")
			case unix.IFLA_LINKINFO:
				l.kind = linkKind(a.Value)
			}
		}
		iface, err := net.InterfaceByName(l.name)
		if err != nil {
			return nil, fmt.Errorf("device %s: %w", l.name, err)
		}
		l.loop = iface.Flags&net.FlagLoopback != 0
		links = append(links, l)
	}
	return links, nil
}

// linkKind reads IFLA_INFO_KIND out of the attributes nested in IFLA_LINKINFO: length and type, two bytes each in the machine's
// order, then the value padded to four bytes.
func linkKind(nested []byte) string {
	for len(nested) >= unix.SizeofRtAttr {
		size := int(nativeUint16(nested))
		if size < unix.SizeofRtAttr || size > len(nested) {
			return ""
		}
		if nativeUint16(nested[2:]) == unix.IFLA_INFO_KIND {
			return strings.TrimRight(string(nested[unix.SizeofRtAttr:size]), "\x00")
		}
		nested = nested[min((size+3)&^3, len(nested)):]
	}
	return ""
}

// checkIPv6 makes sure that IPv6 is off: the engine was asked to create the container so (/proc/sys cannot be written inside), and here
// it is read back. The proof is that no device has an address, loopback included. It reports whether the kernel has IPv6 at all.
func checkIPv6(ifInet6, sys string) (bool, error) {
	if _, err := os.Stat(ifInet6); errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	for _, scope := range []string{"all", "default"} {
		value, err := os.ReadFile(filepath.Join(sys, "ipv6", "conf", scope, "disable_ipv6"))
		if err != nil {
			return false, fmt.Errorf("IPv6: %w", err)
		}
		if strings.TrimSpace(string(value)) != "1" {
			return false, fmt.Errorf("IPv6 is on: net.ipv6.conf.%s.disable_ipv6 is %q", scope, value)
		}
	}
	addresses, err := os.ReadFile(ifInet6)
	if err != nil {
		return false, fmt.Errorf("IPv6 addresses: %w", err)
	}
	if len(addresses) != 0 {
		return false, fmt.Errorf("IPv6 is on: there are addresses: %q", addresses)
	}
	return true, nil
}
