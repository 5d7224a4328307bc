package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/yolo-run/yolo-run/entrypoint/wire"
	"github.com/yolo-run/yolo-run/reports"
)

const (
	// ownerWait is how long an answer about a process is waited for: PID 1 gives up a little earlier.
	ownerWait = searchWait + 50*time.Millisecond
	// linkBatch is how many octets of events are collected for one write, as long as more are there.
	linkBatch = 32 << 10
)

// link is the serving process's end of its talk with PID 1: it records there, and asks there for processes.
//
// Invariant: recording never blocks and never loses a count, as in [ledger]: what finds no room is counted, and told at the end.
type link struct {
	mu  sync.Mutex // one line at a time
	out io.Writer

	events chan reports.Event
	lost   [3]atomic.Int64

	asks    chan struct{} // places for questions
	lastID  atomic.Uint64
	waiting sync.Map // of chan *reports.Process, by id
}

var (
	_ recorder   = (*link)(nil)
	_ attributor = (*link)(nil)
)

func newLink(out io.Writer) *link {
	return &link{out: out, events: make(chan reports.Event, queueLength), asks: make(chan struct{}, searchQueue)}
}

// Record implements recorder. The agent's text is bounded here: what waits is ours to keep.
func (l *link) Record(e reports.Event) {
	e = bounded(e)
	e.Time, e.Count = time.Time{}, max(e.Count, 1)
	select {
	case l.events <- e:
	default:
		l.lost[index(e.Verdict)].Add(e.Count)
	}
}

// Process implements attributor. When too many ask it answers at once: nil.
func (l *link) Process(network string, local, remote netip.AddrPort) *reports.Process {
	select {
	case l.asks <- struct{}{}:
	default:
		return nil
	}
	defer func() { <-l.asks }()
	id := l.lastID.Add(1)
	reply := make(chan *reports.Process, 1)
	l.waiting.Store(id, reply)
	defer l.waiting.Delete(id)
	if l.send(wire.ServeMessage{Type: wire.TypeOwner, Owner: &wire.ServeOwner{ID: id, Network: network, Local: local, Remote: remote}}) != nil {
		return nil // PID 1 is gone, and so is everything in a moment
	}
	timeout := time.NewTimer(ownerWait)
	defer timeout.Stop()
	select {
	case p := <-reply:
		return p
	case <-timeout.C:
		return nil
	}
}

// owner hands on an answer.
func (l *link) owner(o *wire.ServeOwner) {
	if reply, ok := l.waiting.LoadAndDelete(o.ID); ok {
		reply.(chan *reports.Process) <- o.Process
	}
}

func (l *link) send(m wire.ServeMessage) error {
	var b bytes.Buffer
	if err := encodeLine(&b, m); err != nil {
		return err
	}
	return l.write(b.Bytes())
}

func encodeLine(b *bytes.Buffer, m wire.ServeMessage) error {
	line, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("encode line: %w", err)
	}
	b.Write(append(line, '\n'))
	return nil
}

func (l *link) write(lines []byte) error {
	if len(lines) == 0 {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, err := l.out.Write(lines); err != nil {
		return fmt.Errorf("write line: %w", err)
	}
	return nil
}

// run writes events until ctx ends, then those that are left, and what was lost.
func (l *link) run(ctx context.Context) error {
	for {
		select {
		case e := <-l.events:
			if err := l.writeEvents(&e); err != nil {
				return err
			}
			continue
		case <-ctx.Done():
		}
		break
	}
	if err := l.writeEvents(nil); err != nil {
		return err
	}
	lost := wire.ServeLost{Allowed: l.lost[0].Load(), WouldDeny: l.lost[1].Load(), Denied: l.lost[2].Load()}
	if lost == (wire.ServeLost{}) {
		return nil
	}
	return l.send(wire.ServeMessage{Type: wire.TypeLost, Lost: &lost})
}

// writeEvents writes first, if there is one, and all that waits behind it.
func (l *link) writeEvents(first *reports.Event) error {
	var lines bytes.Buffer
	for e := first; ; {
		if e != nil {
			if err := encodeLine(&lines, wire.ServeMessage{Type: wire.TypeEvent, Event: e}); err != nil {
				return err
			}
		}
		select {
		case next := <-l.events:
			e = &next
		default:
			return l.write(lines.Bytes())
		}
		if lines.Len() >= linkBatch {
			if err := l.write(lines.Bytes()); err != nil {
				return err
			}
			lines.Reset()
		}
	}
}
