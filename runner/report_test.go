package runner_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/yolo-run/yolo-run/reports"
	"github.com/yolo-run/yolo-run/runner"
)

// One run leaves its report in every form, and all of them say the same.
func TestEveryFormOfTheReportIsWritten(t *testing.T) {
	t.Parallel()
	r := try(t, "printf 'one\\n<b>two</b>\\n' > changed.txt; getent hosts stranger.example; true", func(cfg *runner.Config) { cfg.FailOn = []string{"denied"} })
	r.want(t, reports.PolicyFailed)
	for file, words := range map[string][]string{
		"report.html": {"<!doctype html>", "stranger.example", "changed.txt", "&lt;b&gt;two&lt;/b&gt;", `<tr class="marks deny">`},
		"report.md":   {"stranger.example", "changed.txt"},
		"report.json": {"stranger.example", "changed.txt", `"failOn"`},
		"junit.xml":   {`failures="1" errors="0"`, `<failure message="1 attempt to reach stranger.example"`},
	} {
		text := string(readFile(t, filepath.Join(r.out, file)))
		for _, w := range words {
			if !strings.Contains(text, w) {
				t.Errorf("%s does not say %s:\n%s", file, w, text)
			}
		}
	}
	for _, a := range r.Artifacts {
		if strings.HasPrefix(a.File, "report.") || a.File == "junit.xml" {
			t.Errorf("%s is an artifact that names itself", a.File)
		}
	}
	if !slices.ContainsFunc(r.Artifacts, func(a reports.Artifact) bool { return a.File == "changes.patch" }) {
		t.Errorf("artifacts %v", r.Artifacts)
	}
}

// Phases are a time line: each within the run, in the order in which they began, and what holds others comes before them.
func TestPhasesAreATimeLine(t *testing.T) {
	t.Parallel()
	r := try(t, "sleep 0.2")
	var names []string
	last := int64(0)
	for _, p := range r.Phases {
		names = append(names, p.Name)
		if p.StartMs < last || p.StartMs+p.DurationMs > r.DurationMs+1 {
			t.Errorf("%s begins after %d ms and takes %d, the one before began after %d, the run took %d", p.Name, p.StartMs, p.DurationMs, last, r.DurationMs)
		}
		last = p.StartMs
		if p.Name == "agent" && p.DurationMs < 200 {
			t.Errorf("the agent took %d ms", p.DurationMs)
		}
	}
	for _, pair := range [][2]string{{"preflight", "sandbox"}, {"sandbox", "gateway"}, {"sandbox", "workspace"}, {"sandbox", "container"}, {"container", "agent"}, {"agent", "collect"}, {"gate", "clean-up"}} {
		if before, after := slices.Index(names, pair[0]), slices.Index(names, pair[1]); before < 0 || after < before {
			t.Errorf("%s does not come before %s: %v", pair[0], pair[1], names)
		}
	}
}
