package gateway

import (
	"context"
	"fmt"
	"math"
	"time"

	"golang.org/x/sys/unix"

	"github.com/yolo-run/yolo-run/entrypoint/wire"
)

// freeDisk is what is left to ordinary users on the file system of path. The gateway's root is on the engine's disk, where the agent's
// files are too.
func freeDisk(path string) (int64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(path, &s); err != nil {
		return 0, fmt.Errorf("free disk at %s: %w", path, err)
	}
	if s.Bsize <= 0 || s.Bavail > math.MaxInt64/uint64(s.Bsize) {
		return math.MaxInt64, nil
	}
	return int64(s.Bavail) * s.Bsize, nil //nolint:gosec // checked above
}

// watchDisk sends one message when the disk falls below bound, and then ends; the runner decides what to do. A disk that cannot be
// asked is not watched.
func watchDisk(ctx context.Context, bound int64, tick <-chan time.Time, free func() (int64, error), send func(any) error) error {
	for {
		n, err := free()
		switch {
		case err != nil:
			return nil //nolint:nilerr // see above
		case n < bound:
			return send(wire.GatewayMessage{Type: wire.TypeDisk, Disk: &wire.Disk{FreeBytes: n}})
		}
		select {
		case <-tick:
		case <-ctx.Done():
			return nil
		}
	}
}
