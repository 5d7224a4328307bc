package runner

import (
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"syscall"

	"github.com/yolo-run/yolo-run/reports"
)

// The exit codes that are not a run's outcome (those are [reports.Outcome]'s).
const (
	ExitUsage          = 2
	ExitInfrastructure = 125
)

// UsageError is one fault in what the user asked for. Nothing was started.
type UsageError struct {
	Option string // the flag, such as --memory
	Value  string // as the user wrote it; empty where it could be a secret or says nothing
	Err    error
	Hint   string // what to do, empty when Err says it all
}

func (e *UsageError) Error() string {
	if e.Value == "" {
		return fmt.Sprintf("%s: %v", e.Option, e.Err)
	}
	return fmt.Sprintf("%s %s: %v", e.Option, quoteShort(e.Value), e.Err)
}

func (e *UsageError) Unwrap() error { return e.Err }

// HintError adds to an error what the user can do about it.
type HintError struct {
	Err  error
	Hint string
}

func (e *HintError) Error() string { return e.Err.Error() }

func (e *HintError) Unwrap() error { return e.Err }

// withHint returns err with a hint; nil stays nil.
func withHint(err error, hint string) error {
	if err == nil {
		return nil
	}
	return &HintError{Err: err, Hint: hint}
}

// Hint returns what the user can do about err, empty where nobody knows.
func Hint(err error) string {
	if usage, ok := errors.AsType[*UsageError](err); ok && usage.Hint != "" {
		return usage.Hint
	}
	if hinted, ok := errors.AsType[*HintError](err); ok {
		return hinted.Hint
	}
	return ""
}

// SignalError is the cause with which the command cancels a run's context: which signal ended it.
type SignalError struct {
	Signal syscall.Signal
}

func (e *SignalError) Error() string { return "stopped by " + e.Name() }

// Name is the signal's usual name, such as SIGTERM.
func (e *SignalError) Name() string {
	switch e.Signal {
	case syscall.SIGINT:
		return "SIGINT"
	case syscall.SIGTERM:
		return "SIGTERM"
	case syscall.SIGHUP:
		return "SIGHUP"
	}
	return e.Signal.String()
}

// ExitCode is the shell's convention for a process that a signal ended: 130 for SIGINT, 143 for SIGTERM, 129 for SIGHUP.
func (e *SignalError) ExitCode() int { return 128 + int(e.Signal) }

// coded is an error that knows the exit code of the process, such as [SignalError].
type coded interface {
	error
	ExitCode() int
}

// ExitCode maps the end of a run, or of any subcommand, to the exit code of the process. A report knows its own; without one,
// a usage error is 2, an error with an ExitCode method (130 or 143 for a signal) that, and everything else 125: the run did not take place.
func ExitCode(rep *reports.Report, err error) int {
	if rep != nil && (err == nil || rep.ExitCode != 0) {
		return rep.ExitCode
	}
	if err == nil {
		return 0
	}
	if _, ok := errors.AsType[*UsageError](err); ok {
		return ExitUsage
	}
	if c, ok := errors.AsType[coded](err); ok {
		// That of a program that was run, such as git, has the method too and is no code of ours.
		if _, program := error(c).(*exec.ExitError); !program { //nolint:errorlint // the error that was found, not one that it wraps
			return c.ExitCode()
		}
	}
	return ExitInfrastructure
}

// quoteShort quotes a value for an error message, so that no byte of it can act on a terminal, and cuts it where it is long.
func quoteShort(s string) string {
	const limit = 80
	if len(s) > limit {
		return strconv.Quote(s[:limit]) + "…"
	}
	return strconv.Quote(s)
}
