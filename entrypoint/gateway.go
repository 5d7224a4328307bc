package entrypoint

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"

	"golang.org/x/sys/unix"

	"github.com/yolo-run/yolo-run/entrypoint/internal/gateway"
)

// gatewayMemory is the soft limit of the heap. The container's is 512 MB, out of which the socket buffers and the iptables processes live too. All
// that the agent can make the gateway hold at once, connections, requests to models and what is made of both, stays near it.
const gatewayMemory = 384 << 20

// Gateway is the role of the gateway container's PID 1; it returns the exit code. When it returns, the process must exit: that ends
// every process of the run.
func Gateway(version string, in io.Reader, out io.Writer) int {
	if err := harden(); err != nil {
		fmt.Fprintln(os.Stderr, "gateway:", err)
		return 1
	}
	debug.SetMemoryLimit(gatewayMemory)
	// An engine that stops the container wants it gone now. SIGQUIT would print the stacks of all goroutines.
	signal.Ignore(unix.SIGQUIT, unix.SIGHUP)
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGTERM, unix.SIGINT)
	defer stop()
	return gateway.Run(ctx, version, in, out)
}

// harden keeps what the gateway knows, keys among it, out of reach: no core file, and /proc/1 belongs to root alone.
func harden() error {
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("make the process undumpable: %w", err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return fmt.Errorf("forbid core files: %w", err)
	}
	return nil
}
