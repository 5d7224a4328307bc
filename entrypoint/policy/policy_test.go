package policy_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/yolo-run/yolo-run/entrypoint/policy"
	"github.com/yolo-run/yolo-run/reports"
)

func parse(t testing.TB, s policy.Spec) *policy.Policy {
	t.Helper()
	p, err := policy.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// full has every form of entry.
func full(egress policy.Egress) policy.Spec {
	return policy.Spec{
		Egress: egress,
		Allow: []string{
			"example.com", "*.wild.example", "*.wild.example:8443", "ssh.example:22", "closed.example:443", "half.example:22,443",
			"8.8.8.8:443", "198.51.100.0/24:8080", "bad.wild.example:9000",
		},
		Deny:     []string{"bad.wild.example", "closed.example:443", "half.example:443", "198.51.100.66", "*.deep.wild.example", "10.6.6.6"},
		Internal: []string{"db.corp:5432", "*.svc.corp:443", "10.0.0.0/8:6432", "100.64.0.0/10:443", "fd00::/8:443"},
	}
}

func check(t *testing.T, what string, got policy.Verdict, verdict reports.Verdict, rule, reason string) {
	t.Helper()
	if got.Verdict != verdict || got.Rule != rule || !strings.Contains(got.Reason, reason) || verdict == reports.Allow && got.Reason != "" {
		t.Errorf("%s: %+v, want %s by rule %q, because %q", what, got, verdict, rule, reason)
	}
}

func TestNames(t *testing.T) {
	for _, tc := range []struct {
		name           string
		enforce, audit reports.Verdict
		rule, reason   string
	}{
		{"example.com", reports.Allow, reports.Allow, "example.com", ""},
		{"EXAMPLE.com.", reports.Allow, reports.Allow, "example.com", ""},
		{"www.example.com", reports.Deny, reports.WouldDeny, "", "no rule allows www.example.com"},
		{"notexample.com", reports.Deny, reports.WouldDeny, "", "no rule allows notexample.com"},
		{"example.com.evil.test", reports.Deny, reports.WouldDeny, "", "no rule allows"},
		{"com", reports.Deny, reports.WouldDeny, "", "no rule allows com"},
		{"a.wild.example", reports.Allow, reports.Allow, "*.wild.example", ""},
		{"a.b.wild.example", reports.Allow, reports.Allow, "*.wild.example", ""},
		{"wild.example", reports.Deny, reports.WouldDeny, "", "no rule allows wild.example"},
		{"xwild.example", reports.Deny, reports.WouldDeny, "", "no rule allows"},
		{"ssh.example", reports.Allow, reports.Allow, "ssh.example:22", ""},
		{"bad.wild.example", reports.Deny, reports.WouldDeny, "bad.wild.example", "denied by rule bad.wild.example"},
		{"sub.bad.wild.example", reports.Allow, reports.Allow, "*.wild.example", ""},
		{"x.deep.wild.example", reports.Deny, reports.WouldDeny, "*.deep.wild.example", "denied by rule"},
		{"closed.example", reports.Deny, reports.WouldDeny, "closed.example:443", "denied by rule closed.example:443"},
		{"half.example", reports.Allow, reports.Allow, "half.example:22,443", ""},
		{"db.corp", reports.Allow, reports.Allow, "db.corp:5432", ""},
		{"a.svc.corp", reports.Allow, reports.Allow, "*.svc.corp:443", ""},
		// What is not a name stays closed in every mode.
		{"", reports.Deny, reports.Deny, "", "not a host name"},
		{"example.com\x00.evil.test", reports.Deny, reports.Deny, "", "not a host name"},
		{"example.com\n", reports.Deny, reports.Deny, "", "not a host name"},
		{"*.wild.example", reports.Deny, reports.Deny, "", "not a host name"},
		{"2130706433", reports.Deny, reports.Deny, "", "reads as a number"},
		{"0x7f.1", reports.Deny, reports.Deny, "", "reads as a number"},
		{"8.8.8.8", reports.Deny, reports.Deny, "", "reads as a number"},
		{"bücher.example", reports.Deny, reports.Deny, "", "not ASCII"},
		{strings.Repeat("a", 64) + ".wild.example", reports.Deny, reports.Deny, "", "not a host name"},
	} {
		check(t, "enforce "+tc.name, parse(t, full(policy.Enforce)).Name(tc.name), tc.enforce, tc.rule, tc.reason)
		check(t, "audit "+tc.name, parse(t, full(policy.Audit)).Name(tc.name), tc.audit, tc.rule, tc.reason)
		none := parse(t, full(policy.None))
		if v := none.Name(tc.name); v.Verdict != reports.Deny || v.Reason == "" {
			t.Errorf("none %s: %+v, want deny with a reason", tc.name, v)
		}
	}
}

func TestConnections(t *testing.T) {
	for _, tc := range []struct {
		name           string
		port           uint16
		enforce, audit reports.Verdict
		rule, reason   string
	}{
		{"example.com", 443, reports.Allow, reports.Allow, "example.com", ""},
		{"example.com", 80, reports.Allow, reports.Allow, "example.com", ""},
		{"example.com", 8443, reports.Deny, reports.WouldDeny, "", "no rule allows example.com:8443"},
		{"example.com", 0, reports.Deny, reports.Deny, "", "0 is not a port"},
		{"a.wild.example", 443, reports.Allow, reports.Allow, "*.wild.example", ""},
		{"a.wild.example", 8443, reports.Allow, reports.Allow, "*.wild.example:8443", ""},
		{"ssh.example", 22, reports.Allow, reports.Allow, "ssh.example:22", ""},
		{"ssh.example", 443, reports.Deny, reports.WouldDeny, "", "no rule allows ssh.example:443"},
		{"half.example", 22, reports.Allow, reports.Allow, "half.example:22,443", ""},
		{"half.example", 443, reports.Deny, reports.WouldDeny, "half.example:443", "denied by rule"},
		{"bad.wild.example", 9000, reports.Deny, reports.WouldDeny, "bad.wild.example", "denied by rule"},
		{"db.corp", 5432, reports.Allow, reports.Allow, "db.corp:5432", ""},
		{"db.corp", 443, reports.Deny, reports.WouldDeny, "", "no rule allows db.corp:443"},
		{"8.8.8.8", 443, reports.Deny, reports.Deny, "", "not a host name"},
	} {
		p := parse(t, full(policy.Enforce))
		check(t, "enforce "+tc.name, p.Connect(tc.name, tc.port), tc.enforce, tc.rule, tc.reason)
		check(t, "audit "+tc.name, parse(t, full(policy.Audit)).Connect(tc.name, tc.port), tc.audit, tc.rule, tc.reason)
		if v := parse(t, full(policy.None)).Connect(tc.name, tc.port); v.Verdict != reports.Deny {
			t.Errorf("none %s:%d: %+v, want deny", tc.name, tc.port, v)
		}
	}
}

func TestLiteralAddresses(t *testing.T) {
	for _, tc := range []struct {
		dst            string
		enforce, audit reports.Verdict
		rule, reason   string
	}{
		{"8.8.8.8:443", reports.Allow, reports.Allow, "8.8.8.8:443", ""},
		{"[::ffff:8.8.8.8]:443", reports.Allow, reports.Allow, "8.8.8.8:443", ""},
		{"8.8.8.8:80", reports.Deny, reports.WouldDeny, "", "no rule allows 8.8.8.8:80"},
		{"8.8.4.4:443", reports.Deny, reports.WouldDeny, "", "no rule allows 8.8.4.4:443"},
		{"8.8.8.8:0", reports.Deny, reports.Deny, "", "not an address and port"},
		{"198.51.100.7:8080", reports.Allow, reports.Allow, "198.51.100.0/24:8080", ""},
		{"198.51.100.66:8080", reports.Deny, reports.WouldDeny, "198.51.100.66", "denied by rule"},
		{"198.51.101.7:8080", reports.Deny, reports.WouldDeny, "", "no rule allows"},
		{"10.1.2.3:6432", reports.Allow, reports.Allow, "10.0.0.0/8:6432", ""},
		{"10.1.2.3:5432", reports.Deny, reports.Deny, "", "10.1.2.3 is private-use and no internal rule allows 10.1.2.3:5432"},
		{"10.6.6.6:6432", reports.Deny, reports.WouldDeny, "10.6.6.6", "denied by rule 10.6.6.6"},
		{"100.64.0.1:443", reports.Allow, reports.Allow, "100.64.0.0/10:443", ""},
		{"100.100.100.200:443", reports.Deny, reports.Deny, "", "cloud metadata, never reachable"},
		{"[fd12::1]:443", reports.Allow, reports.Allow, "[fd00::/8]:443", ""},
		{"[fd00:ec2::254]:443", reports.Deny, reports.Deny, "", "cloud metadata, never reachable"},
		{"[fd12::5efe:a9fe:a9fe]:443", reports.Deny, reports.Deny, "", "never reachable"},
		{"127.0.0.1:443", reports.Deny, reports.Deny, "", "loopback, never reachable"},
		{"198.18.0.1:443", reports.Deny, reports.Deny, "", "benchmarking, never reachable"},
		{"169.254.169.254:80", reports.Deny, reports.Deny, "", "cloud metadata, never reachable"},
	} {
		dst := netip.MustParseAddrPort(tc.dst)
		check(t, "enforce "+tc.dst, parse(t, full(policy.Enforce)).Literal(dst), tc.enforce, tc.rule, tc.reason)
		check(t, "audit "+tc.dst, parse(t, full(policy.Audit)).Literal(dst), tc.audit, tc.rule, tc.reason)
		if v := parse(t, full(policy.None)).Literal(dst); v.Verdict != reports.Deny {
			t.Errorf("none %s: %+v, want deny", tc.dst, v)
		}
	}
	check(t, "the zero address", parse(t, full(policy.Audit)).Literal(netip.AddrPort{}), reports.Deny, "", "not an address")
}

func TestResolvedAddresses(t *testing.T) {
	own := []netip.Addr{netip.MustParseAddr("8.8.4.4"), netip.MustParseAddr("::ffff:10.9.9.9")}
	for _, tc := range []struct {
		name, dst      string
		enforce, audit reports.Verdict
		rule, reason   string
	}{
		{"example.com", "93.184.216.34:443", reports.Allow, reports.Allow, "", ""},
		{"example.com", "198.51.100.7:443", reports.Allow, reports.Allow, "", ""},
		{"example.com", "198.51.100.66:443", reports.Deny, reports.WouldDeny, "198.51.100.66", "denied by rule"},
		{"example.com", "8.8.4.4:443", reports.Deny, reports.Deny, "", "8.8.4.4 is the host or the next hop"},
		{"example.com", "[::ffff:8.8.4.4]:443", reports.Deny, reports.Deny, "", "the host or the next hop"},
		{"example.com", "127.0.0.1:443", reports.Deny, reports.Deny, "", "loopback, never reachable"},
		{"example.com", "[::ffff:10.0.0.1]:443", reports.Deny, reports.Deny, "", "10.0.0.1 is private-use and no internal rule allows example.com:443"},
		{"example.com", "169.254.169.254:80", reports.Deny, reports.Deny, "", "cloud metadata"},
		{"example.com", "198.18.0.7:443", reports.Deny, reports.Deny, "", "benchmarking"},
		{"db.corp", "10.0.0.5:5432", reports.Allow, reports.Allow, "db.corp:5432", ""},
		{"DB.corp.", "192.168.0.5:5432", reports.Allow, reports.Allow, "db.corp:5432", ""},
		{"db.corp", "10.0.0.5:443", reports.Deny, reports.Deny, "", "no internal rule allows db.corp:443"},
		{"db.corp", "10.9.9.9:5432", reports.Deny, reports.Deny, "", "the host or the next hop"},
		{"db.corp", "10.6.6.6:5432", reports.Deny, reports.WouldDeny, "10.6.6.6", "denied by rule"},
		{"db.corp", "127.0.0.1:5432", reports.Deny, reports.Deny, "", "loopback, never reachable"},
		{"db.corp", "169.254.1.1:5432", reports.Deny, reports.Deny, "", "link-local, never reachable"},
		{"db.corp", "169.254.169.254:5432", reports.Deny, reports.Deny, "", "cloud metadata, never reachable"},
		{"db.corp", "100.100.100.200:5432", reports.Deny, reports.Deny, "", "cloud metadata, never reachable"},
		{"db.corp", "[fd00:ec2::254]:5432", reports.Deny, reports.Deny, "", "cloud metadata, never reachable"},
		{"db.corp", "[fd12::7]:5432", reports.Allow, reports.Allow, "db.corp:5432", ""},
		{"db.corp", "[fd12::5efe:a9fe:a9fe]:5432", reports.Deny, reports.Deny, "", "never reachable"},
		{"db.corp", "198.18.0.7:5432", reports.Deny, reports.Deny, "", "never reachable"},
		{"a.svc.corp", "100.64.0.1:443", reports.Allow, reports.Allow, "*.svc.corp:443", ""},
		// A range of Internal lifts its addresses for whatever name leads there, on its ports only.
		{"example.com", "10.0.0.5:6432", reports.Allow, reports.Allow, "10.0.0.0/8:6432", ""},
		{"example.com", "172.16.0.5:6432", reports.Deny, reports.Deny, "", "private-use"},
		{"", "93.184.216.34:443", reports.Deny, reports.Deny, "", "not a host name"},
		{"example.com", "93.184.216.34:0", reports.Deny, reports.Deny, "", "not an address and port"},
	} {
		dst := netip.MustParseAddrPort(tc.dst)
		what := tc.name + " at " + tc.dst
		check(t, "enforce "+what, parse(t, full(policy.Enforce)).Resolved(tc.name, dst, own), tc.enforce, tc.rule, tc.reason)
		check(t, "audit "+what, parse(t, full(policy.Audit)).Resolved(tc.name, dst, own), tc.audit, tc.rule, tc.reason)
		if v := parse(t, full(policy.None)).Resolved(tc.name, dst, own); v.Verdict != reports.Deny {
			t.Errorf("none %s: %+v, want deny", what, v)
		}
	}
}

func TestInternalNames(t *testing.T) {
	p := parse(t, full(policy.Enforce))
	for name, want := range map[string]bool{
		"db.corp": true, "DB.CORP.": true, "a.svc.corp": true, "svc.corp": false, "example.com": false, "xdb.corp": false, "": false,
	} {
		if got := p.InternalName(name); got != want {
			t.Errorf("InternalName(%q) = %t, want %t", name, got, want)
		}
	}
}

func TestTheEmptyPolicyAllowsNothing(t *testing.T) {
	p := parse(t, policy.Spec{})
	for what, v := range map[string]policy.Verdict{
		"name":    p.Name("example.com"),
		"connect": p.Connect("example.com", 443),
		"literal": p.Literal(netip.MustParseAddrPort("8.8.8.8:443")),
	} {
		if v.Verdict != reports.Deny {
			t.Errorf("%s: %+v, want deny", what, v)
		}
	}
}

func BenchmarkConnect(b *testing.B) {
	var s policy.Spec
	for i := range 1000 {
		s.Allow = append(s.Allow, fmt.Sprintf("host-%d.example.com", i))
	}
	p := parse(b, s)
	for b.Loop() {
		p.Connect("other.example.com", 443)
	}
}
