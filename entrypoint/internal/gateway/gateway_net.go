package gateway

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/yolo-run/yolo-run/entrypoint/internal/firewall"
)

// routes is what the namespace knows of its surroundings.
type routes struct {
	nextHop netip.Addr // of the default route; invalid where there is none
	device  string     // that it leaves by
}

// parseRoutes reads /proc/net/route: name, destination, gateway … mask, in the machine's order.
func parseRoutes(r io.Reader) routes {
	const device, destination, gateway, mask = 0, 1, 2, 7
	var found routes
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) <= mask || fields[destination] != "00000000" || fields[mask] != "00000000" {
			continue
		}
		raw, err := hex.DecodeString(fields[gateway])
		if err != nil || len(raw) != 4 {
			continue
		}
		if hop := netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, binary.NativeEndian.Uint32(raw)))); !hop.IsUnspecified() {
			found = routes{nextHop: hop, device: fields[device]}
		}
	}
	return found
}

// parseResolvConf returns the servers of a resolv.conf, those with IPv6 addresses last: IPv6 is off here, and Podman names such a one first. It is read
// once, before the agent exists: the agent's container shares the file.
func parseResolvConf(r io.Reader) []netip.AddrPort {
	var servers []netip.AddrPort
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 2 || fields[0] != "nameserver" {
			continue
		}
		if addr, err := netip.ParseAddr(fields[1]); err == nil {
			servers = append(servers, netip.AddrPortFrom(addr, dnsPort))
		}
	}
	slices.SortStableFunc(servers, func(a, b netip.AddrPort) int { return a.Addr().BitLen() - b.Addr().BitLen() })
	return servers
}

const dnsPort = 53

// parseServers reads addresses with or without a port.
func parseServers(list []string) ([]netip.AddrPort, error) {
	var servers []netip.AddrPort
	for _, s := range list {
		if addr, err := netip.ParseAddr(s); err == nil {
			servers = append(servers, netip.AddrPortFrom(addr, dnsPort))
			continue
		}
		server, err := netip.ParseAddrPort(s)
		if err != nil {
			return nil, fmt.Errorf("resolver %q: %w", s, err)
		}
		servers = append(servers, server)
	}
	return servers, nil
}

// engineResolverPort finds where the engine's resolver really listens, in /proc/net/udp; where it does not run, any port is as good.
func engineResolverPort(r io.Reader) uint16 {
	const elsewhere = 1053
	engine := netip.MustParseAddr(firewall.EngineResolver)
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 2 {
			continue
		}
		if local, ok := parseProcAddr([]byte(fields[1])); ok && local.Addr() == engine {
			return local.Port()
		}
	}
	return elsewhere
}

// readWith opens a file for a parser.
func readWith[T any](path string, parse func(io.Reader) T) (T, error) {
	file, err := os.Open(path)
	if err != nil {
		var none T
		return none, err
	}
	defer func() { _ = file.Close() }()
	return parse(file), nil
}

// listeners are the gateway's own, on [firewall.ListenAddr]; their ports are what the rules redirect to.
type listeners struct {
	dnsUDP *net.UDPConn
	dnsTCP *net.TCPListener
	proxy  *net.TCPListener
	model  *net.TCPListener // nil when no model's API is served
}

// listenTries is how often a free UDP port may turn out to be taken for TCP.
const listenTries = 16

func listenAll(models bool) (*listeners, error) {
	addr := netip.AddrPortFrom(netip.MustParseAddr(firewall.ListenAddr), 0)
	proxy, err := listenPlainTCP(addr)
	if err != nil {
		return nil, err
	}
	var model *net.TCPListener
	if models { // the agent connects to it directly: loopback is open between processes of the namespace
		if model, err = listenPlainTCP(addr); err != nil {
			_ = proxy.Close()
			return nil, err
		}
	}
	for range listenTries {
		var udp *net.UDPConn
		if udp, err = net.ListenUDP("udp4", net.UDPAddrFromAddrPort(addr)); err != nil {
			continue
		}
		var tcp *net.TCPListener
		if tcp, err = listenPlainTCP(localOf(udp.LocalAddr())); err != nil {
			_ = udp.Close()
			continue
		}
		return &listeners{dnsUDP: udp, dnsTCP: tcp, proxy: proxy, model: model}, nil
	}
	_ = proxy.Close()
	return nil, err
}

// listenPlainTCP takes no multipath connections, as Go's listeners do by themselves: such a socket does not know SO_ORIGINAL_DST, so that the agent
// could hide where it wanted to go. Without an answer to MP_CAPABLE a client goes on with plain TCP (RFC 8684, 3.7).
func listenPlainTCP(addr netip.AddrPort) (*net.TCPListener, error) {
	var config net.ListenConfig
	config.SetMultipathTCP(false)
	ln, err := config.Listen(context.Background(), "tcp4", addr.String())
	if err != nil {
		return nil, err
	}
	tcp, ok := ln.(*net.TCPListener)
	if !ok {
		return nil, fmt.Errorf("listen at %s: %T", addr, ln)
	}
	return tcp, nil
}

// localOf is the address of one of our own sockets.
func localOf(a net.Addr) netip.AddrPort { return netip.MustParseAddrPort(a.String()) }

// files are duplicates, in the order of the serving process's descriptors.
func (l *listeners) files() ([]*os.File, error) {
	all := []interface{ File() (*os.File, error) }{l.dnsUDP, l.dnsTCP, l.proxy}
	if l.model != nil {
		all = append(all, l.model)
	}
	var files []*os.File
	for _, ln := range all {
		file, err := ln.File()
		if err != nil {
			closeAll(files)
			return nil, err
		}
		files = append(files, file)
	}
	return files, nil
}

// close leaves the listeners to the process that they were given to: each connection would wake both. Addresses stay known.
func (l *listeners) close() {
	for _, ln := range []io.Closer{l.dnsUDP, l.dnsTCP, l.proxy} {
		_ = ln.Close()
	}
	if l.model != nil {
		_ = l.model.Close()
	}
}

func (l *listeners) ports() firewall.Config {
	return firewall.Config{DNSPort: localOf(l.dnsUDP.LocalAddr()).Port(), ProxyPort: localOf(l.proxy.Addr()).Port(), Synthetic: synthetic()}
}
