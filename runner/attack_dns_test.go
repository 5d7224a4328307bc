package runner_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/yolo-run/yolo-run/reports"
)

// Attack 2: whatever resolver is asked, over whatever protocol, the gateway answers or nobody does.
func TestAttack2OtherResolversAreNotReached(t *testing.T) {
	t.Parallel()
	n := needInternet(t)
	r := try(t, `
for proto in notcp tcp; do
  dig +$proto +tries=1 +time=3 @`+internetAddr+` foreign-$proto.attacker.test | grep -o 'status: [A-Z]*' | sed "s/status: /foreign-$proto=/"
  dig +$proto +tries=1 +time=3 +short @`+internetAddr+` $proto.allowed.test | grep -c '^198\.1[89]\.' | sed "s/^/control-$proto=/"
done
dot() { { printf '\000\035\022\064\001\000\000\001\000\000\000\000\000\000\003dot\010attacker\004test\000\000\001\000\001'; sleep 0.5; } | nc -w 3 $1 853 | wc -c; }
echo dot=$(dot `+internetAddr+`)
echo control-dot=$(dot port853.allowed.test)
curl -s -m 5 -o /dev/null --doh-url https://`+internetAddr+`/dns-query --doh-insecure https://doh.attacker.test/; echo doh-address=$?
curl -s -m 5 -o /dev/null https://dns.google/resolve?name=doh.attacker.test; echo doh-name=$?
curl -s -m 5 -o /dev/null http://allowed.test/; echo control=$?
`, online(n, "allowed.test", "*.allowed.test", "port853.allowed.test:853"))
	r.want(t, reports.NoChanges)
	for name, want := range map[string]string{
		"foreign-notcp": "NXDOMAIN", "foreign-tcp": "NXDOMAIN", "control-notcp": "1", "control-tcp": "1", "dot": "0", "control": "0",
	} {
		if got := r.says(t, name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	if r.says(t, "control-dot") == "0" {
		t.Error("control: the port that a rule names was not reached")
	}
	for _, name := range []string{"doh-address", "doh-name"} {
		if r.says(t, name) == "0" {
			t.Errorf("%s was answered", name)
		}
	}
	for _, leak := range []string{"foreign-", "dns dot.", "doh.attacker.test", "notcp.allowed.test", "/dns-query"} {
		if got := n.seen(t, leak); len(got) > 0 {
			t.Errorf("%s left: %q", leak, got)
		}
	}
	for what, match := range map[string]func(reports.Event) bool{
		"the lookup over UDP": func(e reports.Event) bool { return e.Proto == "udp" && e.Name == "foreign-notcp.attacker.test" },
		"the lookup over TCP": func(e reports.Event) bool { return e.Proto == "tcp" && e.Name == "foreign-tcp.attacker.test" },
		"DNS over TLS":        func(e reports.Event) bool { return e.Addr == internetAddr && e.Port == 853 },
		"DNS over HTTPS":      func(e reports.Event) bool { return e.Addr == internetAddr && e.Port == 443 },
		"the resolver's name": deniedName(reports.LayerDNS, "dns.google"),
	} {
		if found := r.find(reports.Deny, match); len(found) == 0 || found[0].Process == nil {
			t.Errorf("%s is not on record with its process: %+v", what, found)
		}
	}
}

// hostileQueries speaks DNS by hand. Every line that it prints is NAME=RCODE/ANSWERS, or what became of the message.
const hostileQueries = `cat > /tmp/dns.py <<'PY'
import socket, struct
def labels(*parts): return b"".join(bytes([len(p)]) + p for p in parts) + b"\0"
def query(name, qtype=1, count=1, more=b""): return struct.pack("!6H", 0x1234, 0x100, count, 0, 0, 0) + name + struct.pack("!2H", qtype, 1) + more
def show(reply): return "%d/%d" % (reply[3] & 15, struct.unpack("!H", reply[6:8])[0]) if len(reply) >= 12 else "none"
def udp(packet):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(3); s.connect(("192.0.2.53", 53)); s.send(packet)
    try: return show(s.recv(4096))
    except OSError: return "none"
def say(name, result): print("%s=%s" % (name, result), flush=True)
PY
`

// Attack 5: what a DNS message can be made to be.
func TestAttack5HostileQueriesCarryNothingOut(t *testing.T) {
	t.Parallel()
	n := needInternet(t)
	r := try(t, hostileQueries+`
cat >> /tmp/dns.py <<'PY'
good = labels(b"allowed", b"test")
say("control", udp(query(good)))
for name, qtype in (("txt", 16), ("null", 10), ("https", 65), ("svcb", 64), ("any", 255), ("aaaa", 28)):
    say(name, udp(query(good, qtype)))
    say("denied-" + name, udp(query(labels(name.encode(), b"attack5", b"test"), qtype)))
say("two-questions", udp(query(good, count=2, more=labels(b"second", b"attack5", b"test") + b"\0\1\0\1")))
long = [b"x" * 63, b"y" * 63, b"z" * 63]
say("longest", udp(query(labels(*long, b"w" * 46, b"attack5", b"test"))))
say("too-long", udp(query(labels(*long, b"w" * 63, b"attack5", b"test"))))
say("loop", udp(query(b"\xc0\x0c")))
say("loop-of-two", udp(query(b"\1a\xc0\x10\1b\xc0\x0c")))
say("short", udp(b"\x12\x34\1\0\0\1"))
say("response", udp(b"\x12\x34\x81\0\0\1\0\0\0\0\0\0" + good + b"\0\1\0\1"))
s = socket.create_connection(("192.0.2.53", 53), timeout=3)
def frame(p): return struct.pack("!H", len(p)) + p
s.sendall(frame(query(good)) + frame(query(labels(b"segment", b"attack5", b"test"))) + frame(query(good, 16)))
def exactly(n):
    b = b""
    while len(b) < n:
        d = s.recv(n - len(b))
        if not d: raise OSError
        b += d
    return b
say("segment", ",".join(show(exactly(struct.unpack("!H", exactly(2))[0])) for _ in range(3)))
PY
python3 /tmp/dns.py
`, online(n, "allowed.test"))
	r.want(t, reports.NoChanges)
	for name, want := range map[string]string{
		"control": "0/1", "txt": "0/0", "null": "0/0", "https": "0/0", "svcb": "0/0", "any": "0/0", "aaaa": "0/0",
		"denied-txt": "3/0", "denied-null": "3/0", "denied-https": "3/0", "denied-svcb": "3/0", "denied-any": "3/0", "denied-aaaa": "3/0",
		"two-questions": "1/0", "longest": "3/0", "too-long": "1/0", "loop": "1/0", "loop-of-two": "1/0", "short": "none", "response": "none",
		"segment": "0/1,3/0,0/0",
	} {
		if got := r.says(t, name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	if got := n.seen(t, "attack5"); len(got) > 0 {
		t.Errorf("lookups left: %q", got)
	}
	for _, qtype := range []string{"TXT", "NULL", "HTTPS", "SVCB", "ANY"} {
		name := strings.ToLower(qtype) + ".attack5.test"
		if len(r.find(reports.Deny, func(e reports.Event) bool { return e.Name == name && e.QType == qtype })) == 0 {
			t.Errorf("the question %s %s is not on record", name, qtype)
		}
	}
	for _, reason := range []string{"2 questions", "malformed", "response"} {
		if len(r.find(reports.Deny, func(e reports.Event) bool { return e.Layer == reports.LayerDNS && strings.Contains(e.Reason, reason) })) == 0 {
			t.Errorf("no record says %q", reason)
		}
	}
}

// Attack 5: more names than there are synthetic addresses. What was answered before stays right, and one record says what happened.
func TestAttack5TheNamesRunOut(t *testing.T) {
	t.Parallel()
	n := needInternet(t)
	r := try(t, hostileQueries+`
cat >> /tmp/dns.py <<'PY'
first = socket.gethostbyname("first.allowed.test")
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(5); s.connect(("192.0.2.53", 53))
codes = {}
for i in range(66000):
    s.send(query(labels(b"n%d" % i, b"allowed", b"test")))
    code = s.recv(4096)[3] & 15
    codes[code] = codes.get(code, 0) + 1
say("answered", codes.get(0, 0)); say("failed", codes.get(2, 0))
say("same", socket.gethostbyname("first.allowed.test") == first)
PY
python3 /tmp/dns.py
curl -sf -m 5 -o /dev/null http://first.allowed.test/; echo control=$?
`, online(n, "*.allowed.test"))
	r.want(t, reports.NoChanges)
	for name, want := range map[string]string{"answered": "65535", "failed": "465", "same": "True", "control": "0"} {
		if got := r.says(t, name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	if got := r.find(reports.Deny, func(e reports.Event) bool { return strings.Contains(e.Reason, "no synthetic address is left") }); total(got) != 1 {
		t.Errorf("the end of the names is on record %d times, want once", total(got))
	}
}

// Attack 6: names that look like the allowed one, to people or to sloppy code.
func TestAttack6LookAlikesAreOtherNames(t *testing.T) {
	t.Parallel()
	n := needInternet(t)
	alike := map[string]string{ // as labels for Python: as the record shows them
		`b"notallowed", b"test"`:                        "notallowed.test",
		`b"allowed", b"test", b"attack6", b"test"`:      "allowed.test.attack6.test",
		`b"xn--llowed-2nf", b"test"`:                    "xn--llowed-2nf.test",
		`b"allowed\0", b"test"`:                         `allowed\000.test`,
		`b"allowed", b"test\0.attack6", b"test"`:        `allowed.test\000\.attack6.test`,
		`b"allowed\n::error::x", b"test"`:               `allowed\010::error::x.test`,
		`b"allowed.test"`:                               `allowed\.test`,
		`b"a", b"allowed", b"test"`:                     "a.allowed.test",
		`b"allowed", b"tes"`:                            "allowed.tes",
		`b"ALLOWED-", b"TEST"`:                          "",
		`"\u0430llowed".encode(), b"test"`:              "",
		`b"allowed", b"test", b"local", b"attack6-end"`: "allowed.test.local.attack6-end",
	}
	var script strings.Builder
	for spelled := range alike {
		fmt.Fprintf(&script, "say('denied', udp(query(labels(%s))))\n", spelled)
	}
	r := try(t, hostileQueries+"cat >> /tmp/dns.py <<'PY'\n"+script.String()+`
for spelling in (b"allowed", b"test"), (b"ALLOWED", b"Test"): say("control", udp(query(labels(*spelling))))
PY
python3 /tmp/dns.py
for host in allowed.test ALLOWED.test Allowed.Test.; do curl -sf -m 5 -o /dev/null http://$host/ || echo control=$host; done
for host in allowed.test.attack6.test allowed.test:80@attack6.test; do curl -s -m 5 -o /dev/null http://$host/ && echo denied=$host; done
echo ended=1
`, online(n, "allowed.test"))
	r.want(t, reports.NoChanges)
	r.says(t, "ended")
	for line := range strings.Lines(r.agent) {
		switch name, got, _ := strings.Cut(strings.TrimSpace(line), "="); {
		case name == "denied" && got != "3/0":
			t.Errorf("a look-alike was answered: %s", got)
		case name == "control" && got != "0/1":
			t.Errorf("control: a spelling of the allowed name: %s", got)
		}
	}
	if got := strings.Count(r.agent, "denied="); got != len(alike) {
		t.Errorf("%d look-alikes were tried, want %d", got, len(alike))
	}
	if got := n.seen(t, "attack6"); len(got) > 0 {
		t.Errorf("lookups left: %q", got)
	}
	for spelled, shown := range alike {
		if shown != "" && len(r.find(reports.Deny, deniedName(reports.LayerDNS, shown))) == 0 {
			t.Errorf("%s is not on record as %q", spelled, shown)
		}
	}
	if strings.Contains(r.stderr, "\n::error::") {
		t.Error("a name wrote a line of the log")
	}
}
