package firewall

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func testConfig() Config {
	return Config{DNSPort: 1053, ProxyPort: 1080, Synthetic: netip.MustParsePrefix("198.18.0.0/15")}
}

// fakeFirewall applies the rule set to iptables in memory.
func fakeFirewall(t *testing.T, v4, v6 *memory) (*Firewall, error) {
	t.Helper()
	f := &Firewall{backend: nfTables, families: []*family{
		{name: "IPv4", tables: v4, chains: ipv4Chains(testConfig())},
		{name: "IPv6", tables: v6, chains: ipv6Chains()},
	}}
	return f, f.apply(t.Context())
}

func TestApplySetsEveryPolicyAndRuleInOrder(t *testing.T) {
	v4, v6 := newMemory(), newMemory()
	f, err := fakeFirewall(t, v4, v6)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range []*memory{v4, v6} {
		for _, chain := range []string{"INPUT", "FORWARD", "OUTPUT"} {
			if got := m.policies["filter "+chain]; got != drop {
				t.Errorf("policy of %s is %s", chain, got)
			}
		}
	}
	output := v4.rules["filter OUTPUT"]
	if len(output) != 13 || output[len(output)-1] != "-j "+denyChain {
		t.Errorf("filter OUTPUT: %q", output)
	}
	if f.Rules() != 37 {
		t.Errorf("%d rules and policies, want 37", f.Rules())
	}
}

func TestRedirectsStandBeforeTheEnginesJump(t *testing.T) {
	v4 := newMemory()
	v4.rules["nat OUTPUT"] = []string{"-d 127.0.0.11/32 -j DOCKER_OUTPUT"}
	v4.rules["nat DOCKER_OUTPUT"] = []string{"-d 127.0.0.11/32 -p udp -m udp --dport 53 -j DNAT --to-destination 127.0.0.11:40000"}
	f, err := fakeFirewall(t, v4, newMemory())
	if err != nil {
		t.Fatal(err)
	}
	rules := v4.rules["nat OUTPUT"]
	if at := slices.Index(rules, "-d 127.0.0.11/32 -j DOCKER_OUTPUT"); at != len(rules)-1 || len(rules) != 5 {
		t.Errorf("nat OUTPUT: %q", rules)
	}
	v4.rules["nat DOCKER_OUTPUT"] = []string{"-j DNAT --to-destination 127.0.0.1:4444"}
	if err := f.Verify(t.Context()); err == nil {
		t.Error("Verify accepts changed rules of the engine")
	}
}

func TestApplyFailsClosed(t *testing.T) {
	tests := map[string]func(v4, v6 *memory){
		"a policy cannot be set":         func(v4, _ *memory) { v4.fail = "policy filter OUTPUT" },
		"a chain cannot be made":         func(v4, _ *memory) { v4.fail = "new filter" },
		"a rule cannot be added":         func(v4, _ *memory) { v4.fail = "insert filter OUTPUT 7" },
		"a table cannot be listed":       func(v4, _ *memory) { v4.fail = "list raw" },
		"a chain cannot be read back":    func(_, v6 *memory) { v6.fail = "list filter INPUT" },
		"somebody's rule is in filter":   func(v4, _ *memory) { v4.rules["filter OUTPUT"] = []string{"-j ACCEPT"} },
		"somebody's rule is in nat":      func(v4, _ *memory) { v4.rules["nat OUTPUT"] = []string{"-o eth0 -j DNAT --to-destination 10.0.0.1"} },
		"a jump to somebody's chain":     func(v4, _ *memory) { v4.rules["nat OUTPUT"] = []string{"-d 127.0.0.11/32 -j DOCKER"} },
		"our chain is there already":     func(v4, _ *memory) { v4.rules["filter "+denyChain] = nil },
		"somebody's rule is in IPv6":     func(_, v6 *memory) { v6.rules["filter OUTPUT"] = []string{"-o lo -j ACCEPT"} },
		"a jump poses as the engine's":   func(v4, _ *memory) { v4.rules["nat OUTPUT"] = []string{"-d 10.0.0.0/8 -j DOCKER_OUTPUT"} },
		"a built-in chain is not listed": func(v4, _ *memory) { delete(v4.rules, "nat OUTPUT") },
	}
	for name, prepare := range tests {
		t.Run(name, func(t *testing.T) {
			v4, v6 := newMemory(), newMemory()
			prepare(v4, v6)
			if _, err := fakeFirewall(t, v4, v6); err == nil {
				t.Error("no error")
			}
		})
	}
}

func TestVerifyNoticesEveryChange(t *testing.T) {
	tests := map[string]func(v4 *memory){
		"nothing":          nil,
		"a rule is gone":   func(m *memory) { m.rules["filter OUTPUT"] = slices.Delete(m.rules["filter OUTPUT"], 3, 4) },
		"two are swapped":  func(m *memory) { r := m.rules["filter OUTPUT"]; r[0], r[12] = r[12], r[0] },
		"one is added":     func(m *memory) { m.rules["filter INPUT"] = append(m.rules["filter INPUT"], "-j ACCEPT") },
		"one is different": func(m *memory) { m.rules["raw OUTPUT"][0] = "! -o lo -j CT --zone 89" },
		"a policy":         func(m *memory) { m.policies["filter FORWARD"] = accept },
		"a chain is gone":  func(m *memory) { delete(m.rules, "filter "+denyChain) },
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			v4 := newMemory()
			f, err := fakeFirewall(t, v4, newMemory())
			if err != nil {
				t.Fatal(err)
			}
			if change != nil {
				change(v4)
			}
			if err := f.Verify(t.Context()); (err != nil) != (change != nil) {
				t.Errorf("Verify: %v", err)
			}
		})
	}
}

func TestCountersTellAttemptsFromStrays(t *testing.T) {
	v4, v6 := newMemory(), newMemory()
	f, err := fakeFirewall(t, v4, v6)
	if err != nil {
		t.Fatal(err)
	}
	rules := v4.rules["filter "+denyChain]
	for i, packets := range []int64{5, 1, 2, 40, 40} { // RST, ICMP errors, IGMP, attempts, their rejection
		v4.packets[rules[i]] = packets
	}
	v6.packets[v6.rules["filter OUTPUT"][0]] = 3
	got, err := f.Counters(t.Context())
	if want := (Counters{Denied: 43, Stray: 8}); err != nil || got != want {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
}

func TestApplyStopsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	f := &Firewall{families: []*family{{name: "IPv4", tables: newMemory(), chains: ipv4Chains(testConfig())}}}
	if err := f.apply(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestConfigNamesEveryFault(t *testing.T) {
	err := Config{}.Validate()
	if err == nil || !strings.Contains(err.Error(), "resolver") || !strings.Contains(err.Error(), "proxy") || !strings.Contains(err.Error(), "synthetic") {
		t.Errorf("got %v", err)
	}
	same := testConfig()
	same.ProxyPort = same.DNSPort
	if same.Validate() == nil {
		t.Error("one port for both is accepted")
	}
	if err := testConfig().Validate(); err != nil {
		t.Error(err)
	}
}

func TestCanonical(t *testing.T) {
	tests := []struct{ in, want string }{
		{"-p igmp  -j DROP", "-p 2 -j DROP"},
		{`-j NFLOG --nflog-prefix "closed" --nflog-group 83`, "-j NFLOG --nflog-prefix closed --nflog-group 83"},
		{"-d 10.0.0.1/32 -j igmp", "-d 10.0.0.1/32 -j igmp"},
	}
	for _, test := range tests {
		if got := canonical(test.in); got != test.want {
			t.Errorf("canonical(%q) = %q, want %q", test.in, got, test.want)
		}
	}
}

func TestHostNamespacesAreRefused(t *testing.T) {
	veth, loop := link{name: "eth0", kind: "veth"}, link{name: "lo", loop: true}
	tests := map[string]struct {
		files []string
		ns    namespace
		host  bool
		ok    bool
	}{
		"container":                    {[]string{"somaxconn"}, namespace{"net:[4026532253]", []link{loop, veth}}, false, true},
		"only loopback":                {[]string{"somaxconn"}, namespace{"net:[4026532253]", []link{loop}}, false, true},
		"sysctl of the initial one":    {[]string{"somaxconn", "netdev_max_backlog"}, namespace{"net:[4026532253]", []link{loop, veth}}, true, false},
		"inode of the initial one":     {[]string{"somaxconn"}, namespace{initialInode, []link{loop, veth}}, true, false},
		"docker0":                      {[]string{"somaxconn"}, namespace{"net:[1]", []link{loop, {name: "docker0", kind: "bridge"}}}, true, false},
		"hardware":                     {[]string{"somaxconn"}, namespace{"net:[1]", []link{loop, {name: "eth0"}}}, true, false},
		"no sysctls: nothing is known": {nil, namespace{"net:[1]", []link{loop, veth}}, false, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			sys := t.TempDir()
			if err := os.MkdirAll(filepath.Join(sys, "core"), 0o755); err != nil {
				t.Fatal(err)
			}
			for _, file := range test.files {
				if err := os.WriteFile(filepath.Join(sys, "core", file), []byte("1\n"), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			err := checkNamespace(sys, func() (namespace, error) { return test.ns, nil })
			if errors.Is(err, ErrHostNamespace) != test.host || (err == nil) != test.ok {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestIPv6MustBeOff(t *testing.T) {
	tests := map[string]struct {
		ifInet6 *string
		sysctl  string
		has     bool
		ok      bool
	}{
		"kernel without it": {nil, "", false, true},
		"off":               {new(""), "1\n", true, true},
		"on":                {new(""), "0\n", false, false},
		"address left over": {new("0000 lo\n"), "1\n", false, false},
		"sysctl missing":    {new(""), "", false, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if test.ifInet6 != nil {
				writeFile(t, filepath.Join(dir, "if_inet6"), *test.ifInet6)
			}
			if test.sysctl != "" {
				for _, scope := range []string{"all", "default"} {
					writeFile(t, filepath.Join(dir, "ipv6", "conf", scope, "disable_ipv6"), test.sysctl)
				}
			}
			got, err := checkIPv6(filepath.Join(dir, "if_inet6"), dir)
			if got != test.has || (err == nil) != test.ok {
				t.Errorf("got %t, %v", got, err)
			}
		})
	}
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
