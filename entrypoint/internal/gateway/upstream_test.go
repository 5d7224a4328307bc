package gateway

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/miekg/dns"

	"github.com/yolo-run/yolo-run/entrypoint/policy"
	"github.com/yolo-run/yolo-run/reports"
)

var errNotSent = errors.New("stopped before the first packet")

// stopDials lets no packet out and tells which addresses were to be dialled.
func stopDials(u *upstream) func() []string {
	var mu sync.Mutex
	var dialled []string
	u.dialer.Control = func(_, address string, _ syscall.RawConn) error {
		mu.Lock()
		defer mu.Unlock()
		dialled = append(dialled, address)
		return errNotSent
	}
	return func() []string {
		mu.Lock()
		defer mu.Unlock()
		return dialled
	}
}

func TestDialTakesOnlyAddressesThatWereChecked(t *testing.T) {
	own := []netip.Addr{netip.MustParseAddr("198.51.100.254")}
	spec := policy.Spec{Allow: []string{"allowed.example"}, Internal: []string{"db.example:5432", "10.1.0.0/16:443"}}
	tests := []struct {
		name    string
		port    uint16
		zone    []string // addresses
		dialled string
		refused string // the reason
	}{
		{"allowed.example", 443, []string{"198.51.100.7"}, "[198.51.100.7:443]", ""},
		{"allowed.example", 443, []string{"10.0.0.1", "198.51.100.7", "127.0.0.1", "198.51.100.8"}, "[198.51.100.7:443 198.51.100.8:443]", ""},
		{"allowed.example", 443, []string{"198.51.100.1", "198.51.100.2", "198.51.100.3", "198.51.100.4", "198.51.100.5"}, "[198.51.100.1:443 198.51.100.2:443 198.51.100.3:443 198.51.100.4:443]", ""},
		{"allowed.example", 443, []string{"10.0.0.1"}, "[]", "allowed.example resolved to 10.0.0.1: "},
		{"allowed.example", 443, []string{"127.0.0.1"}, "[]", "allowed.example resolved to 127.0.0.1: "},
		{"allowed.example", 443, []string{"169.254.169.254"}, "[]", "metadata"},
		{"allowed.example", 443, []string{"168.63.129.16"}, "[]", "metadata"},
		{"allowed.example", 443, []string{"198.18.0.1"}, "[]", "benchmarking"},
		{"allowed.example", 443, []string{"0.0.0.0"}, "[]", "this network"},
		{"allowed.example", 443, []string{"198.51.100.254"}, "[]", "the host or the next hop"},
		{"allowed.example", 443, []string{"10.1.2.3"}, "[10.1.2.3:443]", ""},
		{"db.example", 5432, []string{"10.0.0.1"}, "[10.0.0.1:5432]", ""},
		{"db.example", 5432, []string{"127.0.0.1"}, "[]", "loopback"},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprint(tt.name, tt.zone), func(t *testing.T) {
			n := newNameserver(t, func(q *dns.Msg, _ string) []*dns.Msg {
				var zone []string
				for _, a := range tt.zone {
					zone = append(zone, tt.name+". 60 IN A "+a)
				}
				return []*dns.Msg{answering(t, q, zone...)}
			})
			u := newUpstream(upstreamConfig{Resolvers: []netip.AddrPort{n.addr}, InternalResolver: n.addr, Own: own, Policy: mustPolicy(t, spec)})
			dialled := stopDials(u)
			_, _, err := u.Dial(t.Context(), target{name: tt.name, dst: netip.AddrPortFrom(netip.MustParseAddr("198.18.0.1"), tt.port)})
			if got := fmt.Sprint(dialled()); got != tt.dialled {
				t.Errorf("dialled %s, want %s", got, tt.dialled)
			}
			var refused *refusedError
			if errors.As(err, &refused) != (tt.refused != "") || !strings.Contains(err.Error(), tt.refused) {
				t.Errorf("error %v, want %q", err, tt.refused)
			}
		})
	}
}

func TestDialOfANameThatChangesItsAddress(t *testing.T) {
	var lookups atomic.Int64
	n := newNameserver(t, func(q *dns.Msg, _ string) []*dns.Msg {
		addr := "198.51.100.7"
		if lookups.Add(1) > 1 {
			addr = "169.254.169.254"
		}
		return []*dns.Msg{answering(t, q, "allowed.example. 0 IN A "+addr)}
	})
	u := newUpstream(upstreamConfig{Resolvers: []netip.AddrPort{n.addr}, Policy: mustPolicy(t, allowing)})
	dialled := stopDials(u)
	to := target{name: "allowed.example", dst: netip.MustParseAddrPort("198.18.0.1:443")}
	var refused *refusedError
	if _, _, err := u.Dial(t.Context(), to); errors.As(err, &refused) || !errors.Is(err, errNotSent) {
		t.Errorf("first: %v", err)
	}
	if _, _, err := u.Dial(t.Context(), to); !errors.As(err, &refused) {
		t.Errorf("second: %v", err)
	}
	if got := fmt.Sprint(dialled()); got != "[198.51.100.7:443]" {
		t.Errorf("dialled %s", got)
	}
}

func TestDialOfALiteralAddress(t *testing.T) {
	ln := listenTCP(t)
	dst := ln.Addr().(*net.TCPAddr).AddrPort()
	u := newUpstream(upstreamConfig{Policy: mustPolicy(t, allowing)})
	conn, addr, err := u.Dial(t.Context(), target{dst: dst})
	if err != nil || addr != dst {
		t.Fatalf("%s, %v", addr, err)
	}
	conn.Close()
	u = newUpstream(upstreamConfig{Policy: mustPolicy(t, allowing), Own: []netip.Addr{dst.Addr()}})
	var refused *refusedError
	if _, _, err := u.Dial(t.Context(), target{dst: dst}); !errors.As(err, &refused) {
		t.Errorf("the host's own address: %v", err)
	}
}

func TestProxyRecordsWhyAResolvedAddressIsRefused(t *testing.T) {
	refusal := &refusedError{
		name: "allowed.example", addr: netip.MustParseAddr("10.0.0.1"),
		verdict: policy.Verdict{Verdict: reports.Deny, Reason: "10.0.0.1 is private-use"},
	}
	refuse := func(p *proxy) {
		p.dial = func(context.Context, target) (duplex, netip.AddrPort, error) { return nil, netip.AddrPort{}, refusal }
	}
	for _, tt := range []struct{ to, in string }{
		{"allowed.example:443", string(hello(serverNames("allowed.example")))},
		{"db.example:5432", ""},
	} {
		r := newRig(t, allowing, tt.to, refuse)
		if tt.in == "" {
			r.expectRefusal(t)
		} else {
			conn := r.connect(t)
			send(t, conn, tt.in)
			expectReset(t, conn)
		}
		if e := r.next(t); e.Verdict != reports.Deny || e.Reason != refusal.Error() || e.Addr != "10.0.0.1" || e.Rule != "" {
			t.Errorf("%s: event %+v", tt.to, e)
		}
		r.none(t)
	}
	r := newRig(t, allowing, site80, refuse)
	conn := r.connect(t)
	send(t, conn, "GET / HTTP/1.1\r\nHost: allowed.example\r\n\r\n")
	if resp, body := readResponse(t, bufio.NewReader(conn), "GET"); resp.StatusCode != 403 || !strings.Contains(body, refusal.Error()) {
		t.Errorf("status %d: %q", resp.StatusCode, body)
	}
	if e := r.next(t); e.Verdict != reports.Deny || e.Reason != refusal.Error() || e.Addr != "10.0.0.1" {
		t.Errorf("event %+v", e)
	}
}

// tunnels is an HTTP proxy that answers every CONNECT with response and then echoes.
func tunnels(t *testing.T, ln net.Listener, response string) <-chan *http.Request {
	t.Helper()
	asked := make(chan *http.Request, 1)
	go func() {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		br := bufio.NewReader(conn)
		req, err := http.ReadRequest(br)
		if err != nil {
			return
		}
		asked <- req
		if _, err := io.WriteString(conn, response); err != nil {
			return
		}
		_, _ = io.Copy(conn, br)
	}()
	return asked
}

func TestDialThroughAnUpstreamProxy(t *testing.T) {
	const ok = "HTTP/1.1 200 Connection established\r\nX: y\r\n\r\n"
	for _, tt := range []struct{ response, err string }{
		{ok + "220 ready\r\n", ""},
		{"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n", "407 Proxy Authentication Required"},
		{"HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", maxConnectHeader), "more than 16384 octets"},
		{"SSH-2.0\r\n\r\n", "answer to CONNECT"},
		{"", "answer to CONNECT"},
	} {
		ln := listenTCP(t)
		asked := tunnels(t, ln, tt.response)
		u := newUpstream(upstreamConfig{Policy: mustPolicy(t, allowing), Proxy: "http://user:pass@" + ln.Addr().String()})
		to := target{name: "allowed.example", dst: netip.MustParseAddrPort("198.18.0.1:443")}
		if tt.response == "" {
			ln.Close()
		}
		conn, addr, err := u.Dial(t.Context(), to)
		if tt.err != "" {
			if tt.response != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) || err == nil || strings.Contains(err.Error(), "pass") {
				t.Errorf("%q: error %v", tt.response, err)
			}
			continue
		}
		if err != nil || addr.IsValid() {
			t.Fatalf("%s, %v", addr, err)
		}
		req := <-asked
		if req.Method != http.MethodConnect || req.RequestURI != "allowed.example:443" || req.Host != "allowed.example:443" ||
			req.Header.Get("Proxy-Authorization") != "Basic dXNlcjpwYXNz" {
			t.Errorf("asked %+v", req)
		}
		expect(t, conn, "220 ready\r\n") // what came right behind the answer is the tunnel's
		send(t, conn, "ping")
		expect(t, conn, "ping")
		conn.Close()
	}
}

func TestDialThroughAnUpstreamProxyOverTLS(t *testing.T) {
	cert, roots := certificate(t, "proxy.example")
	ln := listenTCP(t)
	n := newNameserver(t, func(q *dns.Msg, _ string) []*dns.Msg {
		return []*dns.Msg{answering(t, q, "proxy.example. 60 IN A 127.0.0.1")}
	})
	tunnels(t, tls.NewListener(ln, &tls.Config{Certificates: []tls.Certificate{cert}}), "HTTP/1.1 200 OK\r\n\r\n")
	u := newUpstream(upstreamConfig{
		Policy: mustPolicy(t, allowing), Resolvers: []netip.AddrPort{n.addr}, Roots: roots,
		Proxy: fmt.Sprintf("https://proxy.example:%d", ln.Addr().(*net.TCPAddr).Port),
	})
	conn, _, err := u.Dial(t.Context(), target{name: "allowed.example", dst: netip.MustParseAddrPort("198.18.0.1:443")})
	if err != nil {
		t.Fatal(err)
	}
	send(t, conn, "ping")
	expect(t, conn, "ping")
	conn.Close()
}

func TestDialFailsWithAFaultyProxy(t *testing.T) {
	for _, proxy := range []string{"socks5://127.0.0.1:1", "http://", "http://user:secret@[::1", "127.0.0.1:3128"} {
		u := newUpstream(upstreamConfig{Policy: mustPolicy(t, allowing), Proxy: proxy})
		_, _, err := u.Dial(t.Context(), target{name: "allowed.example", dst: netip.MustParseAddrPort("198.18.0.1:443")})
		if err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", proxy, err)
		}
	}
}

func TestNoProxyIsReadAsEveryClientReadsIt(t *testing.T) {
	u := newUpstream(upstreamConfig{Proxy: "http://proxy.example:3128", NoProxy: "direct.example, .sub.example,192.0.2.0/24,*.ports.example:8443"})
	for host, want := range map[string]bool{
		"direct.example:443": false, "a.direct.example:443": false, "a.sub.example:443": false, "ports.example:8443": true, "a.ports.example:8443": false,
		"192.0.2.7:443": false, "sub.example:443": true, "other.example:443": true, "notdirect.example:443": true, "a.ports.example:443": true,
		"198.51.100.1:443": true,
	} {
		name, port, _ := strings.Cut(host, ":")
		to := target{name: name, dst: netip.MustParseAddrPort("198.18.0.1:" + port)}
		if addr, err := netip.ParseAddrPort(host); err == nil {
			to = target{dst: addr}
		}
		if got := u.proxied(to); got != want {
			t.Errorf("%s goes through the proxy: %t, want %t", host, got, want)
		}
	}
	if newUpstream(upstreamConfig{NoProxy: "direct.example"}).proxied(target{name: "other.example"}) {
		t.Error("without a proxy something goes through one")
	}
}
