package runner

import (
	"context"
	"fmt"
	"log/slog"
	"os"

	"github.com/yolo-run/yolo-run/runner/internal/sandbox"
)

// Clean removes the containers and volumes of runs whose runner is gone, as far as this host started them, and says how many there were.
func Clean(ctx context.Context, s Streams) error {
	log := NewLogger(s.Err, LogOptions{Level: slog.LevelInfo, Colour: Colour(s.Err, os.Getenv)})
	engine, err := sandbox.Open(ctx, "", log)
	if err != nil {
		return engineError(err)
	}
	n, err := cleanDead(ctx, engine, log)
	if err != nil {
		return err
	}
	text := "nothing to remove"
	if n > 0 {
		text = "removed the remains of " + plural(n, "dead run")
	}
	_, err = fmt.Fprintln(s.Out, text)
	if err != nil {
		return err
	}
	return engine.Close()
}
