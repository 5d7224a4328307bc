package gateway

import (
	"net"
	"testing"

	"golang.org/x/sys/unix"
)

// A multipath connection has no original destination: the record could not say where it wanted to go.
func TestListenersSpeakPlainTCPOnly(t *testing.T) {
	listen, err := listenAll(false)
	if err != nil {
		t.Fatal(err)
	}
	for name, ln := range map[string]*net.TCPListener{"proxy": listen.proxy, "DNS": listen.dnsTCP} {
		raw, err := ln.SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		protocol := 0
		if controlErr := raw.Control(func(fd uintptr) {
			protocol, err = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_PROTOCOL)
		}); controlErr != nil || err != nil {
			t.Fatal(controlErr, err)
		}
		if protocol != unix.IPPROTO_TCP {
			t.Errorf("%s listens with protocol %d, want %d", name, protocol, unix.IPPROTO_TCP)
		}
		if err := ln.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := listen.dnsUDP.Close(); err != nil {
		t.Error(err)
	}
}
