package gateway

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/yolo-run/yolo-run/entrypoint/policy"
	"github.com/yolo-run/yolo-run/reports"
)

// allowing is a policy of most tests here.
var allowing = policy.Spec{Allow: []string{"allowed.example", "*.wild.example", "db.example:5432"}}

func newTestDNS(t testing.TB, spec policy.Spec, names int) (*dnsServer, *logbook) {
	t.Helper()
	j := newLogbook()
	return newDNS(mustPolicy(t, spec), newPool(names), j, curl{}), j
}

// question is a query as a message on the wire.
func question(t testing.TB, name string, qtype uint16, change ...func(*dns.Msg)) []byte {
	t.Helper()
	m := new(dns.Msg).SetQuestion(name, qtype)
	for _, f := range change {
		f(m)
	}
	packet, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return packet
}

func unpack(t testing.TB, packet []byte) *dns.Msg {
	t.Helper()
	m := new(dns.Msg)
	if err := m.Unpack(packet); err != nil {
		t.Fatalf("reply %x: %v", packet, err)
	}
	return m
}

func TestDNSAnswersByThePolicyAlone(t *testing.T) {
	long := strings.Repeat("a.", 126) + "a." // 254 octets with the last dot: the longest there is
	tests := []struct {
		name    string
		qtype   uint16
		rcode   int
		address bool   // a synthetic one
		denied  string // the name in the event; empty: no event
	}{
		{"allowed.example.", dns.TypeA, dns.RcodeSuccess, true, ""},
		{"ALLOWED.Example.", dns.TypeA, dns.RcodeSuccess, true, ""},
		{"x.y.wild.example.", dns.TypeA, dns.RcodeSuccess, true, ""},
		{"db.example.", dns.TypeA, dns.RcodeSuccess, true, ""},

		{"allowed.example.", dns.TypeAAAA, dns.RcodeSuccess, false, ""},
		{"allowed.example.", dns.TypeHTTPS, dns.RcodeSuccess, false, ""},
		{"allowed.example.", dns.TypeSVCB, dns.RcodeSuccess, false, ""},
		{"allowed.example.", dns.TypeTXT, dns.RcodeSuccess, false, ""},
		{"allowed.example.", dns.TypeNULL, dns.RcodeSuccess, false, ""},
		{"allowed.example.", dns.TypeANY, dns.RcodeSuccess, false, ""},
		{"allowed.example.", dns.TypeAXFR, dns.RcodeSuccess, false, ""},

		{"denied.example.", dns.TypeA, dns.RcodeNameError, false, "denied.example"},
		{"denied.example.", dns.TypeAAAA, dns.RcodeNameError, false, "denied.example"},
		{"denied.example.", dns.TypeTXT, dns.RcodeNameError, false, "denied.example"},
		{"wild.example.", dns.TypeA, dns.RcodeNameError, false, "wild.example"},
		{"notallowed.example.", dns.TypeA, dns.RcodeNameError, false, "notallowed.example"},
		{"allowed.example.evil.test.", dns.TypeA, dns.RcodeNameError, false, "allowed.example.evil.test"},
		{"xn--llowed-cua.example.", dns.TypeA, dns.RcodeNameError, false, "xn--llowed-cua.example"},
		{"1.2.0.192.in-addr.arpa.", dns.TypePTR, dns.RcodeNameError, false, "1.2.0.192.in-addr.arpa"},
		{long, dns.TypeA, dns.RcodeNameError, false, strings.TrimSuffix(long, ".")},
		{".", dns.TypeNS, dns.RcodeNameError, false, "."},

		{"allowed\\000.example.", dns.TypeA, dns.RcodeNameError, false, "allowed\\000.example"},
		{"allowed\\010.example.", dns.TypeA, dns.RcodeNameError, false, "allowed\\010.example"},
		{"x\\.allowed.example.", dns.TypeA, dns.RcodeNameError, false, "x\\.allowed.example"},
		{"allowed.example\\..", dns.TypeA, dns.RcodeNameError, false, "allowed.example\\."},
		{"\\226\\128\\174.example.", dns.TypeA, dns.RcodeNameError, false, "\\226\\128\\174.example"},
	}
	for _, tt := range tests {
		t.Run(tt.name+" "+dns.Type(tt.qtype).String(), func(t *testing.T) {
			s, j := newTestDNS(t, allowing, 10)
			m := unpack(t, s.answer(question(t, tt.name, tt.qtype), query{proto: "udp"}))
			if m.Rcode != tt.rcode || len(m.Ns)+len(m.Extra) != 0 || m.Question[0].Name != tt.name {
				t.Errorf("reply %v", m)
			}
			if tt.address {
				checkAddress(t, s, m, tt.name)
			} else if len(m.Answer) != 0 {
				t.Errorf("answer %v", m.Answer)
			}
			if tt.rcode == dns.RcodeNameError {
				e := j.next(t)
				if e.Verdict != reports.Deny || e.Layer != reports.LayerDNS || e.Name != tt.denied || e.Proto != "udp" ||
					e.QType != dns.Type(tt.qtype).String() || e.Reason == "" || e.Process == nil {
					t.Errorf("event %+v", e)
				}
			}
			j.none(t)
		})
	}
}

func checkAddress(t *testing.T, s *dnsServer, m *dns.Msg, name string) {
	t.Helper()
	if len(m.Answer) != 1 {
		t.Fatalf("answer %v", m.Answer)
	}
	a, ok := m.Answer[0].(*dns.A)
	if !ok || a.Hdr.Name != name || a.Hdr.Ttl != syntheticTTL {
		t.Fatalf("answer %v", m.Answer)
	}
	ip, _ := netip.AddrFromSlice(a.A.To4())
	want, _ := policy.Normalize(name)
	if got, ok := s.pool.name(ip); !ok || got != want {
		t.Errorf("%s stands for %q", ip, got)
	}
}

func TestDNSRefusesWhatIsNoOrdinaryQuestion(t *testing.T) {
	pointerLoop := append(question(t, ".", dns.TypeA)[:dnsHeader], 0xc0, dnsHeader, 0, 1, 0, 1)
	tests := []struct {
		what   string
		packet []byte
		rcode  int // -1: no reply
		reason string
	}{
		{"two questions", question(t, "allowed.example.", dns.TypeA, func(m *dns.Msg) {
			m.Question = append(m.Question, dns.Question{Name: "denied.example.", Qtype: dns.TypeA, Qclass: dns.ClassINET})
		}), dns.RcodeFormatError, "2 questions in one DNS query"},
		{"no question", question(t, ".", dns.TypeA, func(m *dns.Msg) { m.Question = nil }), dns.RcodeFormatError, "0 questions in one DNS query"},
		{"an update", question(t, "allowed.example.", dns.TypeA, func(m *dns.Msg) { m.Opcode = dns.OpcodeUpdate }), dns.RcodeNotImplemented, "DNS opcode UPDATE"},
		{"an unknown opcode", question(t, "allowed.example.", dns.TypeA, func(m *dns.Msg) { m.Opcode = 15 }), dns.RcodeNotImplemented, "DNS opcode 15"},
		{"class CH", question(t, "allowed.example.", dns.TypeA, func(m *dns.Msg) { m.Question[0].Qclass = dns.ClassCHAOS }), dns.RcodeRefused, "DNS class CH"},
		{"class ANY", question(t, "allowed.example.", dns.TypeA, func(m *dns.Msg) { m.Question[0].Qclass = dns.ClassANY }), dns.RcodeRefused, "DNS class CLASS255"},
		{"a response", question(t, "allowed.example.", dns.TypeA, func(m *dns.Msg) { m.Response = true }), -1, "a DNS response where a query belongs"},
		{"a compression loop", pointerLoop, dns.RcodeFormatError, "malformed DNS query"},
		{"half a question", question(t, "allowed.example.", dns.TypeA)[:20], dns.RcodeFormatError, "malformed DNS query"},
		{"half a header", make([]byte, 11), -1, "malformed DNS query"},
		{"nothing", nil, -1, "malformed DNS query"},
	}
	for _, tt := range tests {
		t.Run(tt.what, func(t *testing.T) {
			s, j := newTestDNS(t, allowing, 10)
			reply := s.answer(tt.packet, query{proto: "udp"})
			switch {
			case tt.rcode < 0 && reply != nil:
				t.Errorf("reply %x", reply)
			case tt.rcode >= 0:
				m := unpack(t, reply)
				if m.Rcode != tt.rcode || !m.Response || len(m.Answer) != 0 || m.Id != binary.BigEndian.Uint16(tt.packet) {
					t.Errorf("reply %v", m)
				}
			}
			if e := j.next(t); e.Verdict != reports.Deny || e.Reason != tt.reason || e.Name != "" {
				t.Errorf("event %+v, want reason %q", e, tt.reason)
			}
			j.none(t)
		})
	}
}

func TestDNSOfOtherModes(t *testing.T) {
	audit := allowing
	audit.Egress = policy.Audit
	s, j := newTestDNS(t, audit, 10)
	if m := unpack(t, s.answer(question(t, "denied.example.", dns.TypeA), query{proto: "udp"})); len(m.Answer) != 1 {
		t.Errorf("audit: %v", m)
	}
	if e := j.next(t); e.Verdict != reports.WouldDeny || e.Name != "denied.example" {
		t.Errorf("audit: event %+v", e)
	}
	if m := unpack(t, s.answer(question(t, "no\\000name.example.", dns.TypeA), query{proto: "udp"})); m.Rcode != dns.RcodeNameError {
		t.Errorf("audit: a name that is none: %v", m)
	}
	none := allowing
	none.Egress = policy.None
	s, _ = newTestDNS(t, none, 10)
	if m := unpack(t, s.answer(question(t, "allowed.example.", dns.TypeA), query{proto: "udp"})); m.Rcode != dns.RcodeNameError {
		t.Errorf("none: %v", m)
	}
}

func TestDNSAnswersLocalhostWithLoopback(t *testing.T) {
	s, j := newTestDNS(t, allowing, 10)
	m := unpack(t, s.answer(question(t, "LocalHost.", dns.TypeA), query{proto: "udp"}))
	if len(m.Answer) != 1 || !m.Answer[0].(*dns.A).A.Equal(net.IPv4(127, 0, 0, 1)) {
		t.Errorf("reply %v", m)
	}
	if m := unpack(t, s.answer(question(t, "localhost.", dns.TypeAAAA), query{proto: "udp"})); m.Rcode != dns.RcodeSuccess || len(m.Answer) != 0 {
		t.Errorf("reply %v", m)
	}
	j.none(t)
}

func TestDNSSaysOnceThatThePoolIsUsedUp(t *testing.T) {
	s, j := newTestDNS(t, allowing, 1)
	for i := range 4 {
		want := dns.RcodeServerFailure
		if i == 0 {
			want = dns.RcodeSuccess
		}
		m := unpack(t, s.answer(question(t, fmt.Sprintf("n%d.wild.example.", i), dns.TypeA), query{proto: "udp"}))
		if m.Rcode != want || (len(m.Answer) == 1) != (i == 0) {
			t.Errorf("name %d: %v", i, m)
		}
	}
	if e := j.next(t); e.Verdict != reports.Deny || !strings.Contains(e.Reason, "no synthetic address is left") {
		t.Errorf("event %+v", e)
	}
	j.none(t)
}

func TestDNSRepeatsEDNSOnlyWhenAsked(t *testing.T) {
	s, _ := newTestDNS(t, allowing, 10)
	m := unpack(t, s.answer(question(t, "allowed.example.", dns.TypeA, func(m *dns.Msg) { m.SetEdns0(4096, true) }), query{proto: "udp"}))
	if opt := m.IsEdns0(); opt == nil || opt.UDPSize() != ednsSize {
		t.Errorf("reply %v", m)
	}
}

// serveDNS runs a server on sockets of its own.
func serveDNS(t *testing.T, s *dnsServer) (udp, tcp net.Addr) {
	t.Helper()
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	ln := listenTCP(t)
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx, conn, ln) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return conn.LocalAddr(), ln.Addr()
}

func dialTest(t *testing.T, addr net.Addr) net.Conn {
	t.Helper()
	conn, err := net.Dial(addr.Network(), addr.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return conn
}

func TestDNSServesUDP(t *testing.T) {
	s, _ := newTestDNS(t, allowing, 10)
	udp, _ := serveDNS(t, s)
	conn := dialTest(t, udp)
	for _, name := range []string{"allowed.example.", "db.example."} {
		if _, err := conn.Write(question(t, name, dns.TypeA)); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 512)
		n, err := conn.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		checkAddress(t, s, unpack(t, buf[:n]), name)
	}
}

func framed(packet []byte) []byte { return vector16(packet) }

func readFramed(t *testing.T, r io.Reader) *dns.Msg {
	t.Helper()
	packet, err := readDNSMessage(r)
	if err != nil {
		t.Fatal(err)
	}
	return unpack(t, packet)
}

func TestDNSServesManyQueriesInOneSegment(t *testing.T) {
	s, j := newTestDNS(t, allowing, 10)
	_, tcp := serveDNS(t, s)
	conn := dialTest(t, tcp)
	both := append(framed(question(t, "allowed.example.", dns.TypeA)), framed(question(t, "denied.example.", dns.TypeA))...)
	if _, err := conn.Write(both); err != nil {
		t.Fatal(err)
	}
	checkAddress(t, s, readFramed(t, conn), "allowed.example.")
	if m := readFramed(t, conn); m.Rcode != dns.RcodeNameError {
		t.Errorf("reply %v", m)
	}
	if e := j.next(t); e.Name != "denied.example" || e.Proto != "tcp" {
		t.Errorf("event %+v", e)
	}
}

func TestDNSClosesConnectionsThatAreSilentOrTooLoud(t *testing.T) {
	s, j := newTestDNS(t, allowing, 10)
	s.idle = 50 * time.Millisecond
	_, tcp := serveDNS(t, s)
	silent := dialTest(t, tcp)
	if n, err := silent.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("silent: %d, %v", n, err)
	}
	loud := dialTest(t, tcp)
	if _, err := loud.Write([]byte{0xff, 0xff}); err != nil {
		t.Fatal(err)
	}
	if n, err := loud.Read(make([]byte, 1)); n != 0 || err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("loud: %d, %v", n, err)
	}
	if e := j.next(t); e.Reason != errDNSMessageSize.Error() {
		t.Errorf("event %+v", e)
	}
}

func TestDNSServesOthersBesideIdleConnections(t *testing.T) {
	s, _ := newTestDNS(t, allowing, 10)
	_, tcp := serveDNS(t, s)
	for range 200 {
		dialTest(t, tcp)
	}
	conn := dialTest(t, tcp)
	if _, err := conn.Write(framed(question(t, "allowed.example.", dns.TypeA))); err != nil {
		t.Fatal(err)
	}
	checkAddress(t, s, readFramed(t, conn), "allowed.example.")
}

// discard is a recorder for tests that look at something else.
type discard struct{}

func (discard) Record(reports.Event) {}

func TestDNSQueriesThatNobodyReadAreOnRecord(t *testing.T) {
	s, log := newTestDNS(t, allowing, 10)
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	s.recordLost(conn)
	log.none(t)

	if err := conn.SetReadBuffer(1); err != nil { // the kernel's least, 2 KiB
		t.Fatal(err)
	}
	client, err := net.Dial("udp4", conn.LocalAddr().String()) //nolint:noctx // it connects nothing
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	const sent = 1000
	for range sent {
		if _, err := client.Write(question(t, "denied.example.", dns.TypeA)); err != nil {
			t.Fatal(err)
		}
	}
	s.recordLost(conn)
	e := log.next(t)
	if e.Verdict != reports.Deny || e.Layer != reports.LayerDNS || e.Count < sent-100 || e.Count >= sent {
		t.Errorf("event %+v", e)
	}
}
