package gateway

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"sync"

	"golang.org/x/sys/unix"
)

// reaper collects the orphans that PID 1 inherits: zombies count against the agent's PID limit.
//
// wait4(-1) would also take the exit codes of this process's own children from os/exec. So the two never overlap: own children are
// started and waited for inside exec, and nothing is reaped meanwhile.
type reaper struct {
	mu sync.Mutex
}

// exec runs fn, which may start children and must have waited for all of them when it returns.
func (r *reaper) exec(fn func() error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return fn()
}

// run reaps until ctx ends. It only may run in PID 1.
func (r *reaper) run(ctx context.Context) {
	died := make(chan os.Signal, 1) // one is enough: signals merge, and reap takes all that are dead
	signal.Notify(died, unix.SIGCHLD)
	defer signal.Stop(died)
	for {
		r.reap()
		select {
		case <-died:
		case <-ctx.Done():
			return
		}
	}
}

// reap returns how many processes it collected.
func (r *reaper) reap() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	for n := 0; ; {
		pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil || pid == 0: // no children, or none that is dead
			return n
		default:
			n++
		}
	}
}
