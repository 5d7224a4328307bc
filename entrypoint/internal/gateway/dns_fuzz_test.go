package gateway

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/yolo-run/yolo-run/entrypoint/policy"
	"github.com/yolo-run/yolo-run/reports"
)

// FuzzDNSMessage: whatever comes, there is no panic, a reply is a response to that very query, and an address is only given for a name
// that the policy allows.
func FuzzDNSMessage(f *testing.F) {
	f.Add(question(f, "allowed.example.", dns.TypeA))
	f.Add(question(f, "denied.example.", dns.TypeA))
	f.Add(question(f, "a\\.b\\000.wild.example.", dns.TypeA, func(m *dns.Msg) { m.SetEdns0(1232, true) }))
	f.Add(append(question(f, ".", dns.TypeA)[:dnsHeader], 0xc0, dnsHeader, 0, 1, 0, 1))
	p := mustPolicy(f, allowing)
	f.Fuzz(func(t *testing.T, packet []byte) {
		s := newDNS(p, newPool(10), discard{}, curl{})
		reply := s.answer(packet, query{proto: "udp"})
		if reply == nil {
			return
		}
		m := unpack(t, reply)
		if !m.Response || m.Id != binary.BigEndian.Uint16(packet) || len(m.Answer) > 1 {
			t.Fatalf("reply %v", m)
		}
		for _, rr := range m.Answer {
			a, ok := rr.(*dns.A)
			name, err := policy.Normalize(rr.Header().Name)
			if !ok || err != nil || !localhost(name) && p.Name(name).Verdict != reports.Allow {
				t.Fatalf("answer %v, %v", rr, err)
			}
			ip, _ := netip.AddrFromSlice(a.A.To4())
			if got, _ := s.pool.name(ip); got != name && !localhost(name) {
				t.Fatalf("%s is the address of %q", ip, got)
			}
		}
	})
}

// FuzzDNSStream: several messages to a segment, of which each is answered for itself, until one is not whole or too long.
func FuzzDNSStream(f *testing.F) {
	one, two := framed(question(f, "allowed.example.", dns.TypeA)), framed(question(f, "denied.example.", dns.TypeA))
	f.Add(append(slices.Clone(one), two...))
	f.Add(append(slices.Clone(one), two[:5]...))
	f.Add([]byte{0, 0, 0, 0, 0xff, 0xff, 1})
	p := mustPolicy(f, allowing)
	f.Fuzz(func(t *testing.T, stream []byte) {
		s := newDNS(p, newPool(10), discard{}, curl{})
		r := bytes.NewReader(stream)
		for {
			before := r.Len()
			packet, err := readDNSMessage(r)
			if err != nil {
				return
			}
			if len(packet) > maxDNSMessage || before-r.Len() != len(packet)+2 {
				t.Fatalf("a message of %d octets took %d", len(packet), before-r.Len())
			}
			s.answer(packet, query{proto: "tcp"})
		}
	})
}

// FuzzResolverAnswer: what an outside resolver says is believed only for the name that was asked for, and what its aliases lead to.
func FuzzResolverAnswer(f *testing.F) {
	for _, records := range [][]string{
		{"a.test. 60 IN A 198.51.100.1"},
		{"a.test. 60 IN CNAME b.test.", "b.test. 5 IN A 198.51.100.2"},
		{"a.test. 60 IN CNAME a.test."},
		{"other.test. 60 IN A 198.51.100.3"},
	} {
		m := new(dns.Msg).SetQuestion("a.test.", dns.TypeA)
		m.Response = true
		for _, text := range records {
			rr, err := dns.NewRR(text)
			if err != nil {
				f.Fatal(err)
			}
			m.Answer = append(m.Answer, rr)
		}
		packed, err := m.Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(packed)
	}
	query := new(dns.Msg).SetQuestion("a.test.", dns.TypeA)
	f.Fuzz(func(t *testing.T, packet []byte) {
		m := new(dns.Msg)
		if m.Unpack(packet) != nil {
			return
		}
		answers(m, query)
		found, err := addressesIn(m, "a.test")
		if err != nil {
			return
		}
		owned := slices.ContainsFunc(m.Answer, func(rr dns.RR) bool { return strings.EqualFold(rr.Header().Name, "a.test.") })
		if !owned || len(found.addrs) > len(m.Answer) || found.ttl < 0 || found.ttl > maxTTL {
			t.Errorf("%+v of %v", found, m.Answer)
		}
	})
}
