package model

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strconv"
	"strings"
	"sync/atomic"

	"golang.org/x/net/http/httpguts"

	"github.com/yolo-run/yolo-run/entrypoint/wire"
	"github.com/yolo-run/yolo-run/reports"
)

// copyBuffer is how much of a response is handed on at once.
const copyBuffer = 32 << 10

// exchange is one request of the agent's with its answer. It ends in one event.
type exchange struct {
	*Server
	w http.ResponseWriter
	r *http.Request

	api   *api
	path  string // the vendor's
	query string
	kind  kind
	id    string // of the model in the path

	event    reports.Event
	silent   bool // nothing happened that is worth an event
	sent     atomic.Bool
	answered int  // the upstream's status
	whole    bool // the response came to its end
	cut      bool // the response began and cannot be ended well
}

// ServeHTTP serves one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !s.enter() {
		panic(http.ErrAbortHandler)
	}
	defer s.leave()
	find := processOf(r.Context())
	go find() // while the socket surely lives
	x := &exchange{Server: s, w: w, r: r, event: reports.Event{
		Verdict: reports.Allow, Layer: reports.LayerModel, Proto: "tcp", Method: clip(r.Method),
	}}
	defer func() {
		if x.silent {
			return
		}
		x.event.Reason = s.redact.clean(x.event.Reason)
		x.event.Process = find()
		s.cfg.Record(x.event)
	}()
	if f := x.serve(); f != nil {
		x.fail(f)
	}
	if x.cut {
		panic(http.ErrAbortHandler) // net/http's way of not ending a response: half must not look whole
	}
}

// serve is the story of a request; a fault is what is left to be answered.
func (x *exchange) serve() *fault {
	if f := x.find(); f != nil || x.silent {
		return f
	}
	if f := x.checkHead(); f != nil {
		return f
	}
	ctx := x.r.Context()
	var body []byte
	if x.r.Method == http.MethodPost {
		read, release, f := x.bodies.read(ctx, x.w, x.r)
		defer release()
		if f != nil {
			return f
		}
		body = read
	}
	if x.r.Method != http.MethodPost {
		return x.ask(ctx, nil)
	}
	q, f := x.inquire(ctx, body)
	if f != nil {
		return f
	}
	if !x.kind.costs() {
		return x.ask(ctx, &q.edits)
	}
	return x.pay(ctx, q)
}

// inquire checks a body, few at once: what it makes of a hostile one takes memory, and half a second.
func (x *exchange) inquire(ctx context.Context, body []byte) (*inquiry, *fault) {
	select {
	case x.checks <- struct{}{}:
		defer func() { <-x.checks }()
		return inquire(x.api.Dialect, x.kind, x.id, body, x.cfg.AllowServerTools)
	case <-ctx.Done():
		return nil, gone()
	}
}

// ask makes a request that costs nothing.
func (x *exchange) ask(ctx context.Context, body *edits) *fault {
	select {
	case x.free <- struct{}{}:
		defer func() { <-x.free }()
	case <-ctx.Done():
		return gone()
	}
	return x.forward(ctx, body, nil)
}

// pay makes a request within the budget. It is charged whatever becomes of it.
func (x *exchange) pay(ctx context.Context, q *inquiry) *fault {
	t, f := x.ledger.reserve(ctx, x.api.Name, q)
	if f != nil {
		return f
	}
	m := newMeter(x.api.Dialect, x.kind, x.metered)
	defer func() {
		most := t.output
		streams := q.stream || strings.HasSuffix(x.path, ":streamGenerateContent")
		if x.answered == 0 && streams {
			most = 0 // a stream that did not begin made nothing, however long it was waited for
		}
		c, estimated := m.close(x.whole, q.tokens, most)
		if estimated && !x.whole && !streams {
			c.output = most // an answer in one piece is made to its end, whoever still waits for it
		}
		if left := x.r.Context().Err() != nil; x.answered/100 != 2 && !(x.answered == 0 && left) {
			c, estimated = counts{}, false // the model said no, or nothing
		}
		if x.api.Dialect == wire.OpenAI && q.longCache { // which its usage does not tell
			c.write, c.write1h = 0, c.write
		}
		t.settle(x.sent.Load(), c, estimated)
	}()
	return x.forward(ctx, &q.edits, m)
}

// find tells which API and which of its endpoints is meant.
func (x *exchange) find() *fault {
	target, query, _ := strings.Cut(x.r.RequestURI, "?")
	x.event.Path = strings.Clone(target[:min(len(target), 1<<10)])
	name, rest, _ := strings.Cut(strings.TrimPrefix(target, "/"), "/")
	x.api = x.apis[name]
	if x.isProbe(target, rest) {
		x.silent = true
		x.probe(target == "/" || x.api != nil)
		return nil
	}
	if x.api == nil {
		local := addrPort(localAddr(x.r))
		x.event.Addr, x.event.Port = local.Addr().String(), int(local.Port())
		return denied(http.StatusNotFound, "no model API at this path: there are "+x.names())
	}
	x.event.Name, x.event.Port, x.event.Rule = x.api.upstream.Host, int(x.api.upstream.Port), "model "+x.api.Name
	x.path = "/" + rest
	if !isCleanPath(x.path) || !strings.HasPrefix(target, "/") || x.r.URL.Host != "" {
		return denied(http.StatusForbidden, "the path is not a plain one")
	}
	e, id, ok := match(x.api.Dialect, x.r.Method, x.path)
	if !ok {
		return denied(http.StatusForbidden, fmt.Sprintf("%s %s is closed; open are %s", clip(x.r.Method), clip(x.path), open(x.api.Dialect)))
	}
	x.kind, x.id = e.kind, id
	var refused string
	if x.query, refused = cleanQuery(x.api.Dialect, query); refused != "" {
		return denied(http.StatusForbidden, "the query parameter "+strconv.Quote(refused)+" is closed")
	}
	return nil
}

// isProbe: clients ask the bare base URL whether somebody is there.
func (x *exchange) isProbe(target, rest string) bool {
	return (x.r.Method == http.MethodHead || x.r.Method == http.MethodGet) && rest == "" && strings.Count(target, "/") <= 2 && strings.HasPrefix(target, "/")
}

func (x *exchange) probe(found bool) {
	if !found {
		x.w.WriteHeader(http.StatusNotFound)
		return
	}
	x.w.WriteHeader(http.StatusOK)
}

// checkHead refuses what would make a request something else on its way.
func (x *exchange) checkHead() *fault {
	h := x.r.Header
	switch {
	case len(h["Upgrade"]) > 0:
		return denied(http.StatusForbidden, "an upgrade of the connection is closed")
	case len(x.r.Trailer) > 0:
		return denied(http.StatusBadRequest, "trailers are closed")
	case len(h["Content-Encoding"]) > 0 && !(len(h["Content-Encoding"]) == 1 && strings.EqualFold(h.Get("Content-Encoding"), "identity")):
		return denied(http.StatusUnsupportedMediaType, "a packed body cannot be checked: send it as it is")
	case len(h["Host"]) > 0 || !httpguts.ValidHostHeader(x.r.Host):
		return denied(http.StatusBadRequest, "more than one Host")
	case x.r.Method == http.MethodGet && x.r.ContentLength != 0:
		return denied(http.StatusBadRequest, "a GET with a body is closed")
	}
	return nil
}

// forward sends a request that was checked, and hands the response on. m may be nil.
func (x *exchange) forward(ctx context.Context, body *edits, m *meter) *fault {
	req, err := x.request(ctx, body)
	if err != nil {
		return &fault{status: http.StatusInternalServerError, reason: "the request could not be built"}
	}
	resp, err := x.api.transport.RoundTrip(req)
	if addr := x.api.addr.Load(); addr != nil {
		x.event.Addr = addr.String()
	}
	if err != nil {
		return x.unreached(ctx, err)
	}
	defer resp.Body.Close()
	x.event.BytesOut = req.ContentLength
	x.event.Status, x.answered = resp.StatusCode, resp.StatusCode
	if f := checkResponse(resp); f != nil {
		return f
	}
	x.reply(resp, m)
	return nil
}

// status is what the agent is told of the vendor's. A key that is refused stays refused, and the agent has no other: told 401 Claude Code asks
// ten times, for minutes, told 403 it ends at once; Codex ends at once after 400 only.
func (x *exchange) status(vendor int) int {
	if vendor != http.StatusUnauthorized || len(x.api.Headers) == 0 {
		return vendor
	}
	x.event.Reason = "the model's API refused the key"
	if x.api.Dialect == wire.OpenAI {
		return statusRefused
	}
	return http.StatusForbidden
}

// request is what is sent: built from what was checked, with the key.
func (x *exchange) request(ctx context.Context, body *edits) (*http.Request, error) {
	url := x.api.scheme + "://" + x.api.host + join(x.api.base, x.path)
	if x.query != "" {
		url += "?" + x.query
	}
	trace := &httptrace.ClientTrace{WroteHeaders: func() { x.sent.Store(true) }}
	req, err := http.NewRequestWithContext(httptrace.WithClientTrace(ctx, trace), x.r.Method, url, nil)
	if err != nil {
		return nil, err
	}
	req.Header = x.header(x.api, x.r)
	if body != nil {
		req.Body, req.ContentLength = body.reader(), body.size()
		req.GetBody = func() (io.ReadCloser, error) { return body.reader(), nil }
	}
	return req, nil
}

// unreached is the end of a request that got no response.
func (x *exchange) unreached(ctx context.Context, err error) *fault {
	if ctx.Err() != nil {
		x.event.Reason = "the client went away before the response"
		return gone()
	}
	if refused, ok := errors.AsType[*RefusedError](err); ok {
		return denied(statusRefused, refused.Reason)
	}
	return &fault{status: http.StatusBadGateway, reason: "the model's API cannot be reached: " + err.Error()}
}

// checkResponse refuses a response that would lead the client elsewhere, or that cannot be metered.
func checkResponse(resp *http.Response) *fault {
	encoding := resp.Header.Values("Content-Encoding")
	switch {
	case resp.StatusCode/100 == 3 || resp.StatusCode/100 == 1:
		return &fault{status: http.StatusBadGateway, reason: fmt.Sprintf("the model's API answered with status %d, which is not followed", resp.StatusCode)}
	case len(encoding) > 0 && !(len(encoding) == 1 && (encoding[0] == "" || strings.EqualFold(encoding[0], "identity"))):
		return &fault{status: http.StatusBadGateway, reason: "the model's API packed its answer, which it was asked not to do"}
	}
	return nil
}

// reply hands on each piece of the response as it comes, and shows it to the meter.
func (x *exchange) reply(resp *http.Response, m *meter) {
	x.copyHeader(x.w.Header(), resp.Header)
	if resp.ContentLength >= 0 {
		x.w.Header().Set("Content-Length", strconv.FormatInt(resp.ContentLength, 10))
	}
	if m != nil {
		m.open(resp.Header)
	}
	x.w.WriteHeader(x.status(resp.StatusCode))
	x.cut = true // until the end
	if !x.send(nil) {
		return
	}
	clean := redaction{redactor: &x.redact}
	buf := make([]byte, copyBuffer)
	for {
		n, err := resp.Body.Read(buf)
		if m != nil {
			m.add(buf[:n])
		}
		if !x.send(clean.next(buf[:n])) {
			return
		}
		switch {
		case errors.Is(err, io.EOF):
			x.whole = true
			x.cut = !x.send(clean.rest())
			return
		case err != nil:
			x.event.Reason = "the response ended early: " + err.Error()
			return
		}
	}
}

// send hands on a piece; an empty one is the header.
func (x *exchange) send(p []byte) bool {
	n, err := x.w.Write(p)
	x.event.BytesIn += int64(n)
	return err == nil && http.NewResponseController(x.w).Flush() == nil
}

// fail answers a fault and writes it into the event.
func (x *exchange) fail(f *fault) {
	d := x.dialect()
	f.reason = x.redact.clean(f.reason) // errors quote what an upstream said
	x.event.Status = f.statusFor(d)
	if x.event.Reason == "" {
		x.event.Reason = f.reason
	}
	if f.deny {
		x.event.Verdict, x.event.Rule = reports.Deny, ""
	}
	x.w.Header().Set("Connection", "close") // what is still to come of a refused body is not read
	x.event.BytesIn = answer(x.w, d, f)
}

func (x *exchange) dialect() wire.Dialect {
	if x.api == nil {
		return ""
	}
	return x.api.Dialect
}

func localAddr(r *http.Request) net.Addr {
	addr, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	return addr
}
