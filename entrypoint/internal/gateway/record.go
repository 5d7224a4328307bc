package gateway

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/yolo-run/yolo-run/entrypoint/wire"
	"github.com/yolo-run/yolo-run/reports"
)

const (
	// mergeTime is how long equal events are collected into one line.
	mergeTime = time.Second
	// queueLength holds what arrives while the runner is slow to read. What does not fit is counted, and nobody waits.
	queueLength = 8192
	// maxPending bounds distinct events in collection; one more pushes the oldest out early.
	maxPending = 4096
	// maxLines bounds the lines of one verdict in a run (about 20 MB). Each verdict has its own, so that a flood of allowed
	// connections cannot hide denials.
	maxLines = 50_000
	// maxText bounds each string of an event, in bytes: the report keeps no more of it, and thousands of events may wait here.
	maxText = 1024
)

// reasonOverflow marks the closing event that stands for attempts which no line describes.
const reasonOverflow = "overflow"

// ledger takes every decision, merges equal ones and writes them as lines.
//
// Invariant: recording never blocks and never loses a count: what no line describes is in the totals, and in one closing event.
type ledger struct {
	send  func(any) error
	now   func() time.Time
	queue chan entry
	tap   atomic.Pointer[func(reports.Event)]

	dropped [3]atomic.Int64 // by verdict: user-space decisions that found the queue full

	pending map[key]*collected
	order   []*collected // oldest first
	totals  [3]total
	lines   int64
}

var _ recorder = (*ledger)(nil)

// entry is an event on its way. packet: it was refused by the rules, whose counter has it too.
type entry struct {
	reports.Event
	packet bool
}

// total counts the attempts of one verdict.
type total struct {
	decided   int64 // by DNS and proxies
	described int64 // in lines that were written
	lines     int64
}

// key is what makes events equal: everything but time, process text, bytes and count.
type key struct {
	event reports.Event
	pid   int
}

// collected is an event with its equals.
type collected struct {
	key     key
	entry   entry
	aaaa    int64 // attempts that asked for AAAA; entry counts the others
	expires time.Time
}

func newLedger(send func(any) error) *ledger {
	return &ledger{send: send, now: time.Now, queue: make(chan entry, queueLength), pending: map[key]*collected{}}
}

// index gives the verdicts their places in arrays.
func index(v reports.Verdict) int {
	switch v {
	case reports.Allow:
		return 0
	case reports.WouldDeny:
		return 1
	default:
		return 2
	}
}

// Record takes a decision of DNS or of a proxy.
func (l *ledger) Record(e reports.Event) { l.take(entry{Event: e}) }

// recordPacket takes an attempt that the rules refused.
func (l *ledger) recordPacket(e reports.Event) { l.take(entry{Event: e, packet: true}) }

func (l *ledger) take(e entry) {
	if tap := l.tap.Load(); tap != nil {
		(*tap)(e.Event)
		return
	}
	if e.Time.IsZero() {
		e.Time = l.now()
	}
	e.Event = bounded(e.Event)
	e.Count = max(e.Count, 1)
	select {
	case l.queue <- e:
	default:
		if !e.packet { // a packet is in its rule's counter
			l.dropped[index(e.Verdict)].Add(e.Count)
		}
	}
}

// divert gives all further events to fn instead of recording them; nil ends it. The self-test's own attempts must not show in a report.
func (l *ledger) divert(fn func(reports.Event)) {
	if fn == nil {
		l.tap.Store(nil)
		return
	}
	l.tap.Store(&fn)
}

// run writes lines until ctx ends, and returns the error of the first that could not be written: then nobody listens.
func (l *ledger) run(ctx context.Context) error {
	tick := time.NewTicker(mergeTime / 8)
	defer tick.Stop()
	for {
		select {
		case e := <-l.queue:
			if err := l.add(e); err != nil {
				return err
			}
		case <-tick.C:
			if err := l.flush(l.now()); err != nil {
				return err
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// finish writes what is left after run has returned and the last decision was recorded. packets are the refusals that the rules
// counted; the difference between all totals and all lines becomes one event for each verdict.
func (l *ledger) finish(packets int64) (wire.Summary, error) {
	for len(l.queue) > 0 {
		if err := l.add(<-l.queue); err != nil {
			return wire.Summary{}, err
		}
	}
	if err := l.flush(time.Time{}); err != nil {
		return wire.Summary{}, err
	}
	var sums, missing [3]int64
	for i, verdict := range []reports.Verdict{reports.Allow, reports.WouldDeny, reports.Deny} {
		t := l.totals[i]
		sums[i] = t.decided + l.dropped[i].Load()
		if verdict == reports.Deny {
			sums[i] += packets
		}
		sums[i] = max(sums[i], t.described)
		missing[i] = sums[i] - t.described
		if missing[i] == 0 {
			continue
		}
		overflow := reports.Event{Time: l.now(), Verdict: verdict, Layer: reports.LayerOther, Reason: reasonOverflow, Count: missing[i]}
		if err := l.line(overflow); err != nil {
			return wire.Summary{}, err
		}
	}
	return wire.Summary{Allowed: sums[0], WouldDeny: sums[1], Denied: sums[2], Overflow: missing[2], Events: l.lines}, nil
}

// add merges an event or starts a new line with it.
func (l *ledger) add(e entry) error {
	k := keyOf(e.Event)
	c := l.pending[k]
	if c == nil {
		if len(l.order) >= maxPending {
			if err := l.write(l.pop()); err != nil {
				return err
			}
		}
		c = &collected{key: k, entry: e, expires: e.Time.Add(mergeTime)}
		c.entry.Count, c.entry.BytesIn, c.entry.BytesOut = 0, 0, 0
		l.pending[k] = c
		l.order = append(l.order, c)
	}
	c.merge(e)
	return nil
}

func (c *collected) merge(e entry) {
	c.entry.BytesIn += e.BytesIn
	c.entry.BytesOut += e.BytesOut
	if e.Layer == reports.LayerDNS && e.QType == "AAAA" {
		c.aaaa += e.Count
		return
	}
	c.entry.Count += e.Count
	c.entry.QType = e.QType
}

// clip bounds what the agent chose, so that a line stays far below the bound of the protocol even where every byte is escaped.
func clip(s string) string {
	if len(s) <= maxText {
		return s
	}
	const more = "…"
	return strings.ToValidUTF8(s[:maxText-len(more)], "") + more // clipped once, it stays
}

// bounded clips all text of an event.
func bounded(e reports.Event) reports.Event {
	for _, s := range []*string{&e.Proto, &e.Name, &e.QType, &e.Addr, &e.Rule, &e.Reason, &e.Method, &e.Path} {
		*s = clip(*s)
	}
	if e.Process == nil {
		return e
	}
	p := *e.Process // others may have it too
	p.Exe, p.Cmdline = clip(p.Exe), clip(p.Cmdline)
	if p.Parents = p.Parents[:min(len(p.Parents), maxParents)]; slices.ContainsFunc(p.Parents, func(s string) bool { return len(s) > maxText }) {
		p.Parents = slices.Clone(p.Parents)
		for i, s := range p.Parents {
			p.Parents[i] = clip(s)
		}
	}
	e.Process = &p
	return e
}

// lose takes decisions that another process had no room for.
func (l *ledger) lose(lost wire.ServeLost) {
	l.dropped[index(reports.Allow)].Add(lost.Allowed)
	l.dropped[index(reports.WouldDeny)].Add(lost.WouldDeny)
	l.dropped[index(reports.Deny)].Add(lost.Denied)
}

// keyOf leaves the type of an address question out: a client asks for A and AAAA of one name at once, and that is one attempt.
func keyOf(e reports.Event) key {
	k := key{event: e}
	if e.Process != nil {
		k.pid = e.Process.PID
	}
	k.event.Time, k.event.Process, k.event.BytesIn, k.event.BytesOut, k.event.Count = time.Time{}, nil, 0, 0, 0
	if e.Layer == reports.LayerDNS && (e.QType == "A" || e.QType == "AAAA") {
		k.event.QType = ""
	}
	return k
}

// flush writes what was collected until now; the zero time flushes all.
func (l *ledger) flush(now time.Time) error {
	for len(l.order) > 0 && (now.IsZero() || !l.order[0].expires.After(now)) {
		if err := l.write(l.pop()); err != nil {
			return err
		}
	}
	return nil
}

func (l *ledger) pop() *collected {
	c := l.order[0]
	l.order[0] = nil
	l.order = l.order[1:]
	delete(l.pending, c.key)
	return c
}

// write counts a collected event, and writes its line unless its verdict has had its share.
func (l *ledger) write(c *collected) error {
	e := c.entry.Event
	e.Count = max(e.Count, c.aaaa)
	t := &l.totals[index(e.Verdict)]
	if !c.entry.packet {
		t.decided += e.Count
	}
	if t.lines >= maxLines {
		return nil
	}
	t.lines++
	t.described += e.Count
	return l.line(e)
}

func (l *ledger) line(e reports.Event) error {
	l.lines++
	return l.send(wire.GatewayMessage{Type: wire.TypeEvent, Event: &e})
}
