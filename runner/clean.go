package runner

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"

	"github.com/yolo-run/yolo-run/runner/internal/sandbox"
)

// Clean removes the containers and volumes of runs whose runner is gone, as far as this host started them, and the agents' files that are kept for
// other images and that nobody uses; and says how many there were.
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
	caches, err := engine.RemoveCaches(ctx)
	if err != nil {
		return err
	}
	var removed []string
	if n > 0 {
		removed = append(removed, "the remains of "+plural(n, "dead run"))
	}
	if caches > 0 {
		removed = append(removed, plural(caches, "volume")+" of agents' files")
	}
	text := "nothing to remove"
	if len(removed) > 0 {
		text = "removed " + strings.Join(removed, " and ")
	}
	if _, err := fmt.Fprintln(s.Out, text); err != nil {
		return err
	}
	return engine.Close()
}
