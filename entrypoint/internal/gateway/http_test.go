package gateway

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/yolo-run/yolo-run/entrypoint/policy"
	"github.com/yolo-run/yolo-run/reports"
)

// seen is a request as the upstream's own parser read it.
type seen struct {
	method, uri, host string
	header            http.Header
	body              string
}

// site is a web server at the rig's upstream.
type site struct {
	mu   sync.Mutex
	seen []seen
}

// serveSite answers every request with its method and body, unless handler does.
func (r *rig) serveSite(t testing.TB, handler http.HandlerFunc) *site {
	t.Helper()
	s := new(site)
	server := &http.Server{DisableGeneralOptionsHandler: true, Handler: http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if handler != nil {
			handler(w, req)
			return
		}
		body, err := io.ReadAll(req.Body)
		if err != nil {
			return
		}
		s.mu.Lock()
		s.seen = append(s.seen, seen{req.Method, req.RequestURI, req.Host, req.Header, string(body)})
		s.mu.Unlock()
		fmt.Fprintf(w, "%s:%s", req.Method, body)
	})}
	go func() { _ = server.Serve(r.upstream) }()
	t.Cleanup(func() { server.Close() })
	return s
}

func (s *site) requests() []seen {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen
}

func readResponse(t testing.TB, br *bufio.Reader, method string) (*http.Response, string) {
	t.Helper()
	resp, err := http.ReadResponse(br, &http.Request{Method: method})
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

const site80 = "allowed.example:80"

func TestHTTPChecksEachRequest(t *testing.T) {
	tests := []struct {
		what, in string
		status   int    // 0: reset without a word
		reason   string // part of the event's; empty: the request passes
		name     string // in the event, where it is not the connection's
	}{
		{"plain", "GET /a/b?secret HTTP/1.1\r\nHost: allowed.example\r\n\r\n", 200, "", ""},
		{"port and capitals", "GET / HTTP/1.1\r\nHost: Allowed.EXAMPLE.:80\r\n\r\n", 200, "", ""},
		{"HTTP/1.0 with Host", "GET / HTTP/1.0\r\nHost: allowed.example\r\n\r\n", 200, "", ""},
		{"absolute form", "GET http://allowed.example/x HTTP/1.1\r\nHost: allowed.example\r\n\r\n", 200, "", ""},
		{"asterisk form", "OPTIONS * HTTP/1.1\r\nHost: allowed.example\r\n\r\n", 200, "", ""},
		{"two slashes", "GET //evil.test/ HTTP/1.1\r\nHost: allowed.example\r\n\r\n", 200, "", ""},
		{"h2c upgrade goes on as HTTP/1.1", "GET / HTTP/1.1\r\nHost: allowed.example\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n", 200, "", ""},

		{"another Host", "GET / HTTP/1.1\r\nHost: evil.test\r\n\r\n", 403, `Host "evil.test" on a connection to allowed.example`, "evil.test"},
		{"another allowed Host", "GET / HTTP/1.1\r\nHost: x.wild.example\r\n\r\n", 403, "on a connection to allowed.example", "x.wild.example"},
		{"another port", "GET / HTTP/1.1\r\nHost: allowed.example:8080\r\n\r\n", 403, "on a connection to allowed.example", "allowed.example"},
		{"an empty port", "GET / HTTP/1.1\r\nHost: allowed.example:\r\n\r\n", 403, "on a connection to allowed.example", "allowed.example"},
		{"two names in Host", "GET / HTTP/1.1\r\nHost: allowed.example, evil.test\r\n\r\n", 403, "Host", ""},
		{"user in Host", "GET / HTTP/1.1\r\nHost: allowed.example@evil.test\r\n\r\n", 403, "Host", ""},
		{"no Host", "GET / HTTP/1.1\r\n\r\n", 403, "no Host", ""},
		{"no Host in HTTP/1.0", "GET / HTTP/1.0\r\n\r\n", 403, "no Host", ""},
		{"two Hosts", "GET / HTTP/1.1\r\nHost: allowed.example\r\nHost: evil.test\r\n\r\n", 403, "2 Host headers", ""},
		{"folded Host", "GET / HTTP/1.1\r\nHost: allowed.example\r\n evil.test\r\n\r\n", 403, "Host", ""},
		{"another absolute form", "GET http://evil.test/ HTTP/1.1\r\nHost: allowed.example\r\n\r\n", 403, "evil.test", "evil.test"},
		{"absolute form with another Host", "GET http://allowed.example/ HTTP/1.1\r\nHost: evil.test\r\n\r\n", 403, "evil.test", "evil.test"},
		{"absolute form with a user", "GET http://evil.test@allowed.example/ HTTP/1.1\r\nHost: allowed.example\r\n\r\n", 403, "no plain http URL", ""},
		{"absolute form of another scheme", "GET https://allowed.example/ HTTP/1.1\r\nHost: allowed.example\r\n\r\n", 403, "no plain http URL", ""},
		{"CONNECT", "CONNECT allowed.example:443 HTTP/1.1\r\nHost: allowed.example\r\n\r\n", 403, "CONNECT", ""},
		{"length and chunks", "POST / HTTP/1.1\r\nHost: allowed.example\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 403, "Content-Length and Transfer-Encoding", ""},
		{"two lengths", "POST / HTTP/1.1\r\nHost: allowed.example\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcde", 403, "Content-Length", ""},
		{"a signed length", "POST / HTTP/1.1\r\nHost: allowed.example\r\nContent-Length: +4\r\n\r\nabcd", 403, "Content-Length", ""},
		{"another encoding", "POST / HTTP/1.1\r\nHost: allowed.example\r\nTransfer-Encoding: xchunked\r\n\r\n", 403, "Transfer-Encoding", ""},
		{"two encodings", "POST / HTTP/1.1\r\nHost: allowed.example\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n", 403, "Transfer-Encoding", ""},
		{"chunks in HTTP/1.0", "POST / HTTP/1.0\r\nHost: allowed.example\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 403, "Transfer-Encoding", ""},

		{"a space before the colon", "GET / HTTP/1.1\r\nHost : allowed.example\r\n\r\n", 0, "malformed HTTP header", ""},
		{"a return in a value", "GET / HTTP/1.1\r\nHost: allowed.example\r\nX: a\rHost: evil.test\r\n\r\n", 0, "malformed HTTP header", ""},
		{"NUL in a value", "GET / HTTP/1.1\r\nHost: allowed.example\x00.evil.test\r\n\r\n", 0, "malformed HTTP header", ""},
		{"HTTP/2 without asking", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 0, "not an HTTP/1.1 request", ""},
		{"TLS", string(hello(serverNames("allowed.example"))) + "\n", 0, "not an HTTP/1.1 request", ""},
		{"SSH", "SSH-2.0-OpenSSH_9.2\r\n", 0, "not an HTTP/1.1 request", ""},
		{"an endless header", "GET / HTTP/1.1\r\nX: " + strings.Repeat("a", 2*maxHTTPHeader), 0, "more than 32768 octets", ""},
		{"too many fields", "GET / HTTP/1.1\r\nHost: allowed.example\r\n" + strings.Repeat("a:\n", maxHTTPFields) + "\r\n", 0, "more than 256 lines", ""},
	}
	for _, tt := range tests {
		t.Run(tt.what, func(t *testing.T) {
			r := newRig(t, allowing, site80)
			s := r.serveSite(t, nil)
			conn := r.connect(t)
			send(t, conn, tt.in)
			if tt.status == 0 {
				expectReset(t, conn)
			} else if resp, body := readResponse(t, bufio.NewReader(conn), "GET"); resp.StatusCode != tt.status {
				t.Errorf("status %d: %s", resp.StatusCode, body)
			}
			e := r.next(t)
			name := "allowed.example"
			if tt.name != "" {
				name = tt.name
			}
			if (e.Verdict == reports.Allow) != (tt.reason == "") || !strings.Contains(e.Reason, tt.reason) || e.Layer != reports.LayerHTTP ||
				e.Name != name || e.Status != tt.status || e.Process == nil || strings.Contains(e.Path, "secret") {
				t.Errorf("event %+v", e)
			}
			checkForwarded(t, s, r, tt.reason == "")
			r.none(t)
		})
	}
}

// checkForwarded asserts that a request arrived as what it was allowed as, or did not even make a connection.
func checkForwarded(t *testing.T, s *site, r *rig, passes bool) {
	t.Helper()
	got := s.requests()
	if !passes {
		if len(got) != 0 || r.dials() != 0 {
			t.Errorf("forwarded: %+v, %d dials", got, r.dials())
		}
		return
	}
	if len(got) != 1 {
		t.Fatalf("forwarded: %+v", got)
	}
	if name, err := policy.Normalize(strings.TrimSuffix(got[0].host, ":80")); err != nil || name != "allowed.example" {
		t.Errorf("forwarded for %q", got[0].host)
	}
	for _, h := range []string{"Upgrade", "Http2-Settings", "User-Agent", "Accept-Encoding"} {
		if v, ok := got[0].header[h]; ok {
			t.Errorf("forwarded with %s: %q", h, v)
		}
	}
}

func TestHTTPDenialNamesTheMissingRule(t *testing.T) {
	for _, tt := range []struct{ to, host, want string }{
		{site80, "evil.test", "--allowed-domain evil.test\n"},
		{"denied.example:80", "denied.example", "--allowed-domain denied.example\n"},
		{"198.51.100.8:80", "198.51.100.8", "--allowed-domain 198.51.100.8:80\n"},
		{"10.0.0.8:80", "10.0.0.8", "--allowed-internal 10.0.0.8:80\n"},
		{"no.example:80", "no.example", "denied by rule no.example\n"}, // an option would not help
		{site80, "x.wild.example", "on a connection to allowed.example\n"},
	} {
		spec := allowing
		spec.Deny = []string{"no.example"}
		r := newRig(t, spec, tt.to)
		conn := r.connect(t)
		send(t, conn, "GET / HTTP/1.1\r\nHost: "+tt.host+"\r\n\r\n")
		resp, body := readResponse(t, bufio.NewReader(conn), "GET")
		if resp.StatusCode != http.StatusForbidden || !resp.Close || !strings.HasPrefix(body, "yolo-run: denied: ") || !strings.HasSuffix(body, tt.want) {
			t.Errorf("%s: status %d, close %t, body %q", tt.to, resp.StatusCode, resp.Close, body)
		}
		if e := r.next(t); e.Verdict != reports.Deny {
			t.Errorf("%s: event %+v", tt.to, e)
		}
		r.none(t)
	}
}

func TestHTTPStopsAtTheRequestThatLeavesTheHost(t *testing.T) {
	r := newRig(t, allowing, site80)
	s := r.serveSite(t, nil)
	conn := r.connect(t)
	br := bufio.NewReader(conn)
	send(t, conn, "GET /1 HTTP/1.1\r\nHost: allowed.example\r\n\r\n")
	if resp, _ := readResponse(t, br, "GET"); resp.StatusCode != 200 {
		t.Fatalf("status %d", resp.StatusCode)
	}
	send(t, conn, "GET /2 HTTP/1.1\r\nHost: evil.test\r\n\r\n")
	if resp, _ := readResponse(t, br, "GET"); resp.StatusCode != 403 {
		t.Errorf("status %d", resp.StatusCode)
	}
	if _, err := br.ReadByte(); !errors.Is(err, io.EOF) {
		t.Errorf("the connection goes on: %v", err)
	}
	if got := s.requests(); len(got) != 1 || got[0].uri != "/1" {
		t.Errorf("forwarded: %+v", got)
	}
	if e := r.next(t); e.Verdict != reports.Allow || e.Path != "/1" || e.Status != 200 || e.BytesIn != int64(len("GET:")) || e.Addr != "198.51.100.7" {
		t.Errorf("event %+v", e)
	}
	if e := r.next(t); e.Verdict != reports.Deny || e.Path != "/2" || e.Name != "evil.test" {
		t.Errorf("event %+v", e)
	}
}

func TestHTTPServesPipelinedRequestsInOrder(t *testing.T) {
	r := newRig(t, allowing, site80)
	s := r.serveSite(t, nil)
	conn := r.connect(t)
	send(t, conn, "POST /1 HTTP/1.1\r\nHost: allowed.example\r\nContent-Length: 3\r\n\r\none"+
		"POST /2 HTTP/1.1\r\nHost: allowed.example\r\nTransfer-Encoding: chunked\r\n\r\n2\r\ntw\r\n1;x=y\r\no\r\n0\r\nTrailer: z\r\n\r\n"+
		"HEAD /3 HTTP/1.1\r\nHost: allowed.example\r\n\r\n"+
		"GET /4 HTTP/1.1\r\nHost: allowed.example\r\nConnection: close\r\n\r\n")
	br := bufio.NewReader(conn)
	for i, want := range []string{"POST:one", "POST:two", "", "GET:"} {
		resp, body := readResponse(t, br, []string{"POST", "POST", "HEAD", "GET"}[i])
		if resp.StatusCode != 200 || body != want || resp.Close != (i == 3) {
			t.Errorf("response %d: %d %q, close %t", i+1, resp.StatusCode, body, resp.Close)
		}
		if e := r.next(t); e.Path != fmt.Sprintf("/%d", i+1) || e.BytesIn != int64(len(want)) {
			t.Errorf("event %d: %+v", i+1, e)
		}
	}
	if _, err := br.ReadByte(); !errors.Is(err, io.EOF) {
		t.Errorf("after the last response: %v", err)
	}
	if got := s.requests(); len(got) != 4 || got[1].body != "two" {
		t.Errorf("forwarded: %+v", got)
	}
	if r.dials() != 1 {
		t.Errorf("%d dials for one connection", r.dials())
	}
}

// FuzzHTTP: whatever bytes come in, another parser that reads what goes out never sees another Host.
func FuzzHTTP(f *testing.F) {
	for _, in := range []string{
		"GET / HTTP/1.1\r\nHost: allowed.example\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: evil.test\r\n\r\n",
		"GET http://allowed.example/ HTTP/1.1\r\nHost: allowed.example:80\r\n\r\nGET / HTTP/1.1\r\nHost: evil.test\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: allowed.example\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\nGET / HTTP/1.1\r\nHost: evil.test\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: allowed.example\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\nHost: evil.test\r\n\r\n",
		"GET / HTTP/1.1\nHost: allowed.example\nConnection: Upgrade\nUpgrade: websocket\n\nGET / HTTP/1.1\nHost: evil.test\n\n",
	} {
		f.Add([]byte(in))
	}
	r := newRig(f, allowing, site80, func(p *proxy) { p.rec = discard{} })
	s := r.serveSite(f, nil)
	f.Fuzz(func(t *testing.T, in []byte) {
		conn := r.connect(t)
		if _, err := conn.Write(in); err == nil {
			_ = conn.CloseWrite()
		}
		if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, conn)
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, got := range s.seen {
			name, err := policy.Normalize(strings.TrimSuffix(got.host, ":80"))
			if err != nil || name != "allowed.example" {
				t.Fatalf("forwarded: %+v", got)
			}
		}
		s.seen = nil
	})
}
