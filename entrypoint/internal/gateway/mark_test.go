package gateway

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/yolo-run/yolo-run/entrypoint/internal/firewall"
)

// markRole is the side of PID 1 in a process of its own.
const markRole = "mark-sockets"

func serveMarks() int {
	conn, err := unixConn(os.NewFile(fdSockets, "sockets"))
	if err != nil {
		return 1
	}
	markSockets(conn)
	return 0
}

// startMarker returns the other end of a process that marks sockets.
func startMarker(t testing.TB) *marker {
	t.Helper()
	if testing.Short() {
		t.Skip("needs root to mark sockets")
	}
	conn, theirs, err := socketPair()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/proc/self/exe", markRole)
	cmd.ExtraFiles = []*os.File{theirs}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = theirs.Close()
	t.Cleanup(func() {
		_ = conn.Close() // ends it
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	})
	return &marker{conn: conn}
}

func TestDialledSocketsCarryTheMark(t *testing.T) {
	m := startMarker(t)
	ln := listenTCP(t)
	for _, network := range []string{"tcp", "udp"} {
		conn, err := (&net.Dialer{Control: m.control}).DialContext(t.Context(), network, ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if got := sockopt(t, conn.(syscall.Conn), unix.SO_MARK); got != firewall.Mark {
			t.Errorf("a %s socket has mark %#x", network, got)
		}
		if _, err := conn.Write([]byte("X")); err != nil {
			t.Errorf("a %s socket: %v", network, err)
		}
		_ = conn.Close()
	}
	if err := m.control("udp6", "[2001:db8::1]:53", nil); err == nil || !strings.Contains(err.Error(), "IPv4 only") {
		t.Errorf("a socket for IPv6: %v", err)
	}
	conn, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if got := sockopt(t, conn.(syscall.Conn), unix.SO_MARK); got != 0 {
		t.Errorf("control: a socket of our own has mark %#x", got)
	}
}

func sockopt(t *testing.T, conn syscall.Conn, option int) int {
	t.Helper()
	raw, err := conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var value int
	var sockErr error
	err = raw.Control(func(fd uintptr) { value, sockErr = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, option) })
	if err := errors.Join(err, sockErr); err != nil {
		t.Fatal(err)
	}
	return value
}

func TestOnlyTCPAndUDPSocketsAreMade(t *testing.T) {
	m := startMarker(t)
	for kind := range 256 {
		fd, err := m.socket(byte(kind))
		if kind == unix.SOCK_STREAM || kind == unix.SOCK_DGRAM {
			if err != nil {
				t.Errorf("kind %d: %v", kind, err)
				continue
			}
			got, _ := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
			family, _ := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN)
			if got != kind || family != unix.AF_INET {
				t.Errorf("kind %d: a socket of kind %d, family %d", kind, got, family)
			}
		}
		if err == nil {
			_ = unix.Close(fd)
			if kind != unix.SOCK_STREAM && kind != unix.SOCK_DGRAM {
				t.Errorf("kind %d: there is a socket", kind)
			}
		}
	}
	// What is not one octet is none of the two.
	for _, ask := range []string{strings.Repeat("\x01", 100), "\xff\x01"} {
		if _, err := m.conn.Write([]byte(ask)); err != nil {
			t.Fatal(err)
		}
		answer, rights := make([]byte, 16), make([]byte, 256)
		n, _, _, _, err := m.conn.ReadMsgUnix(answer, rights)
		if err != nil || n != 1 {
			t.Errorf("%d octets were answered by %d, %v", len(ask), n, err)
		}
	}
	if fd, err := m.socket(unix.SOCK_STREAM); err != nil {
		t.Errorf("control: %v", err)
	} else {
		_ = unix.Close(fd)
	}
}

// BenchmarkMarkedSocket is a socket with the mark: of our own, and handed over by another process.
func BenchmarkMarkedSocket(b *testing.B) {
	bench := func(socket func(byte) (int, error)) func(b *testing.B) {
		return func(b *testing.B) {
			for b.Loop() {
				fd, err := socket(unix.SOCK_STREAM)
				if err != nil {
					b.Fatal(err)
				}
				_ = unix.Close(fd)
			}
		}
	}
	b.Run("own", bench(markedSocket))
	m := startMarker(b)
	b.Run("handed", bench(m.socket))
}
