package runner_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/yolo-run/yolo-run/reports"
	"github.com/yolo-run/yolo-run/runner"
)

const (
	maxGrowth = 64 << 20 // of the gateway's memory, under the heaviest flood
	maxReport = 1 << 20  // of report.json, and of each report that is made of it
)

// flood is how much an agent sends. make test sends a part, make bench all of it.
type flood struct{ packets, lookups int64 }

// script sends packets and lookups at once, as fast as they go, beside downloads from an allowed name. What the gateway's processes have
// used at most stands in /proc, for everybody to see: PID 1 is "entrypoint" there, the process that serves "exe".
func (f flood) script() string {
	return fmt.Sprintf(`
cat > /tmp/packets.c <<'C'
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
int main(int n, char **args) {
	int s = socket(AF_INET, SOCK_DGRAM, 0);
	struct sockaddr_in to = {.sin_family = AF_INET};
	long sent = 0, want = atol(args[1]);
	for (long i = 0; sent < want; i++) {
		to.sin_addr.s_addr = htonl(0xc6336400u + 100 + i %% 100), to.sin_port = htons(1 + i %% 60000);
		if (to.sin_port == htons(53)) continue; /* that would be a lookup */
		if (sendto(s, "x", 1, 0, (struct sockaddr *)&to, sizeof to) == 1 || errno == EPERM) sent++;
	}
	printf("packets=%%ld\n", sent);
}
C
cat > /tmp/lookups.py <<'PY'
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(10); s.connect(("192.0.2.53", 53))
want, answered, window = int(sys.argv[1]), 0, 32
for i in range(want + window):
    if i < want:
        name = b"%%08d" %% i
        s.send(b"\x12\x34\1\0\0\1\0\0\0\0\0\0\x08" + name + b"\5flood\4test\0\0\1\0\1")
    if i >= window: answered += s.recv(512)[3] & 15 == 3
print("lookups=%%d" %% answered)
PY
memory() { cat /proc/[0-9]*/status 2>/dev/null | awk -v key=$1 '/^Name:/ { ours = $2 == "entrypoint" || $2 == "exe" } /^Uid:/ { if ($2 == '$(id -u)') ours = 0 } $1 == key ":" { kb[NR] = $2; line = NR } /^SigQ:/ { if (ours) { sum += kb[line]; n++ } } END { print n == 2 ? sum : 0 }'; }
gcc -O2 -o /tmp/packets /tmp/packets.c
curl -sf -m 5 -o /dev/null http://allowed.test/; curl -sf -m 5 -o /dev/null http://denied.flood.test/
echo idle-kb=$(memory VmRSS)
begun=$(date +%%s%%N)
/tmp/packets %d & packets=$!
python3 /tmp/lookups.py %d & lookups=$!
good=0; bad=0; slowest=0
while [ -d /proc/$packets ] || [ -d /proc/$lookups ]; do
  t=$(curl -sf -m 10 -o /dev/null -w '%%{time_total}' http://allowed.test/ | tr -d .) && good=$((good + 1)) || bad=$((bad + 1))
  [ "$((10#${t:-0}))" -gt $slowest ] && slowest=$((10#$t))
done
wait
echo flood-ms=$(( ($(date +%%s%%N) - begun) / 1000000 ))
echo good=$good; echo bad=$bad; echo slowest-us=$slowest
echo peak-kb=$(memory VmHWM)
echo conntrack=$(cat /proc/sys/net/netfilter/nf_conntrack_count)
`, f.packets, f.lookups)
}

// check runs the flood and holds its promises: every attempt is counted, others are served, gateway and report stay small. It returns
// what was measured.
func (f flood) check(t testing.TB, n internet) map[string]float64 {
	t.Helper()
	before := hostConnections(t)
	r := try(t, f.script(), online(n, "allowed.test"), func(cfg *runner.Config) { cfg.Timeout = 5 * time.Minute })
	r.want(t, reports.NoChanges)
	number := func(name string) int64 {
		n, err := strconv.ParseInt(r.says(t, name), 10, 64)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		return n
	}
	if number("packets") != f.packets || number("lookups") != f.lookups {
		t.Errorf("control: %d packets and %d lookups were made", number("packets"), number("lookups"))
	}
	// One lookup more: the script's own, which warms the gateway up.
	if want := f.packets + f.lookups + 1; r.Network.Denied != want {
		t.Errorf("%d denials are on record, want %d", r.Network.Denied, want)
	}
	if good, bad := number("good"), number("bad"); good == 0 || bad > 0 {
		t.Errorf("beside the flood %d downloads worked and %d failed", good, bad)
	}
	growth := (number("peak-kb") - number("idle-kb")) << 10
	if number("idle-kb") < 1<<10 || growth > maxGrowth {
		t.Errorf("the gateway's memory was %d KiB before and %d KiB at most, want %d more at most", number("idle-kb"), number("peak-kb"), maxGrowth>>10)
	}
	if more := hostConnections(t) - before; more > 50_000 {
		t.Errorf("the host tracks %d connections more", more)
	}
	measured := map[string]float64{"flood-ms": 0, "good": 0, "idle-kb": 0, "peak-kb": 0, "slowest-us": 0, "conntrack": 0}
	for name := range measured {
		measured[name] = float64(number(name))
	}
	for _, name := range []string{"report.json", "report.md", "report.html", "network.jsonl"} {
		info, err := os.Stat(filepath.Join(r.out, name))
		if err != nil {
			t.Fatal(err)
		}
		if name != "network.jsonl" && info.Size() > maxReport {
			t.Errorf("%s has %d bytes, want %d at most", name, info.Size(), maxReport)
		}
		measured[name+"-bytes"] = float64(info.Size())
	}
	return measured
}

// hostConnections is how many connections this machine's own network namespace tracks. Each namespace has a bound of its own.
func hostConnections(t testing.TB) int64 {
	t.Helper()
	n, err := strconv.ParseInt(strings.TrimSpace(string(readFile(t, "/proc/sys/net/netfilter/nf_conntrack_count"))), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// Attack 3: a tenth of what BenchmarkFlood sends. Not beside other tests: it measures.
func TestAttack3AFloodIsCountedAndOthersAreServed(t *testing.T) {
	t.Logf("%v", flood{packets: 100_000, lookups: 10_000}.check(t, needInternet(t)))
}

// BenchmarkFlood is a million denied packets and 100,000 denied lookups.
func BenchmarkFlood(b *testing.B) {
	n := needInternet(b)
	for b.Loop() {
		for name, value := range (flood{packets: 1_000_000, lookups: 100_000}).check(b, n) {
			b.ReportMetric(value, name)
		}
	}
	b.ReportMetric(0, "ns/op")
}

// Attack 10: more idle connections than the gateway holds at once. Whoever says something is served.
func TestAttack10IdleConnectionsKeepNobodyOut(t *testing.T) {
	t.Parallel()
	n := needInternet(t)
	r := try(t, python+`
cat >> /tmp/attack.py <<'PY'
import resource
ip = socket.gethostbyname("allowed.test")
idle = []
for i in range(2000):
    s = socket.socket(); s.settimeout(5); idle.append(s)
    try:
        s.connect((ip, (443, 80)[i % 2]))
        if i % 3 == 0: s.send(b"\x16" if i % 2 == 0 else b"GET")
    except OSError: pass
say("tried", len(idle))
ok = 0
for i in range(50):
    try:
        s = connect(ip, 80); s.sendall(b"GET / HTTP/1.1\r\nHost: allowed.test\r\nConnection: close\r\n\r\n"); ok += s.recv(12) == b"HTTP/1.1 200"
    except OSError: pass
say("served", ok)
alive = 0
for s in idle:
    s.setblocking(False)
    try: s.recv(1)
    except BlockingIOError: alive += 1
    except OSError: pass
say("alive", alive)
PY
ulimit -n 8192 2>/dev/null; python3 /tmp/attack.py
`, online(n, "allowed.test"))
	r.want(t, reports.NoChanges)
	for name, want := range map[string]string{"tried": "2000", "served": "50"} {
		if got := r.says(t, name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	alive, err := strconv.Atoi(r.says(t, "alive"))
	if err != nil || alive < 500 || alive > 1024 {
		t.Errorf("control: %d of the idle connections were open when the others were served, want up to 1024", alive)
	}
}
