package gateway

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"net"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/yolo-run/yolo-run/entrypoint/policy"
	"github.com/yolo-run/yolo-run/reports"
)

func TestProxyResetsWhatThePolicyDenies(t *testing.T) {
	spec := policy.Spec{Allow: []string{"allowed.example", "198.51.100.9:443"}, Deny: []string{"allowed.example:8443"}}
	audit := spec
	audit.Egress = policy.Audit
	tests := []struct {
		spec   policy.Spec
		to     string
		name   string
		addr   string
		reason string // part of it
	}{
		{spec, "denied.example:443", "denied.example", "", "no rule allows denied.example:443"},
		{spec, "allowed.example:22", "allowed.example", "", "no rule allows allowed.example:22"},
		{spec, "allowed.example:8443", "allowed.example", "", "denied by rule"},
		{spec, "198.51.100.8:443", "", "198.51.100.8", "no rule allows"},
		{spec, "198.51.100.9:22", "", "198.51.100.9", "no rule allows"},
		{spec, "127.0.0.1:443", "", "127.0.0.1", "loopback"},
		{spec, "169.254.169.254:443", "", "169.254.169.254", "metadata"},
		{spec, "10.0.0.1:5432", "", "10.0.0.1", "private"},
		{spec, "198.18.0.99:443", "", "198.18.0.99", "given to no name"},
		{audit, "198.18.0.99:443", "", "198.18.0.99", "given to no name"},
		{audit, "169.254.169.254:443", "", "169.254.169.254", "metadata"},
	}
	for _, tt := range tests {
		t.Run(string(tt.spec.Egress)+tt.to, func(t *testing.T) {
			r := newRig(t, tt.spec, tt.to)
			r.expectRefusal(t)
			e := r.next(t)
			if e.Verdict != reports.Deny || e.Layer != reports.LayerTCP || e.Name != tt.name || e.Addr != tt.addr || e.Port == 0 ||
				!strings.Contains(e.Reason, tt.reason) || e.Process == nil {
				t.Errorf("event %+v", e)
			}
			if n := r.dials(); n != 0 {
				t.Errorf("%d dials", n)
			}
			r.none(t)
		})
	}
}

func TestProxyRefusesWithoutOriginalDestination(t *testing.T) {
	r := newRig(t, allowing, "allowed.example:443", func(p *proxy) { p.original = originalDst })
	r.expectRefusal(t) // nothing redirected this connection
	if e := r.next(t); e.Verdict != reports.Deny || e.Reason == "" {
		t.Errorf("event %+v", e)
	}
	if r.dials() != 0 {
		t.Error("it was dialled")
	}
}

func TestProxyChecksTheServerName(t *testing.T) {
	warning := []byte{21, 3, 1, 0, 2, 1, 90} // user_canceled
	literal := policy.Spec{Allow: []string{"198.51.100.9:443", "allowed.example"}}
	tests := []struct {
		what   string
		spec   policy.Spec
		to     string
		in     []byte
		name   string
		reason string // part of it; empty: it passes
	}{
		{"the name", allowing, "allowed.example:443", hello(serverNames("allowed.example")), "allowed.example", ""},
		{"in capitals", allowing, "allowed.example:443", hello(serverNames("Allowed.EXAMPLE")), "allowed.example", ""},
		{"in fragments", allowing, "allowed.example:443", records(handshake(serverNames("allowed.example")), 2), "allowed.example", ""},
		{"another name", allowing, "allowed.example:443", hello(serverNames("evil.test")), "evil.test", `server name "evil.test" on a connection to allowed.example`},
		{"another allowed name", allowing, "allowed.example:443", hello(serverNames("x.wild.example")), "x.wild.example", "on a connection to allowed.example"},
		{"no name", allowing, "allowed.example:443", hello(versions), "allowed.example", "no server name"},
		{"two names", allowing, "allowed.example:443", hello(serverNames("allowed.example", "evil.test")), "allowed.example", "malformed ClientHello"},
		{"encrypted hello", allowing, "allowed.example:443", hello(serverNames("allowed.example"), versions, ech), "allowed.example", "encrypted ClientHello"},
		{"plain HTTP", allowing, "allowed.example:443", []byte("GET / HTTP/1.1\r\nHost: allowed.example\r\n\r\n"), "allowed.example", "not TLS"},
		{"SSH", allowing, "allowed.example:443", []byte("SSH-2.0-OpenSSH_9.2\r\n"), "allowed.example", "not TLS"},
		{"without end", allowing, "allowed.example:443", records(unfinished(maxHello), 1<<12), "allowed.example", errHelloSize.Error()},
		{"TLS on a named port", allowing, "db.example:5432", hello(serverNames("db.example")), "db.example", ""},
		{"another name on a named port", allowing, "db.example:5432", hello(serverNames("evil.test")), "evil.test", "on a connection to db.example"},
		{"encrypted hello on a named port", allowing, "db.example:5432", hello(serverNames("db.example"), ech), "db.example", "encrypted ClientHello"},
		{"no TLS that begins like it", allowing, "db.example:5432", []byte{tlsHandshake, 'S', 'Y', 'N', '!'}, "db.example", ""},
		{"more behind the hello", allowing, "db.example:5432", append(hello(serverNames("db.example")), make([]byte, 900)...), "db.example", ""},
		{"much that is no TLS", allowing, "db.example:5432", append([]byte{tlsHandshake, 99, 0, 0, 0}, make([]byte, 1000)...), "db.example", ""},
		{"a warning before the hello", allowing, "db.example:5432", slices.Concat(warning, hello(serverNames("db.example"))), "db.example", ""},
		{"a warning before another name", allowing, "db.example:5432", slices.Concat(warning, hello(serverNames("evil.test"))), "evil.test", "on a connection to db.example"},
		{"another record before another name", allowing, "db.example:5432", slices.Concat([]byte{tlsChangeCipherSpec, 3, 3, 0, 1, 1}, hello(serverNames("evil.test"))), "db.example", "not TLS"},
		{"a length that looks like a record", allowing, "db.example:5432", []byte{tlsHandshake, 1, 0, 0, 'm', 'o', 'n', 'g', 'o'}, "db.example", ""},
		{"an address without a name", literal, "198.51.100.9:443", hello(versions), "", ""},
		{"an address with an allowed name", literal, "198.51.100.9:443", hello(serverNames("allowed.example")), "", ""},
		{"an address with another name", literal, "198.51.100.9:443", hello(serverNames("evil.test")), "evil.test", "on a connection to 198.51.100.9"},
	}
	for _, tt := range tests {
		t.Run(tt.what, func(t *testing.T) {
			r := newRig(t, tt.spec, tt.to)
			conn := r.connect(t)
			send(t, conn, string(tt.in))
			if tt.reason == "" {
				up := r.accept(t)
				expect(t, up, string(tt.in))
				up.Close()
				conn.Close()
			} else {
				expectReset(t, conn)
			}
			e := r.next(t)
			if e.Name != tt.name || (e.Verdict == reports.Allow) != (tt.reason == "") || !strings.Contains(e.Reason, tt.reason) || e.Process == nil {
				t.Errorf("event %+v", e)
			}
			if tt.reason == "" && e.BytesOut != int64(len(tt.in)) {
				t.Errorf("%d octets out, want %d", e.BytesOut, len(tt.in))
			}
			if named := strings.HasSuffix(tt.to, ":5432"); tt.reason != "" && !named && r.dials() != 0 {
				t.Error("it was dialled")
			}
			r.none(t)
		})
	}
}

func TestProxyPassesNothingOfARefusedHelloToANamedPort(t *testing.T) {
	r := newRig(t, allowing, "db.example:5432")
	conn := r.connect(t)
	send(t, conn, string(hello(serverNames("evil.test"))))
	if n, err := r.accept(t).Read(make([]byte, 1)); n != 0 || errors.Is(err, io.EOF) {
		t.Errorf("the upstream read %d octets, %v; want a reset", n, err)
	}
}

func TestProxyCarriesTLS(t *testing.T) {
	r := newRig(t, allowing, "allowed.example:443")
	cert, roots := certificate(t, "allowed.example")
	go func() {
		conn, err := r.upstream.Accept()
		if err != nil {
			return
		}
		server := tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{cert}})
		defer server.Close()
		_, _ = io.Copy(server, server)
	}()
	client := tls.Client(r.connect(t), &tls.Config{ServerName: "allowed.example", RootCAs: roots})
	send(t, client, "hello")
	expect(t, client, "hello")
	if err := client.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if rest, err := io.ReadAll(client); err != nil || len(rest) != 0 {
		t.Errorf("rest %q, %v", rest, err)
	}
	client.Close()
	e := r.next(t)
	if e.Verdict != reports.Allow || e.Layer != reports.LayerTLS || e.Addr != "198.51.100.7" || e.Rule != "allowed.example" || e.BytesIn == 0 || e.BytesOut == 0 {
		t.Errorf("event %+v", e)
	}
}

// certificate is one that signs itself.
func certificate(t testing.TB, name string) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, roots
}

func TestProxyLetsTheServerSpeakFirst(t *testing.T) {
	r := newRig(t, allowing, "db.example:5432")
	conn := r.connect(t)
	up := r.accept(t)
	send(t, up, "220 ready\r\n")
	expect(t, conn, "220 ready\r\n") // before the client said anything
	send(t, conn, "X")
	expect(t, up, "X") // one octet is enough
	if err := conn.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if _, err := up.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the client's end: %v", err)
	}
	send(t, up, "bye") // the other direction is still open
	up.Close()
	expect(t, conn, "bye")
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the server's end: %v", err)
	}
	if e := r.next(t); e.Verdict != reports.Allow || e.Layer != reports.LayerTCP || e.BytesIn != 14 || e.BytesOut != 1 {
		t.Errorf("event %+v", e)
	}
}

func TestProxyHandsAResetOn(t *testing.T) {
	r := newRig(t, allowing, "db.example:5432")
	conn := r.connect(t)
	abort(r.accept(t))
	expectReset(t, conn)
	r.next(t)

	conn = r.connect(t) // and the other way
	up := r.accept(t)
	send(t, conn, "X")
	expect(t, up, "X")
	abort(conn)
	expectReset(t, up)
}

func TestProxyRecordsAClientThatSaidNothing(t *testing.T) {
	for _, to := range []string{"allowed.example:443", "allowed.example:80"} {
		r := newRig(t, allowing, to)
		r.connect(t).Close()
		if e := r.next(t); e.Verdict != reports.Allow || e.BytesIn+e.BytesOut != 0 {
			t.Errorf("%s: event %+v", to, e)
		}
		if r.dials() != 0 {
			t.Errorf("%s: it was dialled", to)
		}
		r.none(t)
	}
}

func TestProxyGivesSlowClientsNoPlace(t *testing.T) {
	for _, tt := range []struct{ to, first, reason string }{
		{"allowed.example:443", "", "no complete ClientHello within"},
		{"allowed.example:443", "\x16\x03\x01", "no complete ClientHello within"},
		{"allowed.example:80", "", "no HTTP request within"},
		{"allowed.example:80", "GET / HTTP/1.1\r\nHo", "no complete HTTP header within"},
		{"db.example:5432", "\x16", "no complete ClientHello within"},
	} {
		r := newRig(t, allowing, tt.to, func(p *proxy) { p.handshake = 50 * time.Millisecond })
		conn := r.connect(t)
		send(t, conn, tt.first)
		if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("%s after %q: %v", tt.to, tt.first, err)
		}
		if e := r.next(t); e.Verdict != reports.Deny || !strings.Contains(e.Reason, tt.reason) {
			t.Errorf("%s after %q: event %+v", tt.to, tt.first, e)
		}
	}
}

func TestProxyServesOthersBesideIdleConnections(t *testing.T) {
	r := newRig(t, allowing, "allowed.example:443")
	for range 200 {
		r.connect(t)
	}
	conn := r.connect(t)
	send(t, conn, string(hello(serverNames("allowed.example"))))
	r.accept(t)
}

func TestProxyRefusesConnectionsOverItsBound(t *testing.T) {
	r := newRig(t, allowing, "db.example:5432", func(p *proxy) { p.maxConns = 1 })
	first := r.connect(t)
	r.accept(t)
	r.expectRefusal(t)
	if e := r.next(t); e.Verdict != reports.Deny || e.Name != "db.example" || !strings.Contains(e.Reason, "more than 1 connections") {
		t.Errorf("event %+v", e)
	}
	first.Close()
}

func TestProxyAuditLetsPassAndSaysSo(t *testing.T) {
	r := newRig(t, policy.Spec{Egress: policy.Audit}, "other.example:443")
	conn := r.connect(t)
	in := string(hello(serverNames("other.example")))
	send(t, conn, in)
	up := r.accept(t)
	expect(t, up, in)
	up.Close()
	conn.Close()
	if e := r.next(t); e.Verdict != reports.WouldDeny || e.Name != "other.example" || e.Reason == "" || e.BytesOut != int64(len(in)) {
		t.Errorf("event %+v", e)
	}
}

func TestProxyEndsConnectionsWithItsContext(t *testing.T) {
	r := newRig(t, allowing, "db.example:5432")
	r.connect(t)
	r.accept(t) // the rig's clean-up waits for Serve, which must not wait for these two
}

func TestOwns(t *testing.T) {
	p := mustPolicy(t, policy.Spec{Allow: []string{"a.example", "198.51.100.9:443"}})
	named := &attempt{proxy: &proxy{policy: p}, to: target{name: "a.example", dst: netip.MustParseAddrPort("198.18.0.1:443")}}
	literal := &attempt{proxy: &proxy{policy: p}, to: target{dst: netip.MustParseAddrPort("198.51.100.9:443")}}
	for _, tt := range []struct {
		host           string
		named, literal bool
	}{
		{"a.example", true, true},
		{"A.EXAMPLE.", true, true},
		{"b.example", false, false},
		{"a.example.evil.test", false, false},
		{"a.example\x00.evil.test", false, false},
		{"198.51.100.9", false, true},
		{"198.51.100.8", false, false},
		{"198.18.0.1", false, false},
		{"", false, false},
	} {
		if got := named.owns(tt.host); got != tt.named {
			t.Errorf("a.example owns %q: %t", tt.host, got)
		}
		if got := literal.owns(tt.host); got != tt.literal {
			t.Errorf("198.51.100.9 owns %q: %t", tt.host, got)
		}
	}
}

func TestProxyMakesRoomForThoseWhoSaySomething(t *testing.T) {
	r := newRig(t, allowing, "allowed.example:443", func(p *proxy) { p.maxConns = 3 })
	talks := r.connect(t)
	send(t, talks, string(hello(serverNames("allowed.example"))))
	up := r.accept(t)
	expect(t, up, string(hello(serverNames("allowed.example"))))
	const others = 200
	for range others { // some are ended while they still connect
		if conn, err := net.Dial("tcp", r.addr.String()); err == nil {
			_, _ = conn.Write([]byte{tlsHandshake})
			defer conn.Close()
		}
	}
	late := r.connect(t)
	send(t, late, string(hello(serverNames("allowed.example"))))
	r.accept(t)
	for range others - 2 { // each is on record, but for the two for whom there is still room
		r.next(t)
	}
	send(t, up, "still there")
	expect(t, talks, "still there")
}
