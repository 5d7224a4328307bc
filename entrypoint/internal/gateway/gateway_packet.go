package gateway

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/yolo-run/yolo-run/entrypoint/internal/firewall"
)

const (
	// packetQueue holds refused packets while their processes are searched for.
	packetQueue = 4096
	// drainTime is how long processes are searched for behind the end. The search reads the memory of processes of the agent's, which can make it wait; the
	// summary must not.
	drainTime = time.Second
)

// packetLog turns refused packets into events. The reader of the kernel's messages only queues, so that the kernel's buffer stays
// empty; what does not fit is in the rules' counters.
type packetLog struct {
	log    *firewall.Log
	record func(packet firewall.Packet, search bool) // search says whether there is time to look for the process
	queue  chan firewall.Packet
	stop   chan struct{} // closed when nothing more is read: what is queued is still recorded
	worked chan struct{} // closed when the worker has ended
	done   chan struct{} // ends the finder
}

func newPacketLog(record func(packet firewall.Packet, search bool)) *packetLog {
	return &packetLog{
		record: record, queue: make(chan firewall.Packet, packetQueue),
		stop: make(chan struct{}), worked: make(chan struct{}), done: make(chan struct{}),
	}
}

// listenPackets starts reading, and the thread that finds the processes of connections and queries. Those of packets are found by a finder of their
// own, without a word to another goroutine: nobody holds their senders back.
func listenPackets(ledger *ledger, finder *finder) (*packetLog, error) {
	loopback, err := net.InterfaceByName("lo")
	if err != nil {
		return nil, fmt.Errorf("loopback device: %w", err)
	}
	own := newFinder(finder.uid, finder.gid)
	own.skip = finder.skip
	p := newPacketLog(func(packet firewall.Packet, search bool) {
		e := packetEvent(packet, uint32(loopback.Index)) //nolint:gosec // an index is small and positive
		if network := networkOf(packet); network != "" && search {
			dst := packet.Dst
			if boundToDevice(packet, uint32(loopback.Index)) { //nolint:gosec // see above
				dst = netip.AddrPort{} // not what the socket knows
			}
			e.Process = own.search(socket{network, unmap(packet.Src), unmap(dst)})
		}
		ledger.recordPacket(e)
	})
	// Not the context of the run: what was refused is recorded to the end.
	p.log, err = firewall.Listen(context.Background(), func(packet firewall.Packet) {
		select {
		case p.queue <- packet:
		default:
		}
	})
	if err != nil {
		return nil, err
	}
	go finder.run(p.done)
	go p.work()
	return p, nil
}

// work records until stop, and then what is queued, without processes when it takes too long.
func (p *packetLog) work() {
	defer close(p.worked)
	for !isClosed(p.stop) { // or a full queue could win the choice below again and again
		select {
		case packet := <-p.queue:
			p.record(packet, true)
		case <-p.stop:
		}
	}
	end := time.Now().Add(drainTime)
	p.drain(func() bool { return time.Now().Before(end) })
}

// drain records what is queued. A last packet that the reader adds now is in the counters.
func (p *packetLog) drain(search func() bool) {
	for {
		select {
		case packet := <-p.queue:
			p.record(packet, search())
		default:
			return
		}
	}
}

// end waits for the worker, and where that hangs in a search does the rest of its work.
func (p *packetLog) end() {
	close(p.stop)
	hangs := time.NewTimer(2 * drainTime)
	defer hangs.Stop()
	select {
	case <-p.worked:
	case <-hangs.C:
		p.drain(func() bool { return false })
	}
	close(p.done)
}

// finish waits, for a short while, until as many packets were seen as the rules counted, and until all are recorded.
func (p *packetLog) finish(counted int64, wait time.Duration) error {
	deadline := time.NewTimer(wait)
	defer deadline.Stop()
	poll := time.NewTicker(2 * time.Millisecond)
	defer poll.Stop()
	for late := false; p.log.Seen() < counted && !late; {
		select {
		case <-poll.C:
		case <-deadline.C:
			late = true
		}
	}
	if err := p.log.Close(); err != nil {
		return err
	}
	p.end()
	return nil
}
