package runner

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/yolo-run/yolo-run/reports"
	"github.com/yolo-run/yolo-run/runner/internal/sandbox"
	"github.com/yolo-run/yolo-run/runner/internal/workspace"
)

// collectDeadline bounds reading the changed files. A cancelled run has less: its patch is due at once.
const (
	collectDeadline          = 10 * time.Minute
	collectDeadlineCancelled = 60 * time.Second
)

// collect reads what changed and writes changes.patch. It runs only when the gateway, and so every process of the agent's, is gone.
func (r *run) collect(ctx context.Context) {
	if !r.ending.started || r.collector == nil {
		return
	}
	if err := r.gone(ctx); err != nil {
		r.fault(fmt.Errorf("the workspace is not read while a process could change it: %w", err))
		return
	}
	defer r.phase("collect")()
	limit := collectDeadline
	if ctx.Err() != nil {
		limit = collectDeadlineCancelled
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	defer cancel()
	defer context.AfterFunc(ctx, func() { r.collector.stdout.CloseWithError(context.Cause(ctx)) })()

	changes, err := r.ws.Collect(ctx, r.collector, r.collector.stdout, workspace.CollectOptions{})
	if err != nil {
		r.fault(fmt.Errorf("collect the changes: %w", err))
		return
	}
	r.changes = changes
	r.rep.Changes = changes.Report()
	r.fault(r.writePatch())
	r.warnIf("a later apply may find more conflicts: old versions are not kept", r.keepBase(ctx))
}

// gone returns an error unless the gateway has ended. An engine that broke off is asked again: it may have come back, and brought the gateway along.
func (r *run) gone(ctx context.Context) error {
	if !isClosed(r.gateway.ended) {
		return errors.New("the gateway still runs")
	}
	if !errors.Is(r.gateway.waitError(), sandbox.ErrLost) {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleDeadline)
	defer cancel()
	running, err := r.gateway.container.Running(ctx)
	if err == nil && running {
		err = errors.New("the gateway still runs")
	}
	return err
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func (r *run) writePatch() error {
	if r.changes.Empty() {
		return nil
	}
	err := r.out.write(filePatch, func(w io.Writer) error {
		patch, err := r.changes.Patch()
		if err != nil {
			return err
		}
		_, err = io.Copy(w, patch)
		return errors.Join(err, patch.Close())
	})
	if err != nil {
		return fmt.Errorf("write the patch: %w", err)
	}
	artifact, err := r.out.describe(filePatch)
	if err != nil {
		return err
	}
	r.rep.Changes.Patch = &reports.Patch{File: filePatch, SHA256: artifact.SHA256, Bytes: artifact.Bytes}
	return nil
}

// judge lets the gate look at the changes and, where that was asked for, applies them.
func (r *run) judge(ctx context.Context) {
	r.rep.Gate.Passed = r.healthy()
	if r.changes == nil {
		return
	}
	defer r.phase("gate")()
	r.rep.Gate = r.changes.Gate(gateOptions(r.cfg, r.ws.Sub(), r.secrets))
	logFindings(r.record, r.rep.Gate)
	if !r.cfg.Apply || r.changes.Empty() {
		return
	}
	if !r.rep.Gate.Passed || !r.healthy() || ctx.Err() != nil || r.ending.stopped != nil {
		r.log.Warn("the patch was not applied", "reason", "the run or the gate failed")
		return
	}
	warnOfHardLinks(r.log, r.changes, r.ws.Root())
	if err := r.changes.Apply(ctx, r.ws.Root()); err != nil {
		r.fault(fmt.Errorf("apply the patch: %w", err))
		return
	}
	r.log.Info("the patch was applied", "workspace", r.ws.Root())
}

// clearDeadline bounds the removal of what a run without a copy has.
const clearDeadline = 60 * time.Second

// clear removes everything of the run from the engine, and its state file when that worked.
func (r *run) clear(ctx context.Context) {
	defer r.phase("clean-up")()
	ctx = context.WithoutCancel(ctx)
	removing, cancel := context.WithTimeout(ctx, clearDeadline+3*r.copyTook) // a large copy takes a while to remove too
	defer cancel()
	r.stopBeats()
	if err := r.engine.RemoveRun(removing, r.id); err != nil {
		r.log.Warn("not everything of this run could be removed; the next run or yolo-run clean will try again", "error", err)
		r.lostEngine(r.engine.Answers(ctx)) // with a deadline of its own: that it is slow does not mean that it is gone
	} else {
		r.fault(r.state.close())
	}
	r.beats.Wait()
	if r.changes != nil {
		r.fault(r.changes.Close())
	}
	r.warnIf("connection to the engine", r.engine.Close())
}

// lostEngine puts the cause before everything that followed from it.
func (r *run) lostEngine(err error) {
	if err == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.faults = slices.Insert(r.faults, 0, withHint(err, "the agent ends within "+heartbeatTimeout.String()+" of it; start the engine: the next run or yolo-run clean removes what is left"))
}
