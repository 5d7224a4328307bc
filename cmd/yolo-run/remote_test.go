package main

import (
	"cmp"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// An engine behind TLS, such as docker-in-docker, is the local one here, behind a door that asks for a certificate.
func TestAnEngineBehindTLS(t *testing.T) {
	if testing.Short() {
		t.Skip("needs a container engine; run without -short")
	}
	if host := os.Getenv("DOCKER_HOST"); host != "" && !strings.HasPrefix(host, "unix://") {
		t.Skip("needs the engine's socket")
	}
	ours, theirs := newAuthority(t), newAuthority(t)
	address := door(t, ours, cmp.Or(strings.TrimPrefix(os.Getenv("DOCKER_HOST"), "unix://"), "/var/run/docker.sock"))

	program := filepath.Join(t.TempDir(), "yolo-run")
	version := cmp.Or(os.Getenv("VERSION"), "dev")
	if out, err := exec.Command("go", "build", "-buildvcs=false", "-ldflags", "-X main.version="+version, "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	run := func(address, certificates string) (int, string) {
		workspace := t.TempDir()
		cmd := exec.Command(program, "--workspace", workspace, "--out", filepath.Join(t.TempDir(), "out"), "--memory", "512m", "--", "sh", "-c", "echo made >made")
		cmd.Env = append(os.Environ(), "DOCKER_HOST=tcp://"+address, "DOCKER_TLS_VERIFY=1", "DOCKER_CERT_PATH="+certificates, "XDG_STATE_HOME="+t.TempDir(), "NO_COLOR=1")
		out, _ := cmd.CombinedOutput()
		return cmd.ProcessState.ExitCode(), string(out)
	}
	if code, out := run(address, ours.client); code != 0 || !strings.Contains(out, "workspace=copy") {
		t.Errorf("exit code %d\n%s", code, out)
	}
	if code, out := run(address, theirs.client); code != 125 || !strings.Contains(out, "certificate") {
		t.Errorf("with another authority's certificates: exit code %d\n%s", code, out)
	}
	if code, out := run(address, t.TempDir()); code != 125 || !strings.Contains(out, "ca.pem") {
		t.Errorf("without certificates: exit code %d\n%s", code, out)
	}
	// The library would go on with the local socket.
	nobody, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer nobody.Close()
	go func() {
		for {
			c, err := nobody.Accept()
			if err != nil {
				return
			}
			c.Close()
		}
	}()
	if code, out := run(nobody.Addr().String(), ours.client); code != 125 {
		t.Errorf("with an address where no engine is: exit code %d\n%s", code, out)
	}
}

// authority signs a server's and a client's certificate.
type authority struct {
	pool   *x509.CertPool
	server tls.Certificate
	client string // folder with ca.pem, cert.pem, key.pem
}

func newAuthority(t *testing.T) authority {
	t.Helper()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	sign := func(template, parent *x509.Certificate, parentKey *ecdsa.PrivateKey) ([]byte, *ecdsa.PrivateKey) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		check(err)
		template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
		if parent == nil {
			parent, parentKey = template, key
		}
		der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, parentKey)
		check(err)
		return der, key
	}
	root := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "root"}, IsCA: true, BasicConstraintsValid: true}
	rootDER, rootKey := sign(root, nil, nil)
	serverDER, serverKey := sign(&x509.Certificate{
		SerialNumber: big.NewInt(2), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, root, rootKey)
	clientDER, clientKey := sign(&x509.Certificate{
		SerialNumber: big.NewInt(3), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, root, rootKey)

	a := authority{pool: x509.NewCertPool(), server: tls.Certificate{Certificate: [][]byte{serverDER}, PrivateKey: serverKey}, client: t.TempDir()}
	certificate, err := x509.ParseCertificate(rootDER)
	check(err)
	a.pool.AddCert(certificate)
	keyDER, err := x509.MarshalPKCS8PrivateKey(clientKey)
	check(err)
	for name, block := range map[string]*pem.Block{
		"ca.pem": {Type: "CERTIFICATE", Bytes: rootDER}, "cert.pem": {Type: "CERTIFICATE", Bytes: clientDER}, "key.pem": {Type: "PRIVATE KEY", Bytes: keyDER},
	} {
		check(os.WriteFile(filepath.Join(a.client, name), pem.EncodeToMemory(block), 0o600))
	}
	return a
}

// door listens for clients that the authority knows and connects them with a socket. It returns its address.
func door(t *testing.T, a authority, socket string) string {
	t.Helper()
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		Certificates: []tls.Certificate{a.server}, ClientCAs: a.pool, ClientAuth: tls.RequireAndVerifyClientCert,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			outside, err := listener.Accept()
			if err != nil {
				return
			}
			go pass(outside, socket)
		}
	}()
	return listener.Addr().String()
}

// pass copies both ways; the end of one direction is passed on, and the other goes on.
func pass(outside net.Conn, socket string) {
	defer outside.Close()
	inside, err := net.Dial("unix", socket)
	if err != nil {
		return
	}
	defer inside.Close()
	done := make(chan struct{})
	go func() {
		_, _ = io.Copy(inside, outside)
		_ = inside.(*net.UnixConn).CloseWrite()
		close(done)
	}()
	_, _ = io.Copy(outside, inside)
	_ = outside.(*tls.Conn).CloseWrite()
	<-done
}
