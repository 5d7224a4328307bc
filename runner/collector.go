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
	"github.com/yolo-run/yolo-run/runner/internal/sandbox"
)

// collectorLink is the runner's end of the collector, which lives from before the agent's start until the changed files were read.
type collectorLink struct {
	container *sandbox.Container
	stdin     io.WriteCloser
	stdout    *io.PipeReader
	ended     chan struct{}

	mu sync.Mutex // of what is written: heartbeats stand between requests, never inside one
}

var _ io.Writer = (*collectorLink)(nil)

// Write sends one request line.
func (c *collectorLink) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stdin.Write(p)
}

func (c *collectorLink) start(ctx context.Context, log *slog.Logger) error {
	reader, writer := io.Pipe()
	stdin, err := c.container.Start(ctx, writer, &logWriter{log: log, from: "collector"})
	if err != nil {
		return errors.Join(err, writer.Close())
	}
	c.stdin, c.stdout, c.ended = stdin, reader, make(chan struct{})
	go func() {
		exit, err := c.container.Wait(context.WithoutCancel(ctx))
		if err == nil && exit.Code != 0 {
			err = fmt.Errorf("collector ended with exit code %d %s", exit.Code, exit.Error)
		}
		writer.CloseWithError(err)
		close(c.ended)
	}()
	return nil
}

// probe asks the collector what it sees at the workspace's root, and to check that exactly these layers are mounted.
func (c *collectorLink) probe(ctx context.Context, name string, l wire.Layers, life time.Duration) (wire.CollectProbe, error) {
	defer context.AfterFunc(ctx, func() { c.stdout.CloseWithError(context.Cause(ctx)) })()
	err := wire.NewWriter(c).Send(wire.CollectRequest{
		Type: wire.TypeProbe, Wire: wire.Version, Name: []byte(name), Layers: &l,
		HeartbeatTimeoutMs: heartbeatTimeout.Milliseconds(), DeadlineMs: life.Milliseconds(),
	})
	if err != nil {
		return wire.CollectProbe{}, fmt.Errorf("ask the collector: %w", err)
	}
	m, err := wire.NewCollectReader(c.stdout).Next()
	switch {
	case err != nil:
		return wire.CollectProbe{}, fmt.Errorf("answer of the collector: %w", err)
	case m.Fatal != nil:
		return wire.CollectProbe{}, fmt.Errorf("collector gave up at stage %s: %s", m.Fatal.Stage, m.Fatal.Reason)
	case m.Probe == nil || m.Probe.Wire != wire.Version || !m.Probe.Layers:
		return wire.CollectProbe{}, errors.New("collector did not prove its layers")
	}
	return *m.Probe, nil
}

func (c *collectorLink) beat(ctx context.Context) {
	beat(ctx, c.ended, func() error { return wire.NewWriter(c).Send(wire.CollectRequest{Type: wire.TypeHeartbeat}) })
}
