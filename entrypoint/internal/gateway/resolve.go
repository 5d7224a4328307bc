package gateway

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"time"

	"github.com/miekg/dns"

	"github.com/yolo-run/yolo-run/entrypoint/policy"
)

const (
	// lookupRounds times lookupTime is how long each resolver is waited for.
	lookupRounds = 2
	lookupTime   = 2500 * time.Millisecond
	// maxCNAMEs is how long a chain within one answer may be.
	maxCNAMEs = 16
)

// resolver asks for the addresses of allowed names. It trusts nobody on the way: sockets are connected, ids random, and an answer
// counts only when it repeats the question.
type resolver struct {
	policy   *policy.Policy
	public   []netip.AddrPort
	internal netip.AddrPort
	control  func(network, address string, c syscall.RawConn) error
	source   netip.Addr
	cache    *answerCache
	timeout  time.Duration
}

func newResolver(cfg upstreamConfig) *resolver {
	return &resolver{
		policy: cfg.Policy, public: cfg.Resolvers, internal: cfg.InternalResolver,
		control: cfg.Control, source: cfg.LookupSource,
		cache: newAnswerCache(maxCached), timeout: lookupTime,
	}
}

// lookup returns the IPv4 addresses of a normalised name, at least one.
func (r *resolver) lookup(ctx context.Context, name string) ([]netip.Addr, error) {
	if addrs := r.cache.get(name, time.Now()); addrs != nil {
		return addrs, nil
	}
	servers := r.public
	if r.policy.InternalName(name) {
		servers = []netip.AddrPort{r.internal}
	}
	if len(servers) == 0 {
		return nil, fmt.Errorf("lookup %s: no resolver", name)
	}
	var faults []error
	for range lookupRounds {
		for _, server := range servers {
			found, err := r.ask(ctx, server, name)
			var final *lookupError
			if err == nil || errors.As(err, &final) || ctx.Err() != nil {
				return r.keep(name, found, err)
			}
			faults = append(faults, err)
		}
	}
	return nil, fmt.Errorf("lookup %s: %w", name, errors.Join(faults...))
}

func (r *resolver) keep(name string, a answer, err error) ([]netip.Addr, error) {
	if err != nil {
		return nil, fmt.Errorf("lookup %s: %w", name, err)
	}
	r.cache.put(name, a, time.Now())
	return a.addrs, nil
}

// lookupError is an answer that another resolver would give too.
type lookupError struct{ what string }

// Error says what the answer was.
func (e *lookupError) Error() string { return e.what }

// answer is what a resolver said about a name.
type answer struct {
	addrs []netip.Addr
	ttl   time.Duration // the shortest of its records
}

// ask asks one resolver, over TCP when the answer does not fit UDP.
func (r *resolver) ask(ctx context.Context, server netip.AddrPort, name string) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	resp, err := r.exchange(ctx, "udp", server, name)
	if err == nil && resp.Truncated {
		resp, err = r.exchange(ctx, "tcp", server, name)
	}
	if err != nil {
		return answer{}, fmt.Errorf("resolver %s: %w", server, err)
	}
	switch resp.Rcode {
	case dns.RcodeSuccess:
		return addressesIn(resp, name)
	case dns.RcodeNameError:
		return answer{}, &lookupError{"no such host"}
	}
	return answer{}, fmt.Errorf("resolver %s: %s", server, dns.RcodeToString[resp.Rcode])
}

// exchange sends one query from a socket of its own and waits for the answer to it. Datagrams that do not answer it are passed over: who
// guesses wrong must not be able to end the lookup either.
func (r *resolver) exchange(ctx context.Context, network string, server netip.AddrPort, name string) (*dns.Msg, error) {
	raw, err := r.dialer(network, server).DialContext(ctx, network, server.String())
	if err != nil {
		return nil, err
	}
	defer raw.Close()
	stop := context.AfterFunc(ctx, func() { _ = raw.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	query := new(dns.Msg).SetQuestion(dns.Fqdn(name), dns.TypeA) // with a random id
	query.SetEdns0(ednsSize, false)
	conn := &dns.Conn{Conn: raw, UDPSize: ednsSize}
	if err := conn.WriteMsg(query); err != nil {
		return nil, err
	}
	for {
		resp, err := conn.ReadMsg()
		switch {
		case err == nil && answers(resp, query):
			return resp, nil
		case network == "udp" && (resp != nil || errors.Is(err, dns.ErrShortRead)):
			continue
		case err != nil:
			return nil, err
		default:
			return nil, errors.New("an answer to another question")
		}
	}
}

// dialer binds lookups at a resolver on loopback to the address that the firewall keeps for them: from any other, the agent could
// take the resolver's place. Everywhere else the kernel chooses address and port.
func (r *resolver) dialer(network string, server netip.AddrPort) *net.Dialer {
	d := &net.Dialer{Control: r.control}
	if !server.Addr().IsLoopback() || !r.source.IsValid() {
		return d
	}
	local := netip.AddrPortFrom(r.source, 0)
	if network == "udp" {
		d.LocalAddr = net.UDPAddrFromAddrPort(local)
	} else {
		d.LocalAddr = net.TCPAddrFromAddrPort(local)
	}
	return d
}

// answers reports whether resp is the answer to query: its id and its question, letter case aside.
func answers(resp, query *dns.Msg) bool {
	return resp != nil && resp.Response && resp.Id == query.Id && resp.Opcode == dns.OpcodeQuery &&
		len(resp.Question) == 1 &&
		strings.EqualFold(resp.Question[0].Name, query.Question[0].Name) &&
		resp.Question[0].Qtype == dns.TypeA && resp.Question[0].Qclass == dns.ClassINET
}

// addressesIn follows the aliases within one answer from name to its addresses. Records of other names are not believed.
func addressesIn(resp *dns.Msg, name string) (answer, error) {
	found := answer{ttl: maxTTL}
	owner := dns.Fqdn(name)
	for range maxCNAMEs {
		next := ""
		for _, rr := range resp.Answer {
			if !strings.EqualFold(rr.Header().Name, owner) || rr.Header().Class != dns.ClassINET {
				continue
			}
			switch rr := rr.(type) {
			case *dns.A:
				if ip, ok := netip.AddrFromSlice(rr.A.To4()); ok {
					found.addrs = append(found.addrs, ip)
				}
			case *dns.CNAME:
				next = rr.Target
			default:
				continue
			}
			found.ttl = min(found.ttl, time.Duration(rr.Header().Ttl)*time.Second)
		}
		if len(found.addrs) > 0 {
			return found, nil
		}
		if next == "" {
			break
		}
		owner = next
	}
	return answer{}, &lookupError{"no IPv4 address"}
}
