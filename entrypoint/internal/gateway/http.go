package gateway

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/yolo-run/yolo-run/entrypoint/policy"
	"github.com/yolo-run/yolo-run/reports"
)

const (
	// keepAlive is how long a connection may rest between two requests.
	keepAlive = 2 * time.Minute
	// explainTime is how long a denied connection to port 80 is held for its request, to tell it why.
	explainTime = time.Second
	// continueTime is how long the upstream may take to ask for a body (RFC 9110, 10.1.1) before it is sent unasked.
	continueTime = time.Second
	// maxUpstreamHeader bounds the header of a response. Small fields take eighteen times their octets, and a server that works with the agent can stop in the
	// middle of one on each connection: at 64 KiB a thousand of them ended the gateway.
	maxUpstreamHeader = 16 << 10
	// maxShownPath bounds the path in an event.
	maxShownPath = 2 << 10
)

// httpSession is one connection to port 80. Its requests are read one by one, each is checked, and each is one event.
type httpSession struct {
	*attempt
	reader *httpReader
	out    *bufio.Writer

	transport *http.Transport
	upstream  atomic.Pointer[netip.Addr] // of the latest dial
}

func (a *attempt) serveHTTP(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // closes what was dialled for it
	s := &httpSession{attempt: a, reader: newHTTPReader(a.agent), out: bufio.NewWriter(a.agent)}
	s.transport = &http.Transport{
		DialContext:            func(context.Context, string, string) (net.Conn, error) { return s.dialUpstream(ctx) },
		DisableCompression:     true, // or it would ask for gzip and unpack it on the way
		ExpectContinueTimeout:  continueTime,
		MaxResponseHeaderBytes: maxUpstreamHeader,
		MaxIdleConns:           1,
		IdleConnTimeout:        keepAlive,
	}
	defer s.transport.CloseIdleConnections()
	for first := true; ; first = false {
		req := s.next(first)
		if req == nil {
			return
		}
		if !s.exchange(ctx, req) {
			linger(s.agent)
			return
		}
	}
}

// dialUpstream dials within the session's time, not the request's: the connection may serve the next request too.
func (s *httpSession) dialUpstream(ctx context.Context) (net.Conn, error) {
	conn, addr, err := s.connect(ctx)
	if err != nil {
		return nil, err
	}
	ip := addr.Addr()
	s.upstream.Store(&ip)
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	return &sessionConn{conn, stop}, nil
}

// sessionConn ends with its session. Closed before, nothing of it stays: a session may have as many as it has requests.
type sessionConn struct {
	net.Conn
	forget func() bool
}

// Close implements [net.Conn].
func (c *sessionConn) Close() error {
	c.forget()
	return c.Conn.Close()
}

// next waits for a request and returns it when it may be forwarded. Otherwise it has recorded and ended what there was.
func (s *httpSession) next(first bool) *http.Request {
	idle := keepAlive
	if first {
		idle = s.handshake
	}
	s.readWithin(idle)
	if err := s.reader.wait(); err != nil {
		switch {
		case !first: // every request of it has its event
		case errors.Is(err, os.ErrDeadlineExceeded):
			s.deny(reports.LayerHTTP, "", fmt.Sprintf("no HTTP request within %s", idle))
		default:
			s.record(s.event(reports.LayerHTTP)) // came and went without a word
		}
		return nil
	}
	s.readWithin(s.handshake)
	req, err := s.reader.next()
	s.readWithin(0)
	var fault *httpError
	switch {
	case errors.As(err, &fault) && req != nil:
		s.refuseRequest(req, "", fault.reason, "")
		return nil
	case errors.As(err, &fault):
		s.deny(reports.LayerHTTP, "", fault.reason)
		return nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		s.deny(reports.LayerHTTP, "", fmt.Sprintf("no complete HTTP header within %s", s.handshake))
		return nil
	case err != nil:
		s.deny(reports.LayerHTTP, "", "the connection ended inside the HTTP header")
		return nil
	}
	if asked, reason := s.check(req); reason != "" {
		s.refuseRequest(req, asked, reason, s.missing(asked))
		return nil
	}
	return req
}

// missing is the option that would open the host on a connection of its own, empty when it is open already or no option could.
func (s *httpSession) missing(asked string) string {
	if asked == "" || s.policy.Connect(asked, portHTTP).Verdict == reports.Allow {
		return ""
	}
	return policy.Suggest(asked, portHTTP)
}

// check returns why a request is refused and the host that it asks for; no reason when it is not.
func (s *httpSession) check(req *http.Request) (asked, reason string) {
	if req.Method == http.MethodConnect {
		return "", "CONNECT asks for a tunnel"
	}
	if req.URL.Host != "" || req.URL.Scheme != "" { // absolute form (RFC 9112, 3.2.2): the host in it wins over the header
		if req.URL.Scheme != "http" || req.URL.User != nil {
			return "", "an HTTP request target that is no plain http URL"
		}
		if asked, reason := s.checkHost(req.URL.Host); reason != "" {
			return asked, reason
		}
	}
	if asked, reason := s.checkHost(req.Host); reason != "" {
		return asked, reason
	}
	return "", ""
}

func (s *httpSession) checkHost(hostport string) (asked, reason string) {
	if hostport == "" {
		return "", "no Host in the HTTP request"
	}
	host, port := hostport, ""
	if i := strings.LastIndexByte(hostport, ':'); i >= 0 {
		host, port = hostport[:i], hostport[i+1:]
		if port == "" {
			port = "none"
		}
	}
	if !s.owns(host) || port != "" && port != strconv.Itoa(portHTTP) {
		return s.asked(host), fmt.Sprintf("Host %q on a connection to %s", hostport, s.host())
	}
	return "", ""
}

// isWebSocket accepts exactly the opening handshake of RFC 6455, 4.1. It is the only upgrade that is forwarded: of any other (h2c, which
// Java's client asks for by default) the header is dropped, which a server may do as well, and the request goes on as HTTP/1.1.
func isWebSocket(req *http.Request) bool {
	up := req.Header["Upgrade"]
	return len(up) == 1 && strings.EqualFold(up[0], "websocket") && req.Method == http.MethodGet &&
		req.Body == http.NoBody && httpguts.HeaderValuesContainsToken(req.Header["Connection"], "upgrade")
}

// refuseRequest records and answers a request that stays here.
func (s *httpSession) refuseRequest(req *http.Request, asked, reason, missing string) {
	e := s.requestEvent(req)
	e.Verdict, e.Rule, e.Reason, e.Status = reports.Deny, "", reason, http.StatusForbidden
	if asked != "" {
		e.Name, e.Addr = asked, ""
	}
	s.record(e)
	forbid(s.agent, reason, missing)
}

// requestEvent leaves out the query: it is where secrets stand in URLs. What it keeps are copies: parts of the request would hold all of
// it in memory until the event is written.
func (s *httpSession) requestEvent(req *http.Request) reports.Event {
	e := s.event(reports.LayerHTTP)
	e.Method = strings.Clone(req.Method)
	if req.URL != nil {
		path := req.URL.EscapedPath()
		e.Path = strings.Clone(path[:min(len(path), maxShownPath)])
	}
	if ip := s.upstream.Load(); ip != nil {
		e.Addr = ip.String()
	}
	return e
}

// explain answers the first request of a connection that is denied by name and port. The denial is recorded already.
func (a *attempt) explain() {
	a.readWithin(explainTime)
	if _, err := newHTTPReader(a.agent).next(); err != nil {
		return
	}
	missing := ""
	if a.verdict.Rule == "" { // a rule that denies beats one that allows
		missing = policy.Suggest(a.host(), portHTTP)
	}
	forbid(a.agent, a.verdict.Reason, missing)
}

// forbid sends a 403 that says what to do about it, and ends the connection.
func forbid(agent *net.TCPConn, reason, missing string) {
	text := "yolo-run: denied: " + reason + "\n"
	if missing != "" {
		text += "If this is meant to work, whoever starts the run can add: " + missing + "\n"
	}
	respond(agent, http.StatusForbidden, text)
}

// respond answers a request that was not forwarded, and ends the connection.
func respond(agent *net.TCPConn, status int, text string) {
	if err := agent.SetWriteDeadline(time.Now().Add(lingerTime)); err != nil {
		return
	}
	_, err := fmt.Fprintf(agent, "HTTP/1.1 %d %s\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s",
		status, http.StatusText(status), len(text), text)
	if err == nil {
		linger(agent)
	}
}

// lingerTime and lingerBytes bound what is still read of a client that got its last response.
const (
	lingerTime  = 500 * time.Millisecond
	lingerBytes = 256 << 10
)

// linger ends a connection on which the client may still be sending: closed at once, it would be reset, and the response that is on its
// way would be lost (RFC 9112, 9.6).
func linger(agent *net.TCPConn) {
	if err := agent.CloseWrite(); err != nil {
		return
	}
	if err := agent.SetReadDeadline(time.Now().Add(lingerTime)); err == nil {
		_, _ = io.CopyN(io.Discard, agent, lingerBytes)
	}
	_ = agent.Close()
}
