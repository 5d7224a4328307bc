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
func freeDisk(path string) (wire.Disk, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(path, &s); err != nil {
		return wire.Disk{}, fmt.Errorf("free disk at %s: %w", path, err)
	}
	return diskOf(s), nil
}

// keptFiles: one in so many of a file system's inodes is left alone. Ten million empty files stop a machine as well as its last byte does.
const keptFiles = 100

func diskOf(s unix.Statfs_t) wire.Disk {
	d := wire.Disk{FreeBytes: math.MaxInt64}
	if s.Bsize > 0 && s.Bavail <= math.MaxInt64/uint64(s.Bsize) {
		d.FreeBytes = int64(s.Bavail) * s.Bsize //nolint:gosec // checked above
	}
	d.NoFiles = s.Files > 0 && s.Ffree < s.Files/keptFiles // 0 where inodes have no bound, as on btrfs
	return d
}

// watchDisk sends one message when the disk falls below bound, and then ends; the runner decides what to do. A disk that cannot be
// asked is not watched.
func watchDisk(ctx context.Context, bound int64, tick <-chan time.Time, free func() (wire.Disk, error), send func(any) error) error {
	for {
		disk, err := free()
		switch {
		case err != nil:
			return nil //nolint:nilerr // see above
		case disk.FreeBytes < bound || disk.NoFiles:
			return send(wire.GatewayMessage{Type: wire.TypeDisk, Disk: &disk})
		}
		select {
		case <-tick:
		case <-ctx.Done():
			return nil
		}
	}
}
