package runner_test

import (
	"context"
	"io"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moby/moby/client"

	"github.com/yolo-run/yolo-run/reports"
)

// python is a script's preamble for attacks on connections: get is one HTTP request in a byte string, hello a ClientHello for a name.
const python = `cat > /tmp/attack.py <<'PY'
import os, socket, ssl, struct, sys, time
def say(name, value): print("%s=%s" % (name, value), flush=True)
def hello(name):
    out = ssl.MemoryBIO(); ctx = ssl.create_default_context(); tls = ctx.wrap_bio(ssl.MemoryBIO(), out, server_hostname=name)
    try: tls.do_handshake()
    except ssl.SSLWantReadError: pass
    return out.read()
def connect(name, port):
    s = socket.create_connection((name, port), timeout=5); s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1); return s
def answer(s):
    try: return s.recv(5)[:1].hex() or "closed"
    except OSError: return "closed"
def dribble(s, data):
    try:
        for i in range(len(data)): s.send(data[i:i+1])
    except OSError: pass
PY
`

// Attack 10: a ClientHello in pieces says the same as a whole one.
func TestAttack10AClientHelloInPiecesIsStillRead(t *testing.T) {
	t.Parallel()
	n := needInternet(t)
	r := try(t, python+`
cat >> /tmp/attack.py <<'PY'
for name in ("allowed.test", "pieces.attacker.test"):
    data = hello(name)
    s = connect("allowed.test", 443); dribble(s, data); say(name + "-octets", answer(s))
    # The handshake message in records of 7 octets each, which a server has to join, too.
    body = data[5:]; records = b"".join(data[:3] + struct.pack("!H", len(body[i:i+7])) + body[i:i+7] for i in range(0, len(body), 7))
    s = connect("allowed.test", 443); s.sendall(records); say(name + "-records", answer(s))
PY
python3 /tmp/attack.py
`, online(n, "allowed.test"))
	r.want(t, reports.NoChanges)
	for name, want := range map[string]string{
		"allowed.test-octets": "16", "allowed.test-records": "16", // a handshake record is the server's answer
		"pieces.attacker.test-octets": "closed", "pieces.attacker.test-records": "closed",
	} {
		if got := r.says(t, name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	if got := n.seen(t, "tls pieces.attacker.test"); len(got) > 0 {
		t.Errorf("the other server name arrived: %q", got)
	}
	if got := total(r.find(reports.Deny, deniedName(reports.LayerTLS, "pieces.attacker.test"))); got != 2 {
		t.Errorf("%d denials of the other server name are on record, want 2", got)
	}
}

// Attack 10: clients that never come to the point, each in its way, and others beside them.
func TestAttack10SlowClientsHoldUpNobody(t *testing.T) {
	t.Parallel()
	n := needInternet(t)
	r := try(t, python+`
cat >> /tmp/attack.py <<'PY'
idle = [connect("allowed.test", (443, 80)[i % 2]) for i in range(200)]
endless = connect("allowed.test", 443); endless.sendall(b"\x16\x03\x01\x40\x00\x01\x00\x3f\xfc\x03\x03")
slow = connect("allowed.test", 80); slow.sendall(b"GET / HTTP/1.1\r\nHost: allowed.test\r\n")
def control(name):
    s = connect("allowed.test", 80); s.sendall(b"GET / HTTP/1.1\r\nHost: allowed.test\r\nConnection: close\r\n\r\n")
    say(name, s.recv(12).decode())
control("control")
for i in range(40):
    for s in (endless, slow):
        try: s.send(b"x")
        except OSError: pass
    control("beside-%d" % i)
    time.sleep(0.3)
for name, s in (("endless", endless), ("slow", slow), ("idle", idle[0]), ("idle-80", idle[1])):
    s.settimeout(5); say(name, answer(s))
PY
python3 /tmp/attack.py
`, online(n, "allowed.test"))
	r.want(t, reports.NoChanges)
	for line := range strings.Lines(r.agent) {
		name, got, _ := strings.Cut(strings.TrimSpace(line), "=")
		if (name == "control" || strings.HasPrefix(name, "beside-")) && got != "HTTP/1.1 200" {
			t.Errorf("%s: %s", name, got)
		}
	}
	r.says(t, "beside-39")
	for _, name := range []string{"endless", "slow", "idle"} {
		if got := r.says(t, name); got != "closed" {
			t.Errorf("%s is still open after its time: %s", name, got)
		}
	}
	if got := total(r.find(reports.Deny, func(e reports.Event) bool { return e.Port == 443 && strings.Contains(e.Reason, "ClientHello") })); got < 101 {
		t.Errorf("%d connections that said nothing are on record as denied, want 101", got)
	}
}

// Attack 12: neither the host nor a neighbour on the network gets in to the agent.
func TestAttack12NobodyConnectsIn(t *testing.T) {
	t.Parallel()
	needInternet(t)
	p := start(t, `
python3 -m http.server 7777 --bind 0.0.0.0 >/dev/null 2>&1 &
python3 -c '
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("0.0.0.0", 7778))
while True: data, to = s.recvfrom(100); s.sendto(data, to)' &
own=$(ip -4 -o addr show dev eth0 | sed 's/.*inet \([0-9.]*\).*/\1/')
until curl -sf -m 1 -o /dev/null http://$own:7777/; do sleep 0.1; done
echo up
while [ ! -e /tmp/end ]; do sleep 0.1; done`, "--network", internetName)
	inspected, err := needEngine(t).ContainerInspect(t.Context(), "yolo-run-"+p.runID(t)+"-gateway", client.ContainerInspectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	agent := inspected.Container.NetworkSettings.Networks[internetName].IPAddress
	if !reaches(t, "tcp4", internetAddr+":8099") {
		t.Error("control: this machine does not reach an open port on the network")
	}
	for _, network := range []string{"tcp4", "udp4"} {
		port := map[string]uint16{"tcp4": 7777, "udp4": 7778}[network]
		if to := netip.AddrPortFrom(agent, port).String(); reaches(t, network, to) {
			t.Errorf("%s at %s is reached from outside", network, to)
		}
	}
	out, err := needEngineExec(t, internetName, "curl", "-sf", "-m", "2", "-o", "/dev/null", "-w", "%{http_code}", "http://"+agent.String()+":7777/")
	if err != nil || strings.Contains(out, "200") {
		t.Errorf("a neighbour reaches the agent's server: %s %v", out, err)
	}
	if out, err := needEngineExec(t, internetName, "curl", "-sf", "-m", "2", "-o", "/dev/null", "-w", "%{http_code}", "http://127.0.0.1:8099/seen"); err != nil || !strings.Contains(out, "200") {
		t.Errorf("control: the neighbour reaches nobody at all: %s %v", out, err)
	}
	_ = p.Process.Signal(syscall.SIGTERM)
	p.end(t)
}

// reaches reports whether anything comes back from an address within a second.
func reaches(t *testing.T, network, to string) bool {
	t.Helper()
	conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(t.Context(), network, to)
	if err != nil {
		return false
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Second))
	if network == "tcp4" {
		return true
	}
	_, _ = io.WriteString(conn, "x")
	_, err = conn.Read(make([]byte, 1))
	return err == nil
}

// needEngineExec runs a command in a container and returns what it printed.
func needEngineExec(t *testing.T, container string, command ...string) (string, error) {
	t.Helper()
	engine := needEngine(t)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	created, err := engine.ExecCreate(ctx, container, client.ExecCreateOptions{Cmd: command, AttachStdout: true, AttachStderr: true})
	if err != nil {
		return "", err
	}
	attached, err := engine.ExecAttach(ctx, created.ID, client.ExecAttachOptions{})
	if err != nil {
		return "", err
	}
	defer attached.Close()
	out, err := io.ReadAll(attached.Reader)
	return string(out), err
}

// Attack 13: a redirect is an attempt like any other.
func TestAttack13RedirectsLeadNowhereElse(t *testing.T) {
	t.Parallel()
	n := needInternet(t)
	r := try(t, `
for to in next.allowed.test denied13.attacker.test 169.254.169.254 `+internetAddr+` 198.51.100.1; do
  curl -s -m 5 -L -o /tmp/body -w "$to=%{http_code}/%{num_redirects}\n" http://allowed.test/redirect/$to
done`, online(n, "allowed.test", "next.allowed.test"))
	r.want(t, reports.NoChanges)
	if got := r.says(t, "next.allowed.test"); got != "200/1" {
		t.Errorf("control: the redirect to an allowed name ended as %s", got)
	}
	for _, to := range []string{"denied13.attacker.test", "169.254.169.254", internetAddr, "198.51.100.1"} {
		if got := r.says(t, to); strings.HasPrefix(got, "200") {
			t.Errorf("the redirect to %s was followed: %s", to, got)
		}
		found := r.find(reports.Deny, func(e reports.Event) bool { return e.Name == to || e.Addr == to })
		if len(found) == 0 || found[0].Process == nil {
			t.Errorf("the redirect to %s is not on record with its process: %+v", to, found)
		}
	}
	for _, leak := range []string{"dns denied13", "http denied13"} {
		if got := n.seen(t, leak); len(got) > 0 {
			t.Errorf("the denied redirect left: %q", got)
		}
	}
}

// Attack 13, the gateway's own listeners: addressed without a redirect they lead nowhere, and nobody takes their ports.
func TestAttack13TheGatewaysListenersServeRedirectsOnly(t *testing.T) {
	t.Parallel()
	n := needInternet(t)
	r := try(t, python+`
cat >> /tmp/attack.py <<'PY'
found = set()
for kind, proto in ((socket.SOCK_STREAM, "tcp"), (socket.SOCK_DGRAM, "udp")):
    for line in open("/proc/net/" + proto).read().splitlines()[1:]:
        f = line.split(); addr, port = f[1].split(":")
        if addr == "0100007F" and f[7] == "0" and (proto == "udp" or f[3] == "0A"): found.add((kind, proto, int(port, 16)))
say("found", len(found))
taken = 0
for kind, proto, port in found:
    for addr in ("127.0.0.1", "0.0.0.0"):
        s = socket.socket(socket.AF_INET, kind)
        for option in (socket.SO_REUSEADDR, socket.SO_REUSEPORT): s.setsockopt(socket.SOL_SOCKET, option, 1)
        try: s.bind((addr, port)); s.listen() if kind == socket.SOCK_STREAM else None; taken += 1
        except OSError: pass
    if proto == "tcp":
        try:
            s = connect("127.0.0.1", port); s.sendall(b"GET /direct13 HTTP/1.1\r\nHost: allowed.test\r\n\r\n"); say("direct-%d" % port, answer(s))
        except OSError: say("direct-%d" % port, "closed")
say("taken", taken)
s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1); s.bind(("127.0.0.1", 0)); s.listen()
other = socket.socket(); other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
try: other.bind(s.getsockname()); say("control", "taken")
except OSError: say("control", "refused")
PY
python3 /tmp/attack.py
curl -sf -m 5 -o /dev/null http://allowed.test/; echo control-http=$?
`, online(n, "allowed.test"))
	r.want(t, reports.NoChanges)
	for name, want := range map[string]string{"taken": "0", "control": "taken", "control-http": "0"} {
		if got := r.says(t, name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	if got := r.says(t, "found"); got != "3" {
		t.Errorf("control: %s listeners were found, want DNS over UDP and TCP and the proxy", got)
	}
	for line := range strings.Lines(r.agent) {
		if name, got, _ := strings.Cut(strings.TrimSpace(line), "="); strings.HasPrefix(name, "direct-") && got != "closed" {
			t.Errorf("%s answers %s", name, got)
		}
	}
	if got := n.seen(t, "direct13"); len(got) > 0 {
		t.Errorf("a direct request was passed on: %q", got)
	}
}
