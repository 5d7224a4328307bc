package entrypoint

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"github.com/yolo-run/yolo-run/entrypoint/internal/unpack"
	"github.com/yolo-run/yolo-run/entrypoint/wire"
)

// Load is the role of the loader container: it fills volumes from the archive on its standard input and says how much that was. It has no network and no
// privilege: what it makes belongs to the agent because it runs as the agent's user. It returns the exit code.
func Load(in io.Reader, out io.Writer) int {
	unix.Umask(0o022) // Tar expects it
	dirs := []string{wire.LoadDir}
	if _, err := os.Lstat(wire.LoadTwin); err == nil { // no image has that: it is a mount
		dirs = append(dirs, wire.LoadTwin)
	}
	stats, err := unpack.Tar(context.Background(), bufio.NewReaderSize(in, 1<<20), dirs,
		unpack.Limits{Entries: wire.MaxLoadEntries, Bytes: wire.MaxLoadBytes})
	loaded := wire.Loaded{Wire: wire.Version, Entries: stats.Entries, Bytes: stats.Bytes}
	if err != nil {
		loaded.Error = fmt.Sprintf("%q", err) // paths are the workspace's: anything may be in them
	}
	if err := wire.NewWriter(out).Send(loaded); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if loaded.Error != "" {
		return 1
	}
	return 0
}
