package runner

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"

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
	stdin, err := c.container.Start(ctx, writer, logLines(log, "collector"))
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

func (c *collectorLink) beat(ctx context.Context) {
	beat(ctx, c.ended, func() error { return wire.NewWriter(c).Send(wire.CollectRequest{Type: wire.TypeHeartbeat}) })
}
