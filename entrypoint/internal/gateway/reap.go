package gateway

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"sync"

	"golang.org/x/sys/unix"
)

// reaper collects the orphans that PID 1 inherits: zombies count against the agent's PID limit. It also waits for the one process of our own that
// stays.
//
// wait4(-1) would also take the exit codes of this process's own children from os/exec. So the two never overlap: own children are
// started and waited for inside exec, and nothing is reaped meanwhile.
type reaper struct {
	all bool // as PID 1 does; else only the process of our own

	mu     sync.Mutex
	own    int // its PID
	status chan unix.WaitStatus
}

func newReaper() *reaper {
	return &reaper{all: os.Getpid() == 1, status: make(chan unix.WaitStatus, 1)}
}

// exec runs fn, which may start children and must have waited for all of them when it returns.
func (r *reaper) exec(fn func() error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return fn()
}

// keep starts the process of our own and leaves waiting to the reaper: status delivers how it ended.
func (r *reaper) keep(start func() (*os.Process, error)) (*os.Process, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	process, err := start()
	if err == nil {
		r.own = process.Pid
	}
	return process, err
}

// run reaps until ctx ends.
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
	which := -1
	if !r.all {
		which = r.own
	}
	for n := 0; which != 0; {
		var status unix.WaitStatus
		pid, err := unix.Wait4(which, &status, unix.WNOHANG, nil)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil || pid == 0: // no children, or none that is dead
			return n
		default:
			n++
		}
		if pid > 0 && pid == r.own {
			r.own = 0 // the number may be given to another process now
			r.status <- status
			if !r.all {
				return n
			}
		}
	}
	return 0
}
