package runner

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/yolo-run/yolo-run/entrypoint/wire"
	"github.com/yolo-run/yolo-run/reports"
	"github.com/yolo-run/yolo-run/runner/internal/agent"
	"github.com/yolo-run/yolo-run/runner/internal/ci"
	"github.com/yolo-run/yolo-run/runner/internal/sandbox"
	"github.com/yolo-run/yolo-run/runner/internal/workspace"
)

// Run runs the agent as cfg says and leaves its artifacts in the output folder. The report says how it ended. An error without a report is
// why the run did not take place: a [UsageError], or something that this machine lacks, with its hint (see [Hint]). An error beside a report
// is that this could not be written. Cancel ctx with a [SignalError] as the cause to end the run early; patch and reports are written all
// the same.
func Run(ctx context.Context, cfg Config, s Streams) (*reports.Report, error) {
	r, err := prepare(ctx, cfg, s)
	if err != nil {
		return nil, err
	}
	// What follows always ends in a report. Each step finds out from r.faults whether it makes sense.
	r.build(ctx)   // gateway, workspace and agent's container, each closed before the next one needs it
	r.work(ctx)    // the agent, until it ends or is ended
	r.settle(ctx)  // no process is left, the network's record is closed
	r.collect(ctx) // what changed, as a patch
	r.judge(ctx)   // the gate; apply
	r.clear(ctx)   // nothing of the run is left on the engine
	r.signal = cancelled(ctx)
	return r.report()
}

// run is one run. Its fields are set by the step that the comment names.
type run struct {
	view // prepare, build

	// prepare
	streams    Streams
	out        *output
	files      *runFiles
	started    time.Time
	prompt     []byte // nil when there is none
	notice     string // what the agent is told about the sandbox, empty for nothing
	secrets    []string
	served     []modelAPI
	models     []wire.ModelAPI // the same with their keys, for the gateway's standard input alone
	proxy      upstreamProxy
	proxyFault error // why that of the environment is not used
	state      *runState
	agent      agent.Agent
	// agentFiles are nil where the image has the agent itself.
	agentFiles   *agentFiles
	agentVersion string // of the agent's program
	limits       reports.Limits
	github       *ci.GitHub
	colour       bool // of what people read
	screen       *screen
	// record logs what the summary for people says as well: to run.log, and to the screen only where machines read it.
	record *slog.Logger
	rep    reports.Report

	// build
	stopBeats context.CancelFunc
	gateway   *gatewayLink
	box       *sandbox.Container
	ready     wire.Ready
	copyTook  time.Duration // what buildCopy needed

	// work
	ending ending
	live   *liveView

	// settle, collect
	changes *workspace.Changes
	signal  *SignalError

	mu     sync.Mutex
	faults []error         // of the infrastructure, in the order in which they came
	phases []reports.Phase // in the order in which they began
	events *reports.Collector
}

// fault records that the infrastructure failed. The run goes on to save what exists.
func (r *run) fault(err error) {
	if err == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, known := range r.faults { // one cause is often seen by two steps
		if known.Error() == err.Error() {
			return
		}
	}
	r.faults = append(r.faults, err)
}

// healthy reports whether nothing has failed so far.
func (r *run) healthy() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.faults) == 0
}

// phase measures a step: call the result at its end.
func (r *run) phase(name string) func() {
	begun := time.Now()
	r.log.Debug("phase", "name", name)
	r.mu.Lock()
	defer r.mu.Unlock()
	at := len(r.phases)
	r.phases = append(r.phases, reports.Phase{Name: name, StartMs: begun.Sub(r.started).Milliseconds()})
	return func() {
		took := time.Since(begun)
		r.mu.Lock()
		r.phases[at].DurationMs = took.Milliseconds()
		r.mu.Unlock()
		r.log.Debug("phase ended", "name", name, "took", took.Round(time.Millisecond))
	}
}

const runIDLength = 12

func newRunID() string {
	var b [runIDLength / 2]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return hex.EncodeToString(b[:])
}

// cancelled returns the signal that ended the run, nil when none did.
func cancelled(ctx context.Context) *SignalError {
	if ctx.Err() == nil {
		return nil
	}
	if s, ok := errors.AsType[*SignalError](context.Cause(ctx)); ok {
		return s
	}
	return &SignalError{Signal: 2}
}

// report writes the reports and returns the run's.
func (r *run) report() (*reports.Report, error) {
	rep := &r.rep
	rep.FinishedAt = time.Now().UTC()
	rep.DurationMs = rep.FinishedAt.Sub(rep.StartedAt).Milliseconds()
	for _, err := range r.faults {
		if _, ok := errors.AsType[*SignalError](err); ok {
			r.log.Debug("interrupted", "error", err) // by the signal, which the outcome tells
			continue
		}
		r.record.Error("the run's infrastructure failed", "error", err)
		text := err.Error()
		if hint := Hint(err); hint != "" {
			text += "; " + hint
		}
		rep.Errors = append(rep.Errors, text)
	}
	rep.Phases = r.phases
	r.decide()
	rep.Workspace.Git = r.ws.Git()
	if err := r.writeReports(); err != nil {
		return rep, fmt.Errorf("write the reports to %s: %w", r.out.path, err)
	}
	return rep, r.out.close()
}

// warnIf logs an error that does not change the outcome.
func (r *run) warnIf(what string, err error) {
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		r.log.Warn("something went wrong beside the run", "what", what, "error", err)
	}
}
