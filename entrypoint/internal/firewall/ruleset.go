package firewall

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

const (
	drop   = "DROP"
	accept = "ACCEPT"

	// denyChain is where every attempt ends that no rule lets through.
	denyChain = "YOLO-DENY"
)

// kind says what the packets that a rule counts are.
type kind int

const (
	passing kind = iota
	denied       // an attempt: logged, then rejected by the rule behind
	stray        // nobody's attempt
)

// rule is written as `iptables -S` prints it, because it is compared with that.
type rule struct {
	spec  string
	kind  kind
	front bool // stands before what is already in the chain
}

// chain is one chain as it must be. Built-in chains have a policy, ours have none.
type chain struct {
	table  string
	name   string
	policy string
	rules  []rule
}

// ipv4Chains is the rule set. It held against everything in the attack list; each line that looks superfluous closes one of them.
// The other chains of nat are left alone: whatever the engine has there, filter decides.
func ipv4Chains(cfg Config) []chain {
	mark := fmt.Sprintf("-m mark --mark %#x", Mark)
	notMark := fmt.Sprintf("-m mark ! --mark %#x", Mark)
	zone := fmt.Sprintf("-j CT --zone %d", Zone)
	return []chain{
		// The gateway's traffic with the outside has conntrack entries of its own: else one of the 28,000 entries that an agent can
		// seed in a quarter of a second redirects the gateway's lookups to the agent.
		{table: "raw", name: "PREROUTING", policy: accept, rules: []rule{{spec: "! -i lo " + zone}}},
		{table: "raw", name: "OUTPUT", policy: accept, rules: []rule{{spec: "! -o lo " + mark + " " + zone}}},

		// Before the engine's jump to DOCKER_OUTPUT, or questions for 127.0.0.11 would reach the engine. The gateway's own packets are
		// exempt by a match and not by a RETURN, or they would lose that jump.
		{table: "nat", name: "OUTPUT", policy: accept, rules: []rule{
			{front: true, spec: fmt.Sprintf("-p udp %s -m udp --dport 53 -j REDIRECT --to-ports %d", notMark, cfg.DNSPort)},
			{front: true, spec: fmt.Sprintf("-p tcp %s -m tcp --dport 53 -j REDIRECT --to-ports %d", notMark, cfg.DNSPort)},
			// A socket bound to lo by SO_BINDTODEVICE would never see the proxy's answer and hang without a record: only synthetic addresses
			// are behind lo, the rest of what goes there is refused in filter.
			{front: true, spec: fmt.Sprintf("-d %s -p tcp %s -j REDIRECT --to-ports %d", cfg.Synthetic, notMark, cfg.ProxyPort)},
			{front: true, spec: fmt.Sprintf("! -o lo -p tcp %s -m addrtype ! --dst-type LOCAL -j REDIRECT --to-ports %d", notMark, cfg.ProxyPort)},
		}},

		// Neighbours on the network and the host cannot reach in. Replies come in the gateway's zone only.
		{table: "filter", name: "INPUT", policy: drop, rules: []rule{
			{spec: "-i lo -j ACCEPT"},
			{spec: "-m conntrack --ctstate ESTABLISHED -j ACCEPT"},
			{spec: "-p icmp -m conntrack --ctstate RELATED -j ACCEPT"},
		}},
		{table: "filter", name: "FORWARD", policy: drop},
		{table: "filter", name: "OUTPUT", policy: drop, rules: outputRules(cfg, mark)},
		{table: "filter", name: denyChain, rules: denyRules()},

		// The last word on the way out. A socket bound to a device (SO_BINDTODEVICE) stays with it after nat: what was redirected to 127.0.0.1 would leave by
		// that device, which filter cannot see, because it knows the first one only. Nothing can be rejected here.
		{table: "mangle", name: "POSTROUTING", policy: accept, rules: []rule{
			{kind: denied, spec: "! -o lo " + notMark + logged()},
			{spec: "! -o lo " + notMark + " -j DROP"},
		}},
	}
}

// outputRules lets pass: the gateway, loopback between the agent's own processes, and what nat sent to our listeners. There is no
// "established" rule: whatever is established, is so by one of these.
func outputRules(cfg Config, mark string) []rule {
	deny := " -j " + denyChain
	listener := func(proto string, port uint16) rule {
		// A redirected packet still shows its first output device, so that -o lo does not match it.
		return rule{spec: fmt.Sprintf("-d %s/32 -p %s -m %s --dport %d -m conntrack --ctstate DNAT -j ACCEPT", ListenAddr, proto, proto, port)}
	}
	return []rule{
		{spec: "-o lo " + mark + " -j ACCEPT"},
		// The kernel's own refusals: without them a rejected call would wait for its time-out.
		{spec: "-o lo -p icmp -m conntrack --ctstate RELATED -j ACCEPT"},
		// The engine's resolver is an open forwarder at a port that the agent can find. Its answers to the gateway pass; anything else
		// from its address is somebody who bound it to pose as the resolver.
		{spec: "-d " + EngineResolver + "/32" + deny},
		{spec: "-s " + EngineResolver + "/32 -m conntrack --ctstate ESTABLISHED --ctdir REPLY -j ACCEPT"},
		{spec: "-s " + EngineResolver + "/32" + deny},
		{spec: "-s " + LookupSource + "/32" + deny},
		{spec: "-d " + LookupSource + "/32" + deny},
		// -o lo alone is not loopback: SO_BINDTODEVICE sends any address there.
		{spec: "-o lo -m addrtype --dst-type LOCAL -j ACCEPT"},
		listener("tcp", cfg.ProxyPort),
		listener("udp", cfg.DNSPort),
		listener("tcp", cfg.DNSPort),
		{spec: mark + " -j ACCEPT"},
		{spec: "-j " + denyChain},
	}
}

// denyRules tells attempts from strays: late segments of a connection that is gone (RST above all), the kernel's "port unreachable" when a
// client did not wait for the answer to its DNS query, and IGMP reports have no call behind them and would show as denials in honest runs.
func denyRules() []rule {
	return append([]rule{
		{kind: stray, spec: "-p tcp -m tcp ! --tcp-flags FIN,SYN,RST,ACK SYN -j DROP"},
		{kind: stray, spec: "-p icmp -m conntrack --ctstate RELATED -j DROP"},
		{kind: stray, spec: "-p 2 -j DROP"},
	}, attemptRules("icmp-admin-prohibited")...)
}

// attemptRules count and log an attempt, then reject it, so that a denied call fails in a millisecond. ICMP rejects TCP as well as a
// reset does, and for a connection to the engine's resolver the reset would not come back.
func attemptRules(reject string) []rule {
	return []rule{
		{kind: denied, spec: strings.TrimPrefix(logged(), " ")},
		{spec: "-j REJECT --reject-with " + reject},
	}
}

func logged() string {
	return fmt.Sprintf(" -j NFLOG --nflog-prefix %s --nflog-group %d", Prefix, LogGroup)
}

// Prefix is the NFLOG prefix of refused attempts.
const Prefix = "closed"

// ipv6Chains stand behind a namespace in which IPv6 is off, so that the kernel itself has nothing to send: not even loopback passes.
func ipv6Chains() []chain {
	return []chain{
		{table: "filter", name: "INPUT", policy: drop},
		{table: "filter", name: "FORWARD", policy: drop},
		{table: "filter", name: "OUTPUT", policy: drop, rules: attemptRules("icmp6-adm-prohibited")},
	}
}

// refuses reports whether a rule of the chain counts what it refuses.
func (c chain) refuses() bool {
	return slices.ContainsFunc(c.rules, func(r rule) bool { return r.kind != passing })
}

// prepare sets the policy, or makes the chain where it is ours.
func (c chain) prepare(to tables) error {
	switch c.policy {
	case drop:
		return to.ChangePolicy(c.table, c.name, drop)
	case "":
		return to.NewChain(c.table, c.name)
	default:
		return nil
	}
}

// fill adds the rules in order.
func (c chain) fill(ctx context.Context, to tables) error {
	for i, r := range c.rules {
		if err := ctx.Err(); err != nil {
			return err
		}
		spec := strings.Fields(r.spec)
		var err error
		if r.front {
			err = to.Insert(c.table, c.name, i+1, spec...)
		} else {
			err = to.Append(c.table, c.name, spec...)
		}
		if err != nil {
			return fmt.Errorf("rule %d: %w", i+1, err)
		}
	}
	return nil
}
