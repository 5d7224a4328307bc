package runner

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/yolo-run/yolo-run/entrypoint/wire"
	"github.com/yolo-run/yolo-run/reports"
	"github.com/yolo-run/yolo-run/runner/internal/sandbox"
)

// How the containers know that their runner lives: a line every heartbeat, and none for heartbeatTimeout ends them. The deadline covers
// the case that neither ever works again.
const (
	heartbeat        = 3 * time.Second
	heartbeatTimeout = 15 * time.Second
	deadlineSlack    = 10 * time.Minute // beyond the run's timeout: start, collection, clean-up
)

// gatewayLink is the runner's end of a running gateway: requests on its standard input, messages on its standard output.
type gatewayLink struct {
	container *sandbox.Container
	out       *wire.Writer // to its standard input, open as long as the runner lives

	ready   chan wire.Ready
	disk    chan wire.Disk
	budget  chan wire.BudgetSpent
	ended   chan struct{} // closed after the last message was handled and the container is gone
	onEvent func(reports.Event)
	onUsage func(reports.Usage)

	mu      sync.Mutex
	fatal   *wire.Fatal
	summary *wire.Summary
	usage   reports.Usage // the newest
	spent   *wire.BudgetSpent
	err     error // why reading or waiting failed
	exit    sandbox.Exit
}

// startGateway starts the created container, hands it its configuration and reads its messages until it ends. onEvent and onUsage are called
// from one goroutine.
func startGateway(
	ctx context.Context, c *sandbox.Container, cfg wire.GatewayConfig, onEvent func(reports.Event), onUsage func(reports.Usage), log *slog.Logger,
) (*gatewayLink, error) {
	messages, stdout := io.Pipe()
	g := &gatewayLink{
		container: c, onEvent: onEvent, onUsage: onUsage,
		ready: make(chan wire.Ready, 1), disk: make(chan wire.Disk, 1), budget: make(chan wire.BudgetSpent, 1), ended: make(chan struct{}),
	}
	stdin, err := c.Start(ctx, stdout, logLines(log, "gateway"))
	if err != nil {
		return nil, errors.Join(err, stdout.Close())
	}
	g.out = wire.NewWriter(stdin)
	read := make(chan error, 1)
	go func() { read <- g.read(messages) }()
	go g.wait(context.WithoutCancel(ctx), stdout, read)
	if err := g.out.Send(wire.GatewayRequest{Type: wire.TypeConfig, Config: &cfg}); err != nil {
		return g, fmt.Errorf("configure the gateway: %w", err)
	}
	return g, nil
}

// read handles messages until the stream ends. A broken stream is an error, and what follows is not believed.
func (g *gatewayLink) read(r io.Reader) error {
	lines := wire.NewReader(r, wire.MaxMessageLine)
	for {
		var m wire.GatewayMessage
		if err := lines.Next(&m); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			_, _ = io.Copy(io.Discard, r) // let the container end
			return fmt.Errorf("message of the gateway: %w", err)
		}
		g.handle(m)
	}
}

func (g *gatewayLink) handle(m wire.GatewayMessage) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case m.Ready != nil:
		select {
		case g.ready <- *m.Ready:
		default: // only the first one counts
		}
	case m.Event != nil:
		g.onEvent(*m.Event)
	case m.Disk != nil:
		select {
		case g.disk <- *m.Disk:
		default:
		}
	case m.Usage != nil:
		g.usage = *m.Usage
		g.onUsage(*m.Usage)
	case m.Budget != nil:
		g.spent = m.Budget
		select {
		case g.budget <- *m.Budget:
		default:
		}
	case m.Fatal != nil:
		g.fatal = m.Fatal
	case m.Summary != nil:
		g.summary = m.Summary
		g.usage = m.Summary.Usage
	}
}

// asked returns what models were asked for, as far as the gateway has said, and what was refused because the budget was used up.
func (g *gatewayLink) asked() (reports.Usage, *wire.BudgetSpent) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.usage, g.spent
}

func (g *gatewayLink) wait(ctx context.Context, stdout *io.PipeWriter, read <-chan error) {
	exit, err := g.container.Wait(ctx)
	err = errors.Join(err, stdout.Close(), <-read)
	g.mu.Lock()
	g.exit, g.err = exit, err
	g.mu.Unlock()
	close(g.ended)
}

// waitReady waits until the gateway has proved itself closed.
func (g *gatewayLink) waitReady(ctx context.Context) (wire.Ready, error) {
	select {
	case ready := <-g.ready:
		if ready.Wire != wire.Version {
			return ready, fmt.Errorf("gateway speaks version %d, this yolo-run %d", ready.Wire, wire.Version)
		}
		return ready, nil
	case <-g.ended:
		return wire.Ready{}, g.failure()
	case <-ctx.Done():
		return wire.Ready{}, fmt.Errorf("gateway is not ready: %w", context.Cause(ctx))
	}
}

// beat sends heartbeats until ctx ends or the gateway does.
func (g *gatewayLink) beat(ctx context.Context) {
	beat(ctx, g.ended, func() error { return g.out.Send(wire.GatewayRequest{Type: wire.TypeHeartbeat}) })
}

// beat calls send every heartbeat until ctx ends, done is closed or sending fails: whoever reads finds out by itself.
func beat(ctx context.Context, done <-chan struct{}, send func() error) {
	ticker := time.NewTicker(heartbeat)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			if send() != nil {
				return
			}
		case <-done:
			return
		case <-ctx.Done():
			return
		}
	}
}

// finish asks the gateway for its summary and waits until it is gone, and with it every process of the agent's.
func (g *gatewayLink) finish(ctx context.Context) (*wire.Summary, error) {
	sendErr := g.out.Send(wire.GatewayRequest{Type: wire.TypeFinish})
	select {
	case <-g.ended:
	case <-ctx.Done():
		return nil, fmt.Errorf("gateway does not finish: %w", errors.Join(context.Cause(ctx), sendErr))
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.summary == nil || g.exit.Code != 0 || g.err != nil {
		return g.summary, g.failureLocked()
	}
	return g.summary, nil
}

// waitError is why nobody knows how the gateway ended, nil while it runs.
func (g *gatewayLink) waitError() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.err
}

// kill ends the gateway without its last words, and waits until it is gone.
func (g *gatewayLink) kill(ctx context.Context) error {
	if isClosed(g.ended) && !errors.Is(g.waitError(), sandbox.ErrLost) {
		return nil
	}
	if err := g.container.Kill(ctx, "KILL"); err != nil {
		return err
	}
	select {
	case <-g.ended:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("gateway does not end: %w", context.Cause(ctx))
	}
}

func (g *gatewayLink) failure() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.failureLocked()
}

// failureLocked says why the gateway ended before its time.
func (g *gatewayLink) failureLocked() error {
	if g.fatal != nil {
		err := fmt.Errorf("gateway gave up at stage %s: %s", g.fatal.Stage, g.fatal.Reason)
		if g.fatal.Stage == "signal" {
			return withHint(err, "somebody stopped its container: the engine, if it was stopped or started anew, or docker stop")
		}
		return err
	}
	if g.err != nil { // then the exit code is unknown, too: as a rule the engine is gone
		return fmt.Errorf("gateway ended without its summary: %w", g.err)
	}
	return fmt.Errorf("gateway ended with exit code %d and without its summary %s", g.exit.Code, g.exit.Error)
}
