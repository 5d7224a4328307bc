package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/yolo-run/yolo-run/runner"
)

// withSignals returns a context that the first SIGINT, SIGTERM or SIGHUP cancels, with the signal as its cause. The same signal once more ends the
// process at once; another one does not, because GitHub sends SIGTERM after SIGINT and the reports may still be on their way. Nor does a second
// SIGHUP: of a terminal that closes, both the kernel and the shell tell. The containers die with the process in every case. stop must be called.
func withSignals(parent context.Context) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(parent)
	received := make(chan os.Signal, 4)
	signal.Notify(received, syscall.SIGINT, syscall.SIGTERM)
	if !signal.Ignored(syscall.SIGHUP) { // as nohup(1) has it
		signal.Notify(received, syscall.SIGHUP)
	}
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
			if seen[s] && s != syscall.SIGHUP {
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

// outliveReaders keeps a write to standard output or error that nobody reads any more from ending the process: the run has reports to write, and
// containers to remove. Such a write is an error from here on.
func outliveReaders() {
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) // and not Ignore, which programs that are started would inherit
}
