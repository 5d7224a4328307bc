package gateway

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/yolo-run/yolo-run/entrypoint/policy"
)

// nameserver is a resolver on loopback, over UDP and TCP at one port.
type nameserver struct {
	addr  netip.AddrPort
	asked atomic.Int64
}

// newNameserver answers each query with all messages that script returns, in this order.
func newNameserver(t testing.TB, script func(q *dns.Msg, network string) []*dns.Msg) *nameserver {
	t.Helper()
	udp, tcp := listenBoth(t)
	n := &nameserver{addr: udp.LocalAddr().(*net.UDPAddr).AddrPort()}
	handle := dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		n.asked.Add(1)
		for _, m := range script(q, w.LocalAddr().Network()) {
			if err := w.WriteMsg(m); err != nil {
				return
			}
		}
	})
	for _, s := range []*dns.Server{{PacketConn: udp, Handler: handle}, {Listener: tcp, Handler: handle}} {
		started := make(chan struct{})
		s.NotifyStartedFunc = func() { close(started) }
		go func() { _ = s.ActivateAndServe() }()
		<-started
		t.Cleanup(func() { _ = s.Shutdown() })
	}
	return n
}

// listenBoth finds a port that is free for both.
func listenBoth(t testing.TB) (*net.UDPConn, *net.TCPListener) {
	t.Helper()
	for range 100 {
		tcp := listenTCP(t)
		udp, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(tcp.Addr().(*net.TCPAddr).AddrPort()))
		if err == nil {
			return udp, tcp
		}
		tcp.Close()
	}
	t.Fatal("no port is free for both UDP and TCP")
	return nil, nil
}

// answering is the reply to a query with records in the form of a zone file.
func answering(t testing.TB, q *dns.Msg, zone ...string) *dns.Msg {
	t.Helper()
	m := new(dns.Msg).SetReply(q)
	for _, line := range zone {
		rr, err := dns.NewRR(line)
		if err != nil {
			t.Error(err)
			continue
		}
		m.Answer = append(m.Answer, rr)
	}
	return m
}

func change(m *dns.Msg, f func(*dns.Msg)) *dns.Msg {
	f(m)
	return m
}

func newTestResolver(t testing.TB, servers ...netip.AddrPort) *resolver {
	t.Helper()
	r := newResolver(upstreamConfig{Policy: mustPolicy(t, allowing), Resolvers: servers})
	r.timeout = time.Second
	return r
}

func TestLookupBelievesOnlyTheAnswerToItsQuestion(t *testing.T) {
	const good = "allowed.example. 60 IN A 198.51.100.7"
	tests := []struct {
		what   string
		script func(q *dns.Msg, network string) []*dns.Msg
		want   string // addresses, or part of the error
	}{
		{"one address", func(q *dns.Msg, _ string) []*dns.Msg { return []*dns.Msg{answering(t, q, good)} }, "[198.51.100.7]"},
		{"two addresses", func(q *dns.Msg, _ string) []*dns.Msg {
			return []*dns.Msg{answering(t, q, good, "allowed.example. 60 IN A 198.51.100.8")}
		}, "[198.51.100.7 198.51.100.8]"},
		{"aliases in any order", func(q *dns.Msg, _ string) []*dns.Msg {
			return []*dns.Msg{answering(t, q, "b.test. 60 IN A 198.51.100.7", "A.test. 60 IN CNAME b.test.", "allowed.example. 60 IN CNAME a.TEST.")}
		}, "[198.51.100.7]"},
		{"an alias loop", func(q *dns.Msg, _ string) []*dns.Msg {
			return []*dns.Msg{answering(t, q, "allowed.example. 60 IN CNAME a.test.", "a.test. 60 IN CNAME allowed.example.")}
		}, "no IPv4 address"},
		{"an address of another name", func(q *dns.Msg, _ string) []*dns.Msg {
			return []*dns.Msg{answering(t, q, "other.example. 60 IN A 198.51.100.9")}
		}, "no IPv4 address"},
		{"IPv6 only", func(q *dns.Msg, _ string) []*dns.Msg {
			return []*dns.Msg{answering(t, q, "allowed.example. 60 IN AAAA 2001:db8::1")}
		}, "no IPv4 address"},
		{"no such host", func(q *dns.Msg, _ string) []*dns.Msg {
			return []*dns.Msg{new(dns.Msg).SetRcode(q, dns.RcodeNameError)}
		}, "no such host"},
		{"a server failure", func(q *dns.Msg, _ string) []*dns.Msg {
			return []*dns.Msg{new(dns.Msg).SetRcode(q, dns.RcodeServerFailure)}
		}, "SERVFAIL"},
		{"forgeries first", func(q *dns.Msg, _ string) []*dns.Msg {
			forged := func() *dns.Msg { return answering(t, q, "allowed.example. 60 IN A 198.51.100.66") }
			return []*dns.Msg{
				change(forged(), func(m *dns.Msg) { m.Id++ }),
				change(forged(), func(m *dns.Msg) { m.Question[0].Name = "other.example." }),
				change(forged(), func(m *dns.Msg) { m.Question[0].Qtype = dns.TypeTXT }),
				change(forged(), func(m *dns.Msg) { m.Question[0].Qclass = dns.ClassCHAOS }),
				change(forged(), func(m *dns.Msg) { m.Question = nil }),
				change(forged(), func(m *dns.Msg) { m.Response = false }),
				answering(t, q, good),
			}
		}, "[198.51.100.7]"},
		{"too long for UDP", func(q *dns.Msg, network string) []*dns.Msg {
			if network == "udp" {
				return []*dns.Msg{change(new(dns.Msg).SetReply(q), func(m *dns.Msg) { m.Truncated = true })}
			}
			return []*dns.Msg{answering(t, q, good)}
		}, "[198.51.100.7]"},
		{"forged over TCP", func(q *dns.Msg, network string) []*dns.Msg {
			m := answering(t, q, good)
			if network == "udp" {
				m.Truncated = true
			} else {
				m.Id++
			}
			return []*dns.Msg{m}
		}, "an answer to another question"},
	}
	for _, tt := range tests {
		t.Run(tt.what, func(t *testing.T) {
			n := newNameserver(t, tt.script)
			got, err := newTestResolver(t, n.addr).lookup(t.Context(), "allowed.example")
			if text := fmt.Sprint(got); err == nil && text != tt.want {
				t.Errorf("got %s, want %s", text, tt.want)
			}
			if err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %s", err, tt.want)
			}
		})
	}
}

func TestLookupAsksTheNextResolverAndComesBack(t *testing.T) {
	failing := newNameserver(t, func(q *dns.Msg, _ string) []*dns.Msg {
		return []*dns.Msg{new(dns.Msg).SetRcode(q, dns.RcodeRefused)}
	})
	silent := newNameserver(t, func(*dns.Msg, string) []*dns.Msg { return nil })
	good := newNameserver(t, func(q *dns.Msg, _ string) []*dns.Msg {
		return []*dns.Msg{answering(t, q, "allowed.example. 60 IN A 198.51.100.7")}
	})
	r := newTestResolver(t, failing.addr, silent.addr, good.addr)
	r.timeout = 50 * time.Millisecond
	if got, err := r.lookup(t.Context(), "allowed.example"); err != nil || len(got) != 1 {
		t.Errorf("got %v, %v", got, err)
	}
	if _, err := newTestResolver(t, failing.addr).lookup(t.Context(), "allowed.example"); err == nil {
		t.Error("no error")
	}
	if n := failing.asked.Load(); n != 1+lookupRounds {
		t.Errorf("asked %d times", n)
	}
	if _, err := newTestResolver(t).lookup(t.Context(), "allowed.example"); err == nil {
		t.Error("no error without a resolver")
	}
}

func TestLookupOfInternalNamesStaysInside(t *testing.T) {
	answer := func(addr string) func(q *dns.Msg, _ string) []*dns.Msg {
		return func(q *dns.Msg, _ string) []*dns.Msg {
			return []*dns.Msg{answering(t, q, q.Question[0].Name+" 60 IN A "+addr)}
		}
	}
	public, internal := newNameserver(t, answer("198.51.100.7")), newNameserver(t, answer("10.0.0.7"))
	r := newResolver(upstreamConfig{
		Policy:    mustPolicy(t, policy.Spec{Allow: []string{"allowed.example"}, Internal: []string{"db:5432"}}),
		Resolvers: []netip.AddrPort{public.addr}, InternalResolver: internal.addr,
	})
	for name, want := range map[string]string{"allowed.example": "198.51.100.7", "db": "10.0.0.7"} {
		if got, err := r.lookup(t.Context(), name); err != nil || len(got) != 1 || got[0].String() != want {
			t.Errorf("%s: %v, %v; want %s", name, got, err, want)
		}
	}
	if public.asked.Load() != 1 || internal.asked.Load() != 1 {
		t.Errorf("public was asked %d times, internal %d times", public.asked.Load(), internal.asked.Load())
	}
}

func TestLookupComesFromItsOwnAddressOnLoopback(t *testing.T) {
	n := newNameserver(t, func(*dns.Msg, string) []*dns.Msg { return nil })
	r := newTestResolver(t, n.addr)
	r.source = netip.MustParseAddr("127.83.0.1")
	for _, network := range []string{"udp", "tcp"} {
		conn, err := r.dialer(network, n.addr).DialContext(t.Context(), network, n.addr.String())
		if err != nil {
			t.Fatal(err)
		}
		conn.Close()
		if got := conn.LocalAddr().String(); !strings.HasPrefix(got, "127.83.0.1:") {
			t.Errorf("%s: from %s", network, got)
		}
	}
	if d := r.dialer("udp", netip.MustParseAddrPort("198.51.100.53:53")); d.LocalAddr != nil {
		t.Errorf("a resolver elsewhere is asked from %s", d.LocalAddr)
	}
}

func TestLookupRemembersForTheTimeToLive(t *testing.T) {
	ttl := map[string]int{"allowed.example.": 60, "db.example.": 0}
	n := newNameserver(t, func(q *dns.Msg, _ string) []*dns.Msg {
		name := q.Question[0].Name
		return []*dns.Msg{answering(t, q, fmt.Sprintf("%s %d IN A 198.51.100.7", name, ttl[name]))}
	})
	r := newTestResolver(t, n.addr)
	for range 3 {
		if _, err := r.lookup(t.Context(), "allowed.example"); err != nil {
			t.Fatal(err)
		}
	}
	if got := n.asked.Load(); got != 1 {
		t.Errorf("asked %d times", got)
	}
	for range 3 {
		if _, err := r.lookup(t.Context(), "db.example"); err != nil {
			t.Fatal(err)
		}
	}
	if got := n.asked.Load(); got != 4 {
		t.Errorf("asked %d times, with a time to live of 0", got)
	}
}

func TestAnswerCacheIsBoundedAndForgets(t *testing.T) {
	c, now := newAnswerCache(3), time.Unix(1000, 0)
	addr := []netip.Addr{netip.MustParseAddr("198.51.100.7")}
	for i := range 10 {
		c.put(fmt.Sprint(i), answer{addrs: addr, ttl: time.Minute}, now)
		if len(c.entries) > 3 {
			t.Fatalf("%d entries", len(c.entries))
		}
		if got := c.get(fmt.Sprint(i), now.Add(59*time.Second)); !slices.Equal(got, addr) {
			t.Errorf("entry %d: %v", i, got)
		}
		if got := c.get(fmt.Sprint(i), now.Add(time.Minute)); got != nil {
			t.Errorf("entry %d after its time: %v", i, got)
		}
	}
	c = newAnswerCache(2)
	c.put("old", answer{addrs: addr, ttl: time.Second}, now)
	c.put("young", answer{addrs: addr, ttl: time.Hour}, now)
	c.put("new", answer{addrs: addr, ttl: time.Hour}, now.Add(time.Minute))
	if c.get("young", now) == nil || c.get("new", now) == nil {
		t.Error("it forgot an answer that was good while another had expired")
	}
}
