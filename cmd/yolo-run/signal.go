package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/yolo-run/yolo-run/runner"
)

// withSignals returns a context that the first SIGINT or SIGTERM cancels, with the signal as its cause. The same signal once more ends the
// process at once; the other one does not, because GitHub sends SIGTERM after SIGINT and the reports may still be on their way.
// The containers die with the process in every case. stop must be called.
func withSignals(parent context.Context) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(parent)
	received := make(chan os.Signal, 4)
	signal.Notify(received, syscall.SIGINT, syscall.SIGTERM)
	done := make(chan struct{})
	go func() {
		defer close(done)
		seen := map[os.Signal]bool{}
		for s := range received {
			number, ok := s.(syscall.Signal)
			if !ok {
				continue
			}
			cause := &runner.SignalError{Signal: number}
			if seen[s] {
				os.Exit(cause.ExitCode())
			}
			seen[s] = true
			cancel(cause)
		}
	}()
	return ctx, func() {
		signal.Stop(received)
		close(received)
		<-done
		cancel(nil)
	}
}
