package runner_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/yolo-run/yolo-run/reports"
	"github.com/yolo-run/yolo-run/runner"
)

// What stands in the summary is not in the log above it, too; run.log has all of it.
func TestTheScreenSaysThingsOnce(t *testing.T) {
	t.Parallel()
	r := try(t, "mkdir -p .github/workflows && echo x > .github/workflows/x.yml")
	r.want(t, reports.PolicyFailed)
	if n := strings.Count(r.stderr, "protected-path"); n != 1 {
		t.Errorf("the finding is on the screen %d times:\n%s", n, r.stderr)
	}
	if !strings.Contains(string(readFile(t, r.out+"/run.log")), "protected-path") {
		t.Error("the finding is not in run.log")
	}
	if !strings.Contains(r.stderr, "report.html, report.md, ") {
		t.Errorf("report.html is not named first:\n%s", r.stderr)
	}
}

func TestQuietShowsTheResult(t *testing.T) {
	t.Parallel()
	r := try(t, "echo chatter; echo x > x", func(cfg *runner.Config) { cfg.Quiet = true })
	r.want(t, reports.Success)
	if strings.Contains(r.stderr, "chatter") || strings.Contains(r.stderr, "INF") || !strings.HasPrefix(r.stderr, "success ") {
		t.Errorf("printed:\n%s", r.stderr)
	}
}

func TestEveryLineOfAJSONLogIsJSON(t *testing.T) {
	t.Parallel()
	r := try(t, "echo chatter; exit 3", func(cfg *runner.Config) { cfg.LogFormat = "json" })
	r.want(t, reports.AgentFailed)
	var last struct {
		Msg, Outcome, Out string
		ExitCode          int
	}
	for line := range strings.Lines(r.stderr) {
		if err := json.Unmarshal([]byte(line), &last); err != nil {
			t.Errorf("%q: %v", line, err)
		}
	}
	if last.Msg != "run ended" || last.Outcome != "agent-failed" || last.ExitCode != 1 || last.Out != r.out {
		t.Errorf("last record %+v", last)
	}
}

func TestASummarySaysWhichCommandIsMissing(t *testing.T) {
	t.Parallel()
	r := try(t, "", command("no-such-command"))
	r.want(t, reports.AgentFailed)
	if got := strings.Join(r.Errors, "\n"); !strings.Contains(got, `"no-such-command": not found in the image `+baseImage()+" (--image)") {
		t.Errorf("errors %q", got)
	}
}

func TestAVariableThatIsNotSetIsSaid(t *testing.T) {
	t.Parallel()
	r := try(t, "true", func(cfg *runner.Config) { cfg.Env = []string{"YOLO_RUN_TEST_UNSET", "PATH"} })
	r.want(t, reports.NoChanges)
	if !strings.Contains(r.stderr, "name=YOLO_RUN_TEST_UNSET") || strings.Contains(r.stderr, "name=PATH") {
		t.Errorf("printed:\n%s", r.stderr)
	}
}

// A denial has its reason where that is another than the missing rule, which is what denied means.
func TestLiveDenialsAreShort(t *testing.T) {
	t.Parallel()
	r := try(t, "getent hosts absent.example; getent hosts closed.example; true", func(cfg *runner.Config) {
		cfg.AllowedDomains, cfg.DeniedDomains = []string{"closed.example"}, []string{"closed.example"}
	})
	r.want(t, reports.NoChanges)
	for line := range strings.Lines(r.stderr) {
		switch {
		case strings.Contains(line, "to=absent.example") && strings.Contains(line, "reason="):
			t.Errorf("says the name twice: %s", line)
		case strings.Contains(line, "to=closed.example") && !strings.Contains(line, `reason="denied by rule`):
			t.Errorf("no reason: %s", line)
		}
	}
	if !strings.Contains(r.stderr, "to=absent.example") || !strings.Contains(r.stderr, "to=closed.example") {
		t.Errorf("printed:\n%s", r.stderr)
	}
}
