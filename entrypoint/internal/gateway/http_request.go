package gateway

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httputil"
	"net/textproto"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"

	"golang.org/x/net/http/httpguts"
)

const (
	// maxHTTPHeader bounds the line and header of one request, and the trailer of its body, in octets; maxHTTPFields the header's lines. All
	// connections may stand in the middle of one at once.
	maxHTTPHeader = 32 << 10
	maxHTTPFields = 256
	// maxMethod is generous: the longest registered one, UPDATEREDIRECTREF, has 17 letters.
	maxMethod = 32
)

// httpError is a message that is refused for how it is written.
type httpError struct{ reason string }

// Error returns the reason.
func (e *httpError) Error() string { return e.reason }

func malformed(format string, args ...any) error {
	return &httpError{reason: fmt.Sprintf(format, args...)}
}

// httpReader reads requests off one connection with one parser's eyes: what another could read otherwise (request smuggling) is
// refused here, and what is forwarded is written anew. It is used by one goroutine at a time.
type httpReader struct {
	limit *limitedReader
	buf   *bufio.Reader
}

func newHTTPReader(r io.Reader) *httpReader {
	limit := &limitedReader{r: r}
	return &httpReader{limit: limit, buf: bufio.NewReader(limit)}
}

// limitedReader is an [io.LimitedReader] that says when it cut something off.
type limitedReader struct {
	r    io.Reader
	left int64
	err  error // the latest
}

// Read implements [io.Reader].
func (l *limitedReader) Read(p []byte) (int, error) {
	if l.left <= 0 {
		l.err = malformed("an HTTP header of more than %d octets", maxHTTPHeader)
		return 0, l.err
	}
	n, err := l.r.Read(p[:min(int64(len(p)), l.left)])
	l.left -= int64(n)
	l.err = err
	return n, err
}

// wait returns when the first octet of a request is there, or with the error that comes instead: io.EOF between two requests.
func (h *httpReader) wait() error {
	h.limit.left = maxHTTPHeader
	_, err := h.buf.Peek(1)
	return err
}

// next reads one request up to its body. The error is a [*httpError] for what is refused, else the connection's. A request that
// comes with an [*httpError] could be read; only what it says is refused.
func (h *httpReader) next() (*http.Request, error) {
	h.limit.left, h.limit.err = maxHTTPHeader, nil
	req, err := h.parse()
	if req == nil && h.limit.err != nil {
		return nil, h.limit.err // the parser blames the half line that came before it
	}
	return req, err
}

func (h *httpReader) parse() (*http.Request, error) {
	text := textproto.NewReader(h.buf)
	line, err := text.ReadLine()
	if err != nil {
		return nil, notHTTP(err)
	}
	req, err := parseRequestLine(line)
	if err != nil {
		return nil, err
	}
	raw, err := h.rawHeader()
	if err != nil {
		return nil, err
	}
	h.limit.left = math.MaxInt64 // bodies have no bound
	if req.Header, err = parseHeader(raw); err != nil {
		return nil, err
	}
	return req, h.frame(req)
}

// rawHeader reads a header with its empty line. It stays raw until it is complete: parsed, small fields take twenty times their octets, and
// a client may stop in the middle.
func (h *httpReader) rawHeader() ([]byte, error) {
	var raw []byte
	for lines, start := 0, 0; lines <= maxHTTPFields; {
		part, err := h.buf.ReadSlice('\n')
		raw = append(raw, part...)
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if line := string(raw[start:]); line == "\r\n" || line == "\n" {
			return raw, nil
		}
		lines, start = lines+1, len(raw)
	}
	return nil, malformed("an HTTP header of more than %d lines", maxHTTPFields)
}

// parseHeader takes a header that ends where it says: octets behind the end that the parser sees would be another parser's next request.
func parseHeader(raw []byte) (http.Header, error) {
	rest := bufio.NewReader(bytes.NewReader(raw))
	header, err := textproto.NewReader(rest).ReadMIMEHeader()
	if err != nil {
		return nil, malformed("malformed HTTP header")
	}
	if _, err := rest.Peek(1); err == nil || !validHeader(http.Header(header)) {
		return nil, malformed("malformed HTTP header")
	}
	return http.Header(header), nil
}

// notHTTP tells a parser's fault from the connection's.
func notHTTP(err error) error {
	if _, ok := errors.AsType[textproto.ProtocolError](err); ok {
		return malformed("malformed HTTP header")
	}
	return err
}

// parseRequestLine takes exactly "METHOD target HTTP/1.x" (RFC 9112, 3).
func parseRequestLine(line string) (*http.Request, error) {
	method, rest, _ := strings.Cut(line, " ")
	uri, proto, ok := strings.Cut(rest, " ")
	minor, isHTTP1 := strings.CutPrefix(proto, "HTTP/1.")
	if !ok || !isHTTP1 || minor != "0" && minor != "1" || len(method) > maxMethod || !httpguts.ValidHeaderFieldName(method) {
		return nil, malformed("not an HTTP/1.1 request")
	}
	req := &http.Request{Method: method, Proto: proto, ProtoMajor: 1, ProtoMinor: int(minor[0] - '0'), RequestURI: uri}
	if method == http.MethodConnect {
		return req, nil // has an authority for a target; it is refused by its method
	}
	var err error
	if req.URL, err = url.ParseRequestURI(uri); err != nil {
		return nil, malformed("malformed HTTP request target")
	}
	return req, nil
}

// frame finds where the body ends. Whatever leaves room for two opinions is refused (RFC 9112, 6.3).
func (h *httpReader) frame(req *http.Request) error {
	hosts, lengths, encodings := req.Header["Host"], req.Header["Content-Length"], req.Header["Transfer-Encoding"]
	req.Header.Del("Host")
	if len(hosts) == 1 {
		req.Host = hosts[0]
	}
	req.Body = http.NoBody
	switch {
	case len(hosts) > 1:
		return malformed("%d Host headers in one request", len(hosts))
	case len(lengths) > 0 && len(encodings) > 0:
		return malformed("Content-Length and Transfer-Encoding in one request")
	case len(encodings) > 0:
		if len(encodings) > 1 || !strings.EqualFold(encodings[0], "chunked") || req.ProtoMinor == 0 {
			return malformed("a Transfer-Encoding that is not chunked")
		}
		req.ContentLength = -1
		req.Body = &requestBody{r: httputil.NewChunkedReader(h.buf), atEnd: h.dropTrailer}
	case len(lengths) > 0:
		n, err := strconv.ParseUint(lengths[0], 10, 63)
		if err != nil || len(lengths) > 1 {
			return malformed("malformed Content-Length")
		}
		req.ContentLength = int64(n) //nolint:gosec // parsed with 63 bits
		if n > 0 {
			req.Body = &requestBody{r: &exactReader{r: h.buf, left: req.ContentLength}}
		}
	}
	return nil
}

// validHeader looks for octets that end a name or a line for one parser and not for another.
func validHeader(header http.Header) bool {
	for name, values := range header {
		if !httpguts.ValidHeaderFieldName(name) {
			return false
		}
		for _, v := range values {
			if !httpguts.ValidHeaderFieldValue(v) {
				return false
			}
		}
	}
	return true
}

// dropTrailer reads what may follow the last chunk. It is not forwarded: nothing needs it, and it could be mistaken for a header.
func (h *httpReader) dropTrailer() error {
	for left := maxHTTPHeader; left > 0; {
		line, err := h.buf.ReadSlice('\n')
		if err != nil {
			return err
		}
		if len(line) <= len("\r\n") && strings.TrimRight(string(line), "\r\n") == "" {
			return nil
		}
		left -= len(line)
	}
	return malformed("an HTTP trailer of more than %d octets", maxHTTPHeader)
}

// exactReader reads left octets; an earlier end is an error, or a cut upload would look whole.
type exactReader struct {
	r    io.Reader
	left int64
}

// Read implements [io.Reader].
func (e *exactReader) Read(p []byte) (int, error) {
	if e.left == 0 {
		return 0, io.EOF
	}
	n, err := e.r.Read(p[:min(int64(len(p)), e.left)])
	e.left -= int64(n)
	switch {
	case e.left == 0:
		return n, io.EOF
	case errors.Is(err, io.EOF):
		return n, io.ErrUnexpectedEOF
	}
	return n, err
}

// requestBody is the body of one request on its way to the upstream. The transport reads it, perhaps still after the response has begun.
type requestBody struct {
	r       io.Reader
	atStart func() error // asks the client for the body, where it waits to be asked
	atEnd   func() error // reads what belongs to the body and is not part of it
	read    atomic.Int64
	done    atomic.Bool // read to its end: the next request begins behind it
}

// Read implements [io.Reader].
func (b *requestBody) Read(p []byte) (int, error) {
	if ask := b.atStart; ask != nil {
		b.atStart = nil
		if err := ask(); err != nil {
			return 0, err
		}
	}
	n, err := b.r.Read(p)
	b.read.Add(int64(n))
	if errors.Is(err, io.EOF) && b.atEnd != nil {
		if fault := b.atEnd(); fault != nil {
			return n, fault
		}
		b.atEnd = nil
	}
	if errors.Is(err, io.EOF) {
		b.done.Store(true)
	}
	return n, err
}

// Close implements [io.Closer]. The connection stays: its other direction has a response to carry.
func (b *requestBody) Close() error { return nil }
