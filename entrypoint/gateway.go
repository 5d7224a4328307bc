package entrypoint

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"runtime/debug"

	"golang.org/x/sys/unix"

	"github.com/yolo-run/yolo-run/entrypoint/internal/confine"
	"github.com/yolo-run/yolo-run/entrypoint/internal/gateway"
)

const (
	// gatewayMemory and servingMemory are the soft limits of the two processes' heaps. The container's is 512 MB, out of which the socket buffers and
	// the iptables processes live too. All that the agent can make the gateway hold at once, connections, requests to models and what is made of both,
	// stays near the second.
	gatewayMemory = 64 << 20
	servingMemory = 352 << 20
	// servingFiles bounds the serving process's descriptors: a connection costs two to six of them, 1,500 of all kinds can be open at once, and 2,048 more be
	// on their way out with one.
	servingFiles = 16384
	// servingOOM makes the serving process the one to go when the container's memory runs out: PID 1 can then say why. It stays far below the agent's
	// score, which goes first when the machine's memory does.
	servingOOM = "100"
)

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

// GatewayServeRole is the argument for [GatewayServe].
const GatewayServeRole = gateway.ServeRole

// GatewayServe is the role of the gateway's second process; it returns the exit code.
func GatewayServe() int {
	if err := confineServing(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	debug.SetMemoryLimit(servingMemory)
	// What a server sends unasked, net/http quotes there. PID 1 takes the first line on standard error for the reason of a crash.
	log.SetOutput(io.Discard)
	signal.Ignore(unix.SIGQUIT, unix.SIGHUP)
	return gateway.Serve()
}

// confineServing checks that PID 1 left this process nothing, and takes more away. It comes before the keys do.
func confineServing() error {
	if err := os.WriteFile("/proc/self/oom_score_adj", []byte(servingOOM), 0); err != nil {
		return fmt.Errorf("go first when memory runs out: %w", err)
	}
	if err := harden(); err != nil { // the file above would belong to root after it
		return err
	}
	if err := confine.CheckStripped(os.Getuid(), os.Getgid()); err != nil {
		return err
	}
	for _, limit := range []struct {
		name     string
		resource int
		bound    uint64
	}{
		{"size of files", unix.RLIMIT_FSIZE, 0},
		{"locked memory", unix.RLIMIT_MEMLOCK, 0},
		{"descriptors", unix.RLIMIT_NOFILE, servingFiles},
	} {
		var now unix.Rlimit
		if err := unix.Getrlimit(limit.resource, &now); err != nil {
			return fmt.Errorf("limit of %s: %w", limit.name, err)
		}
		bound := min(limit.bound, now.Max)
		if err := unix.Setrlimit(limit.resource, &unix.Rlimit{Cur: bound, Max: bound}); err != nil {
			return fmt.Errorf("limit %s: %w", limit.name, err)
		}
	}
	return nil
}

// harden keeps what a process of the gateway knows, keys among it, out of reach: no core file, and its folder in /proc belongs to root alone.
func harden() error {
	if err := confine.Undumpable(); err != nil {
		return err
	}
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return fmt.Errorf("forbid core files: %w", err)
	}
	return nil
}
