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
	"runtime"
	"strings"
	"syscall"
	"testing"
	"weak"

	"github.com/yolo-run/yolo-run/reports"
)

func TestHTTPAsksForTheBodyWhenTheUpstreamDoes(t *testing.T) {
	for _, wanted := range []bool{true, false} {
		r := newRig(t, allowing, site80)
		r.serveSite(t, func(w http.ResponseWriter, req *http.Request) {
			if !wanted {
				w.WriteHeader(http.StatusExpectationFailed)
				return
			}
			_, _ = io.Copy(w, req.Body)
		})
		conn := r.connect(t)
		br := bufio.NewReader(conn)
		send(t, conn, "PUT / HTTP/1.1\r\nHost: allowed.example\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
		want := http.StatusExpectationFailed
		if wanted {
			if resp, _ := readResponse(t, br, "PUT"); resp.StatusCode != http.StatusContinue {
				t.Fatalf("first status %d", resp.StatusCode)
			}
			send(t, conn, "body")
			want = http.StatusOK
		}
		if resp, _ := readResponse(t, br, "PUT"); resp.StatusCode != want {
			t.Errorf("status %d, want %d", resp.StatusCode, want)
		}
	}
}

func TestHTTPStreamsBothWays(t *testing.T) {
	r := newRig(t, allowing, site80)
	r.serveSite(t, func(w http.ResponseWriter, req *http.Request) {
		rc := http.NewResponseController(w)
		if err := rc.EnableFullDuplex(); err != nil {
			return
		}
		buf := make([]byte, 1)
		for {
			if _, err := io.ReadFull(req.Body, buf); err != nil {
				return
			}
			if _, err := w.Write(buf); err != nil || rc.Flush() != nil {
				return
			}
		}
	})
	conn := r.connect(t)
	br := bufio.NewReader(conn)
	send(t, conn, "POST / HTTP/1.1\r\nHost: allowed.example\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
	resp, err := http.ReadResponse(br, &http.Request{Method: "POST"})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []string{"a", "b", "c"} { // each octet comes back before the next is sent
		buf := make([]byte, 1)
		if _, err := io.ReadFull(resp.Body, buf); err != nil || string(buf) != c {
			t.Fatalf("got %q, %v; want %q", buf, err, c)
		}
		if c != "c" {
			send(t, conn, "1\r\n"+string(c[0]+1)+"\r\n")
		}
	}
	send(t, conn, "0\r\n\r\n")
	if rest, err := io.ReadAll(resp.Body); err != nil || len(rest) != 0 {
		t.Errorf("rest %q, %v", rest, err)
	}
	if e := r.next(t); e.BytesIn != 3 || e.BytesOut != 3 {
		t.Errorf("event %+v", e)
	}
}

func TestHTTPCarriesWebSockets(t *testing.T) {
	r := newRig(t, allowing, site80)
	r.serveSite(t, func(w http.ResponseWriter, _ *http.Request) {
		conn, buf, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		fmt.Fprint(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\n")
		_, _ = io.Copy(conn, buf)
	})
	conn := r.connect(t)
	br := bufio.NewReader(conn)
	send(t, conn, "GET /ws HTTP/1.1\r\nHost: allowed.example\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n\r\n")
	resp, _ := readResponse(t, br, "GET")
	if resp.StatusCode != 101 || resp.Header.Get("Upgrade") != "websocket" || resp.Header.Get("Sec-WebSocket-Accept") != "x" {
		t.Fatalf("response %+v", resp)
	}
	for _, text := range []string{"ping", "GET / HTTP/1.1\r\nHost: evil.test\r\n\r\n"} { // frames are not looked into
		send(t, conn, text)
		got := make([]byte, len(text))
		if _, err := io.ReadFull(br, got); err != nil || string(got) != text {
			t.Errorf("got %q, %v", got, err)
		}
	}
	conn.Close()
	if e := r.next(t); e.Verdict != reports.Allow || e.Status != 101 || e.BytesIn != 39 || e.BytesOut != 39 {
		t.Errorf("event %+v", e)
	}
}

func TestHTTPRefusesASwitchThatNobodyAskedFor(t *testing.T) {
	r := newRig(t, allowing, site80)
	conn := r.connect(t)
	send(t, conn, "GET / HTTP/1.1\r\nHost: allowed.example\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n")
	up := r.accept(t)
	if _, err := http.ReadRequest(bufio.NewReader(up)); err != nil {
		t.Fatal(err)
	}
	send(t, up, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n")
	if resp, _ := readResponse(t, bufio.NewReader(conn), "GET"); resp.StatusCode != http.StatusBadGateway {
		t.Errorf("status %d", resp.StatusCode)
	}
}

func TestHTTPReadsResponsesOfEveryFraming(t *testing.T) {
	for _, tt := range []struct{ response, body string }{
		{"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "ok"},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\n\r\n", "ok"},
		{"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nok", "ok"},
		{"HTTP/1.0 200 OK\r\n\r\nok", "ok"},
		{"HTTP/1.1 204 No Content\r\n\r\n", ""},
		{"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", ""},
		{"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "ok"},
		{"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", ""},
	} {
		for _, version := range []string{"1.0", "1.1"} {
			r := newRig(t, allowing, site80)
			conn := r.connect(t)
			send(t, conn, "GET / HTTP/"+version+"\r\nHost: allowed.example\r\n\r\n")
			up := r.accept(t)
			if _, err := http.ReadRequest(bufio.NewReader(up)); err != nil {
				t.Fatal(err)
			}
			send(t, up, tt.response)
			up.Close()
			if _, body := readResponse(t, bufio.NewReader(conn), "GET"); body != tt.body {
				t.Errorf("HTTP/%s: %q gave %q", version, tt.response, body)
			}
		}
	}
}

func TestHTTPDoesNotMakeACutResponseLookWhole(t *testing.T) {
	r := newRig(t, allowing, site80)
	conn := r.connect(t)
	send(t, conn, "GET / HTTP/1.1\r\nHost: allowed.example\r\n\r\n")
	up := r.accept(t)
	if _, err := http.ReadRequest(bufio.NewReader(up)); err != nil {
		t.Fatal(err)
	}
	send(t, up, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
	up.Close()
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err == nil {
		_, err = io.ReadAll(resp.Body)
	}
	if err == nil {
		t.Error("it does")
	}
}

func TestHTTPSaysThatTheUpstreamIsNotThere(t *testing.T) {
	r := newRig(t, allowing, site80)
	r.upstream.Close()
	conn := r.connect(t)
	send(t, conn, "GET / HTTP/1.1\r\nHost: allowed.example\r\n\r\n")
	if resp, body := readResponse(t, bufio.NewReader(conn), "GET"); resp.StatusCode != http.StatusBadGateway || !strings.Contains(body, "not reached") {
		t.Errorf("status %d: %q", resp.StatusCode, body)
	}
	if e := r.next(t); e.Verdict != reports.Allow || !strings.Contains(e.Reason, "connection refused") || e.Status != http.StatusBadGateway {
		t.Errorf("event %+v", e)
	}
}

func TestHTTPForgetsARequestWhoseClientIsGone(t *testing.T) {
	r := newRig(t, allowing, site80)
	conn := r.connect(t)
	send(t, conn, "GET / HTTP/1.1\r\nHost: allowed.example\r\n\r\n")
	up := bufio.NewReader(r.accept(t))
	if _, err := http.ReadRequest(up); err != nil {
		t.Fatal(err)
	}
	abort(conn)
	if _, err := up.ReadByte(); !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the upstream waits on: %v", err)
	}
	if e := r.next(t); !strings.Contains(e.Reason, errGone.Error()) {
		t.Errorf("event %+v", e)
	}
}

func TestHTTPAnswersAClientThatHasEndedItsSide(t *testing.T) {
	r := newRig(t, allowing, site80)
	conn := r.connect(t)
	send(t, conn, "GET / HTTP/1.1\r\nHost: allowed.example\r\n\r\n")
	if err := conn.CloseWrite(); err != nil { // as busybox's nc does at the end of its input
		t.Fatal(err)
	}
	up := r.accept(t)
	if _, err := http.ReadRequest(bufio.NewReader(up)); err != nil {
		t.Fatal(err)
	}
	send(t, up, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
	if _, body := readResponse(t, bufio.NewReader(conn), "GET"); body != "ok" {
		t.Errorf("body %q", body)
	}
}

// One connection of the agent's may carry millions of requests, and every one of them take a connection to the upstream.
func TestHTTPKeepsNothingOfClosedConnections(t *testing.T) {
	const requests = 50
	var dialled []weak.Pointer[net.TCPConn]
	r := newRig(t, allowing, site80, func(p *proxy) {
		dial := p.dial
		p.dial = func(ctx context.Context, to target) (duplex, netip.AddrPort, error) {
			conn, addr, err := dial(ctx, to)
			if tcp, ok := conn.(*net.TCPConn); ok {
				dialled = append(dialled, weak.Make(tcp))
			}
			return conn, addr, err
		}
	})
	r.serveSite(t, func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Connection", "close") })
	conn := r.connect(t)
	br := bufio.NewReader(conn)
	for range requests {
		send(t, conn, "GET / HTTP/1.1\r\nHost: allowed.example\r\n\r\n")
		if resp, _ := readResponse(t, br, "GET"); resp.StatusCode != http.StatusOK {
			t.Fatalf("status %d", resp.StatusCode)
		}
		r.next(t)
	}
	if len(dialled) != requests {
		t.Fatalf("%d connections for %d requests", len(dialled), requests)
	}
	runtime.GC()
	kept := 0
	for _, p := range dialled {
		if p.Value() != nil {
			kept++
		}
	}
	if kept > requests/2 { // the last ones may still be on their way out
		t.Errorf("%d of %d closed connections are kept", kept, requests)
	}
}

func TestHTTPBoundsTheHeaderOfAResponse(t *testing.T) {
	for fill, want := range map[int]int{12 << 10: http.StatusOK, 20 << 10: http.StatusBadGateway} {
		r := newRig(t, allowing, site80)
		r.serveSite(t, func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Fill", strings.Repeat("x", fill)) })
		conn := r.connect(t)
		send(t, conn, "GET / HTTP/1.1\r\nHost: allowed.example\r\n\r\n")
		if resp, _ := readResponse(t, bufio.NewReader(conn), "GET"); resp.StatusCode != want {
			t.Errorf("%d octets: status %d, want %d", fill, resp.StatusCode, want)
		}
	}
}
