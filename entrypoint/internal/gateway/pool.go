package gateway

import (
	"encoding/binary"
	"net/netip"
	"sync"
)

// maxNames is how many names one run may ask for: half of what the range holds, so that a pool never ends by arithmetic.
const maxNames = 1 << 16

// synthetic is the range that the DNS answers from. It is for benchmarks (RFC 2544) and routed nowhere, so an address in it came
// from this run's pool or was made up.
func synthetic() netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 18, 0, 0}), 15)
}

// pool gives every name one address for the whole run and never gives an address twice: a connection to it says which name was
// looked up, whatever happened in between. Names are normalised. It is safe for concurrent use.
type pool struct {
	max int

	mu     sync.RWMutex
	names  []string // names[i] has the (i+1)th address of the range
	byName map[string]netip.Addr
}

// newPool makes a pool for at most limit names; more than the range has addresses for counts as that many.
func newPool(limit int) *pool {
	const usable = 1<<17 - 2 // without the first and last, which look like a network and a broadcast address
	return &pool{max: min(limit, usable), byName: make(map[string]netip.Addr)}
}

// addr returns the name's address, or false when the pool is used up.
func (p *pool) addr(name string) (netip.Addr, bool) {
	p.mu.RLock()
	a, ok := p.byName[name]
	p.mu.RUnlock()
	if ok {
		return a, true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if a, ok := p.byName[name]; ok {
		return a, true
	}
	if len(p.names) >= p.max {
		return netip.Addr{}, false
	}
	p.names = append(p.names, name)
	a = nth(len(p.names))
	p.byName[name] = a
	return a, true
}

// name returns the name that an address was given to.
func (p *pool) name(a netip.Addr) (string, bool) {
	if !synthetic().Contains(a) {
		return "", false
	}
	b := a.As4()
	first := synthetic().Addr().As4()
	i := int(binary.BigEndian.Uint32(b[:])) - int(binary.BigEndian.Uint32(first[:])) - 1
	p.mu.RLock()
	defer p.mu.RUnlock()
	if i < 0 || i >= len(p.names) {
		return "", false
	}
	return p.names[i], true
}

// nth is the address number i of the range.
func nth(i int) netip.Addr {
	b := synthetic().Addr().As4()
	binary.BigEndian.PutUint32(b[:], binary.BigEndian.Uint32(b[:])+uint32(i)) //nolint:gosec // i is below 1<<17
	return netip.AddrFrom4(b)
}
