package firewall

import (
	"fmt"
	"slices"
	"strings"
	"sync"
)

// memory is iptables in memory: it keeps rules as they were given and prints them as `iptables -v -S` does.
type memory struct {
	mu       sync.Mutex
	policies map[string]string   // table chain -> policy
	rules    map[string][]string // table chain -> rules
	packets  map[string]int64    // rule -> counter
	fail     string              // the call with this prefix fails
}

var _ tables = (*memory)(nil)

func newMemory() *memory {
	m := &memory{policies: map[string]string{}, rules: map[string][]string{}, packets: map[string]int64{}}
	for table, chains := range map[string][]string{
		"raw": {"PREROUTING", "OUTPUT"}, "nat": {"PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"}, "filter": {"INPUT", "FORWARD", "OUTPUT"},
		"mangle": {"POSTROUTING"},
	} {
		for _, chain := range chains {
			m.policies[table+" "+chain], m.rules[table+" "+chain] = accept, nil
		}
	}
	return m
}

func (m *memory) call(format string, args ...any) error {
	if call := fmt.Sprintf(format, args...); m.fail != "" && strings.HasPrefix(call, m.fail) {
		return fmt.Errorf("%s: refused", call)
	}
	return nil
}

func (m *memory) ListWithCounters(table, chain string) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	key := table + " " + chain
	rules, ok := m.rules[key]
	if !ok {
		return nil, fmt.Errorf("no chain %s", key)
	}
	head := "-N " + chain
	if policy := m.policies[key]; policy != "" {
		head = fmt.Sprintf("-P %s %s -c 0 0", chain, policy)
	}
	lines := []string{head}
	for _, spec := range rules {
		match, target, _ := strings.Cut(" "+spec, " -j ")
		line := fmt.Sprintf("-A %s%s -c %d 0 -j %s", chain, match, m.packets[spec], target)
		lines = append(lines, line)
	}
	return lines, m.call("list %s %s", table, chain)
}

func (m *memory) NewChain(table, chain string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	key := table + " " + chain
	if _, exists := m.rules[key]; exists {
		return fmt.Errorf("chain %s exists", key)
	}
	m.rules[key] = nil
	return m.call("new %s", key)
}

func (m *memory) ChangePolicy(table, chain, target string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	key := table + " " + chain
	if m.policies[key] == "" {
		return fmt.Errorf("chain %s has no policy", key)
	}
	m.policies[key] = target
	return m.call("policy %s", key)
}

func (m *memory) Append(table, chain string, rulespec ...string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.insert(table, chain, len(m.rules[table+" "+chain])+1, rulespec)
}

func (m *memory) Insert(table, chain string, pos int, rulespec ...string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.insert(table, chain, pos, rulespec)
}

func (m *memory) insert(table, chain string, pos int, rulespec []string) error {
	key := table + " " + chain
	rules, ok := m.rules[key]
	if !ok || pos < 1 || pos > len(rules)+1 {
		return fmt.Errorf("no position %d in %s", pos, key)
	}
	m.rules[key] = slices.Insert(rules, pos-1, strings.Join(rulespec, " "))
	return m.call("insert %s %d", key, pos)
}
