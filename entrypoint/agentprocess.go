package entrypoint

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"
)

// agentSignals are the signals for the agent that reach its parent, and [wire.EndSignal]. They wait until there is an agent.
type agentSignals chan os.Signal

func catchSignals() agentSignals {
	s := make(agentSignals, 16)
	signal.Notify(s, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT,
		syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGCONT, syscall.SIGWINCH, endSignal)
	return s
}

// release gives the signals their usual effect again.
func (s agentSignals) release() { signal.Stop(s) }

// endSignal is [wire.EndSignal].
const endSignal = syscall.SIGALRM

// forward sends every signal on to a process group until stop is called, which waits for the last one. A group that is gone misses nothing.
// The signal to end at once calls end in place of that.
func (s agentSignals) forward(group int, end func()) (stop func()) {
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case sig := <-s:
				if n, ok := sig.(syscall.Signal); n == endSignal {
					end()
				} else if ok {
					_ = syscall.Kill(-group, n) // ESRCH is the only error: same user, same namespace
				}
			case <-done:
				return
			}
		}
	})
	return func() {
		close(done)
		wg.Wait()
	}
}

// reap waits for every child until the one with this PID has ended, and returns its status. The others are orphans of the agent, which
// come to their subreaper: unreaped they would stay zombies and count against the limit of processes. Nobody else may wait
// in this process, or a status would be lost.
func reap(pid int) (syscall.WaitStatus, error) {
	for {
		var status syscall.WaitStatus
		got, err := syscall.Wait4(-1, &status, 0, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
		case err != nil:
			return 0, fmt.Errorf("wait for the agent: %w", err)
		case got == pid:
			return status, nil
		}
	}
}

// endLeftovers kills every process that this one may signal. It is confined, so that those are the agent's and no others: the gateway's two, in the
// same PID namespace, have other users. Most engines would do it when this process ends; one without cgroups would wait, for as long as a leftover
// holds the container's output open. The kernel lets none escape by forking meanwhile.
func endLeftovers() {
	if os.Getuid() == 0 { // the checks have refused it; its reach would be everything
		return
	}
	_ = syscall.Kill(-1, syscall.SIGKILL) // as a rule there is none; at the latest the gateway's end is theirs
}
