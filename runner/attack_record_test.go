package runner_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/yolo-run/yolo-run/reports"
)

// Attack 11: multipath TCP is TCP to the policy: it does not hide where a connection wants to go.
func TestAttack11MultipathTCPIsOnRecord(t *testing.T) {
	t.Parallel()
	n := needInternet(t)
	r := try(t, `python3 - <<'PY'
import socket
def attempt(name, to):
    s = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262); s.settimeout(5)
    try:
        s.connect(to); s.sendall(b"GET / HTTP/1.1\r\nHost: allowed.test\r\n\r\n"); print(name + "=" + s.recv(12).decode())
    except OSError as e:
        print(name + "=" + type(e).__name__)
attempt("denied", ("`+internetAddr+`", 5432))
attempt("control", ("allowed.test", 80))
PY
`, online(n, "allowed.test"))
	r.want(t, reports.NoChanges)
	if got := r.says(t, "control"); got != "HTTP/1.1 200" {
		t.Errorf("control: the allowed name answers %q", got)
	}
	if got := r.says(t, "denied"); got != "ConnectionResetError" {
		t.Errorf("the denied address answers %q", got)
	}
	denied := r.find(reports.Deny, func(e reports.Event) bool { return e.Addr == internetAddr && e.Port == 5432 })
	if total(denied) != 1 {
		t.Errorf("%d denials of %s:5432 are on record, want 1: %+v", total(denied), internetAddr, r.events)
	}
}

// Attack 10: half a request on thousands of connections does not use up the gateway's memory, and with it the record.
func TestAttack10HalfRequestsDoNotEndTheRecord(t *testing.T) {
	t.Parallel()
	n := needInternet(t)
	r := try(t, `python3 - <<'PY'
import socket
ip = socket.gethostbyname("allowed.test")
half = b"GET / HTTP/1.1\r\nHost: allowed.test\r\n" + b"".join(b"%x:\n" % i for i in range(4096, 14096))
conns = []
for i in range(4000):
    s = socket.socket(); s.settimeout(10); conns.append(s)
    try:
        s.connect((ip, 80)); s.sendall(half)
    except OSError:
        pass
print("tried=%d" % len(conns))
for s in conns:
    s.close()
PY
curl -sf -m 10 -o /dev/null http://allowed.test/; echo control=$?
`, online(n, "allowed.test"))
	r.want(t, reports.NoChanges)
	for name, want := range map[string]string{"tried": "4000", "control": "0"} {
		if got := r.says(t, name); got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
	if r.Network.Denied != 4000 {
		t.Errorf("%d denials are on record, want 4000", r.Network.Denied)
	}
}

// Attack 22: the agent writes the file about its own end: it cannot say that it never ran when the engine knows better.
func TestAttack22AForgedEndIsNotBelieved(t *testing.T) {
	t.Parallel()
	r := try(t, `
echo '{"wire":1,"refused":"nothing ran","exitCode":125}' > /.yolo-run/out/exit.json
exit 0
`)
	r.want(t, reports.NoChanges)
	if len(r.Errors) > 0 {
		t.Errorf("errors %q", r.Errors)
	}
	// With the code that belongs to it, it is the agent's end all the same.
	for _, code := range []string{"125", "126", "127"} {
		r := try(t, `
echo 'entrypoint: the agent was not started: nothing ran' >&2
echo '{"wire":1,"refused":"nothing ran","notFound":'$([[ `+code+` = 127 ]] && echo true || echo false)',"exitCode":`+code+`}' > /.yolo-run/out/exit.json
echo worked > made; exit `+code)
		r.want(t, reports.AgentFailed)
		if strings.Contains(strings.Join(r.Errors, ""), "nothing ran") || len(r.Changes.Files) != 1 {
			t.Errorf("errors %q, changes %+v", r.Errors, r.Changes.Files)
		}
	}
}

// Attack 3: a flood of lookups is counted, whether or not anybody had the time to read them.
func TestAttack3AFloodOfLookupsIsCounted(t *testing.T) {
	t.Parallel()
	const sent = 200_000
	r := try(t, fmt.Sprintf(`python3 - <<'PY'
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.connect(("8.8.8.8", 53))
for i in range(%d):
    name = b"%%06d" %% i
    try:
        s.send(b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x06" + name + b"\x06denied\x04test\x00\x00\x01\x00\x01")
    except OSError:
        pass
PY
`, sent))
	r.want(t, reports.NoChanges)
	// A few hundred may stand unread in the buffer when the run ends.
	if n := r.Network.Denied; n < sent*99/100 || n > sent {
		t.Errorf("%d denials are on record, want %d", n, sent)
	}
}
