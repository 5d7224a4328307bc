package policy

import "net/netip"

// block is a range of addresses that no name may lead to.
type block struct {
	prefix  netip.Prefix
	name    string
	private bool // an entry of allowed-internal may lift it
}

// blocks are what is not the public internet, the first match deciding:
//
//   - IANA IPv4 Special-Purpose Address Registry, https://www.iana.org/assignments/iana-ipv4-special-registry
//   - IANA IPv6 Special-Purpose Address Registry, https://www.iana.org/assignments/iana-ipv6-special-registry
//   - multicast (RFC 5771, RFC 4291) and what IANA has not assigned as IPv6 global unicast, all but 2000::/3
//
// Left out are the documentation ranges 192.0.2.0/24, 198.51.100.0/24, 203.0.113.0/24, 2001:db8::/32 and 3fff::/20: nothing real
// listens there, and tests use them as their internet. The forms that carry an IPv4 address inside (NAT64, 6to4, Teredo, IPv4-compatible)
// are in the registries as a whole, so that no address hides in them; ISATAP, which any network may use, is taken apart in [Special].
var blocks = [...]block{
	// Metadata services that hand out credentials of the machine, wherever the provider put them. They come first: some stand in private ranges.
	{pfx("169.254.169.254/32"), "cloud metadata", false},     // AWS, Google, Azure, OpenStack and most others
	{pfx("169.254.170.2/32"), "cloud metadata", false},       // AWS ECS task credentials
	{pfx("169.254.170.23/32"), "cloud metadata", false},      // AWS EKS pod identity
	{pfx("169.254.0.23/32"), "cloud metadata", false},        // Tencent
	{pfx("169.254.42.42/32"), "cloud metadata", false},       // Scaleway
	{pfx("168.63.129.16/32"), "cloud metadata", false},       // Azure's host, a public address
	{pfx("100.100.100.200/32"), "cloud metadata", false},     // Alibaba
	{pfx("192.0.0.192/32"), "cloud metadata", false},         // Oracle, classic
	{pfx("fd00:ec2::/32"), "cloud metadata", false},          // AWS: metadata, credentials, DNS, time
	{pfx("fd20:ce::254/128"), "cloud metadata", false},       // Google
	{pfx("fd00:c1::a9fe:a9fe/128"), "cloud metadata", false}, // Oracle
	{pfx("fd00:42::42/128"), "cloud metadata", false},        // Scaleway

	{pfx("0.0.0.0/8"), "this network", false},
	{pfx("10.0.0.0/8"), "private-use", true},
	{pfx("100.64.0.0/10"), "shared address space", true},
	{pfx("127.0.0.0/8"), "loopback", false},
	{pfx("169.254.0.0/16"), "link-local", false},
	{pfx("172.16.0.0/12"), "private-use", true},
	{pfx("192.0.0.0/24"), "IETF protocol assignments", false},
	{pfx("192.31.196.0/24"), "AS112", false},
	{pfx("192.52.193.0/24"), "AMT", false},
	{pfx("192.88.99.0/24"), "6to4 relay anycast", false},
	{pfx("192.168.0.0/16"), "private-use", true},
	{pfx("192.175.48.0/24"), "AS112", false},
	{pfx("198.18.0.0/15"), "benchmarking", false}, // also our own synthetic addresses
	{pfx("224.0.0.0/4"), "multicast", false},
	{pfx("255.255.255.255/32"), "limited broadcast", false},
	{pfx("240.0.0.0/4"), "reserved", false},

	{pfx("::1/128"), "loopback", false},
	{pfx("::/128"), "unspecified", false},
	{pfx("::/96"), "IPv4-compatible", false},
	{pfx("64:ff9b::/96"), "NAT64", false},
	{pfx("64:ff9b:1::/48"), "NAT64", false},
	{pfx("100::/64"), "discard-only", false},
	{pfx("100:0:0:1::/64"), "dummy prefix", false},
	{pfx("2001::/32"), "Teredo", false},
	{pfx("2001::/23"), "IETF protocol assignments", false},
	{pfx("2002::/16"), "6to4", false},
	{pfx("2620:4f:8000::/48"), "AS112", false},
	{pfx("5f00::/16"), "segment routing", false},
	{pfx("fc00::/7"), "unique-local", true},
	{pfx("fe80::/10"), "link-local", false},
	{pfx("fec0::/10"), "site-local", false},
	{pfx("ff00::/8"), "multicast", false},
	{pfx("::/3"), "not global unicast", false},
	{pfx("4000::/2"), "not global unicast", false},
	{pfx("8000::/1"), "not global unicast", false},
}

func pfx(s string) netip.Prefix { return netip.MustParsePrefix(s) }

// Special reports whether an address is anything but an ordinary one of the public internet, and what it is, in a few words.
// IPv4-mapped addresses count as the IPv4 address that they are. Documentation ranges count as public.
func Special(addr netip.Addr) (name string, special bool) {
	addr = addr.Unmap().WithZone("")
	if !addr.IsValid() {
		return "no address", true
	}
	if b := lookup(addr); b != nil {
		return b.name, true
	}
	if inner, ok := isatap(addr); ok {
		if b := lookup(inner); b != nil {
			return b.name + " in ISATAP", true
		}
	}
	return "", false
}

// Private reports whether an address is special only because its network is somebody's own: a user may open it by naming it.
func Private(addr netip.Addr) bool { return private(addr.Unmap().WithZone("")) }

// private reports whether an entry of allowed-internal may lift addr.
func private(addr netip.Addr) bool {
	b := lookup(addr)
	if b == nil || !b.private {
		return false
	}
	inner, ok := isatap(addr)
	return !ok || lookup(inner) == nil
}

// specialPrefix is [Special] for a whole range: whether one block has all of it.
func specialPrefix(p netip.Prefix) (name string, special bool) {
	if p.IsSingleIP() {
		return Special(p.Addr())
	}
	if b := lookupPrefix(p); b != nil {
		return b.name, true
	}
	return "", false
}

func privatePrefix(p netip.Prefix) bool {
	if p.IsSingleIP() {
		return private(p.Addr())
	}
	b := lookupPrefix(p)
	return b != nil && b.private
}

func lookup(a netip.Addr) *block { return lookupPrefix(netip.PrefixFrom(a, a.BitLen())) }

func lookupPrefix(p netip.Prefix) *block {
	for i, b := range blocks {
		if b.prefix.Bits() <= p.Bits() && b.prefix.Contains(p.Addr()) {
			return &blocks[i]
		}
	}
	return nil
}

// isatap returns the IPv4 address inside an interface identifier ::0:5efe:a.b.c.d or ::200:5efe:a.b.c.d (RFC 5214, 6.1), which stands
// behind any prefix.
func isatap(a netip.Addr) (netip.Addr, bool) {
	if !a.Is6() {
		return netip.Addr{}, false
	}
	b := a.As16()
	if b[8]&^0x02 != 0 || b[9] != 0 || b[10] != 0x5e || b[11] != 0xfe {
		return netip.Addr{}, false
	}
	return netip.AddrFrom4([4]byte(b[12:])), true
}
