package gateway

import (
	"net/netip"
	"testing"
	"time"

	"github.com/yolo-run/yolo-run/entrypoint/internal/firewall"
)

// The search for a process reads the process's memory, and a process can make that slow. What is still to be recorded at the end must not wait
// for it once for each packet: the runner waits for the summary.
func TestRefusedPacketsAreRecordedThoughTheSearchHangs(t *testing.T) {
	const packets = 10
	hanging := newFinder(1, 1) // nobody answers it
	p := &packetLog{queue: make(chan firewall.Packet, packets), stop: make(chan struct{}), worked: make(chan struct{})}
	for range packets {
		p.queue <- firewall.Packet{Proto: firewall.ProtoUDP, Dst: netip.MustParseAddrPort("198.51.100.9:9")}
	}
	close(p.stop)
	recorded := 0
	go p.work(func(packet firewall.Packet, search bool) {
		if search {
			_ = hanging.Process("udp", packet.Src, packet.Dst)
		}
		recorded++
	})
	select {
	case <-p.worked:
	case <-time.After(5 * searchWait):
		t.Fatal("the end waits for processes")
	}
	if recorded != packets {
		t.Errorf("%d packets of %d are recorded", recorded, packets)
	}
}
