package reports

import (
	"cmp"
	"fmt"
	"io"
	"net/netip"
	"slices"
)

// Bounds of what a [Collector] keeps. The agent chooses how many names it asks for and how long they are, so nothing may grow with it.
const (
	maxProcesses  = 5
	maxParents    = 16
	maxText       = 1024      // bytes of one string; a line with all of them at it, escaped, stays under MaxEventLine
	maxPath       = 8192      // bytes of an HTTP path
	maxLogBytes   = 256 << 20 // of network.jsonl
	foldedReason  = "further destinations, not listed one by one"
	unlistedEvent = "further events: the log's size limit was reached"
)

// maxDestinations bounds the list for one verdict, its folded entry included; together 1,000. Each verdict has its own
// share: a flood of denied names cannot push out of the list what the agent did reach.
func maxDestinations(v Verdict) int {
	switch v {
	case Deny:
		return 500
	case WouldDeny:
		return 300
	default:
		return 200
	}
}

// Totals is what the gateway's closing summary says: attempts by verdict, and how many event lines it wrote.
type Totals struct {
	Allowed   int64
	Denied    int64
	WouldDeny int64
	Events    int64
}

// Collector turns the stream of events into network.jsonl and [Network]. It holds a bounded amount of memory whatever the agent
// does, and its counts add up all the same. It is used by one goroutine at a time.
type Collector struct {
	log      io.Writer
	logLeft  int64
	logErr   error
	seen     Totals
	unlisted map[Verdict]int64
	dests    map[destinationKey]*Destination
	listed   map[Verdict]int
}

// destinationKey says which events are one destination. The address is a part of it only where there is no name: names with many
// addresses are the rule, not the exception.
type destinationKey struct {
	name, addr string
	port       int
	layer      Layer
	verdict    Verdict
	reason     string
	folded     bool
}

// NewCollector returns a collector that writes each event to log as one line in one Write.
func NewCollector(log io.Writer) *Collector {
	return &Collector{
		log:      log,
		logLeft:  maxLogBytes,
		unlisted: map[Verdict]int64{},
		dests:    map[destinationKey]*Destination{},
		listed:   map[Verdict]int{},
	}
}

// Add takes one event. A Count below 1 is taken as 1, an unknown verdict as a denial, and long strings are cut. The error is the log's:
// after it nothing more is written, events are still counted, and the network's record will not call itself complete.
func (c *Collector) Add(e Event) error {
	e = e.bounded()
	c.seen.Events++
	*c.seen.of(e.Verdict) += e.Count
	c.destination(e).add(e)
	return c.write(e)
}

// Finish closes the record. t is the gateway's summary, nil when it never came; then the totals are those of the events and the
// record is not complete. The error is the log's, as in [Collector.Add].
func (c *Collector) Finish(t *Totals) (Network, error) {
	for _, v := range []Verdict{Allow, Deny, WouldDeny} {
		if n := c.unlisted[v]; n > 0 {
			c.logLeft = MaxEventLine // the closing lines are beyond the limit
			_ = c.write(Event{Verdict: v, Layer: LayerOther, Reason: unlistedEvent, Count: n})
		}
	}
	totals := c.seen
	if t != nil {
		totals = *t
	}
	return Network{
		Allowed:      totals.Allowed,
		Denied:       totals.Denied,
		WouldDeny:    totals.WouldDeny,
		Complete:     t != nil && *t == c.seen && c.logErr == nil,
		Destinations: c.destinations(),
	}, c.logErr
}

// bounded returns e within the collector's bounds.
func (e Event) bounded() Event {
	e.Count = max(e.Count, 1)
	if rank(e.Verdict) < 0 {
		e.Verdict = Deny // it was no permission
	}
	for _, s := range []*string{(*string)(&e.Layer), &e.Proto, &e.Name, &e.QType, &e.Addr, &e.Rule, &e.Reason, &e.Method} {
		*s = clip(*s, maxText)
	}
	e.Path = clip(e.Path, maxPath)
	if e.Process != nil {
		p := *e.Process
		p.Exe, p.Cmdline = clip(p.Exe, maxText), clip(p.Cmdline, maxText)
		p.Parents = slices.Clone(p.Parents[:min(len(p.Parents), maxParents)])
		for i := range p.Parents {
			p.Parents[i] = clip(p.Parents[i], maxText)
		}
		e.Process = &p
	}
	return e
}

func (t *Totals) of(v Verdict) *int64 {
	switch v {
	case Allow:
		return &t.Allowed
	case WouldDeny:
		return &t.WouldDeny
	default:
		return &t.Denied
	}
}

func (c *Collector) write(e Event) error {
	if c.logErr != nil {
		return c.logErr
	}
	line, err := e.Line()
	if err != nil {
		c.logErr = err
		return err
	}
	if int64(len(line)) > c.logLeft {
		c.logLeft = 0 // a shorter event must not slip in after a longer one was left out
		c.unlisted[e.Verdict] += e.Count
		return nil
	}
	c.logLeft -= int64(len(line))
	if _, err := c.log.Write(line); err != nil {
		c.logErr = fmt.Errorf("network log: %w", err)
	}
	return c.logErr
}

// destination finds the entry that e belongs to: its own, or the folded one of its verdict when the list is full.
func (c *Collector) destination(e Event) *Destination {
	k := destinationKey{
		name: e.Name, addr: e.Addr, port: e.Port,
		layer: e.Layer, verdict: e.Verdict, reason: e.Reason,
	}
	addr := k.addr
	if k.name != "" {
		k.addr = ""
	}
	if d := c.dests[k]; d != nil {
		return d
	}
	if c.listed[e.Verdict] >= maxDestinations(e.Verdict)-1 {
		k, addr = destinationKey{layer: LayerOther, verdict: e.Verdict, reason: foldedReason, folded: true}, ""
		if d := c.dests[k]; d != nil {
			return d
		}
	}
	d := &Destination{
		Name: k.name, Addr: addr, Port: k.port, Layer: k.layer, Verdict: k.verdict, Reason: k.reason,
		Folded: k.folded, Processes: []Process{},
	}
	c.dests[k] = d
	c.listed[e.Verdict]++
	return d
}

func (d *Destination) add(e Event) {
	d.Count += e.Count
	d.BytesIn += e.BytesIn
	d.BytesOut += e.BytesOut
	if d.Name != "" && d.Addr != e.Addr {
		d.Addr = "" // several addresses: network.jsonl has them
	}
	if e.Process != nil {
		d.addProcess(*e.Process)
	}
}

// addProcess keeps distinct programs, not distinct processes: a loop around curl is one line of the report.
func (d *Destination) addProcess(p Process) {
	if slices.ContainsFunc(d.Processes, func(q Process) bool { return q.Exe == p.Exe && q.Cmdline == p.Cmdline }) {
		return
	}
	if len(d.Processes) == maxProcesses {
		d.MoreProcesses = true
		return
	}
	d.Processes = append(d.Processes, p)
}

// destinations returns the entries in the order of a report: denied first, the most frequent first, the folded one last.
func (c *Collector) destinations() []Destination {
	out := make([]Destination, 0, len(c.dests))
	for _, d := range c.dests {
		out = append(out, *d)
	}
	slices.SortFunc(out, func(a, b Destination) int {
		return cmp.Or(
			cmp.Compare(rank(a.Verdict), rank(b.Verdict)),
			compareBool(a.Folded, b.Folded),
			cmp.Compare(b.Count, a.Count),
			cmp.Compare(a.Name, b.Name),
			compareAddr(a.Addr, b.Addr),
			cmp.Compare(a.Port, b.Port),
			cmp.Compare(a.Layer, b.Layer),
			cmp.Compare(a.Reason, b.Reason),
		)
	})
	return out
}

func rank(v Verdict) int { return slices.Index([]Verdict{Deny, WouldDeny, Allow}, v) }

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	default:
		return 1
	}
}

// compareAddr sorts addresses as addresses; text that is none sorts before them.
func compareAddr(a, b string) int {
	x, _ := netip.ParseAddr(a)
	y, _ := netip.ParseAddr(b)
	return cmp.Or(x.Compare(y), cmp.Compare(a, b))
}
