package runner

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/yolo-run/yolo-run/reports"
)

// stream is what a real agent printed.
func stream(t testing.TB, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("internal/agent/testdata/transcript", name+".jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestStepsAreOneAlignedLineEach(t *testing.T) {
	for _, name := range []string{"claude", "codex", "gemini", "claude-helper"} {
		t.Run(name, func(t *testing.T) {
			format, _, _ := strings.Cut(name, "-")
			r := newLiveRun(t, format)
			r.print(t, stream(t, name))
			r.live.close()
			end := -1
			calls := 0
			for line := range strings.Lines(r.screen.String()) {
				if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > stepWidth {
					t.Errorf("%d columns: %s", n, line)
				}
				runes := []rune(line)
				for i, c := range runes {
					if c != '✓' && c != '✗' {
						continue
					}
					calls++
					if end >= 0 && i != end {
						t.Errorf("column %d, not %d: %s", i, end, line)
					}
					end = i
				}
			}
			if report := r.live.report(); calls != int(report.Tools) || strings.Contains(r.screen.String(), report.Final) {
				t.Errorf("%d calls of %d, and the final message is not for here:\n%s", calls, report.Tools, r.screen)
			}
		})
	}
}

// A message is held back only until it is sure not to be the last one.
func TestWhatTheAgentSaysIsShownInPlace(t *testing.T) {
	r := newLiveRun(t, "codex")
	message := func(text string) string {
		return `{"type":"item.completed","item":{"id":"m","type":"agent_message","text":"` + text + `"}}` + "\n"
	}
	r.print(t, message("first"), message("last"))
	r.live.close()
	if got := r.screen.String(); got != "   0:00  first\n" {
		t.Errorf("printed %q", got)
	}
	r = newLiveRun(t, "codex", func(c *Config) { c.LogFormat = "json" })
	r.print(t, message("first"), message("last"))
	r.live.close()
	if n := strings.Count(r.screen.String(), `"msg":"step"`); n != 2 {
		t.Errorf("%d records:\n%s", n, r.screen)
	}
}

func TestLongTextsAreWrappedAndCut(t *testing.T) {
	s := stepView{columns: func() int { return 60 }}
	got := s.text(reports.Step{Kind: reports.StepText, AtMs: 61_000, Text: strings.Repeat("word ", 200) + "end"}, reports.Usage{})
	rows := strings.Split(strings.TrimSuffix(got, "\n"), "\n")
	if len(rows) != maxSaidLines || !strings.HasPrefix(rows[0], "   1:01  word word") || !strings.HasSuffix(rows[3], "…") {
		t.Errorf("%q", rows)
	}
	for _, row := range rows {
		if n := utf8.RuneCountInString(row); n > 59 {
			t.Errorf("%d columns: %s", n, row)
		}
	}
}

const hostileStep = "a\x1b[2J\r\n::error::x\u202e ##[group]y\u009b31m " + "                                                        ::set-env name=x::y"

func TestHostileStepsAreInert(t *testing.T) {
	for _, columns := range []int{0, 20, 60, 100, 300} {
		s := stepView{columns: func() int { return columns }}
		for _, kind := range []reports.StepKind{reports.StepText, reports.StepThinking, reports.StepTool, reports.StepError, "other"} {
			for n := range 80 {
				step := reports.Step{Kind: kind, Tool: hostileStep, Input: strings.Repeat("x", n) + hostileStep, Text: strings.Repeat("x ", n) + hostileStep, Depth: n % 2}
				inertLines(t, s.text(step, reports.Usage{}))
				inertLines(t, s.status(1, step.Tool+step.Input, " · 3 steps"))
			}
		}
	}
}

func inertLines(t *testing.T, text string) {
	t.Helper()
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		for _, c := range line {
			if !reports.Printable(c) {
				t.Errorf("%U survived in %q", c, line)
			}
		}
		if strings.HasPrefix(strings.TrimLeft(line, " "), "::") || strings.Contains(line, "##[") {
			t.Errorf("a command of CI survived: %q", line)
		}
	}
}

func FuzzStepText(f *testing.F) {
	f.Add(hostileStep, 80)
	f.Add("::", 0)
	f.Fuzz(func(t *testing.T, s string, columns int) {
		v := stepView{columns: func() int { return columns % 500 }}
		for _, kind := range []reports.StepKind{reports.StepText, reports.StepTool} {
			inertLines(t, v.text(reports.Step{Kind: kind, Tool: s, Input: s, Text: s}, reports.Usage{}))
		}
		inertLines(t, v.status(1, s, " · 1 step"))
	})
}

func TestTheStatusLineFits(t *testing.T) {
	end := " · 14 steps · 34.1k in, 2.3k out, $0.12"
	for columns := range 200 {
		s := stepView{columns: func() int { return columns }}
		got := s.status(83_000, "Bash go test ./... "+strings.Repeat("-run X ", 30)+"(0:12)", end)
		if n := utf8.RuneCountInString(got); n >= max(columns, 1) {
			t.Errorf("%d of %d columns: %s", n, columns, got)
		}
		if columns > 80 && (!strings.HasPrefix(got, "   1:23  Bash go test") || !strings.HasSuffix(got, end)) {
			t.Errorf("%d columns: %q", columns, got)
		}
	}
}

func TestTheStatusSaysWhatIsBeingDone(t *testing.T) {
	r := newLiveRun(t, "claude")
	r.live.steps.columns = func() int { return 100 }
	at := func(d time.Duration) string { return r.live.status(r.live.begun.Add(d)) }
	if got := at(3 * time.Second); !strings.Contains(got, "0:03  waiting for the model · 0 steps") {
		t.Errorf("%q", got)
	}
	r.print(t, `{"type":"assistant","message":{"content":[{"type":"tool_use","id":"1","name":"Bash","input":{"command":"make"}}]}}`+"\n")
	r.live.usage(reports.Usage{Requests: 1, InputTokens: 1000, OutputTokens: 10})
	if got := at(65 * time.Second); !strings.Contains(got, "1:05  Bash make (1:05) · 0 steps · 1k in, 10 out") {
		t.Errorf("%q", got)
	}
	r.print(t, `{"type":"user","message":{"content":[{"type":"tool_result","tool_use_id":"1","content":"ok"}]}}`+"\n")
	if got := at(66 * time.Second); !strings.Contains(got, "1:06  waiting for the model · 1 step · 1k in") {
		t.Errorf("%q", got)
	}
	r.live.close()
}

func TestALogForMachinesHasARecordAStep(t *testing.T) {
	r := newLiveRun(t, "claude", func(c *Config) { c.LogFormat = "json" })
	r.live.usage(reports.Usage{Requests: 2, InputTokens: 30, OutputTokens: 4, CostUSD: 0.5})
	r.print(t, stream(t, "claude"))
	r.live.close()
	type record struct {
		Msg, Kind, Tool, Input, Text string
		Failed                       bool
		InputTokens                  int64
		CostUSD                      float64 `json:"costUsd"`
	}
	var records []record
	for line := range strings.Lines(r.screen.String()) {
		var rec record
		if err := json.Unmarshal([]byte(line), &rec); err != nil || rec.Msg != "step" || rec.InputTokens != 30 || rec.CostUSD != 0.5 {
			t.Errorf("%s: %v", line, err)
		}
		records = append(records, rec)
	}
	if len(records) != 8 || records[2].Tool != "Bash" || !strings.HasPrefix(records[2].Input, "ls -la") || !records[5].Failed || records[7].Text != "All is done." {
		t.Errorf("%+v", records)
	}
}

func TestALogForMachinesIsBounded(t *testing.T) {
	r := newLiveRun(t, "codex", func(c *Config) { c.LogFormat = "json" })
	r.print(t, strings.Repeat(`{"type":"error","message":"x"}`+"\n", maxLoggedSteps+5))
	r.live.close()
	if n := strings.Count(r.screen.String(), "\n"); n != maxLoggedSteps+1 || !strings.Contains(r.screen.String(), "further steps are not logged") {
		t.Errorf("%d records", n)
	}
}

func TestQuietShowsNoStep(t *testing.T) {
	r := newLiveRun(t, "claude", func(c *Config) { c.Quiet = true })
	r.print(t, stream(t, "claude"))
	r.live.close()
	if r.screen.Len() > 0 || len(r.live.report().Steps) != 8 {
		t.Errorf("printed:\n%s", r.screen)
	}
}

func TestClock(t *testing.T) {
	for ms, want := range map[int64]string{-5: "0:00", 999: "0:00", 61_000: "1:01", 3_599_999: "59:59", 3_600_000: "1:00:00", 36_061_000: "10:01:01"} {
		if got := clock(ms); got != want {
			t.Errorf("%d: %s, want %s", ms, got, want)
		}
	}
}
