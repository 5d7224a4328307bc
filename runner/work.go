package runner

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/yolo-run/yolo-run/entrypoint/wire"
)

// How long an agent that was told to end may take before it is killed, and how long that may take. Patch and reports of a cancelled run are due after 5 s.
const (
	termGrace = 2 * time.Second
	endGrace  = 500 * time.Millisecond
)

// Why an agent did not end by itself.
var (
	errTimeout = errors.New("the agent did not end in time")
	errDisk    = errors.New("the engine's disk is nearly full")
	errBudget  = errors.New("the agent went on without a budget")
)

// ending is how the agent ended.
type ending struct {
	started bool
	stopped error // errTimeout, errDisk, errBudget, a *SignalError or a fault; nil when it ended by itself
	spent   *wire.BudgetSpent
	exit    *wire.AgentExit
	code    int
	oom     bool
}

// work starts the agent and waits until it ended or was ended.
func (r *run) work(ctx context.Context) {
	if !r.healthy() || ctx.Err() != nil {
		return
	}
	defer r.phase("agent")()
	r.log.Info("agent starts", "agent", r.agent.Name, "image", r.cfg.Image,
		"uid", r.identity.uid, "gid", r.identity.gid, "workspace", r.rep.Workspace.Mode)
	if err := r.live.open(); err != nil {
		r.fault(err)
		return
	}
	defer r.live.close()
	// From here on the agent may have run, whatever the engine answers. A signal does not interrupt the start: the stop that follows needs to know
	// what there is to stop.
	r.ending.started = true
	starting, cancel := context.WithTimeout(context.WithoutCancel(ctx), buildDeadline)
	_, err := r.box.Start(starting, r.live.stdout(), r.live.stderr())
	cancel()
	if err != nil {
		r.fault(agentStartError(err))
		return
	}
	ended := make(chan boxEnd, 1)
	go func() {
		exit, err := r.box.Wait(context.WithoutCancel(ctx))
		ended <- boxEnd{exit.Code, err}
	}()
	r.ending.stopped = r.attend(ctx, ended)
	switch stopped := r.ending.stopped; {
	case stopped == nil:
	case errors.Is(stopped, errTimeout), errors.Is(stopped, errDisk), errors.Is(stopped, errBudget), errors.As(stopped, new(*SignalError)):
		r.log.Warn("stopping the agent", "reason", stopped)
		r.fault(r.stop(context.WithoutCancel(ctx), ended))
	default:
		r.fault(stopped)
		r.fault(r.stop(context.WithoutCancel(ctx), ended))
	}
}

func agentStartError(err error) error {
	return withHint(err, "does the image run on this machine's architecture? Name another by --image, or say --platform")
}

// boxEnd is the end of the agent's container.
type boxEnd struct {
	code int
	err  error
}

// attend waits for the agent's end (nil), or for a reason to end it.
func (r *run) attend(ctx context.Context, ended chan boxEnd) error {
	timeout := time.NewTimer(r.cfg.Timeout)
	defer timeout.Stop()
	var grace <-chan time.Time
	for {
		select {
		case end := <-ended:
			r.ending.code = end.code
			ended <- boxEnd{code: end.code} // for stop
			return end.err
		case <-timeout.C:
			return fmt.Errorf("%w: --timeout is %s", errTimeout, r.cfg.Timeout)
		case spent := <-r.gateway.budget:
			r.log.Warn("the budget is used up: the model answers no more", "reason", spent.Reason)
			grace = time.After(budgetGrace)
		case <-grace:
			return errBudget
		case disk := <-r.gateway.disk:
			return diskError(disk, r.cfg.MinFreeDisk)
		case <-r.gateway.ended:
			return r.gateway.failure()
		case <-ctx.Done():
			return cancelled(ctx)
		}
	}
}

// budgetGrace is how long an agent whose budget is used up may take to end by itself: it was told so in place of an answer.
const budgetGrace = 10 * time.Second

func diskError(disk wire.Disk, least Bytes) error {
	if disk.NoFiles {
		return fmt.Errorf("%w: hardly an inode is left", errDisk)
	}
	return fmt.Errorf("%w: %s free, --min-free-disk is %s", errDisk, Bytes(disk.FreeBytes).Human(), least)
}

// stop ends the agent: TERM, then the end of all its processes for one that does not listen, and KILL where even the entrypoint does not. What is left
// after it dies with the gateway.
func (r *run) stop(ctx context.Context, ended <-chan boxEnd) error {
	ctx, cancel := context.WithTimeout(ctx, termGrace+3*time.Second)
	defer cancel()
	end, kill := time.NewTimer(termGrace), time.NewTimer(termGrace+endGrace)
	defer end.Stop()
	defer kill.Stop()
	errs := []error{r.box.Kill(ctx, "TERM")}
	for {
		select {
		case box := <-ended:
			r.ending.code = box.code
			return errors.Join(append(errs, box.err)...)
		case <-end.C:
			errs = append(errs, r.box.Kill(ctx, wire.EndSignal))
		case <-kill.C:
			errs = append(errs, r.box.Kill(ctx, "KILL"))
		case <-ctx.Done():
			return errors.Join(append(errs, errors.New("the agent's container does not end"))...)
		}
	}
}

// readExit reads what `entrypoint agent` wrote about the end. It counts only where it agrees with the engine: the agent could have forged it.
func (r *run) readExit(ctx context.Context) {
	if !r.ending.started {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	oom, err := r.box.OOMKilled(ctx)
	r.warnIf("the engine does not say how the agent ended", err)
	r.ending.oom = oom
	var data bytes.Buffer
	if _, err := r.box.File(ctx, wire.ExitPath, 64<<10, &data); err != nil {
		r.log.Debug("no exit file", "error", err)
		return
	}
	var exit wire.AgentExit
	if err := json.Unmarshal(data.Bytes(), &exit); err != nil {
		r.log.Debug("exit file is broken", "error", err)
		return
	}
	code := exit.ExitCode
	if exit.Signal > 0 {
		code = 128 + exit.Signal
	}
	if code != r.ending.code || min(exit.CPUMs, exit.MaxRSSBytes, exit.PIDsMax, exit.OOMKills) < 0 {
		r.log.Debug("exit file does not agree with the engine", "file", code, "engine", r.ending.code)
		return
	}
	r.ending.exit = &exit
	r.ending.oom = oom || exit.OOMKills > 0
}

// checkStarted finds an agent that was not started. What its container says of that counts only while nobody else could have said it.
func (r *run) checkStarted() {
	e := &r.ending
	if !e.started || e.stopped != nil || r.live.began() || e.code < wire.ExitRefused || e.code > wire.ExitNotFound {
		return
	}
	switch {
	case e.exit == nil:
		r.fault(fmt.Errorf("agent was not started: its container ended with exit code %d", e.code))
	case e.exit.Refused != "" && !e.exit.NotFound:
		r.fault(fmt.Errorf("agent was not started: %s", e.exit.Refused))
	}
}

// describeAgent fills in the agent's part of the report.
func (r *run) describeAgent() {
	r.rep.Transcript = r.live.report()
	a := &r.rep.Agent
	e := r.ending
	a.OOMKilled = e.oom
	if !e.started || e.exit == nil && e.code == 0 && e.stopped != nil {
		return
	}
	a.ExitCode = &e.code
	if e.exit == nil {
		return
	}
	a.CPUMs, a.MaxRSSBytes = e.exit.CPUMs, e.exit.MaxRSSBytes
	if e.exit.Signal > 0 {
		a.Signal = unix.SignalName(syscall.Signal(e.exit.Signal))
	}
}

// limitsReached says in plain words which limits the agent met, and why it was not started. That of time is an outcome of its own.
func (r *run) limitsReached() []string {
	var list []string
	if r.ending.oom {
		list = append(list, fmt.Sprintf("the agent reached its memory limit of %s and the kernel killed a process (--memory)", Bytes(r.limits.MemoryBytes)))
	}
	if exit := r.ending.exit; exit != nil && exit.PIDsMax > 0 {
		list = append(list, fmt.Sprintf("the agent reached its limit of %d processes %s (--pids)", r.limits.PIDs, plural(exit.PIDsMax, "time")))
	}
	if exit := r.ending.exit; exit != nil && exit.Refused != "" && r.live.began() && r.ending.code <= wire.ExitNotFound {
		list = append(list, fmt.Sprintf("the agent's container says that the agent was not started: %q", cut(exit.Refused, 300)))
	} else if exit != nil && exit.NotFound {
		list = append(list, exit.Refused+" in the image "+r.cfg.Image+" (--image)")
	}
	if errors.Is(r.ending.stopped, errDisk) {
		list = append(list, r.ending.stopped.Error())
	}
	if r.ending.spent != nil {
		list = append(list, r.budgetSpent())
	}
	return list
}

// budgetSpent says which budget is used up, and on what.
func (r *run) budgetSpent() string {
	u := r.rep.Usage
	text := fmt.Sprintf("the budget is used up (%s): %s; used: %s, %s in, %s out", r.ending.spent.Option, r.ending.spent.Reason,
		plural(u.Requests, "request"), plural(u.InputTokens, "token"), plural(u.OutputTokens, "token"))
	if u.CostUSD > 0 {
		text += fmt.Sprintf(", $%.4f", u.CostUSD)
	}
	if errors.Is(r.ending.stopped, errBudget) {
		text += "; " + errBudget.Error() + " and was stopped"
	}
	return text
}

// settle closes the network's record, and reads what the agent's container says of its end beside it. After it the gateway is gone, and with it
// every process that shared its namespaces.
func (r *run) settle(ctx context.Context) {
	defer r.phase("network")()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleDeadline)
	defer cancel()
	var reading sync.WaitGroup
	reading.Go(func() { r.readExit(ctx) })
	summary, err := r.closeNetwork(ctx)
	r.fault(err)
	reading.Wait()
	r.checkStarted()
	if r.gateway != nil {
		r.rep.Usage, r.ending.spent = r.gateway.asked()
	}
	r.rep.Network = r.networkReport(summary)
	r.fault(r.files.network.Close())
	if summary != nil && !summary.RulesIntact {
		r.fault(errors.New("the firewall's rules at the end were not the ones that were applied"))
	}
}

// settleDeadline bounds the gateway's last words.
const settleDeadline = 15 * time.Second

// closeNetwork ends the gateway: with its summary when an agent ran, else at once.
func (r *run) closeNetwork(ctx context.Context) (*wire.Summary, error) {
	if r.gateway == nil {
		return nil, nil
	}
	if !r.ending.started {
		return nil, r.gateway.kill(ctx)
	}
	summary, err := r.gateway.finish(ctx)
	if err != nil {
		err = errors.Join(err, r.gateway.kill(ctx))
	}
	return summary, err
}
