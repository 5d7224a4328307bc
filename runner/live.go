package runner

import (
	"bytes"
	"io"
	"regexp"
	"strings"
	"sync"

	"github.com/yolo-run/yolo-run/reports"
	"github.com/yolo-run/yolo-run/reports/render"
)

// liveView shows a run while it goes: the agent's output, made harmless, and denials in place.
type liveView struct {
	run   *run
	mu    sync.Mutex
	out   io.Writer
	seen  map[string]bool // denials that were shown
	quiet io.WriteCloser  // while the agent writes: CI takes no commands from it
	lines []*lines        // of the agent's streams
}

// maxShownDenials bounds the denials that are logged as they happen; the report has all.
const maxShownDenials = 20

func newLiveView(r *run) *liveView {
	v := &liveView{run: r, out: r.streams.Err, seen: map[string]bool{}}
	if r.cfg.Quiet || r.cfg.LogFormat == "json" {
		v.out = io.Discard
	}
	return v
}

// open begins the part of the output that the agent writes: until close, CI takes no command from it.
func (v *liveView) open() error {
	quiet, err := v.run.github.Quiet(v.out, "The agent at work: "+v.run.cfg.Agent)
	v.quiet = quiet
	return err
}

// close ends that part and agent.log.
func (v *liveView) close() {
	v.run.warnIf("agent.log is not complete", v.run.files.agent.close())
	for _, l := range v.lines {
		l.flush()
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.run.warnIf("commands of CI", v.quiet.Close())
	v.quiet = nil
}

// stream returns the writer for one stream of the agent's: all of it goes to agent.log, and line by line to the user.
func (v *liveView) stream() io.Writer {
	l := &lines{each: v.showLine}
	v.lines = append(v.lines, l)
	return io.MultiWriter(v.run.files.agent, l)
}

// colours are the escape sequences that only change how text looks (SGR, ECMA-48 8.3.117); everything else is shown as text.
var colours = regexp.MustCompile(`\x1b\[[0-9;:]*m`)

// showLine shows a line of the agent's. Only whole ones are shown, so that stdout, stderr and the log do not mix within one.
func (v *liveView) showLine(line []byte) {
	plain := colours.ReplaceAll(bytes.TrimSuffix(line, []byte("\r")), nil)
	v.show("  │ " + render.Log(string(plain)) + "\n")
}

func (v *liveView) show(line string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.quiet != nil {
		_, _ = io.WriteString(v.quiet, line) // the terminal may be gone; the run is not
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
	v.run.log.Warn("network access denied", attrs...)
}

// usage is told what was used so far, by the gateway. It may be called at any time, by any goroutine.
func (v *liveView) usage(reports.Usage) {}
