package gateway

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/yolo-run/yolo-run/entrypoint/policy"
	"github.com/yolo-run/yolo-run/reports"
)

// Bounds of the DNS server. Work on one query is a map lookup, for a denied one a search for its process.
const (
	dnsWorkers    = 32      // queries over UDP that are answered at once; more wait in the socket's buffer
	maxDNSConns   = 256     // connections at once
	maxDNSMessage = 4 << 10 // octets of one query; real ones are below 512
	dnsIdle       = 5 * time.Second
)

// dnsServer answers the agent's queries out of its own head: an allowed name has a synthetic address, a denied one does not exist.
// Invariant: it never asks anybody, so that no query of the agent, and nothing hidden in a name, leaves.
type dnsServer struct {
	policy *policy.Policy
	pool   *pool
	rec    recorder
	attr   attributor

	idle time.Duration // how long a connection may be silent
	full atomic.Bool   // the pool's end was recorded
}

func newDNS(p *policy.Policy, pool *pool, rec recorder, attr attributor) *dnsServer {
	return &dnsServer{policy: p, pool: pool, rec: rec, attr: attr, idle: dnsIdle}
}

// Serve answers on both sockets until ctx ends (then nil) or one of them fails. It closes both.
func (s *dnsServer) Serve(ctx context.Context, udp *net.UDPConn, tcp *net.TCPListener) error {
	g, running := errgroup.WithContext(ctx)
	stop := context.AfterFunc(running, func() {
		s.recordLost(udp)
		_ = udp.Close()
	})
	defer stop()
	for range dnsWorkers {
		g.Go(func() error { return s.serveUDP(udp) })
	}
	g.Go(func() error {
		return acceptAll(running, tcp, maxDNSConns, s.serveTCP, s.refuseFull)
	})
	err := g.Wait()
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// recordLost makes an event of the queries for which the socket's buffer had no room: nobody has read them, and nobody may leave them out.
func (s *dnsServer) recordLost(conn *net.UDPConn) {
	local := localOf(conn.LocalAddr())
	lost, err := readWith("/proc/net/udp", func(r io.Reader) int64 { return parseUDPDrops(r, local) })
	if err != nil || lost == 0 {
		return
	}
	s.rec.Record(reports.Event{
		Verdict: reports.Deny, Layer: reports.LayerDNS, Proto: "udp", Count: lost,
		Reason: "DNS queries came faster than they could be read",
	})
}

// parseUDPDrops finds a socket in /proc/net/udp and returns the last column: datagrams that found its buffer full.
func parseUDPDrops(r io.Reader, socket netip.AddrPort) int64 {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 13 {
			continue
		}
		if local, ok := parseProcAddr([]byte(fields[1])); !ok || local != socket {
			continue
		}
		if n, err := strconv.ParseInt(fields[len(fields)-1], 10, 64); err == nil {
			return n
		}
	}
	return 0
}

func (s *dnsServer) serveUDP(conn *net.UDPConn) error {
	buf := make([]byte, maxDNSMessage+1)
	for {
		n, client, err := conn.ReadFromUDPAddrPort(buf)
		if err != nil {
			return fmt.Errorf("dns: %w", err)
		}
		q := query{proto: "udp", client: unmap(client)}
		if reply := s.answer(buf[:n], q); reply != nil {
			// The client may be gone by now; its next query is served all the same.
			_, _ = conn.WriteToUDPAddrPort(reply, client)
		}
	}
}

// serveTCP answers the queries of one connection in their order (RFC 7766). Several may come in one segment.
func (s *dnsServer) serveTCP(_ context.Context, conn *net.TCPConn) {
	q := query{proto: "tcp", client: remoteAddr(conn)}
	for {
		// One deadline for a whole query: a client that sends it octet by octet gains nothing.
		if err := conn.SetDeadline(time.Now().Add(s.idle)); err != nil {
			return
		}
		packet, err := readDNSMessage(conn)
		if errors.Is(err, errDNSMessageSize) {
			s.deny(q, "", "", err.Error())
		}
		if err != nil {
			return
		}
		reply := s.answer(packet, q)
		if reply == nil {
			return
		}
		framed := binary.BigEndian.AppendUint16(nil, uint16(len(reply))) //nolint:gosec // a reply repeats one name of 255 octets
		if _, err := conn.Write(append(framed, reply...)); err != nil {
			return
		}
	}
}

func (s *dnsServer) refuseFull(conn *net.TCPConn) {
	s.rec.Record(reports.Event{
		Verdict: reports.Deny, Layer: reports.LayerDNS, Proto: "tcp",
		Reason: fmt.Sprintf("more than %d DNS connections at once", maxDNSConns),
	})
	abort(conn)
}

var errDNSMessageSize = fmt.Errorf("a DNS query of more than %d octets", maxDNSMessage)

// readDNSMessage reads one message with its length in front (RFC 1035, 4.2.2).
func readDNSMessage(r io.Reader) ([]byte, error) {
	var size [2]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint16(size[:])
	if n > maxDNSMessage {
		return nil, errDNSMessageSize
	}
	packet := make([]byte, n)
	_, err := io.ReadFull(r, packet)
	return packet, err
}

// query is where a DNS message came from.
type query struct {
	proto  string // udp or tcp
	client netip.AddrPort
}
