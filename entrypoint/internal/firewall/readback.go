package firewall

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// verify reads one chain back. A chain that is not ours is harmless until something jumps to it, and then the jump is found; in nat
// the engine's own resolver has jumps, which are accepted, with their chains, as they are found the first time.
func (fam *family) verify(c chain) error {
	lines, err := fam.tables.ListWithCounters(c.table, c.name)
	if err != nil {
		return err
	}
	if c.policy != "" && !slices.ContainsFunc(lines, func(line string) bool { return policyOf(line) == c.policy }) {
		return fmt.Errorf("policy is not %s", c.policy)
	}
	got := rulesOf(lines)
	for i, r := range c.rules {
		if i >= len(got) {
			return fmt.Errorf("rule %d is missing: %s", i+1, r.spec)
		}
		if got[i] != canonical(r.spec) {
			return fmt.Errorf("rule %d is %q, not %q", i+1, got[i], r.spec)
		}
	}
	rest := got[len(c.rules):]
	for _, line := range rest {
		if c.table != "nat" || !isEngineJump(line) {
			return fmt.Errorf("rule %q is not ours", line)
		}
		if err := fam.verifyEngine(c.table, strings.Fields(line)[3]); err != nil {
			return err
		}
	}
	return fam.engine.same(c.table, c.name, rest)
}

func (fam *family) verifyEngine(table, chain string) error {
	lines, err := fam.tables.ListWithCounters(table, chain)
	if err != nil {
		return fmt.Errorf("%s: %w", chain, err)
	}
	rules := rulesOf(lines)
	for _, line := range rules {
		if !strings.Contains(line, EngineResolver) {
			return fmt.Errorf("%s: rule %q is not about the engine's resolver", chain, line)
		}
	}
	if err := fam.engine.same(table, chain, rules); err != nil {
		return fmt.Errorf("%s: %w", chain, err)
	}
	return nil
}

// engineRules are the engine's own rules, as they were first read back. Tables are read at the same time.
type engineRules struct {
	mu    sync.Mutex
	first map[string][]string
}

func (e *engineRules) same(table, chain string, rules []string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	key := table + " " + chain
	first, seen := e.first[key]
	if !seen {
		if e.first == nil {
			e.first = map[string][]string{}
		}
		e.first[key] = rules
		return nil
	}
	if !slices.Equal(first, rules) {
		return fmt.Errorf("the engine's rules have changed from %q to %q", first, rules)
	}
	return nil
}

// isEngineChain: DOCKER_OUTPUT and DOCKER_POSTROUTING lead the embedded resolver's port to where it really listens.
func isEngineChain(name string) bool {
	return name == "DOCKER_OUTPUT" || name == "DOCKER_POSTROUTING"
}

func isEngineJump(line string) bool {
	fields := strings.Fields(line)
	return strings.HasPrefix(line, "-d "+EngineResolver+"/32 ") && len(fields) == 4 && fields[2] == "-j" && isEngineChain(fields[3])
}

// rulesOf takes the rules out of the lines of `iptables -v -S CHAIN`, in canonical form.
func rulesOf(lines []string) []string {
	var rules []string
	for _, line := range lines {
		if spec, _, ok := parseRule(line); ok {
			rules = append(rules, spec)
		}
	}
	return rules
}

// parseRule splits a line such as "-A OUTPUT -o lo -c 12 840 -j ACCEPT" into its canonical specification and its packet counter.
func parseRule(line string) (spec string, packets int64, ok bool) {
	fields := strings.Fields(line)
	if len(fields) < 3 || fields[0] != "-A" {
		return "", 0, false
	}
	fields = fields[2:]
	if i := slices.Index(fields, "-c"); i >= 0 && i+2 < len(fields) {
		n, err := strconv.ParseInt(fields[i+1], 10, 64)
		if err != nil {
			return "", 0, false
		}
		packets = n
		fields = slices.Delete(fields, i, i+3)
	}
	return canonical(strings.Join(fields, " ")), packets, true
}

func policyOf(line string) string {
	fields := strings.Fields(line)
	if len(fields) < 3 || fields[0] != "-P" {
		return ""
	}
	return fields[2]
}

// canonical levels out what versions of iptables print differently: spaces, quotes, and the name of protocol 2, which depends on
// whether there is an /etc/protocols.
func canonical(spec string) string {
	fields := strings.Fields(spec)
	for i, field := range fields {
		fields[i] = strings.Trim(field, `"`)
		if field == "igmp" && i > 0 && fields[i-1] == "-p" {
			fields[i] = "2"
		}
	}
	return strings.Join(fields, " ")
}

// add sums the counters of the refusing rules of one chain.
func (sum *Counters) add(c chain, lines []string) error {
	i := 0
	for _, line := range lines {
		_, packets, ok := parseRule(line)
		if !ok {
			continue
		}
		if i >= len(c.rules) {
			return fmt.Errorf("more than %d rules", len(c.rules))
		}
		switch c.rules[i].kind {
		case denied:
			sum.Denied += packets
		case stray:
			sum.Stray += packets
		case passing:
		}
		i++
	}
	if i != len(c.rules) {
		return fmt.Errorf("%d rules of %d", i, len(c.rules))
	}
	return nil
}
