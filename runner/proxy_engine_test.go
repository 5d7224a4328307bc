package runner_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/yolo-run/yolo-run/reports"
)

// companyProxy is a proxy on the network of the test's internet that wants a password. It knows one host, the internet.
type companyProxy struct {
	addr string
	mu   sync.Mutex
	log  []string // what was asked for, and by whom
}

func newCompanyProxy(t *testing.T) *companyProxy {
	t.Helper()
	ln, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "198.51.100.1:0")
	if err != nil {
		t.Fatalf("listen on the bridge of the test's internet: %v", err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	p := &companyProxy{addr: ln.Addr().String()}
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go p.serve(conn)
		}
	}()
	return p
}

func (p *companyProxy) serve(conn net.Conn) {
	defer conn.Close()
	req, err := http.ReadRequest(bufio.NewReader(conn))
	if err != nil {
		return
	}
	password := req.Header.Get("Proxy-Authorization")
	p.mu.Lock()
	p.log = append(p.log, req.Method+" "+req.Host+" "+password)
	p.mu.Unlock()
	if password != "Basic dXNlcjpjYW5hcnk=" { // user:canary
		_, _ = io.WriteString(conn, "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
		return
	}
	_, port, _ := net.SplitHostPort(req.Host)
	up, err := net.Dial("tcp", net.JoinHostPort(internetAddr, port))
	if err != nil {
		return
	}
	defer up.Close()
	_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\n")
	go func() { _, _ = io.Copy(up, conn) }()
	_, _ = io.Copy(conn, up)
}

func (p *companyProxy) asked() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.log)
}

// The environment's proxy carries what is allowed, after the verdict; what NO_PROXY names goes out directly; its password is shown nowhere.
func TestTheEnvironmentsProxyCarriesWhatIsAllowed(t *testing.T) {
	t.Parallel()
	n := needInternet(t)
	proxy := newCompanyProxy(t)
	p := launchIn(t, []string{"HTTPS_PROXY=http://user:canary@" + proxy.addr, "NO_PROXY=direct.allowed.test"}, `
curl -sf -m 5 -o /dev/null https://allowed.test/; echo proxied=$?
curl -sf -m 5 -o /dev/null http://direct.allowed.test/direct; echo direct=$?
curl -sf -m 5 -o /dev/null https://denied.test/; echo denied=$?
env | grep -ic _proxy | sed 's/^/variables=/'; grep -rl canary /proc/[0-9]*/environ /proc/[0-9]*/cmdline 2>/dev/null | grep -vc "/proc/\($$\|self\)/" | sed 's/^/canaries=/'`,
		"--network", internetName, "--dns", internetAddr, "--allowed-domain", "allowed.test,direct.allowed.test", "--ca-file", n.caFile(t))
	var stderr strings.Builder
	_, _ = io.Copy(&stderr, p.lines)
	if code, _ := p.end(t); code != 0 {
		t.Fatalf("exit code %d\n%s", code, stderr.String())
	}
	said := string(readFile(t, filepath.Join(p.out, "agent.log")))
	for _, want := range []string{"proxied=0\n", "direct=0\n", "variables=0\n"} {
		if !strings.Contains(said, want) {
			t.Errorf("the agent did not say %q:\n%s", want, said)
		}
	}
	if strings.Contains(said, "denied=0\n") {
		t.Error("the denied name was reached")
	}
	if got := proxy.asked(); !slices.Equal(got, []string{"CONNECT allowed.test:443 Basic dXNlcjpjYW5hcnk="}) {
		t.Errorf("the proxy was asked for %q", got)
	}
	if got := n.seen(t, "http direct.allowed.test GET /direct"); len(got) != 1 {
		t.Errorf("the direct request arrived %d times", len(got))
	}
	rep := p.report(t)
	if rep.Network.Upstream != "http://xxxxx:xxxxx@"+proxy.addr || rep.Outcome != reports.NoChanges {
		t.Errorf("the report says %s through %q", rep.Outcome, rep.Network.Upstream)
	}
	if !strings.Contains(stderr.String(), "HTTPS_PROXY") {
		t.Errorf("the log does not say which variable it was:\n%s", stderr.String())
	}
	err := filepath.WalkDir(p.out, func(path string, entry os.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && strings.Contains(string(readFile(t, path)), "user:canary") {
			t.Errorf("%s has the password", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
