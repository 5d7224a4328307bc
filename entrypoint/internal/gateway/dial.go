package gateway

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"

	"golang.org/x/net/http/httpproxy"
)

// maxConnectHeader bounds a proxy's answer to CONNECT.
const maxConnectHeader = 16 << 10

func parseProxy(s string) (*url.URL, error) {
	proxy, err := url.Parse(s)
	if err != nil {
		return nil, errors.New("not a URL") // url's own error quotes it, password and all
	}
	switch {
	case proxy.Scheme != "http" && proxy.Scheme != "https":
		return nil, fmt.Errorf("scheme %q: want http or https", proxy.Scheme)
	case proxy.Hostname() == "":
		return nil, errors.New("it names no host")
	}
	return proxy, nil
}

// bypass reads NoProxy, as every client that knows the variable does: names with their subdomains, addresses, ranges, ports, "*".
func bypass(cfg upstreamConfig) func(*url.URL) (*url.URL, error) {
	if cfg.Proxy == "" {
		return nil
	}
	// Which proxy it would be is known: only whether there is one is asked.
	return (&httpproxy.Config{HTTPSProxy: "http://proxy.invalid", NoProxy: cfg.NoProxy}).ProxyFunc()
}

// proxied reports whether a target is reached through the upstream proxy.
func (u *upstream) proxied(to target) bool {
	if u.proxyFor == nil {
		return false
	}
	proxy, err := u.proxyFor(&url.URL{Scheme: "https", Host: to.String()})
	return proxy != nil || err != nil
}

// dialProxy asks the upstream proxy for a tunnel to a target. The proxy's own address is the user's choice and is not checked.
func (u *upstream) dialProxy(ctx context.Context, to target) (duplex, error) {
	proxy, err := parseProxy(u.cfg.Proxy)
	if err != nil {
		return nil, fmt.Errorf("upstream proxy: %w", err)
	}
	conn, err := u.reachProxy(ctx, proxy)
	if err != nil {
		return nil, fmt.Errorf("upstream proxy %s: %w", proxy.Host, err)
	}
	stop := context.AfterFunc(ctx, func() { abort(conn) })
	defer stop()
	if err := connectThrough(conn, proxy.User, to.String()); err != nil {
		abort(conn)
		return nil, fmt.Errorf("upstream proxy %s: %w", proxy.Host, err)
	}
	return conn, nil
}

func (u *upstream) reachProxy(ctx context.Context, proxy *url.URL) (duplex, error) {
	addr, err := u.proxyAddr(ctx, proxy)
	if err != nil {
		return nil, err
	}
	tcp, err := u.dialAddr(ctx, addr)
	if err != nil {
		return nil, err // not tcp: a nil pointer in an interface is not nil
	}
	if proxy.Scheme == "http" {
		return tcp, nil
	}
	conn := tls.Client(tcp, &tls.Config{MinVersion: tls.VersionTLS12, ServerName: proxy.Hostname(), RootCAs: u.cfg.Roots})
	if err := conn.HandshakeContext(ctx); err != nil {
		abort(tcp)
		return nil, err
	}
	return conn, nil
}

func (u *upstream) proxyAddr(ctx context.Context, proxy *url.URL) (netip.AddrPort, error) {
	port := uint64(portHTTP)
	if proxy.Scheme == "https" {
		port = portHTTPS
	}
	if s := proxy.Port(); s != "" {
		var err error
		if port, err = strconv.ParseUint(s, 10, 16); err != nil {
			return netip.AddrPort{}, fmt.Errorf("port %q: %w", s, err)
		}
	}
	if ip, err := netip.ParseAddr(proxy.Hostname()); err == nil {
		return netip.AddrPortFrom(ip, uint16(port)), nil
	}
	found, err := u.resolver.lookup(ctx, proxy.Hostname())
	if err != nil {
		return netip.AddrPort{}, err
	}
	return netip.AddrPortFrom(found[0], uint16(port)), nil
}

// connectThrough speaks CONNECT (RFC 9110, 9.3.6).
func connectThrough(conn net.Conn, user *url.Userinfo, to string) error {
	head := "CONNECT " + to + " HTTP/1.1\r\nHost: " + to + "\r\n"
	if user != nil {
		password, _ := user.Password()
		head += "Proxy-Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(user.Username()+":"+password)) + "\r\n"
	}
	if _, err := io.WriteString(conn, head+"\r\n"); err != nil {
		return err
	}
	answer, err := readHead(conn)
	if err != nil {
		return err
	}
	resp, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(answer)), &http.Request{Method: http.MethodConnect})
	if err != nil {
		return fmt.Errorf("answer to CONNECT: %w", err)
	}
	defer resp.Body.Close()
	if resp.ProtoMajor != 1 { // CONNECT over this connection was asked in HTTP/1.1 (RFC 9112): another version is not its answer
		return fmt.Errorf("CONNECT %s: answered in %s", to, resp.Proto)
	}
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("CONNECT %s: %d %s", to, resp.StatusCode, http.StatusText(resp.StatusCode))
	}
	return nil
}

// readHead reads up to an empty line and not an octet further: what follows is the tunnel's.
func readHead(r io.Reader) ([]byte, error) {
	var head []byte
	var b [1]byte
	for len(head) < maxConnectHeader {
		if _, err := io.ReadFull(r, b[:]); err != nil {
			return nil, fmt.Errorf("answer to CONNECT: %w", err)
		}
		head = append(head, b[0])
		if bytes.HasSuffix(head, []byte("\r\n\r\n")) {
			return head, nil
		}
	}
	return nil, fmt.Errorf("answer to CONNECT: more than %d octets", maxConnectHeader)
}
