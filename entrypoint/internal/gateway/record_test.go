package gateway

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/yolo-run/yolo-run/entrypoint/wire"
	"github.com/yolo-run/yolo-run/reports"
)

// page keeps the lines that a ledger writes.
type page struct{ events []reports.Event }

func (p *page) send(v any) error {
	p.events = append(p.events, *v.(wire.GatewayMessage).Event)
	return nil
}

// sum adds the counts of one verdict.
func (p *page) sum(v reports.Verdict) int64 {
	var n int64
	for _, e := range p.events {
		if e.Verdict == v {
			n += e.Count
		}
	}
	return n
}

func denial(name, qtype string) reports.Event {
	return reports.Event{Verdict: reports.Deny, Layer: reports.LayerDNS, Name: name, QType: qtype}
}

func closeLedger(t *testing.T, l *ledger, packets int64) wire.Summary {
	t.Helper()
	s, err := l.finish(packets)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestEqualAttemptsAreOneLine(t *testing.T) {
	with := func(e reports.Event, change func(*reports.Event)) reports.Event {
		change(&e)
		return e
	}
	tls := reports.Event{Verdict: reports.Deny, Layer: reports.LayerTLS, Name: "a.test", Addr: "1.2.3.4", Port: 443, Process: &reports.Process{PID: 7}}
	tests := map[string]struct {
		events []reports.Event
		lines  int
		denied int64
	}{
		"the same three times":          {[]reports.Event{tls, tls, tls}, 1, 3},
		"another port":                  {[]reports.Event{tls, with(tls, func(e *reports.Event) { e.Port = 444 })}, 2, 2},
		"another process":               {[]reports.Event{tls, with(tls, func(e *reports.Event) { e.Process = &reports.Process{PID: 8} })}, 2, 2},
		"the same process, other text":  {[]reports.Event{tls, with(tls, func(e *reports.Event) { e.Process = &reports.Process{PID: 7, Exe: "/x"} })}, 1, 2},
		"A and AAAA":                    {[]reports.Event{denial("a.test", "A"), denial("a.test", "AAAA")}, 1, 1},
		"AAAA and A":                    {[]reports.Event{denial("a.test", "AAAA"), denial("a.test", "A")}, 1, 1},
		"A and AAAA twice":              {[]reports.Event{denial("a.test", "A"), denial("a.test", "AAAA"), denial("a.test", "A"), denial("a.test", "AAAA")}, 1, 2},
		"only AAAA, twice":              {[]reports.Event{denial("a.test", "AAAA"), denial("a.test", "AAAA")}, 1, 2},
		"A and TXT":                     {[]reports.Event{denial("a.test", "A"), denial("a.test", "TXT")}, 2, 2},
		"A and AAAA of different names": {[]reports.Event{denial("a.test", "A"), denial("b.test", "AAAA")}, 2, 2},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p := new(page)
			l := newLedger(p.send)
			for _, e := range test.events {
				l.Record(e)
			}
			s := closeLedger(t, l, 0)
			if len(p.events) != test.lines || p.sum(reports.Deny) != test.denied || s.Denied != test.denied {
				t.Errorf("%d lines, %d in them, summary %+v; want %d lines, %d denied", len(p.events), p.sum(reports.Deny), s, test.lines, test.denied)
			}
		})
	}
}

func TestBytesOfEqualConnectionsAddUp(t *testing.T) {
	p := new(page)
	l := newLedger(p.send)
	for range 2 {
		l.Record(reports.Event{Verdict: reports.Allow, Layer: reports.LayerTLS, Name: "a.test", BytesIn: 10, BytesOut: 3})
	}
	s := closeLedger(t, l, 0)
	if e := p.events[0]; e.BytesIn != 20 || e.BytesOut != 6 || e.Count != 2 || s.Allowed != 2 || s.Denied != 0 {
		t.Errorf("event %+v, summary %+v", e, s)
	}
}

func TestLinesAreWrittenASecondAfterTheFirstAttempt(t *testing.T) {
	p := new(page)
	l := newLedger(p.send)
	start := time.Now()
	for i := range 3 {
		e := denial("a.test", "A")
		e.Time = start.Add(time.Duration(i) * 400 * time.Millisecond)
		if err := l.add(entry{Event: withCount(e)}); err != nil {
			t.Fatal(err)
		}
	}
	for _, step := range []struct {
		after time.Duration
		lines int
	}{{mergeTime - time.Millisecond, 0}, {mergeTime, 1}} {
		if err := l.flush(start.Add(step.after)); err != nil {
			t.Fatal(err)
		}
		if len(p.events) != step.lines {
			t.Errorf("after %v: %d lines, want %d", step.after, len(p.events), step.lines)
		}
	}
}

func withCount(e reports.Event) reports.Event { e.Count = 1; return e }

// A flood: more packets than the queue holds, of which the rules counted all.
func TestTotalsComeFromTheCounters(t *testing.T) {
	p := new(page)
	l := newLedger(p.send)
	const flood = queueLength + 500
	for range flood {
		l.recordPacket(reports.Event{Verdict: reports.Deny, Layer: reports.LayerUDP, Addr: "198.51.100.1", Port: 9})
	}
	s := closeLedger(t, l, flood+100)
	if s.Denied != flood+100 || s.Overflow != 600 {
		t.Errorf("summary %+v, want %d denied, 600 overflow", s, flood+100)
	}
	last := p.events[len(p.events)-1]
	if last.Reason != reasonOverflow || last.Count != 600 || p.sum(reports.Deny) != s.Denied {
		t.Errorf("last line %+v; lines add up to %d of %d", last, p.sum(reports.Deny), s.Denied)
	}
}

func TestDecisionsThatDoNotFitAreCounted(t *testing.T) {
	p := new(page)
	l := newLedger(p.send)
	for i := range queueLength + 10 {
		l.Record(denial(fmt.Sprintf("%d.test", i), "A"))
	}
	if s := closeLedger(t, l, 0); s.Denied != queueLength+10 || p.sum(reports.Deny) != s.Denied || s.Overflow != 10 {
		t.Errorf("summary %+v, lines %d", s, p.sum(reports.Deny))
	}
}

func TestAFloodOfAllowedConnectionsHidesNoDenial(t *testing.T) {
	p := new(page)
	l := newLedger(p.send)
	for i := range maxLines + 100 {
		if err := l.add(entry{Event: withCount(reports.Event{Time: time.Now(), Verdict: reports.Allow, Port: i})}); err != nil {
			t.Fatal(err)
		}
	}
	l.Record(denial("a.test", "A"))
	s := closeLedger(t, l, 0)
	if !slices.ContainsFunc(p.events, func(e reports.Event) bool { return e.Name == "a.test" }) {
		t.Error("the denial is not described")
	}
	if s.Allowed != maxLines+100 || p.sum(reports.Allow) != s.Allowed || int64(len(p.events)) != s.Events {
		t.Errorf("summary %+v, lines %d with %d allowed", s, len(p.events), p.sum(reports.Allow))
	}
	if len(l.order) != 0 || len(l.pending) != 0 {
		t.Errorf("%d events are still pending", len(l.order))
	}
}

func TestDistinctEventsInCollectionAreBounded(t *testing.T) {
	l := newLedger(new(page).send)
	for i := range 3 * maxPending {
		if err := l.add(entry{Event: withCount(denial(fmt.Sprint(i), "A"))}); err != nil {
			t.Fatal(err)
		}
	}
	if len(l.pending) > maxPending || len(l.order) > maxPending {
		t.Errorf("%d pending", len(l.pending))
	}
}

func TestTextOfTheAgentIsBounded(t *testing.T) {
	p := new(page)
	l := newLedger(p.send)
	l.Record(reports.Event{Verdict: reports.Deny, Path: strings.Repeat("ü", 200_000)})
	closeLedger(t, l, 0)
	if n := len(p.events[0].Path); n > maxText+len("…") || !strings.HasPrefix(p.events[0].Path, "üü") {
		t.Errorf("path of %d bytes", n)
	}
}

func TestDivertedEventsAreInNoTotal(t *testing.T) {
	p := new(page)
	l := newLedger(p.send)
	var seen []reports.Event
	l.divert(func(e reports.Event) { seen = append(seen, e) })
	l.Record(denial("self-test.test", "A"))
	l.divert(nil)
	l.Record(denial("a.test", "A"))
	if s := closeLedger(t, l, 0); s.Denied != 1 || len(p.events) != 1 || p.events[0].Name != "a.test" || len(seen) != 1 {
		t.Errorf("summary %+v, lines %+v, diverted %+v", s, p.events, seen)
	}
}

func TestALedgerThatCannotWriteSaysSo(t *testing.T) {
	broken := errors.New("broken pipe")
	l := newLedger(func(any) error { return broken })
	l.Record(reports.Event{Time: time.Now().Add(-time.Hour), Verdict: reports.Deny})
	if err := l.run(t.Context()); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := newLedger(new(page).send).run(ctx); err != nil {
		t.Errorf("control: %v", err)
	}
}
