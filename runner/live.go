package runner

import (
	"bytes"
	"io"
	"os"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/yolo-run/yolo-run/reports"
	"github.com/yolo-run/yolo-run/reports/render"
	"github.com/yolo-run/yolo-run/runner/internal/agent"
)

// liveView takes what the agent prints: it keeps all of it, and shows the run while it goes, made harmless, with denials in place. An agent
// with a stream of JSON is shown step by step, any other one line by line.
type liveView struct {
	run        *run
	shown      bool // to people; machines read the log
	redraws    bool // a status line
	seen       map[string]bool
	quiet      io.WriteCloser // while the agent writes: CI takes no commands from it
	out        *backlog
	transcript *agent.Transcript // nil where the agent prints text
	steps      stepView
	stdoutSink flusher
	stderrSink flusher
	begun      time.Time
	ticking    sync.WaitGroup
	stopTicks  chan struct{}

	mark startMark // of standard error; under mu

	mu      sync.Mutex
	closed  bool
	used    reports.Usage
	running []reports.Step // calls that are not over
	count   int64          // steps so far
}

// flusher is a splitter of lines.
type flusher interface {
	io.Writer
	flush()
}

// maxShownDenials bounds the denials that are logged as they happen; the report has all.
const maxShownDenials = 20

func newLiveView(r *run) *liveView {
	shown := !r.cfg.Quiet && r.cfg.LogFormat != "json"
	v := &liveView{run: r, shown: shown, seen: map[string]bool{}}
	v.redraws = shown && r.screen.canRedraw(os.Getenv)
	v.steps = stepView{format: r.agent.Format, colour: r.colour, columns: r.screen.columns, withUsage: !v.redraws}
	return v
}

// open begins the part of the output that the agent writes: until close, CI takes no command from it.
func (v *liveView) open() error {
	out := io.Writer(v.run.screen)
	if !v.shown {
		out = io.Discard
	}
	quiet, err := v.run.github.Quiet(out, "The agent at work: "+v.run.cfg.Agent)
	if err != nil {
		return err
	}
	v.mu.Lock() // the gateway runs already
	defer v.mu.Unlock()
	v.quiet, v.begun = quiet, time.Now()
	v.out = newBacklog(func(missed int64) { v.write("  … " + plural(missed, "line") + " not shown; agent.log has them\n") })
	v.transcript = agent.NewTranscript(v.run.agent.Format, v.begun, v)
	v.stdoutSink, v.stderrSink = &lines{each: v.showLine}, &lines{each: v.showLine}
	if v.transcript != nil {
		v.stdoutSink = &records{most: maxRecord, each: v.record}
	}
	v.stopTicks = make(chan struct{})
	if v.redraws {
		v.ticking.Go(v.tick)
	}
	return nil
}

// close ends that part, agent.log and transcript.jsonl. What the agent still prints after it is left out.
func (v *liveView) close() {
	close(v.stopTicks)
	v.ticking.Wait()
	v.mu.Lock()
	if rest := v.mark.rest(); len(rest) > 0 {
		_, _ = v.run.files.agent.Write(rest)
		_, _ = v.stderrSink.Write(rest)
	}
	v.stdoutSink.flush()
	v.stderrSink.flush()
	v.closed = true
	v.mu.Unlock()
	v.run.warnIf("agent.log is not complete", v.run.files.agent.close())
	if v.transcript != nil {
		v.closeTranscript()
	}
	v.out.close()
	v.run.screen.setStatus("")
	v.run.warnIf("commands of CI", v.quiet.Close())
}

func (v *liveView) closeTranscript() {
	file := v.run.files.transcript
	v.mu.Lock()
	v.transcript.Close(time.Now())
	v.showHeld(v.transcript.Report().Final)
	v.mu.Unlock()
	if sink, ok := v.stdoutSink.(*records); ok && sink.skipped > 0 {
		file.skip(sink.skipped, sink.skippedBytes)
	}
	if file.lines > 0 {
		v.run.log.Warn("transcript.jsonl does not have all that the agent printed", "lines", file.lines, "size", Bytes(file.lost).Human())
	}
	v.run.warnIf("transcript.jsonl is not complete", file.close())
}

// report is what the agent said and did, as far as it was read.
func (v *liveView) report() reports.Transcript {
	if v.transcript == nil {
		return reports.Transcript{Format: v.run.agent.Format}
	}
	return v.transcript.Report()
}

// began reports whether an agent was started, as far as anybody can tell.
func (v *liveView) began() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.mark.seen
}

// stdout returns the writer for the agent's standard output, stderr that for its errors: all of it goes to agent.log. They are valid from
// open on.
func (v *liveView) stdout() io.Writer { return &sink{v, v.stdoutSink, &startMark{done: true}} }

func (v *liveView) stderr() io.Writer { return &sink{v, v.stderrSink, &v.mark} }

// sink is one stream of the agent's.
type sink struct {
	view  *liveView
	lines flusher
	mark  *startMark
}

func (s *sink) Write(p []byte) (int, error) {
	v := s.view
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.closed {
		return len(p), nil
	}
	own := s.mark.strip(p)
	_, _ = v.run.files.agent.Write(own) // never fails
	_, err := s.lines.Write(own)
	return len(p), err
}

// record takes a line of an agent's stream of JSON. One that is none, such as what a library prints, is for people.
func (v *liveView) record(line []byte) {
	if v.transcript.Line(line, time.Now()) {
		v.run.files.transcript.add(line)
		return
	}
	v.showLine(line[:min(len(line), maxLogLine)])
}

// colours are the escape sequences that only change how text looks (SGR, ECMA-48 8.3.117); everything else is shown as text.
var colours = regexp.MustCompile(`\x1b\[[0-9;:]*m`)

// showLine shows a line of the agent's. Only whole ones are shown, so that stdout, stderr and the log do not mix within one.
func (v *liveView) showLine(line []byte) {
	plain := colours.ReplaceAll(bytes.TrimSuffix(line, []byte("\r")), nil)
	v.show("  │ " + render.Log(string(plain)) + "\n")
}

func (v *liveView) show(line string) {
	if v.shown {
		v.out.put(func() { v.write(line) })
	}
}

func (v *liveView) write(line string) {
	_, _ = io.WriteString(v.quiet, line) // the terminal may be gone; the run is not
}

// usage is told what was used so far, by the gateway. It may be called at any time, by any goroutine.
func (v *liveView) usage(u reports.Usage) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.used = u
}

// tick draws the status line every second.
func (v *liveView) tick() {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select {
		case now := <-ticker.C:
			v.run.screen.setStatus(v.status(now))
		case <-v.stopTicks:
			return
		}
	}
}

// denied logs a denial the first time that it is seen.
func (v *liveView) denied(e reports.Event) {
	target := e.Name
	if target == "" {
		target = e.Addr
	}
	key := string(e.Layer) + " " + target
	if len(v.seen) >= maxShownDenials || v.seen[key] {
		return
	}
	v.seen[key] = true
	attrs := []any{"to", target, "layer", string(e.Layer)}
	if e.Port > 0 {
		attrs = append(attrs, "port", e.Port)
	}
	if e.Process != nil {
		attrs = append(attrs, "process", e.Process.Exe, "pid", e.Process.PID)
	}
	if !strings.HasPrefix(e.Reason, "no rule allows "+target) { // which is what denied means
		attrs = append(attrs, "reason", e.Reason)
	}
	v.later(func() { v.run.log.Warn("network access denied", attrs...) })
}

// later shows something in its turn while the agent runs: nor may the gateway, which waits here, be held.
func (v *liveView) later(job func()) {
	v.mu.Lock()
	queued := v.out != nil && !v.closed
	if queued {
		v.out.put(job)
	}
	v.mu.Unlock()
	if !queued {
		job()
	}
}
