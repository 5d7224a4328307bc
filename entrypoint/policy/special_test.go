package policy_test

import (
	"net/netip"
	"testing"

	"github.com/yolo-run/yolo-run/entrypoint/policy"
)

func TestSpecialAddresses(t *testing.T) {
	for want, addrs := range map[string][]string{
		"cloud metadata": {
			"169.254.169.254", "169.254.170.2", "169.254.170.23", "168.63.129.16", "100.100.100.200", "192.0.0.192",
			"::ffff:169.254.169.254", "::ffff:168.63.129.16", "fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254", "fd00:c1::a9fe:a9fe",
		},
		"this network":              {"0.0.0.0", "0.1.2.3"},
		"private-use":               {"10.0.0.0", "10.255.255.255", "172.16.0.0", "172.31.255.255", "192.168.0.0", "192.168.255.255", "::ffff:10.0.0.1"},
		"shared address space":      {"100.64.0.0", "100.127.255.255"},
		"loopback":                  {"127.0.0.0", "127.0.0.11", "127.255.255.255", "::1", "::ffff:127.0.0.1"},
		"link-local":                {"169.254.0.0", "169.254.255.255", "fe80::", "febf:ffff::1", "fe80::1%eth0"},
		"IETF protocol assignments": {"192.0.0.0", "192.0.0.170", "192.0.0.255", "2001:1::1", "2001:2::1", "2001:20::1", "2001:1ff:ffff::1"},
		"AS112":                     {"192.31.196.0", "192.175.48.255", "2620:4f:8000::1"},
		"AMT":                       {"192.52.193.1"},
		"6to4 relay anycast":        {"192.88.99.1"},
		"benchmarking":              {"198.18.0.0", "198.19.255.255"},
		"multicast":                 {"224.0.0.1", "239.255.255.255", "ff02::1"},
		"reserved":                  {"240.0.0.0", "255.255.255.254"},
		"limited broadcast":         {"255.255.255.255"},
		"unspecified":               {"::"},
		"IPv4-compatible":           {"::10.0.0.1", "::8.8.8.8"},
		"NAT64":                     {"64:ff9b::10.0.0.1", "64:ff9b::169.254.169.254", "64:ff9b::8.8.8.8", "64:ff9b:1::10.0.0.1", "64:ff9b:1:7f00:0:100::"},
		"Teredo":                    {"2001::1", "2001:0:c0a8:1:0:0:f5ff:fffe"},
		"6to4":                      {"2002:a00:1::1", "2002:808:808::1"},
		"discard-only":              {"100::1"},
		"dummy prefix":              {"100:0:0:1::1"},
		"segment routing":           {"5f00::1"},
		"unique-local":              {"fc00::1", "fdff::1"},
		"site-local":                {"fec0::1"},
		"not global unicast":        {"64:ff9b:2::1", "::ffff:0:10.0.0.1", "1fff::1", "4000::1", "a000::1"},
		"private-use in ISATAP":     {"2606:4700::5efe:10.0.0.1", "2606:4700::200:5efe:10.0.0.1"},
		"cloud metadata in ISATAP":  {"2606:4700::5efe:169.254.169.254"},
	} {
		for _, a := range addrs {
			if got, special := policy.Special(netip.MustParseAddr(a)); !special || got != want {
				t.Errorf("Special(%s) = %q, %t, want %q", a, got, special, want)
			}
		}
	}
	if _, special := policy.Special(netip.Addr{}); !special {
		t.Error("the zero address is not special")
	}
}

func TestOrdinaryAddresses(t *testing.T) {
	for _, a := range []string{
		"1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.0",
		"168.63.129.15", "169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0", "192.0.1.0", "192.167.255.255", "192.169.0.0",
		"198.17.255.255", "198.20.0.0", "223.255.255.255", "::ffff:8.8.8.8",
		"2001:200::1", "2606:4700::1111", "2a00::1", "3ffe::1", "2606:4700::5efe:8.8.8.8", "2606:4700::100:5efe:10.0.0.1",
		// documentation, which tests use as their internet
		"192.0.2.1", "198.51.100.1", "203.0.113.1", "2001:db8::1", "3fff::1", "::ffff:198.51.100.1",
	} {
		if got, special := policy.Special(netip.MustParseAddr(a)); special {
			t.Errorf("Special(%s) = %q, want an ordinary address", a, got)
		}
	}
}
