package gateway

import (
	"io"
	"net"
	"testing"
	"time"

	"github.com/yolo-run/yolo-run/entrypoint/internal/firewall/firewalltest"
)

// BenchmarkGateway is a whole gateway, with its rules and both its processes: its start, a new connection to an allowed address up to the first octet
// that comes back, and a denied one up to its reset.
func BenchmarkGateway(b *testing.B) {
	if !firewalltest.Isolated(b) {
		return
	}
	outside := firewalltest.NewOutside(b)
	const server = firewalltest.ServerAddr + ":8080"
	outside.Do(func() { echo(b, server) })
	begun := time.Now()
	g := startGateway(b, testGatewayConfig(server))
	g.ready()
	started := time.Since(begun)
	go func() {
		for range g.messages { // whatever is recorded
		}
	}()
	talk := func(addr string) error {
		conn, err := net.Dial("tcp4", addr)
		if err != nil {
			return err
		}
		defer conn.Close()
		if _, err := conn.Write([]byte("X")); err != nil {
			return err
		}
		_, err = io.ReadFull(conn, make([]byte, 1))
		return err
	}
	b.Run("allowed", func(b *testing.B) {
		b.ReportMetric(float64(started.Milliseconds()), "start-ms")
		for b.Loop() {
			if err := talk(server); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("denied", func(b *testing.B) {
		for b.Loop() {
			if talk("198.51.100.77:443") == nil {
				b.Fatal("it was answered")
			}
		}
	})
}
