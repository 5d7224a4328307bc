package firewall

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/coreos/go-iptables/iptables"
)

// tables is what we need of go-iptables, for one IP version.
type tables interface {
	ListWithCounters(table, chain string) ([]string, error)
	NewChain(table, chain string) error
	ChangePolicy(table, chain, target string) error
	Append(table, chain string, rulespec ...string) error
	Insert(table, chain string, pos int, rulespec ...string) error
}

var _ tables = (*iptables.IPTables)(nil)

// The back ends of iptables, as its version line names them.
const (
	nfTables = "nf_tables"
	legacy   = "legacy"
)

// lockSeconds bounds the wait for the lock of the legacy back end; go-iptables waits for ever by default.
const lockSeconds = 5

// Backend is the side of the kernel that the rules go to, nf_tables or legacy, and the programs that speak to it.
type Backend struct {
	name   string
	v4, v6 tables // v6 is nil where the kernel has no IPv6
}

// Open chooses the back end and changes nothing. It refuses the initial network namespace, and any that it does not find as an engine makes them.
func Open() (*Backend, error) {
	if err := checkNamespace(procSys, processNamespace); err != nil {
		return nil, err
	}
	hasIPv6, err := checkIPv6("/proc/net/if_inet6", procSys)
	if err != nil {
		return nil, err
	}
	return openTables(hasIPv6)
}

// NeedsRaw reports whether the programs need CAP_NET_RAW beside CAP_NET_ADMIN: those of the legacy back end speak to the kernel through a raw socket.
func (b *Backend) NeedsRaw() bool { return b.name != nfTables }

// openTables: rules of two back ends in one namespace are both in force and cannot see each other, so the engine's choice is ours: if it left
// its rules in legacy tables, these; else nf_tables, unless this kernel has none.
func openTables(ipv6 bool) (*Backend, error) {
	names, err := os.ReadFile("/proc/net/ip_tables_names")
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("legacy tables: %w", err)
	}
	order := []string{nfTables, legacy}
	if slices.ContainsFunc(bytes.Fields(names), func(name []byte) bool { return string(name) == "nat" }) {
		order = []string{legacy}
	}
	var faults []error
	for _, name := range order {
		v4, v6, err := openBackend(name, ipv6)
		if err == nil {
			return &Backend{name: name, v4: v4, v6: v6}, nil
		}
		faults = append(faults, fmt.Errorf("iptables with %s: %w", name, err))
	}
	return nil, errors.Join(faults...)
}

// openBackend also lists a chain: a program that is there says nothing about the kernel.
func openBackend(backend string, ipv6 bool) (v4, v6 tables, err error) {
	suffix := map[string]string{nfTables: "-nft", legacy: "-legacy"}[backend]
	v4, err = openFamily(iptables.ProtocolIPv4, "iptables"+suffix)
	if err == nil {
		_, err = v4.ListWithCounters("filter", "OUTPUT")
	}
	if err != nil || !ipv6 {
		return v4, nil, err
	}
	v6, err = openFamily(iptables.ProtocolIPv6, "ip6tables"+suffix)
	return v4, v6, err
}

func openFamily(proto iptables.Protocol, program string) (tables, error) {
	t, err := iptables.New(iptables.IPFamily(proto), iptables.Path(program), iptables.Timeout(lockSeconds))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", program, err)
	}
	return t, nil
}
