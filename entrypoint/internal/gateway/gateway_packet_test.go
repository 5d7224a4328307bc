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
	hangs, recorded := make(chan struct{}), make(chan firewall.Packet, packets)
	searching := make(chan struct{}, packets)
	p := newPacketLog(func(packet firewall.Packet, search bool) {
		if search {
			searching <- struct{}{}
			<-hangs
		}
		recorded <- packet
	})
	for range packets {
		p.queue <- firewall.Packet{Proto: firewall.ProtoUDP, Dst: netip.MustParseAddrPort("198.51.100.9:9")}
	}
	go p.work()
	<-searching
	start := time.Now()
	p.end()
	if waited := time.Since(start); waited > 5*drainTime || len(recorded) != packets-1 {
		t.Errorf("after %v %d packets are recorded, want all but the one whose process is searched for", waited, len(recorded))
	}
	close(hangs)
	<-p.worked
	if len(recorded) != packets {
		t.Errorf("%d packets of %d are recorded when the search has ended", len(recorded), packets)
	}
}

// Control: where nothing hangs, all have their search.
func TestRefusedPacketsAreRecordedToTheEnd(t *testing.T) {
	const packets = 10
	searched := 0
	p := newPacketLog(func(_ firewall.Packet, search bool) {
		if search {
			searched++
		}
	})
	for range packets {
		p.queue <- firewall.Packet{}
	}
	go p.work()
	p.end()
	if searched != packets {
		t.Errorf("%d packets of %d had their search", searched, packets)
	}
}
