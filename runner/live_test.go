package runner

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/yolo-run/yolo-run/reports"
	"github.com/yolo-run/yolo-run/runner/internal/agent"
)

// liveRun is a run whose agent prints what the test writes.
type liveRun struct {
	*run
	dir    string
	screen *bytes.Buffer // what people see
}

// newLiveRun opens the view of a run of the agent with this name; configure changes its configuration.
func newLiveRun(t *testing.T, name string, configure ...func(*Config)) liveRun {
	t.Helper()
	t.Setenv("GITHUB_ACTIONS", "")
	cfg := Defaults()
	cfg.Agent, cfg.Out = name, filepath.Join(t.TempDir(), "out")
	for _, c := range configure {
		c(&cfg)
	}
	a, err := agent.Resolve(name, cfg.Command)
	if err != nil {
		t.Fatal(err)
	}
	out, err := openOutput(cfg, "id")
	if err != nil {
		t.Fatal(err)
	}
	var seen bytes.Buffer
	r := &run{agent: a, out: out, screen: newScreen(&seen), record: slog.New(slog.DiscardHandler)}
	r.cfg = cfg
	r.log = NewLogger(r.screen, LogOptions{JSON: cfg.LogFormat == "json"})
	if r.files, err = openRunFiles(out, cfg, a.Format); err != nil {
		t.Fatal(err)
	}
	r.live = newLiveView(r)
	if err := r.live.open(); err != nil {
		t.Fatal(err)
	}
	return liveRun{run: r, dir: cfg.Out, screen: &seen}
}

func (r liveRun) print(t *testing.T, texts ...string) {
	t.Helper()
	out := r.live.stdout()
	for _, s := range texts {
		if n, err := out.Write([]byte(s)); n != len(s) || err != nil {
			t.Fatalf("%d, %v", n, err)
		}
	}
}

func (r liveRun) file(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(r.dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestUsageIsShownBesideTheStepsWhereNoStatusLineHasIt(t *testing.T) {
	r := newLiveRun(t, "codex")
	call := func(id string) string {
		return `{"type":"item.completed","item":{"id":"` + id + `","type":"command_execution","command":"ls","exit_code":0}}` + "\n"
	}
	r.print(t, call("1"))
	r.live.usage(reports.Usage{Requests: 1, InputTokens: 34_100, OutputTokens: 950, CostUSD: 0.123})
	r.print(t, call("2"), call("3"))
	r.live.close()
	var with []bool
	for line := range strings.Lines(r.screen.String()) {
		with = append(with, strings.Contains(line, "34.1k in, 950 out, $0.12"))
	}
	if len(with) != 3 || with[0] || !with[1] || with[2] {
		t.Errorf("printed:\n%s", r.screen)
	}
}

// A screen that stands still must not hold the gateway either, which waits while a denial is shown.
func TestADenialWaitsForNoScreen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newLiveRun(t, "shell")
		still := make(chan struct{})
		r.live.out.put(func() { <-still })
		denial := reports.Event{Verdict: reports.Deny, Layer: reports.LayerDNS, Name: "paste.example", Reason: "no rule allows paste.example"}
		r.live.denied(denial) // would never return
		r.live.denied(denial)
		if r.screen.Len() > 0 {
			t.Errorf("control: the screen does not stand still: %s", r.screen)
		}
		close(still)
		r.live.close()
		if n := strings.Count(r.screen.String(), "to=paste.example"); n != 1 {
			t.Errorf("shown %d times:\n%s", n, r.screen)
		}
		denial.Name = "late.example"
		r.live.denied(denial)
		if !strings.Contains(r.screen.String(), "to=late.example") {
			t.Errorf("a denial after the agent's end is not shown:\n%s", r.screen)
		}
	})
}
