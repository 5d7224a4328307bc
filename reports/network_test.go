package reports

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"time"
)

var noon = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

func TestCollectorGroupsEvents(t *testing.T) {
	curl := &Process{PID: 7, Exe: "/usr/bin/curl", Cmdline: "curl https://evil.test"}
	again := &Process{PID: 9, Exe: "/usr/bin/curl", Cmdline: "curl https://evil.test"}
	n := collect(t, &Totals{Allowed: 3, Denied: 6, Events: 5},
		Event{Verdict: Allow, Layer: LayerTLS, Name: "ok.test", Addr: "198.51.100.1", Port: 443, Count: 2, BytesIn: 10, BytesOut: 1},
		Event{Verdict: Allow, Layer: LayerTLS, Name: "ok.test", Addr: "198.51.100.2", Port: 443, Count: 1, BytesIn: 5},
		Event{Verdict: Deny, Layer: LayerDNS, Name: "evil.test", Count: 4, Process: curl},
		Event{Verdict: Deny, Layer: LayerDNS, Name: "evil.test", Count: 1, Process: again},
		Event{Verdict: Deny, Layer: LayerUDP, Addr: "198.51.100.9", Port: 53}, // a count of 0 stands for one attempt
	)
	if !n.Complete || n.Allowed != 3 || n.Denied != 6 || n.WouldDeny != 0 {
		t.Errorf("totals: %+v", n)
	}
	want := []Destination{
		{Name: "evil.test", Layer: LayerDNS, Verdict: Deny, Count: 5, Processes: []Process{*curl}},
		{Addr: "198.51.100.9", Port: 53, Layer: LayerUDP, Verdict: Deny, Count: 1, Processes: []Process{}},
		{Name: "ok.test", Port: 443, Layer: LayerTLS, Verdict: Allow, Count: 3, BytesIn: 15, BytesOut: 1, Processes: []Process{}},
	}
	if got, want := fmt.Sprintf("%+v", n.Destinations), fmt.Sprintf("%+v", want); got != want {
		t.Errorf("destinations:\n got %s\nwant %s", got, want)
	}
}

func TestCollectorSaysWhenItIsNotComplete(t *testing.T) {
	seen := []Event{{Verdict: Allow, Count: 1}, {Verdict: Deny, Count: 2}, {Verdict: WouldDeny, Count: 3}}
	tests := []struct {
		name   string
		totals *Totals
		want   bool
	}{
		{"all agree", &Totals{Allowed: 1, Denied: 2, WouldDeny: 3, Events: 3}, true},
		{"no last word", nil, false},
		{"more denied than told", &Totals{Allowed: 1, Denied: 9, WouldDeny: 3, Events: 3}, false},
		{"fewer allowed than told", &Totals{Denied: 2, WouldDeny: 3, Events: 3}, false},
		{"would-deny differs", &Totals{Allowed: 1, Denied: 2, WouldDeny: 4, Events: 3}, false},
		{"a line was lost", &Totals{Allowed: 1, Denied: 2, WouldDeny: 3, Events: 4}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := collect(t, tt.totals, seen...)
			if n.Complete != tt.want {
				t.Errorf("complete: %v", n.Complete)
			}
			want := Totals{Allowed: 1, Denied: 2, WouldDeny: 3}
			if tt.totals != nil {
				want = *tt.totals
			}
			if n.Allowed != want.Allowed || n.Denied != want.Denied || n.WouldDeny != want.WouldDeny {
				t.Errorf("totals %+v, want %+v", n, want)
			}
		})
	}
}

func TestCollectorFoldsAFlood(t *testing.T) {
	const flood = 20_000
	var log bytes.Buffer
	c := NewCollector(&log)
	for i := range flood {
		add(t, c, Event{Verdict: Deny, Layer: LayerDNS, Name: fmt.Sprintf("%d.evil.test", i), Count: 2})
	}
	add(t, c, Event{Verdict: Allow, Layer: LayerTLS, Name: "ok.test", Port: 443, Count: 1})
	n, err := c.Finish(&Totals{Allowed: 1, Denied: 2 * flood, Events: flood + 1})
	if err != nil {
		t.Fatal(err)
	}
	if !n.Complete {
		t.Error("folding made the record incomplete")
	}
	if got := len(n.Destinations); got != maxDestinations(Deny)+1 {
		t.Errorf("%d destinations", got)
	}
	sum := map[Verdict]int64{}
	folded := 0
	for _, d := range n.Destinations {
		sum[d.Verdict] += d.Count
		if d.Folded {
			folded++
		}
	}
	if sum[Deny] != 2*flood || sum[Allow] != 1 || folded != 1 {
		t.Errorf("sums %v, %d folded", sum, folded)
	}
	last := n.Destinations[len(n.Destinations)-1]
	if last.Name != "ok.test" {
		t.Errorf("the flood hid what was allowed: last is %+v", last)
	}
	if got := strings.Count(log.String(), "\n"); got != flood+1 {
		t.Errorf("%d lines in the log", got)
	}
}

func TestCollectorBoundsDestinationsOverAllVerdicts(t *testing.T) {
	if sum := maxDestinations(Allow) + maxDestinations(Deny) + maxDestinations(WouldDeny); sum != 1000 {
		t.Errorf("the list may have %d destinations", sum)
	}
}

func TestCollectorBoundsProcesses(t *testing.T) {
	c := NewCollector(&bytes.Buffer{})
	for i := range 9 {
		add(t, c, Event{Verdict: Deny, Name: "a.test", Process: &Process{PID: i, Exe: fmt.Sprintf("/bin/%d", i%7)}})
	}
	n, _ := c.Finish(nil)
	d := n.Destinations[0]
	if len(d.Processes) != maxProcesses || !d.MoreProcesses || d.Count != 9 {
		t.Errorf("%+v", d)
	}
}

func TestCollectorBoundsTheLog(t *testing.T) {
	var log bytes.Buffer
	c := NewCollector(&log)
	c.logLeft = 300
	for range 10 {
		add(t, c, Event{Time: noon, Verdict: Deny, Layer: LayerDNS, Name: "evil.test", Count: 3})
	}
	n, err := c.Finish(&Totals{Denied: 30, Events: 10})
	if err != nil || !n.Complete || n.Destinations[0].Count != 30 {
		t.Fatalf("%+v, %v", n, err)
	}
	var sum, lines int64
	if err := ReadEvents(&log, func(e Event) error {
		sum += e.Count
		lines++
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if sum != 30 || lines >= 10 {
		t.Errorf("%d lines that count %d attempts", lines, sum)
	}
}

func TestCollectorBoundsText(t *testing.T) {
	long := strings.Repeat("\u202e", MaxEventLine) // each becomes six bytes in the log
	p := &Process{Exe: long, Cmdline: long}
	for range 100 {
		p.Parents = append(p.Parents, long)
	}
	var log bytes.Buffer
	c := NewCollector(&log)
	add(t, c, Event{
		Verdict: Verdict(long), Layer: Layer(long), Proto: long, Name: long, QType: long, Addr: long, Rule: long, Reason: long,
		Method: long, Path: long, Process: p,
	})
	n, _ := c.Finish(&Totals{Denied: 1, Events: 1})
	if !n.Complete || len(n.Destinations[0].Name) > maxText {
		t.Errorf("complete %v, name of %d bytes", n.Complete, len(n.Destinations[0].Name))
	}
	if log.Len() > MaxEventLine {
		t.Fatalf("a line of %d bytes", log.Len())
	}
	if err := ReadEvents(&log, func(Event) error { return nil }); err != nil {
		t.Error(err)
	}
}

func TestCollectorGoesOnWhenTheLogFails(t *testing.T) {
	full := errors.New("no space left on device")
	c := NewCollector(failingWriter{full})
	for range 3 {
		if err := c.Add(Event{Verdict: Deny, Count: 1}); !errors.Is(err, full) {
			t.Errorf("error %v", err)
		}
	}
	n, err := c.Finish(&Totals{Denied: 3, Events: 3})
	if !errors.Is(err, full) || n.Complete || n.Destinations[0].Count != 3 {
		t.Errorf("%+v, %v", n, err)
	}
}

// The heap of a collector is bounded whatever the agent asks for; 8 MB hold 1,000 destinations with five long processes each.
func TestCollectorHeap(t *testing.T) {
	c := NewCollector(io.Discard)
	for i := range 50_000 {
		text := fmt.Sprintf("%d-%s", i, strings.Repeat("x", 900))
		add(t, c, Event{Verdict: Deny, Name: text, Reason: text, Process: &Process{Exe: text, Cmdline: text}})
	}
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	if m.HeapAlloc > 16<<20 {
		t.Errorf("heap of %d bytes", m.HeapAlloc)
	}
	runtime.KeepAlive(c)
}

func collect(t *testing.T, totals *Totals, events ...Event) Network {
	t.Helper()
	c := NewCollector(&bytes.Buffer{})
	for _, e := range events {
		add(t, c, e)
	}
	n, err := c.Finish(totals)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func add(t *testing.T, c *Collector, e Event) {
	t.Helper()
	if err := c.Add(e); err != nil {
		t.Fatal(err)
	}
}

type failingWriter struct{ err error }

func (w failingWriter) Write([]byte) (int, error) { return 0, w.err }

func BenchmarkCollectorAdd(b *testing.B) {
	c := NewCollector(io.Discard)
	e := Event{Time: noon, Verdict: Deny, Layer: LayerDNS, Name: "evil.test", Count: 1, Process: &Process{PID: 1, Exe: "/bin/curl"}}
	for b.Loop() {
		if err := c.Add(e); err != nil {
			b.Fatal(err)
		}
	}
}
