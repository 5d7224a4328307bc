package policy_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/yolo-run/yolo-run/entrypoint/policy"
)

const (
	allowed  = "allowed-domain"
	denied   = "denied-domain"
	internal = "allowed-internal"
)

// spec is a policy whose only entries are in the list of this name.
func spec(list string, entries ...string) policy.Spec {
	switch list {
	case denied:
		return policy.Spec{Deny: entries}
	case internal:
		return policy.Spec{Internal: entries}
	}
	return policy.Spec{Allow: entries}
}

func entries(s policy.Spec) []string { return slices.Concat(s.Allow, s.Deny, s.Internal) }

func TestEntriesAreNormalised(t *testing.T) {
	for _, tc := range []struct{ list, entry, want string }{
		{allowed, "example.com", "example.com"},
		{allowed, " Example.COM. ", "example.com"},
		{allowed, "example.com.:443", "example.com:443"},
		{allowed, "example.com:443,80,443", "example.com:80,443"},
		{allowed, "example.com:65535", "example.com:65535"},
		{allowed, "*.Example.com", "*.example.com"},
		{allowed, "*.example.com:8443,22", "*.example.com:22,8443"},
		{allowed, "localhost", "localhost"},
		{allowed, "_dmarc.example.com", "_dmarc.example.com"},
		{allowed, "xn--bcher-kva.example", "xn--bcher-kva.example"},
		{allowed, "1password.com", "1password.com"},
		{allowed, "8.8.8.8.example.com", "8.8.8.8.example.com"},
		{allowed, "8.8.8.8:443", "8.8.8.8:443"},
		{allowed, "198.51.100.7:443", "198.51.100.7:443"},
		{allowed, "8.8.8.0/24:53,443", "8.8.8.0/24:53,443"},
		{allowed, "8.8.8.8/32:443", "8.8.8.8:443"},
		{allowed, "0.0.0.0/0:443", "0.0.0.0/0:443"},
		{allowed, "[2001:DB8::1]:443", "[2001:db8::1]:443"},
		{allowed, "[2606:4700:0:0::1111]:443", "[2606:4700::1111]:443"},
		{allowed, "[::ffff:8.8.8.8]:443", "8.8.8.8:443"},
		{allowed, "2001:db8::/32:443", "[2001:db8::/32]:443"},
		{allowed, "[2001:db8::/32]:443", "[2001:db8::/32]:443"},
		{denied, "example.com", "example.com"},
		{denied, "example.com:22", "example.com:22"},
		{denied, "*.example.com", "*.example.com"},
		{denied, "10.0.0.1", "10.0.0.1"},
		{denied, "127.0.0.1:443", "127.0.0.1:443"},
		{denied, "10.0.0.0/8", "10.0.0.0/8"},
		{denied, "[fe80::1]", "[fe80::1]"},
		{denied, "fe80::/10", "[fe80::/10]"},
		{internal, "db.corp:5432", "db.corp:5432"},
		{internal, "*.corp:443", "*.corp:443"},
		{internal, "10.1.2.3:5432", "10.1.2.3:5432"},
		{internal, "10.0.0.0/8:5432", "10.0.0.0/8:5432"},
		{internal, "100.64.0.0/10:443", "100.64.0.0/10:443"},
		{internal, "fd12:3456::/32:443", "[fd12:3456::/32]:443"},
		{internal, "8.8.8.8:443", "8.8.8.8:443"},
	} {
		t.Run(tc.list+" "+tc.entry, func(t *testing.T) {
			p, err := policy.Parse(spec(tc.list, tc.entry))
			if err != nil {
				t.Fatal(err)
			}
			if got := entries(p.Spec()); len(got) != 1 || got[0] != tc.want {
				t.Fatalf("normalised to %q, want %q", got, tc.want)
			}
			if again := parse(t, p.Spec()); !slices.Equal(entries(again.Spec()), entries(p.Spec())) {
				t.Fatalf("the normalised form is normalised to %q", entries(again.Spec()))
			}
		})
	}
}

func TestFaultyEntriesAreRefused(t *testing.T) {
	for _, tc := range []struct{ list, entry, fault string }{
		{allowed, "", "empty"},
		{allowed, "  ", "empty"},
		{allowed, "*", "allows everything"},
		{allowed, "*:443", "allows everything"},
		{allowed, "*.", "allows everything"},
		{allowed, "*.*.example.com", "wildcard"},
		{allowed, "a*.example.com", "wildcard"},
		{allowed, "www.*.com", "wildcard"},
		{allowed, "**.example.com", "wildcard"},
		{allowed, ".example.com", "label is empty"},
		{allowed, "example..com", "label is empty"},
		{allowed, "example.com..", "label is empty"},
		{allowed, ".", "name is empty"},
		{allowed, "-example.com", "hyphen"},
		{allowed, "example-.com", "hyphen"},
		{allowed, "exam ple.com", `character ' '`},
		{allowed, "example.com\x00", `character '\x00'`},
		{allowed, "example.com\n.evil.test", `character '\n'`},
		{allowed, "exa$mple.com", `character '$'`},
		{allowed, "bücher.example", "xn--"},
		{allowed, "\u0435xample.com", "xn--"}, // a Cyrillic e
		{allowed, "example\u3002com", "xn--"}, // an ideographic full stop
		{allowed, strings.Repeat("a", 64) + ".com", "label of 64"},
		{allowed, strings.Repeat("a.", 127) + "com", "257 octets"},
		{allowed, "https://example.com", "scheme"},
		{allowed, "example.com/path", "path"},
		{allowed, "example.com:443/path", "path"},
		{allowed, "user@example.com", "URL"},
		{allowed, "example.com?x", "URL"},
		{allowed, "example.com:", `port ""`},
		{allowed, "example.com:0", `port "0"`},
		{allowed, "example.com:65536", `port "65536"`},
		{allowed, "example.com:-1", `port "-1"`},
		{allowed, "example.com:+1", `port "+1"`},
		{allowed, "example.com:0443", `port "0443"`},
		{allowed, "example.com:https", `port "https"`},
		{allowed, "example.com:80-90", `port "80-90"`},
		{allowed, "example.com:80,", `port ""`},
		{allowed, "example.com:80, 443", `port " 443"`},
		{allowed, "example.com,443", "after a colon"},
		{allowed, "443", "number"},
		{allowed, "2130706433:80", "number"},
		{allowed, "0x7f.1:80", "number"},
		{allowed, "0x7f000001", "number"},
		{allowed, "127.1", "number"},
		{allowed, "0177.0.0.01:80", "number"},
		{allowed, "1.2.3.4.5:80", "number"},
		{allowed, "256.1.1.1:80", "number"},
		{allowed, "*.1.2.3.4", "number"},
		{allowed, "8.8.8.8", "needs a port"},
		{allowed, "8.8.8.0/24", "needs a port"},
		{allowed, "[2606:4700::1111]", "needs a port"},
		{allowed, "2606:4700::1111", "brackets"},
		{allowed, "2606:4700::1111:443", "brackets"},
		{allowed, "[2606:4700::1111:443", "not closed"},
		{allowed, "[2606:4700::1111]443", ":port"},
		{allowed, "[2606:4700::]/32:443", ":port"},
		{allowed, "[8.8.8.8]:443", "brackets"},
		{allowed, "[example.com]:443", "brackets"},
		{allowed, "[zz::1]:443", "not an IPv6"},
		{allowed, "[fe80::1%eth0]:443", "zone"},
		{allowed, "8.8.8.8/24:443", "write 8.8.8.0/24"},
		{allowed, "8.8.8.0/33:443", "not a CIDR"},
		{allowed, "8.8.8.0/:443", "not a CIDR"},
		{allowed, "::ffff:8.8.8.0/120:443", "as IPv4"},
		{allowed, "10.0.0.1:443", "write it in allowed-internal"},
		{allowed, "192.168.0.0/16:443", "write it in allowed-internal"},
		{allowed, "127.0.0.1:443", "never reachable"},
		{allowed, "169.254.169.254:80", "never reachable"},
		{allowed, "168.63.129.16:80", "never reachable"},
		{allowed, "198.18.0.1:80", "never reachable"},
		{denied, "*", "allows everything"},
		{denied, "example.com:x", `port "x"`},
		{internal, "db.corp", "needs a port, as in db.corp:5432"},
		{internal, "10.0.0.0/8", "needs a port"},
		{internal, "127.0.0.1:80", "loopback, never reachable"},
		{internal, "127.0.0.0/8:80", "loopback, never reachable"},
		{internal, "169.254.0.0/16:80", "link-local, never reachable"},
		{internal, "100.100.100.200:80", "cloud metadata, never reachable"},
		{internal, "[fd00:ec2::254]:80", "cloud metadata, never reachable"},
		{internal, "[::1]:80", "loopback, never reachable"},
	} {
		t.Run(tc.list+" "+tc.entry, func(t *testing.T) {
			_, err := policy.Parse(spec(tc.list, tc.entry))
			var fault *policy.EntryError
			if !errors.As(err, &fault) {
				t.Fatalf("Parse = %v, want an EntryError", err)
			}
			if fault.List != tc.list || fault.Entry != tc.entry || !strings.Contains(fault.Err.Error(), tc.fault) {
				t.Fatalf("Parse = %v, want %s in %s", err, tc.fault, tc.list)
			}
		})
	}
}

func TestAllFaultsAreReportedAtOnce(t *testing.T) {
	_, err := policy.Parse(policy.Spec{
		Egress:   "open",
		Allow:    []string{"good.example", "*", "bad:port"},
		Deny:     []string{"https://x.example"},
		Internal: []string{"db.corp"},
	})
	if err == nil {
		t.Fatal("Parse took five faults")
	}
	for _, want := range []string{
		`egress "open"`, `allowed-domain "*"`, `allowed-domain "bad:port"`, `denied-domain "https://x.example"`, `allowed-internal "db.corp"`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in:\n%v", want, err)
		}
	}
	if strings.Contains(err.Error(), "good.example") {
		t.Errorf("a good entry is among the faults:\n%v", err)
	}
}

func TestSpecIsCompleteWithoutRepetitionsAndACopy(t *testing.T) {
	p := parse(t, policy.Spec{Allow: []string{"b.example", "a.example", "B.example."}})
	s := p.Spec()
	if s.Egress != policy.Enforce || !slices.Equal(s.Allow, []string{"b.example", "a.example"}) || s.Deny == nil || s.Internal == nil {
		t.Fatalf("Spec = %+v", s)
	}
	s.Allow[0] = "changed.example"
	if p.Spec().Allow[0] != "b.example" {
		t.Error("the caller changed the policy through Spec")
	}
}

func TestSplitEntries(t *testing.T) {
	for _, tc := range []struct {
		in   string
		want []string
	}{
		{"", nil},
		{" , \n,\t", nil},
		{"a.example", []string{"a.example"}},
		{"a.example,b.example", []string{"a.example", "b.example"}},
		{"a.example b.example\nc.example\td.example\r\n", []string{"a.example", "b.example", "c.example", "d.example"}},
		{"a.example:80,443,b.example", []string{"a.example:80,443", "b.example"}},
		{"a.example:80, 443, b.example:22", []string{"a.example:80,443", "b.example:22"}},
		{"a.example:80,\n443\nb.example", []string{"a.example:80,443", "b.example"}},
		{"a.example:80,443 8080", []string{"a.example:80,443", "8080"}},
		{"a.example, 443", []string{"a.example,443"}},
		{"443,a.example", []string{"443", "a.example"}},
		{",443", []string{"443"}},
		{"*.a.example,10.0.0.0/8:5432,6432,[2001:db8::1]:443", []string{"*.a.example", "10.0.0.0/8:5432,6432", "[2001:db8::1]:443"}},
		{"a.example:80,1x.example", []string{"a.example:80", "1x.example"}},
	} {
		if got := policy.SplitEntries(tc.in); !slices.Equal(got, tc.want) {
			t.Errorf("SplitEntries(%q) = %q, want %q", tc.in, got, tc.want)
		}
	}
}

func TestSuggest(t *testing.T) {
	for _, tc := range []struct {
		name string
		port uint16
		want string
	}{
		{"example.com", 8443, "--allowed-domain example.com:8443"},
		{"Example.com.", 443, "--allowed-domain example.com"},
		{"example.com", 80, "--allowed-domain example.com"},
		{"example.com", 0, "--allowed-domain example.com"},
		{"8.8.8.8", 53, "--allowed-domain 8.8.8.8:53"},
		{"2606:4700::1111", 443, "--allowed-domain [2606:4700::1111]:443"},
		{"10.0.0.1", 5432, "--allowed-internal 10.0.0.1:5432"},
		{"fd12::1", 5432, "--allowed-internal [fd12::1]:5432"},
		{"::ffff:10.0.0.1", 5432, "--allowed-internal 10.0.0.1:5432"},
		{"169.254.169.254", 80, ""},
		{"127.0.0.1", 80, ""},
		{"8.8.8.8", 0, ""},
		{"a b; rm -rf /", 80, ""},
	} {
		if got := policy.Suggest(tc.name, tc.port); got != tc.want {
			t.Errorf("Suggest(%q, %d) = %q, want %q", tc.name, tc.port, got, tc.want)
		}
	}
}
