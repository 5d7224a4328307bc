package gateway

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/yolo-run/yolo-run/entrypoint/internal/firewall"
)

// A socket gets the mark before its first packet: unmarked it would be redirected back to this gateway, or dropped. Marking takes CAP_NET_ADMIN,
// which could also change the rules. So PID 1 makes and marks the sockets of the process that serves the agent, and hands them over a socket pair of
// messages: that process needs no capability at all. It asks with one octet, the kind of socket; the answer is one octet, and the socket.
// There is nothing to parse on the side of PID 1.

// The answers.
const (
	markDone   = 0
	markFailed = 1
)

// socketPair is the way that marked sockets take: one end for each process.
func socketPair() (ours *net.UnixConn, theirs *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("socket pair: %w", err)
	}
	theirs = os.NewFile(uintptr(fds[1]), "sockets")
	if ours, err = unixConn(os.NewFile(uintptr(fds[0]), "sockets")); err != nil {
		_ = theirs.Close()
		return nil, nil, err
	}
	return ours, theirs, nil
}

// unixConn takes the file over.
func unixConn(file *os.File) (*net.UnixConn, error) {
	defer func() { _ = file.Close() }()
	conn, err := net.FileConn(file)
	if err != nil {
		return nil, fmt.Errorf("socket pair: %w", err)
	}
	pair, ok := conn.(*net.UnixConn)
	if !ok {
		_ = conn.Close()
		return nil, fmt.Errorf("socket pair: it is a %T", conn)
	}
	return pair, nil
}

// markSockets answers on PID 1's end until either end is closed. Whoever asks for more sockets than it may have is stopped by its own limit: PID 1
// keeps none.
func markSockets(conn *net.UnixConn) {
	var ask [1]byte
	for {
		if _, err := conn.Read(ask[:]); err != nil {
			return
		}
		sendMarked(conn, ask[0])
	}
}

// sendMarked answers one question: with a socket, or that there is none. What cannot even be told is not worth dying for: the other process waits, or
// is gone.
func sendMarked(conn *net.UnixConn, kind byte) {
	if fd, err := markedSocket(kind); err == nil {
		_, _, err = conn.WriteMsgUnix([]byte{markDone}, unix.UnixRights(fd), nil)
		_ = unix.Close(fd)
		if err == nil {
			return
		}
	}
	_, _ = conn.Write([]byte{markFailed})
}

// markedSocket makes a TCP or UDP socket and no other.
func markedSocket(kind byte) (int, error) {
	if kind != unix.SOCK_STREAM && kind != unix.SOCK_DGRAM {
		return -1, fmt.Errorf("socket of kind %d", kind)
	}
	fd, err := unix.Socket(unix.AF_INET, int(kind)|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, err
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_MARK, firewall.Mark); err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// marker asks for marked sockets. It is safe for concurrent use.
type marker struct {
	mu   sync.Mutex
	conn *net.UnixConn
}

// control is a [net.Dialer]'s: it puts a marked socket in the place of the one that was just made. Nothing was done with that one yet, so that whoever
// dials needs to know nothing of it.
func (m *marker) control(network, _ string, c syscall.RawConn) error {
	kind, ok := map[string]byte{"tcp4": unix.SOCK_STREAM, "udp4": unix.SOCK_DGRAM}[network]
	if !ok {
		return fmt.Errorf("%s: the run's network has IPv4 only", network)
	}
	marked, err := m.socket(kind)
	if err != nil {
		return fmt.Errorf("marked %s socket: %w", strings.TrimSuffix(network, "4"), err)
	}
	defer func() { _ = unix.Close(marked) }()
	var swapErr error
	err = c.Control(func(fd uintptr) {
		swapErr = unix.Dup3(marked, int(fd), unix.O_CLOEXEC) //nolint:gosec // a descriptor is an int
	})
	return errors.Join(err, swapErr)
}

func (m *marker) socket(kind byte) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, err := m.conn.Write([]byte{kind}); err != nil {
		return -1, err
	}
	var answer [1]byte
	rights := make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := m.conn.ReadMsgUnix(answer[:], rights)
	if err != nil {
		return -1, err
	}
	messages, err := unix.ParseSocketControlMessage(rights[:n])
	if err != nil {
		return -1, err
	}
	if answer[0] != markDone || len(messages) != 1 { // its descriptors are used up, or ours
		return -1, unix.ENFILE
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil {
		return -1, err
	}
	return fds[0], nil
}
