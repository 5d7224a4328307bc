package runner_test

import (
	"bytes"
	"context"
	"io"
	"strings"
	"syscall"
	"testing"

	"github.com/yolo-run/yolo-run/reports"
	"github.com/yolo-run/yolo-run/runner"
)

// gone is a terminal that was closed.
type gone struct{ writes int }

func (g *gone) Write([]byte) (int, error) {
	g.writes++
	return 0, syscall.EPIPE
}

func TestARunWhoseTerminalIsGoneEndsAsItWould(t *testing.T) {
	t.Parallel()
	var stderr gone
	rep := runTo(t, t.Context(), &stderr)
	if rep.Outcome != reports.Success {
		t.Errorf("outcome %s, want success: %q", rep.Outcome, rep.Errors)
	}
	if stderr.writes == 0 {
		t.Error("control: nothing was written")
	}
}

// stopAt stops the run by a signal when its log comes to a text.
type stopAt struct {
	bytes.Buffer
	text string
	stop context.CancelCauseFunc
}

func (s *stopAt) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte(s.text)) {
		s.stop(&runner.SignalError{Signal: syscall.SIGINT})
	}
	return s.Buffer.Write(p)
}

func TestARunThatIsStoppedBeforeItsAgentStartsIsNoFaultOfTheEngines(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancelCause(t.Context())
	stderr := &stopAt{text: "name=gateway", stop: stop}
	rep := runTo(t, ctx, stderr, func(c *runner.Config) { c.LogLevel = "debug" })
	if rep.Outcome != reports.Cancelled || rep.ExitCode != 130 {
		t.Errorf("outcome %s, exit code %d, want cancelled and 130", rep.Outcome, rep.ExitCode)
	}
	if len(rep.Errors) > 0 {
		t.Errorf("errors %q, want none", rep.Errors)
	}
	if !strings.Contains(stderr.String(), "interrupted error=") {
		t.Errorf("control: nothing was interrupted:\n%s", clipLines(stderr.String()))
	}
}

// runTo runs a script that changes something, with this standard error.
func runTo(t *testing.T, ctx context.Context, stderr io.Writer, configure ...func(*runner.Config)) *reports.Report { //nolint:revive // t first, as in all helpers
	t.Helper()
	needEngine(t)
	cfg := runner.Defaults()
	cfg.Agent, cfg.Version, cfg.Prompt = "shell", version(), "echo work > file"
	cfg.Workspace, cfg.Out = t.TempDir(), t.TempDir()
	cfg.Memory, cfg.MinFreeDisk = 1<<30, 64<<20
	for _, c := range configure {
		c(&cfg)
	}
	rep, err := runner.Run(ctx, cfg, runner.Streams{In: strings.NewReader(""), Out: io.Discard, Err: stderr})
	if err != nil {
		t.Fatal(err)
	}
	return rep
}
