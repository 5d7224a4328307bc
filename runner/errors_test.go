package runner_test

import (
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/yolo-run/yolo-run/reports"
	"github.com/yolo-run/yolo-run/runner"
)

func TestExitCode(t *testing.T) {
	usage := &runner.UsageError{Option: "--memory", Err: errors.New("x")}
	program := exec.CommandContext(t.Context(), "sh", "-c", "exit 3").Run()
	for _, tc := range []struct {
		name string
		rep  *reports.Report
		err  error
		want int
	}{
		{"nothing to say", nil, nil, 0},
		{"the report knows", &reports.Report{ExitCode: 3}, nil, 3},
		{"the report knows, and writing it failed", &reports.Report{ExitCode: 124}, errors.New("disk full"), 124},
		{"success, and the report was lost", &reports.Report{}, errors.New("disk full"), 125},
		{"usage", nil, usage, 2},
		{"one usage error among others", nil, errors.Join(errors.New("x"), fmt.Errorf("y: %w", usage)), 2},
		{"no engine", nil, &runner.HintError{Err: errors.New("no engine"), Hint: "start one"}, 125},
		{"a program that was run failed", nil, fmt.Errorf("git: %w", program), 125},
		{"SIGINT", nil, fmt.Errorf("pull: %w", &runner.SignalError{Signal: syscall.SIGINT}), 130},
		{"SIGTERM", nil, &runner.SignalError{Signal: syscall.SIGTERM}, 143},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := runner.ExitCode(tc.rep, tc.err); got != tc.want {
				t.Errorf("got %d, want %d", got, tc.want)
			}
		})
	}
}

func TestUsageErrorQuotesItsValue(t *testing.T) {
	err := &runner.UsageError{Option: "--image", Value: "a\x1b[31m" + strings.Repeat("b", 200), Err: errors.New("no")}
	if got := err.Error(); strings.Contains(got, "\x1b") || len(got) > 120 || !strings.HasPrefix(got, `--image "a\x1b[31mb`) {
		t.Errorf("got %q", got)
	}
}

func TestHint(t *testing.T) {
	inner := &runner.HintError{Err: errors.New("no engine"), Hint: "start one"}
	for _, tc := range []struct {
		err  error
		want string
	}{
		{errors.New("x"), ""},
		{fmt.Errorf("y: %w", inner), "start one"},
		{&runner.UsageError{Option: "--x", Err: inner}, "start one"},
		{&runner.UsageError{Option: "--x", Err: inner, Hint: "or two"}, "or two"},
	} {
		if got := runner.Hint(tc.err); got != tc.want {
			t.Errorf("Hint(%v) = %q, want %q", tc.err, got, tc.want)
		}
	}
}
