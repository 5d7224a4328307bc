// Package model is the models' APIs as the agent sees them: on loopback, without a key. It checks each request, puts the key in, forwards
// it to the vendor, counts what it costs and keeps to the run's budget.
//
// A path is http://ADDRESS/NAME/REST, where NAME is an API of the configuration and REST is what its vendor serves. Open are, by dialect:
//
//	anthropic  POST v1/messages, v1/messages/count_tokens; GET v1/models, v1/models/ID
//	openai     POST v1/responses, v1/responses/compact, v1/chat/completions; GET v1/models, v1/models/ID
//	gemini     POST VERSION/models/ID:generateContent, :streamGenerateContent, :countTokens; GET VERSION/models, VERSION/models/ID
//
// Files, batches, stored responses and containers are not: they outlive the run, or are somebody else's.
//
// A model's provider can reach the network on behalf of whoever asks it, so bodies are checked too: see checker for what is closed unless the user
// opened it.
//
// Invariant: not a byte leaves before method, path, query and body were found in these lists; what leaves is built from them, not copied; the
// agent can neither choose where a request goes nor as whom, nor learn the key; and what a request may cost at most was reserved before it.
package model

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/net/http/httpguts"
	"golang.org/x/sync/semaphore"

	"github.com/yolo-run/yolo-run/entrypoint/wire"
	"github.com/yolo-run/yolo-run/reports"
)

const (
	// maxConns is how many connections the agent may have at once. Each costs a few descriptors and at most a header's memory.
	maxConns = 256
	// headerTime is how long a client may take for a request's header, idleTime how long a connection may rest.
	headerTime = 10 * time.Second
	idleTime   = 2 * time.Minute
	// maxHeader bounds the header of a request; net/http adds 4 KiB. Real ones have two or three. Parsed, a header of small fields takes sixteen times its
	// octets, and every connection may stand behind one.
	maxHeader = 8 << 10
	// maxAnswerHeader bounds the header of a response.
	maxAnswerHeader = 64 << 10
	// maxUnread is how much of one response over HTTP/2 waits here for a client that does not read. net/http's own bound is 4 MiB, of each of hundreds.
	maxUnread = 256 << 10
	// tlsTime bounds the handshake with an upstream.
	tlsTime = 10 * time.Second
)

// Config is what a [Server] serves, and what it needs from the gateway around it.
type Config struct {
	APIs             []wire.ModelAPI
	AllowServerTools bool
	Budget           wire.Budget
	Prices           []wire.Price

	// Roots are the certificates to trust in an upstream; nil means the system's.
	Roots *x509.CertPool
	// Dial connects to an upstream and returns the address that it dialled, invalid where a proxy dials. The error is a [*RefusedError] when no
	// address of it may be reached.
	Dial func(context.Context, Upstream) (net.Conn, netip.AddrPort, error)
	// Record takes the decision on each request. It does not block and is safe for concurrent use.
	Record func(reports.Event)
	// Process finds the process behind a connection from local to remote: best effort, nil when it cannot be found.
	Process func(local, remote netip.AddrPort) *reports.Process
}

// Upstream is where an API is: a name or an address.
type Upstream struct {
	Host string
	Port uint16
	// Trusted: the user named it, so that it may be private.
	Trusted bool
}

// RefusedError is an upstream whose addresses may not be reached.
type RefusedError struct{ Reason string }

// Error returns the reason.
func (e *RefusedError) Error() string { return e.Reason }

// Server serves models' APIs. It is safe for concurrent use.
type Server struct {
	cfg    Config
	apis   map[string]*api
	redact redactor
	ledger *ledger

	bodies  *bodies
	metered *semaphore.Weighted // room for what is kept of responses
	checks  chan struct{}       // places for checks of bodies
	free    chan struct{}       // places for requests that cost nothing

	serving serving
}

// api is one API with the connections to it.
type api struct {
	wire.ModelAPI
	upstream  Upstream
	scheme    string
	host      string // host:port as it stands in a URL, the port only where it is not the scheme's
	base      string // path before the agent's, without a slash at its end
	transport *http.Transport
	addr      atomic.Pointer[netip.Addr] // of the latest dial
}

// New checks the configuration. Its errors name no value of a header.
func New(cfg Config) (*Server, error) {
	s := &Server{
		cfg: cfg, apis: map[string]*api{}, ledger: newLedger(cfg.Budget, cfg.Prices),
		bodies: newBodies(), metered: semaphore.NewWeighted(maxAllMetered),
		checks: make(chan struct{}, maxChecks), free: make(chan struct{}, maxFree),
	}
	for _, m := range cfg.APIs {
		a, err := s.open(m)
		if err != nil {
			return nil, fmt.Errorf("model API %q: %w", m.Name, err)
		}
		s.apis[m.Name] = a
		s.redact.add(m.Headers)
	}
	return s, nil
}

func (s *Server) open(m wire.ModelAPI) (*api, error) {
	a := &api{ModelAPI: m}
	if !isSegment(m.Name) || strings.Contains(m.Name, ":") {
		return nil, errors.New("the name is no element of a path")
	}
	if s.apis[m.Name] != nil {
		return nil, errors.New("the name is taken")
	}
	if len(endpoints(m.Dialect)) == 0 {
		return nil, fmt.Errorf("dialect %q is not known", m.Dialect)
	}
	for _, h := range m.Headers {
		if !httpguts.ValidHeaderFieldName(h.Name) || !httpguts.ValidHeaderFieldValue(h.Value) {
			return nil, fmt.Errorf("header %q: not a name and a value of HTTP", h.Name)
		}
	}
	if err := a.parse(m.Upstream); err != nil {
		return nil, fmt.Errorf("upstream: %w", err)
	}
	a.transport = s.transport(a)
	return a, nil
}

// parse reads the upstream's URL. The URL itself stands in no error: it may hold a password.
func (a *api) parse(upstream string) error {
	u, err := url.Parse(upstream)
	if err != nil {
		return errors.New("not a URL")
	}
	switch {
	case u.Scheme != "https" && (u.Scheme != "http" || !a.Trusted):
		return fmt.Errorf("scheme %q: want https", u.Scheme)
	case u.User != nil, u.RawQuery != "", u.Fragment != "", u.Opaque != "":
		return errors.New("a user, query or fragment does not belong into it")
	case u.Hostname() == "":
		return errors.New("it names no host")
	}
	a.base = strings.TrimSuffix(u.Path, "/")
	if u.RawPath != "" || a.base != "" && !isCleanPath(a.base) {
		return errors.New("the path is not a plain one")
	}
	port := map[string]uint64{"http": 80, "https": 443}[u.Scheme]
	if p := u.Port(); p != "" {
		if port, err = strconv.ParseUint(p, 10, 16); err != nil || port == 0 {
			return errors.New("not a port")
		}
	}
	a.scheme, a.host = u.Scheme, u.Host
	a.upstream = Upstream{Host: u.Hostname(), Port: uint16(port), Trusted: a.Trusted}
	if _, err := netip.ParseAddr(a.upstream.Host); err == nil && !a.Trusted {
		return errors.New("an address instead of a name")
	}
	return nil
}

// transport keeps connections to one upstream. It never follows a redirect, never unpacks, and asks no environment for a proxy.
func (s *Server) transport(a *api) *http.Transport {
	return &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			conn, addr, err := s.cfg.Dial(ctx, a.upstream)
			if err != nil {
				return nil, &dialError{err}
			}
			if ip := addr.Addr(); ip.IsValid() {
				a.addr.Store(&ip)
			}
			return conn, nil
		},
		TLSClientConfig:        tlsConfig(s.cfg.Roots),
		TLSHandshakeTimeout:    tlsTime,
		ForceAttemptHTTP2:      true,
		DisableCompression:     true,
		MaxResponseHeaderBytes: maxAnswerHeader,
		HTTP2:                  &http.HTTP2Config{MaxReceiveBufferPerStream: maxUnread},
		MaxIdleConnsPerHost:    16,
		IdleConnTimeout:        idleTime,
	}
}

// dialError is a connection that was never made: nothing was sent.
type dialError struct{ err error }

func (e *dialError) Error() string { return e.err.Error() }
func (e *dialError) Unwrap() error { return e.err }

// Serve takes connections until ctx ends (then nil) or ln fails. It closes ln and every connection, and returns after the last of their
// requests was recorded.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	defer s.close()
	defer s.serving.end()
	defer cancel()
	limited := &limitedListener{Listener: ln, places: make(chan struct{}, maxConns), refuse: s.refuseFull}
	server := &http.Server{
		Handler:           s,
		ReadHeaderTimeout: headerTime,
		IdleTimeout:       idleTime,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          silent(),

		DisableGeneralOptionsHandler: true, // every request is recorded
		BaseContext:                  func(net.Listener) context.Context { return ctx },
		ConnContext:                  s.attribute,
	}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	err := server.Serve(limited)
	_ = server.Close()
	if ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("serve models: %w", err)
}

func (s *Server) close() {
	for _, a := range s.apis {
		a.transport.CloseIdleConnections()
	}
}

// Usage is what models were asked for until now.
func (s *Server) Usage() reports.Usage { return s.ledger.usage() }

// Changed receives after usage changed or the budget was found used up; it never holds more than one value.
func (s *Server) Changed() <-chan struct{} { return s.ledger.changed }

// Spent returns why the first request was refused that the budget did not allow, nil as long as there was none.
func (s *Server) Spent() *wire.BudgetSpent { return s.ledger.spentBy() }

// names are those of the APIs, sorted.
func (s *Server) names() string {
	var list []string
	for name := range s.apis {
		list = append(list, "/"+name)
	}
	slices.Sort(list)
	return strings.Join(list, ", ")
}
