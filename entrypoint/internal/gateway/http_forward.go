package gateway

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"net/textproto"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/yolo-run/yolo-run/reports"
)

const (
	copyBuffer = 32 << 10
	// halfClosedTime is how long a client that has ended its side waits for a response: most such clients are gone.
	halfClosedTime = time.Minute
)

var errGone = errors.New("the client went away before the response")

// exchange forwards one request and its response, records it, and reports whether the connection can carry another one.
func (s *httpSession) exchange(ctx context.Context, req *http.Request) bool {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	upgrade := isWebSocket(req)
	body := s.body(req)
	stop := s.watch(cancel, body)
	resp, err := s.transport.RoundTrip(s.rewrite(req, upgrade).WithContext(ctx))
	e := s.requestEvent(req)
	if err != nil {
		stop()
		e.BytesOut = body.read.Load()
		if ctx.Err() != nil {
			err = errGone
		}
		s.fail(e, err)
		return false
	}
	defer resp.Body.Close()
	e.Status = resp.StatusCode
	if resp.StatusCode == http.StatusSwitchingProtocols {
		stop()
		s.tunnel(&e, resp, upgrade)
		s.record(e)
		return false
	}
	keep := s.keep(req)
	e.BytesIn, err = s.reply(req, resp, keep)
	e.BytesOut = body.read.Load()
	s.record(e)
	stop()
	return err == nil && keep && body.done.Load()
}

// body is the request's body as the transport reads it; one that is not there is done.
func (s *httpSession) body(req *http.Request) *requestBody {
	body, ok := req.Body.(*requestBody)
	if !ok {
		body = new(requestBody)
		body.done.Store(true)
		return body
	}
	if httpguts.HeaderValuesContainsToken(req.Header["Expect"], "100-continue") {
		body.atStart = func() error {
			_, err := io.WriteString(s.agent, "HTTP/1.1 100 Continue\r\n\r\n")
			return err
		}
	}
	return body
}

// watch cancels a request whose client is gone, so that it does not wait for a response in vain. A client that has only ended its side
// gets some time. It looks for the next octet behind the body, so it waits where there is a body still to be read. The
// function that it returns waits for the watcher's end.
func (s *httpSession) watch(cancel func(), body *requestBody) func() {
	if !body.done.Load() {
		return func() {}
	}
	var watcher sync.WaitGroup
	var half *time.Timer
	watcher.Go(func() {
		err := s.reader.wait()
		switch {
		case errors.Is(err, io.EOF):
			half = time.AfterFunc(halfClosedTime, cancel)
		case err != nil && !isTimeout(err):
			cancel()
		}
	})
	return func() {
		_ = s.agent.SetReadDeadline(time.Unix(1, 0)) // ends the wait; next sets another
		watcher.Wait()
		if half != nil {
			half.Stop()
		}
	}
}

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}

// rewrite makes the request that is sent: origin form, the verified host, no hop-by-hop header (RFC 9110, 7.6.1).
func (s *httpSession) rewrite(req *http.Request, upgrade bool) *http.Request {
	out := &http.Request{
		Method: req.Method, Host: req.Host, Header: req.Header.Clone(), Body: req.Body, ContentLength: req.ContentLength,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}
	u := *req.URL
	u.Scheme, u.Host = "http", s.to.String() // only names the connection in the transport's pool
	out.URL = &u
	dropHopByHop(out.Header)
	if upgrade {
		out.Header.Set("Connection", "Upgrade")
		out.Header.Set("Upgrade", "websocket")
	}
	if _, ok := out.Header["User-Agent"]; !ok {
		out.Header.Set("User-Agent", "") // or the transport adds its own
	}
	return out
}

func dropHopByHop(h http.Header) {
	for _, line := range h["Connection"] {
		for name := range strings.SplitSeq(line, ",") {
			h.Del(textproto.TrimString(name))
		}
	}
	for _, name := range []string{
		"Connection", "Keep-Alive", "Proxy-Connection", "Proxy-Authenticate", "Proxy-Authorization",
		"Te", "Trailer", "Transfer-Encoding", "Upgrade", "Http2-Settings",
	} {
		h.Del(name)
	}
}

// fail ends a request that got no response. An address that the policy refuses is a denial, everything else an upstream that is not there.
func (s *httpSession) fail(e reports.Event, err error) {
	s.blame(&e, err)
	e.Status = http.StatusBadGateway
	if e.Verdict == reports.Deny {
		e.Status = http.StatusForbidden
	}
	s.record(e)
	if e.Verdict == reports.Deny {
		forbid(s.agent, e.Reason, "")
		return
	}
	respond(s.agent, http.StatusBadGateway, "yolo-run: "+e.Reason+"\n")
}

// keep reports whether the client expects to send another request on this connection.
func (s *httpSession) keep(req *http.Request) bool {
	return req.ProtoMinor == 1 && !httpguts.HeaderValuesContainsToken(req.Header["Connection"], "close")
}

// reply sends the response and returns the size of its body.
func (s *httpSession) reply(req *http.Request, resp *http.Response, keep bool) (int64, error) {
	bodyless := req.Method == http.MethodHead || resp.StatusCode == http.StatusNoContent || resp.StatusCode == http.StatusNotModified
	chunked := !bodyless && resp.ContentLength < 0 && req.ProtoMinor == 1
	dropHopByHop(resp.Header)
	if chunked {
		resp.Header.Set("Transfer-Encoding", "chunked")
		resp.Header.Del("Content-Length")
	}
	if !bodyless && resp.ContentLength >= 0 {
		resp.Header.Set("Content-Length", strconv.FormatInt(resp.ContentLength, 10))
	}
	if !keep {
		resp.Header.Set("Connection", "close")
	}
	if err := s.writeHead(resp); err != nil {
		return 0, err
	}
	if bodyless {
		return 0, s.out.Flush()
	}
	n, err := sendBody(s.out, resp.Body, chunked)
	if err != nil {
		abort(s.agent) // a body that was cut must not look whole
	}
	return n, err
}

func (s *httpSession) writeHead(resp *http.Response) error {
	if _, err := fmt.Fprintf(s.out, "HTTP/1.1 %03d %s\r\n", resp.StatusCode, http.StatusText(resp.StatusCode)); err != nil {
		return err
	}
	if err := resp.Header.Write(s.out); err != nil {
		return err
	}
	_, err := io.WriteString(s.out, "\r\n")
	return err
}

// sendBody hands on each piece as it comes, so that a stream stays one.
func sendBody(out *bufio.Writer, body io.Reader, chunked bool) (int64, error) {
	var dst io.Writer = out
	var chunks io.WriteCloser
	if chunked {
		chunks = httputil.NewChunkedWriter(out)
		dst = chunks
	}
	if err := out.Flush(); err != nil {
		return 0, err
	}
	n, err := io.CopyBuffer(flushing{dst, out}, struct{ io.Reader }{body}, make([]byte, copyBuffer))
	if err == nil && chunked {
		if err = chunks.Close(); err == nil {
			_, err = io.WriteString(out, "\r\n")
		}
	}
	if err != nil {
		return n, err
	}
	return n, out.Flush()
}

// flushing is a writer behind which nothing waits.
type flushing struct {
	io.Writer
	out *bufio.Writer
}

// Write implements [io.Writer].
func (f flushing) Write(p []byte) (int, error) {
	n, err := f.Writer.Write(p)
	if err != nil {
		return n, err
	}
	return n, f.out.Flush()
}

// tunnel carries a websocket. It ends both sides when one ends: the protocol has its own closing handshake.
func (s *httpSession) tunnel(e *reports.Event, resp *http.Response, asked bool) {
	up, ok := resp.Body.(io.ReadWriteCloser)
	if !ok || !asked || !strings.EqualFold(resp.Header.Get("Upgrade"), "websocket") {
		e.Reason = "the upstream switched protocols unasked"
		respond(s.agent, http.StatusBadGateway, "yolo-run: "+e.Reason+"\n")
		return
	}
	dropHopByHop(resp.Header)
	resp.Header.Set("Connection", "Upgrade")
	resp.Header.Set("Upgrade", "websocket")
	if err := s.writeHead(resp); err != nil {
		return
	}
	if err := s.out.Flush(); err != nil {
		return
	}
	s.readWithin(0)
	s.reader.limit.left = 1<<63 - 1
	var down sync.WaitGroup
	down.Go(func() {
		defer s.agent.Close()
		e.BytesIn, _ = io.Copy(s.agent, up) // the end of a tunnel has no fault
	})
	e.BytesOut, _ = io.Copy(up, s.reader.buf)
	_ = up.Close()
	down.Wait()
}
