package model

import (
	"context"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/yolo-run/yolo-run/entrypoint/wire"
	"github.com/yolo-run/yolo-run/reports"
)

// canary is the key of every API in these tests. It may arrive upstream, and nowhere else.
const canary = "sk-canary-0123456789abcdef"

// patience is how long a test waits for what must come.
const patience = 10 * time.Second

// rig is a server of models' APIs before an upstream of the test's.
type rig struct {
	*Server
	t        testing.TB
	url      string
	upstream *httptest.Server

	mu      sync.Mutex
	events  []reports.Event
	grown   chan struct{} // closed when there is one more
	arrived []*http.Request
	bodies  []string
}

// apisAt serves all three dialects from one upstream.
func apisAt(url string) []wire.ModelAPI {
	return []wire.ModelAPI{
		{Name: "anthropic", Dialect: wire.Anthropic, Upstream: url, Trusted: true, Headers: []wire.Header{{Name: "x-api-key", Value: canary}}},
		{Name: "openai", Dialect: wire.OpenAI, Upstream: url, Trusted: true, Headers: []wire.Header{{Name: "Authorization", Value: "Bearer " + canary}}},
		{Name: "gemini", Dialect: wire.Gemini, Upstream: url, Trusted: true, Headers: []wire.Header{{Name: "x-goog-api-key", Value: canary}}},
	}
}

// newRig serves what handler answers; nil answers {} to everything.
func newRig(t testing.TB, handler http.HandlerFunc, adjust ...func(*Config)) *rig {
	t.Helper()
	r := &rig{t: t}
	r.upstream = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		r.mu.Lock()
		r.arrived, r.bodies = append(r.arrived, req.Clone(context.WithoutCancel(req.Context()))), append(r.bodies, string(body))
		r.mu.Unlock()
		req.Body = io.NopCloser(strings.NewReader(string(body)))
		if handler == nil {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, "{}")
			return
		}
		handler(w, req)
	}))
	t.Cleanup(r.upstream.Close)
	r.start(apisAt(r.upstream.URL), adjust...)
	return r
}

func (r *rig) start(apis []wire.ModelAPI, adjust ...func(*Config)) {
	r.t.Helper()
	r.grown = make(chan struct{})
	cfg := Config{
		APIs: apis,
		Dial: func(ctx context.Context, _ Upstream) (net.Conn, netip.AddrPort, error) {
			var d net.Dialer
			conn, err := d.DialContext(ctx, "tcp", r.upstream.Listener.Addr().String())
			return conn, netip.MustParseAddrPort("198.51.100.7:443"), err
		},
		Record: r.record,
		Process: func(netip.AddrPort, netip.AddrPort) *reports.Process {
			return &reports.Process{PID: 42, Exe: "/usr/bin/curl"}
		},
	}
	for _, f := range adjust {
		f(&cfg)
	}
	var err error
	if r.Server, err = New(cfg); err != nil {
		r.t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		r.t.Fatal(err)
	}
	r.url = "http://" + ln.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- r.Serve(ctx, ln) }()
	r.t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			r.t.Errorf("Serve: %v", err)
		}
	})
}

func (r *rig) record(e reports.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
	close(r.grown)
	r.grown = make(chan struct{})
}

// sent are the requests that arrived upstream, with their bodies.
func (r *rig) sent() ([]*http.Request, []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]*http.Request(nil), r.arrived...), append([]string(nil), r.bodies...)
}

// recorded waits for n events and returns them: an answer reaches the client before its event is written.
func (r *rig) recorded(n int) []reports.Event {
	r.t.Helper()
	timeout := time.After(patience)
	for {
		r.mu.Lock()
		events, grown := append([]reports.Event(nil), r.events...), r.grown
		r.mu.Unlock()
		if len(events) >= n {
			return events
		}
		select {
		case <-grown:
		case <-timeout:
			r.t.Fatalf("%d events, want %d: %+v", len(events), n, events)
		}
	}
}

// last is the newest event, of n.
func (r *rig) last(n int) reports.Event {
	r.t.Helper()
	events := r.recorded(n)
	if len(events) != n {
		r.t.Fatalf("%d events, want %d: %+v", len(events), n, events)
	}
	if n == 0 {
		return reports.Event{}
	}
	return events[n-1]
}

// reply is a response that was read.
type reply struct {
	status int
	header http.Header
	body   string
}

func (r *rig) do(method, path, body string, header ...string) reply {
	r.t.Helper()
	req, err := http.NewRequest(method, r.url+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	if body == "" {
		req.Body, req.ContentLength = nil, 0
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return reply{resp.StatusCode, resp.Header, string(text)}
}

// raw sends bytes as they are and returns what comes back until the server closes.
func (r *rig) raw(text string) string {
	r.t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
	if err != nil {
		r.t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(conn, text); err != nil {
		r.t.Fatal(err)
	}
	got, _ := io.ReadAll(conn)
	return string(got)
}

func trust(s *httptest.Server) *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(s.Certificate())
	return pool
}
