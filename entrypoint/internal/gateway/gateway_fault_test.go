package gateway

import (
	"testing"

	"github.com/yolo-run/yolo-run/entrypoint/internal/firewall"
	"github.com/yolo-run/yolo-run/entrypoint/internal/firewall/firewalltest"
)

// Without NFLOG attempts would be refused and nobody would know by whom: the gateway does not begin.
func TestTheGatewayEndsWhenNFLOGIsTaken(t *testing.T) {
	if !firewalltest.Isolated(t) {
		return
	}
	firewalltest.NewOutside(t)
	taken, err := firewall.Listen(t.Context(), func(firewall.Packet) {})
	if err != nil {
		t.Fatalf("control: nobody can listen: %v", err)
	}
	g := startGateway(t, testGatewayConfig())
	if m := g.next(); m.Fatal == nil || m.Fatal.Stage != "nflog" || m.Fatal.Reason == "" {
		t.Errorf("got %+v", m)
	}
	if code := <-g.exit; code != 1 {
		t.Errorf("exit code %d", code)
	}
	if err := taken.Close(); err != nil {
		t.Error(err)
	}
}
