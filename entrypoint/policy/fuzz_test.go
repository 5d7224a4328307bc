package policy_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/yolo-run/yolo-run/entrypoint/policy"
	"github.com/yolo-run/yolo-run/reports"
)

func FuzzNormalize(f *testing.F) {
	for _, seed := range []string{
		"example.com", "GITHUB.com.", "notgithub.com", "xn--bcher-kva.example", "_dmarc.a", "a\x00.com", "a\n.com", "0x7f.1", "2130706433",
		"127.1", "1.2.3.4", "[::1]", "..", "-a", "\u212aa.com", strings.Repeat("a.", 126) + "a", strings.Repeat("a", 63),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, host string) {
		name, err := policy.Normalize(host)
		if err != nil {
			if v := parse(t, policy.Spec{Egress: policy.Audit}).Name(host); v.Verdict != reports.Deny {
				t.Fatalf("%q is refused (%v) and gets the verdict %+v", host, err, v)
			}
			return
		}
		if again, err := policy.Normalize(name); err != nil || again != name {
			t.Fatalf("Normalize(%q) = %q, and of that %q, %v", host, name, again, err)
		}
		if !strings.EqualFold(name, strings.TrimSuffix(host, ".")) {
			t.Fatalf("Normalize(%q) = %q is another name", host, name)
		}
		if strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-_.") != "" || len(name) > 253 {
			t.Fatalf("Normalize(%q) = %q", host, name)
		}
		if _, err := netip.ParseAddr(name); err == nil {
			t.Fatalf("Normalize(%q) = %q is an address", host, name)
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"example.com", "*.example.com:8443,22", "8.8.8.0/24:53", "[2001:db8::1]:443", "[2001:db8::/32]:443", "2001:db8::/32:443", "10.0.0.0/8:5432",
		"*", "https://a", "a:b", "[::ffff:10.0.0.1]:80", "a/b:1", "::1", "[", "[]:1", "a:1,2,,3", "*.", "fe80::1%eth0", "/:1", "1/2:3",
	} {
		f.Add(byte(0), seed)
		f.Add(byte(1), seed)
		f.Add(byte(2), seed)
	}
	f.Fuzz(func(t *testing.T, list byte, entry string) {
		name := []string{allowed, denied, internal}[list%3]
		p, err := policy.Parse(spec(name, entry))
		if err != nil {
			if !strings.Contains(err.Error(), name) {
				t.Fatalf("%v does not name its list, %s", err, name)
			}
			return
		}
		text := entries(p.Spec())
		again, err := policy.Parse(p.Spec())
		if err != nil || !slices.Equal(entries(again.Spec()), text) {
			t.Fatalf("%q is normalised to %q, which is no fixed point: %v", entry, text, err)
		}
		if !slices.Equal(policy.SplitEntries(text[0]), text) {
			t.Fatalf("%q is not one entry of a list", text[0])
		}
		for _, never := range []string{"127.0.0.1:443", "169.254.169.254:80", "198.18.0.1:443", "[::1]:443", "168.63.129.16:80"} {
			if v := p.Literal(netip.MustParseAddrPort(never)); v.Verdict != reports.Deny {
				t.Fatalf("%q opens %s: %+v", entry, never, v)
			}
		}
	})
}
