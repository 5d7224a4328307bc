package model

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// A header of small fields takes sixteen times its octets in memory, and net/http begins to parse before it has all of it.
func TestAHeaderIsShort(t *testing.T) {
	r := newRig(t, nil)
	request := func(fill int) string {
		var fields strings.Builder
		for i := 0; fields.Len() < fill; i++ {
			fmt.Fprintf(&fields, "x%d:\r\n", i)
		}
		return fmt.Sprintf("POST /anthropic/v1/messages HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%sContent-Length: %d\r\n\r\n%s", fields.String(), len(anthropicBody), anthropicBody)
	}
	if got := r.raw(request(7 << 10)); !strings.HasPrefix(got, "HTTP/1.1 200 ") {
		t.Errorf("7 KiB: %.60q", got)
	}
	if got := r.raw(request(20 << 10)); !strings.HasPrefix(got, "HTTP/1.1 431 ") {
		t.Errorf("20 KiB: %.60q", got)
	}
	if sent, _ := r.sent(); len(sent) != 1 {
		t.Errorf("%d requests arrived", len(sent))
	}
}

// pipes is a listener whose connections hold nothing back: what a client does not read, nobody has taken.
type pipes struct {
	net.Listener
	conns chan net.Conn
}

func (p *pipes) Accept() (net.Conn, error) {
	if conn, ok := <-p.conns; ok {
		return conn, nil
	}
	return nil, net.ErrClosed
}

func TestAnAnswerThatNobodyReadsWaitsAtTheUpstream(t *testing.T) {
	const piece = 32 << 10
	wrote := make(chan string, 1<<10)
	upstream := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for range 16 << 20 / piece {
			if _, err := w.Write(make([]byte, piece)); err != nil || http.NewResponseController(w).Flush() != nil {
				return
			}
			wrote <- req.Proto
		}
	}))
	upstream.EnableHTTP2 = true
	upstream.StartTLS()
	t.Cleanup(upstream.Close)
	r := &rig{t: t, upstream: upstream}
	r.start(apisAt(upstream.URL), func(cfg *Config) { cfg.Roots = trust(upstream) })

	ln := &pipes{Listener: upstream.Listener, conns: make(chan net.Conn, 1)}
	conn, theirs := net.Pipe()
	ln.conns <- theirs
	ctx, cancel := context.WithCancel(t.Context())
	second, err := New(r.cfg)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- second.Serve(ctx, ln) }()
	t.Cleanup(func() {
		cancel()
		close(ln.conns)
		conn.Close()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	if _, err := fmt.Fprintf(conn, "POST /openai/v1/responses HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", len(openaiBody), openaiBody); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(conn, make([]byte, 1)); err != nil { // the answer has begun
		t.Fatal(err)
	}
	sum := 0
	for quiet := false; !quiet; {
		select {
		case proto := <-wrote:
			if sum += piece; proto != "HTTP/2.0" {
				t.Fatalf("the upstream speaks %s", proto)
			}
		case <-time.After(300 * time.Millisecond):
			quiet = true
		}
	}
	if sum > 2*maxUnread {
		t.Errorf("%d KiB of an answer that nobody reads are here", sum>>10)
	}
	if sum == 0 {
		t.Error("nothing of the answer came")
	}
}
