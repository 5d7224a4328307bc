// Package firewall closes the gateway's network namespace: the iptables rules, their read-back, and the reader of what they refuse.
//
// It is the only importer of go-iptables and go-nflog. Names, DNS and TCP are decided in user space (package gateway); the rules see to it
// that nothing else leaves and that every refused attempt is counted.
//
// Invariant: [Backend.Apply] returns a [Firewall] only after every chain was read back and is, rule by rule and in order, what was asked for.
package firewall

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sync/errgroup"
)

const (
	// Mark (SO_MARK) tells the gateway's own packets from the agent's: "YOLO" in ASCII. It is compared in full, so that no bit which
	// other software sets (kube-proxy 0x4000, Tailscale 0x40000, swarm's small numbers) makes a packet ours. Setting it
	// needs CAP_NET_ADMIN, or since Linux 5.17 CAP_NET_RAW; the agent has neither, and nor has what serves it.
	Mark = 0x594f4c4f

	// Zone is the conntrack zone of the gateway's traffic with the outside. Entries that the agent's packets left behind (redirects
	// among them) are in zone 0 and cannot capture it.
	Zone = 89

	// LogGroup is the NFLOG group, private to the network namespace.
	LogGroup = 83

	// LookupSource is the loopback address that the gateway asks a resolver on loopback from. Nothing unmarked can send from it or to
	// it, so that the agent can neither pose as the gateway nor answer it.
	LookupSource = "127.83.0.1"

	// EngineResolver is where Docker's embedded DNS listens on networks of the user's.
	EngineResolver = "127.0.0.11"

	// ListenAddr is the only address that the gateway's listeners may have. (An answer from a wildcard listener would leave with another
	// source address than the redirected question had.)
	ListenAddr = "127.0.0.1"
)

// Config says where allowed traffic goes.
type Config struct {
	DNSPort   uint16 // of the resolver on [ListenAddr], UDP and TCP
	ProxyPort uint16 // of the transparent proxy on [ListenAddr]
	// Synthetic are the IPv4 addresses that the resolver gives to allowed names.
	Synthetic netip.Prefix
}

// Validate returns all faults of the configuration, joined.
func (c Config) Validate() error {
	var faults []error
	if c.DNSPort == 0 {
		faults = append(faults, errors.New("port of the resolver: missing"))
	}
	if c.ProxyPort == 0 {
		faults = append(faults, errors.New("port of the proxy: missing"))
	}
	if c.DNSPort == c.ProxyPort && c.DNSPort != 0 {
		faults = append(faults, fmt.Errorf("port %d: resolver and proxy cannot share it", c.DNSPort))
	}
	if !c.Synthetic.Addr().Is4() {
		faults = append(faults, fmt.Errorf("synthetic addresses %v: not an IPv4 prefix", c.Synthetic))
	}
	return errors.Join(faults...)
}

// Firewall is a closed network namespace. Its methods may be used by one goroutine at a time.
type Firewall struct {
	backend  string
	families []*family
}

// family is one IP version's rules and what they were applied with.
type family struct {
	name   string
	tables tables
	chains []chain
	engine engineRules
}

// Counters are the packets that the rules refused since they were applied.
type Counters struct {
	Denied int64 // attempts: each also went to the NFLOG group, which may lose some
	Stray  int64 // packets that are nobody's attempt: late TCP segments of closed connections, IGMP
}

// Apply closes the network namespace of the calling process and proves it by reading every chain back. On an error the namespace may be
// closed in part, never opened: the policies come first.
func (b *Backend) Apply(ctx context.Context, cfg Config) (*Firewall, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	f := &Firewall{backend: b.name, families: []*family{{name: "IPv4", tables: b.v4, chains: ipv4Chains(cfg)}}}
	if b.v6 != nil {
		f.families = append(f.families, &family{name: "IPv6", tables: b.v6, chains: ipv6Chains()})
	}
	if err := f.apply(ctx); err != nil {
		return nil, err
	}
	return f, routeToLoopback(cfg.Synthetic)
}

// Backend is what the rules were applied with: nf_tables or legacy.
func (f *Firewall) Backend() string { return f.backend }

// Rules is the number of rules, policies included.
func (f *Firewall) Rules() int {
	n := 0
	for _, fam := range f.families {
		for _, c := range fam.chains {
			n += len(c.rules)
			if c.policy == drop {
				n++
			}
		}
	}
	return n
}

// apply sets policies first, so that a failure half-way leaves the namespace closed. Each call is one process of some
// milliseconds; chains do not depend on each other once they exist, so they are worked on at the same time.
func (f *Firewall) apply(ctx context.Context) error {
	if err := f.each(ctx, func(_ context.Context, fam *family, c chain) error { return c.prepare(fam.tables) }); err != nil {
		return err
	}
	if err := f.each(ctx, func(ctx context.Context, fam *family, c chain) error { return c.fill(ctx, fam.tables) }); err != nil {
		return err
	}
	return f.Verify(ctx)
}

// Verify reads every chain that we filled or closed back and compares it with what was applied. Beside our rules it accepts only those
// of the engine's own resolver, and only as they were found first.
func (f *Firewall) Verify(ctx context.Context) error {
	return f.each(ctx, func(_ context.Context, fam *family, c chain) error { return fam.verify(c) })
}

// Counters reads the counters of the refusing rules.
func (f *Firewall) Counters(ctx context.Context) (Counters, error) {
	var sum Counters
	for _, fam := range f.families {
		for _, c := range fam.chains {
			if !c.refuses() {
				continue
			}
			if err := ctx.Err(); err != nil {
				return Counters{}, err
			}
			lines, err := fam.tables.ListWithCounters(c.table, c.name)
			if err != nil {
				return Counters{}, wrap(err, fam, c)
			}
			if err := sum.add(c, lines); err != nil {
				return Counters{}, wrap(err, fam, c)
			}
		}
	}
	return sum, nil
}

// each runs fn for all chains of all families, some at a time.
func (f *Firewall) each(ctx context.Context, fn func(context.Context, *family, chain) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for _, fam := range f.families {
		for _, c := range fam.chains {
			group.Go(func() error {
				if err := ctx.Err(); err != nil {
					return err
				}
				return wrap(fn(ctx, fam, c), fam, c)
			})
		}
	}
	return group.Wait()
}

// parallel is how many iptables processes run at a time: they spend half of their time waiting for the kernel's commit.
const parallel = 4

func wrap(err error, fam *family, c chain) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s rules, %s %s: %w", fam.name, c.table, c.name, err)
}
