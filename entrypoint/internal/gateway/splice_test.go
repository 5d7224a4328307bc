package gateway

import (
	"io"
	"net"
	"testing"

	"github.com/yolo-run/yolo-run/entrypoint/policy"
)

// benchmarkBytes is one transfer: long enough that its start does not count.
const benchmarkBytes = 256 << 20

// download serves benchmarkBytes on each connection of ln, after one octet came.
func download(b *testing.B, ln net.Listener) {
	b.Helper()
	go func() {
		chunk := make([]byte, 1<<20)
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				if _, err := conn.Read(make([]byte, 1)); err != nil {
					return
				}
				for range benchmarkBytes / len(chunk) {
					if _, err := conn.Write(chunk); err != nil {
						return
					}
				}
			}()
		}
	}()
}

func fetch(b *testing.B, addr net.Addr) {
	b.Helper()
	conn, err := net.Dial("tcp", addr.String())
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	send(b, conn, "X")
	if n, err := io.CopyBuffer(io.Discard, struct{ io.Reader }{conn}, make([]byte, 1<<20)); err != nil || n != benchmarkBytes {
		b.Fatalf("%d octets, %v", n, err)
	}
}

// BenchmarkThroughput compares one download through the proxy with the same without it, on loopback.
func BenchmarkThroughput(b *testing.B) {
	b.Run("direct", func(b *testing.B) {
		ln := listenTCP(b)
		download(b, ln)
		b.SetBytes(benchmarkBytes)
		for b.Loop() {
			fetch(b, ln.Addr())
		}
	})
	b.Run("proxy", func(b *testing.B) {
		r := newRig(b, allowing, "db.example:5432", func(p *proxy) { p.rec = discard{} })
		download(b, r.upstream)
		b.SetBytes(benchmarkBytes)
		for b.Loop() {
			fetch(b, r.addr)
		}
	})
}

// BenchmarkConnect is a new connection up to the first octet that comes back: direct, by an allowed name with TLS, and denied.
func BenchmarkConnect(b *testing.B) {
	in := string(hello(serverNames("allowed.example"), versions))
	echoOne := func(ln net.Listener) {
		go func() {
			for {
				conn, err := ln.Accept()
				if err != nil {
					return
				}
				go func() {
					defer conn.Close()
					if _, err := io.ReadFull(conn, make([]byte, len(in))); err == nil {
						_, _ = io.WriteString(conn, "X")
					}
				}()
			}
		}()
	}
	talk := func(b *testing.B, addr net.Addr) {
		conn, err := net.Dial("tcp", addr.String())
		if err != nil {
			b.Fatal(err)
		}
		defer conn.Close()
		send(b, conn, in)
		expect(b, conn, "X")
	}
	b.Run("direct", func(b *testing.B) {
		ln := listenTCP(b)
		echoOne(ln)
		for b.Loop() {
			talk(b, ln.Addr())
		}
	})
	b.Run("proxy", func(b *testing.B) {
		r := newRig(b, allowing, "allowed.example:443", func(p *proxy) { p.rec = discard{} })
		echoOne(r.upstream)
		for b.Loop() {
			talk(b, r.addr)
		}
	})
	b.Run("denied", func(b *testing.B) {
		r := newRig(b, allowing, "denied.example:443", func(p *proxy) { p.rec = discard{} })
		for b.Loop() {
			r.expectRefusal(b)
		}
	})
}

// BenchmarkDNS is one answer without its socket.
func BenchmarkDNS(b *testing.B) {
	s := newDNS(mustPolicy(b, allowing), newPool(10), discard{}, curl{})
	packet := question(b, "allowed.example.", 1)
	for b.Loop() {
		if s.answer(packet, query{proto: "udp"}) == nil {
			b.Fatal("no reply")
		}
	}
}

func TestRelayCarriesMuchBothWaysAtOnce(t *testing.T) {
	const size = 8 << 20
	r := newRig(t, policy.Spec{Allow: []string{"db.example:5432"}}, "db.example:5432")
	conn := r.connect(t)
	up := r.accept(t)
	done := make(chan int64, 4)
	push := func(c *net.TCPConn) {
		n, _ := c.Write(make([]byte, size))
		_ = c.CloseWrite()
		done <- int64(n)
	}
	pull := func(c *net.TCPConn) {
		n, _ := io.Copy(io.Discard, c)
		done <- n
	}
	for _, f := range []func(){func() { push(conn) }, func() { push(up) }, func() { pull(conn) }, func() { pull(up) }} {
		go f()
	}
	for range cap(done) {
		if n := <-done; n != size {
			t.Errorf("%d octets, want %d", n, size)
		}
	}
	if e := r.next(t); e.BytesIn != size || e.BytesOut != size {
		t.Errorf("event %+v", e)
	}
}

func TestRelayIsTCPToTCP(t *testing.T) {
	// io.Copy uses splice(2) only between two *net.TCPConn: a wrapper around either would cost half the throughput, unseen.
	u := newUpstream(upstreamConfig{Policy: mustPolicy(t, allowing)})
	ln := listenTCP(t)
	conn, _, err := u.Dial(t.Context(), target{dst: ln.Addr().(*net.TCPAddr).AddrPort()})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, ok := conn.(*net.TCPConn); !ok {
		t.Errorf("the upstream's connection is a %T", conn)
	}
}
