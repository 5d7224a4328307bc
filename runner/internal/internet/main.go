// Command internet stands in for the internet in tests: one container with an authoritative DNS server, web servers, plain services and the
// APIs of models' vendors (port 8098, with TLS 8444), which writes down everything that reached it. A test asserts by it that nothing left, and
// by the same probe, allowed, that something would have been seen.
//
// It runs on a container network with a documentation range (RFC 5737), which the gateway takes for public addresses.
package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"

	"github.com/yolo-run/yolo-run/runner/internal/vendor"
)

// record is everything that was seen, in order: "dns NAME TYPE", "http HOST METHOD PATH", "tls NAME", "tcp PORT", "udp PORT BYTES".
type record struct {
	mu   sync.Mutex
	seen []string
}

func (r *record) add(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen = append(r.seen, fmt.Sprintf(format, args...))
}

func (r *record) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := json.NewEncoder(w).Encode(r.seen); err != nil {
		log.Print(err)
	}
}

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: internet OWN-ADDRESS")
	}
	self := net.ParseIP(os.Args[1])
	seen := &record{}
	cert, ca, err := certificate()
	if err != nil {
		log.Fatal(err)
	}
	control := http.NewServeMux()
	control.Handle("/seen", seen)
	control.HandleFunc("/ca", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(ca) })

	site := &site{seen: seen}
	errs := make(chan error)
	go func() { errs <- serveDNS("udp", &zone{self: self, seen: seen}) }()
	go func() { errs <- serveDNS("tcp", &zone{self: self, seen: seen}) }()
	vendors := &vendor.Server{}
	for port, handler := range map[int]http.Handler{80: site, 8080: site, 8098: vendors} {
		listener := listen(port)
		go func() { errs <- serve(listener, handler) }()
	}
	for port, handler := range map[int]http.Handler{443: site, 8443: site, 8444: vendors} {
		listener := listen(port)
		go func() { errs <- serveTLS(listener, handler, cert, seen) }()
	}
	for _, port := range []int{22, 5432, 853} {
		listener := listen(port)
		go func() { errs <- echo(listener, port, seen) }()
	}
	for _, port := range []int{443, 9999} {
		go func() { errs <- sink(port, seen) }()
	}
	last := listen(8099) // tests take it that all others listen when this one answers
	go func() { errs <- serve(last, control) }()
	log.Fatal(<-errs)
}

func listen(port int) net.Listener {
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", fmt.Sprintf(":%d", port))
	if err != nil {
		log.Fatal(err)
	}
	return listener
}

func serve(listener net.Listener, h http.Handler) error {
	server := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute}
	return server.Serve(listener)
}

func serveTLS(listener net.Listener, h http.Handler, cert tls.Certificate, seen *record) error {
	config := &tls.Config{GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		seen.add("tls %s", hello.ServerName)
		return nil, nil
	}, Certificates: []tls.Certificate{cert}}
	server := &http.Server{Handler: h, TLSConfig: config, ReadHeaderTimeout: time.Minute}
	return server.ServeTLS(listener, "", "")
}

// site is every web site of this internet.
type site struct{ seen *record }

func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 64<<20))
	if err != nil {
		return
	}
	s.seen.add("http %s %s %s %d", r.Host, r.Method, r.URL.Path, len(body))
	if to, ok := strings.CutPrefix(r.URL.Path, "/redirect/"); ok {
		http.Redirect(w, r, "http://"+to+"/", http.StatusFound) //nolint:gosec // redirecting anywhere is its purpose
		return
	}
	fmt.Fprintf(w, "hello from %s\n", r.Host) //nolint:gosec // no browser is near
}

// echo is a plain TCP service.
func echo(listener net.Listener, port int, seen *record) error {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return err
		}
		seen.add("tcp %d", port)
		go func() {
			defer conn.Close()
			_, _ = io.Copy(conn, conn)
		}()
	}
}

// sink takes datagrams and answers each.
func sink(port int, seen *record) error {
	conn, err := net.ListenUDP("udp", &net.UDPAddr{Port: port})
	if err != nil {
		return err
	}
	buf := make([]byte, 64<<10)
	for {
		n, from, err := conn.ReadFromUDP(buf)
		if err != nil {
			return err
		}
		seen.add("udp %d %d", port, n)
		if _, err := conn.WriteToUDP([]byte("pong"), from); err != nil {
			return err
		}
	}
}

func serveDNS(network string, z *zone) error {
	server := &dns.Server{Addr: ":53", Net: network, Handler: z}
	return server.ListenAndServe()
}

// zone answers for all names below .test. A few have addresses that no allowed name may lead to.
type zone struct {
	self  net.IP
	seen  *record
	turns atomic.Int64
}

func (z *zone) ServeDNS(w dns.ResponseWriter, q *dns.Msg) {
	m := new(dns.Msg).SetReply(q)
	m.Authoritative = true
	for _, question := range q.Question {
		name := strings.ToLower(strings.TrimSuffix(question.Name, "."))
		z.seen.add("dns %s %s", name, dns.TypeToString[question.Qtype])
		if question.Qtype == dns.TypeA && strings.HasSuffix(name, ".test") {
			header := dns.RR_Header{Name: question.Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 0}
			m.Answer = append(m.Answer, &dns.A{Hdr: header, A: z.address(name)})
		}
	}
	if err := w.WriteMsg(m); err != nil {
		log.Print(err)
	}
}

func (z *zone) address(name string) net.IP {
	special := map[string]string{
		"loopback.test": "127.0.0.1", "private.test": "10.0.0.1", "metadata.test": "169.254.169.254",
		"zero.test": "0.0.0.0", "synthetic.test": "198.18.0.1", "shared.test": "100.100.100.200",
	}
	if address, ok := special[name]; ok {
		return net.ParseIP(address)
	}
	if name == "rebind.test" && z.turns.Add(1)%2 == 0 {
		return net.ParseIP("127.0.0.1")
	}
	return z.self
}

// certificate makes a certificate authority and a certificate of it for all names below .test.
func certificate() (tls.Certificate, []byte, error) {
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "internet in a test"}, IsCA: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageCertSign, BasicConstraintsValid: true,
	}
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, caKey.Public(), caKey)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	if ca, err = x509.ParseCertificate(caDER); err != nil { // with its key identifier, which strict clients want in the leaf
		return tls.Certificate{}, nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "internet"},
		NotBefore: ca.NotBefore, NotAfter: ca.NotAfter,
		DNSNames: []string{"allowed.test", "denied.test", "other.test", "rebind.test", "*.allowed.test", "*.attacker.test"},
	}
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, ca, key.Public(), caKey)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	chain := tls.Certificate{Certificate: slices.Concat([][]byte{leafDER}, [][]byte{caDER}), PrivateKey: key}
	return chain, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: caDER}), nil
}
