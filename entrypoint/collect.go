package entrypoint

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/yolo-run/yolo-run/entrypoint/internal/tree"
	"github.com/yolo-run/yolo-run/entrypoint/wire"
)

// Collect is the role of the collector container; it returns the exit code.
func Collect(in io.Reader, out io.Writer) int {
	return Collector{Lower: wire.CollectLower, Upper: wire.CollectUpper, Merged: wire.CollectMerged}.Serve(in, out)
}

// Collector tells the runner what the agent changed. It has no network and sees both trees read-only; the agent is dead when it looks.
// The fields are where the trees are mounted; an Upper that does not exist means that there is none.
type Collector struct {
	Lower, Upper, Merged string
}

// The collector does not wait longer than this for its first line, which sets the limits.
const probeTimeout = time.Minute

// Serve answers requests until the runner says finish, goes away (end of input) or falls silent, or the deadline passes. It returns the exit code.
// A goroutine that is stuck in a write is left behind: the process is about to exit.
func (c Collector) Serve(in io.Reader, out io.Writer) int {
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	buffered := bufio.NewWriterSize(out, 256<<10)
	s := &collectSession{
		collector: c, out: buffered, lines: wire.NewWriter(buffered),
		alive: make(chan struct{}, 1), requests: make(chan wire.CollectRequest), limits: make(chan wire.CollectRequest, 1),
	}
	go func() { cancel(s.read(ctx, in)) }()
	go s.watch(ctx, cancel)
	done := make(chan error, 1)
	go func() { done <- s.serve(ctx) }()

	var err error
	select {
	case err = <-done:
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	if err == nil || errors.Is(err, io.EOF) {
		return 0
	}
	return 1
}

// collectSession is one conversation with the runner.
type collectSession struct {
	collector Collector
	out       *bufio.Writer
	lines     *wire.Writer
	alive     chan struct{}            // a line came
	requests  chan wire.CollectRequest // all but heartbeats
	limits    chan wire.CollectRequest // the probe, for watch
	changes   []collected
}

// collected is what is kept of a change until its contents are asked for.
type collected struct {
	path     string
	old, now bool // there is a regular file on this side
}

// read takes requests from the runner until its input ends, which is its end too.
func (s *collectSession) read(ctx context.Context, in io.Reader) error {
	requests := wire.NewCollectRequests(in)
	for {
		req, err := requests.Next()
		if err != nil {
			return err
		}
		select {
		case s.alive <- struct{}{}:
		default:
		}
		if req.Type == wire.TypeHeartbeat {
			continue
		}
		select {
		case s.requests <- req:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// watch ends the session on silence and at the deadline, whatever the rest is doing.
func (s *collectSession) watch(ctx context.Context, cancel context.CancelCauseFunc) {
	silence := time.NewTimer(probeTimeout)
	defer silence.Stop()
	var deadline <-chan time.Time
	timeout := probeTimeout
	for {
		select {
		case <-ctx.Done():
			return
		case probe := <-s.limits:
			timeout = time.Duration(probe.HeartbeatTimeoutMs) * time.Millisecond
			timer := time.NewTimer(time.Duration(probe.DeadlineMs) * time.Millisecond)
			defer timer.Stop() // there is one probe
			deadline = timer.C
			silence.Reset(timeout)
		case <-s.alive:
			silence.Reset(timeout)
		case <-silence.C:
			cancel(fmt.Errorf("no line from the runner for %v", timeout))
			return
		case <-deadline:
			cancel(errors.New("deadline passed"))
			return
		}
	}
}

// serve answers the requests in their order.
func (s *collectSession) serve(ctx context.Context) error {
	probed := false
	for {
		var req wire.CollectRequest
		select {
		case req = <-s.requests:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if probed == (req.Type == wire.TypeProbe) && req.Type != wire.TypeFinish {
			return s.fatal("protocol", fmt.Errorf("%s out of turn", req.Type))
		}
		var err error
		switch req.Type {
		case wire.TypeProbe:
			probed, err = true, s.probe(req)
		case wire.TypeCollect:
			err = s.collect(ctx)
		case wire.TypeFetch:
			err = s.fetch(ctx, req.Want)
		case wire.TypeFinish:
			return nil
		}
		if err != nil {
			return s.fatal(req.Type, err)
		}
		if err := s.out.Flush(); err != nil {
			return fmt.Errorf("answer %s: %w", req.Type, err)
		}
	}
}

// fatal tells the runner why there will be no answer. The error that it returns is the one it was given.
func (s *collectSession) fatal(stage string, err error) error {
	return errors.Join(err,
		s.lines.Send(wire.CollectMessage{Type: wire.TypeFatal, Fatal: &wire.Fatal{Stage: stage, Reason: err.Error()}}), s.out.Flush())
}

// probe says what is mounted, so that the runner can tell whether it is what it means.
func (s *collectSession) probe(req wire.CollectRequest) error {
	if req.HeartbeatTimeoutMs <= 0 || req.DeadlineMs <= 0 {
		return errors.New("no heartbeat timeout or no deadline")
	}
	s.limits <- req
	root, err := tree.Stat(s.collector.Lower)
	if err != nil || root == nil {
		return fmt.Errorf("stat %s: %w", s.collector.Lower, errors.Join(err, errNotMounted(root)))
	}
	p := wire.CollectProbe{Wire: wire.Version, Root: *root}
	if len(req.Name) > 0 {
		// Not found is an answer: the runner compares.
		if p.Entry, err = tree.Stat(s.collector.Lower + "/" + string(req.Name)); err != nil {
			return fmt.Errorf("stat a name in %s: %w", s.collector.Lower, err)
		}
	}
	if req.Layers != nil {
		if err := tree.CheckLayers(s.collector.Merged, *req.Layers); err != nil {
			return err
		}
		p.Layers = true
		if len(req.Name) > 0 {
			if p.Merged, err = tree.Stat(s.collector.Merged + "/" + string(req.Name)); err != nil {
				return fmt.Errorf("stat a name in %s: %w", s.collector.Merged, err)
			}
		}
	}
	return s.lines.Send(wire.CollectMessage{Type: wire.TypeProbe, Probe: &p})
}

func errNotMounted(s *wire.CollectStat) error {
	if s == nil {
		return errors.New("nothing is mounted there")
	}
	return nil
}

// collect names every change.
func (s *collectSession) collect(ctx context.Context) error {
	roots := tree.Roots{Lower: s.collector.Lower, Upper: s.collector.Upper, Merged: s.collector.Merged}
	if upper, err := tree.Stat(roots.Upper); err != nil {
		return fmt.Errorf("stat %s: %w", roots.Upper, err)
	} else if upper == nil {
		roots.Upper = ""
	}
	s.changes = nil
	stats, err := tree.Compare(ctx, roots, func(c wire.CollectChange) error {
		s.changes = append(s.changes, collected{path: string(c.Path), old: isFile(c.Old), now: isFile(c.New)})
		return s.lines.Send(wire.CollectMessage{Type: wire.TypeChange, Change: &c})
	})
	if err != nil {
		return fmt.Errorf("compare: %w", err)
	}
	return s.lines.Send(wire.CollectMessage{Type: wire.TypeEnd, End: &wire.CollectEnd{Changes: stats.Changes, Folders: stats.Folders}})
}

func isFile(e *wire.CollectEntry) bool { return e != nil && e.Kind == wire.KindFile }
