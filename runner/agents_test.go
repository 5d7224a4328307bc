package runner_test

import (
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/yolo-run/yolo-run/reports"
	"github.com/yolo-run/yolo-run/runner"
	"github.com/yolo-run/yolo-run/runner/internal/vendor"
)

// theWork is several turns of everything that real work has: thinking, a command, a file, a host that is denied, a fault of the vendor's, a
// rate limit and an answer of so many bytes.
func theWork(long int) []vendor.Turn {
	return []vendor.Turn{
		{
			Thinking: "First of all I look around.", Text: "I look around.",
			Calls: []vendor.Call{{Shell: "cat task.txt && echo made by a command > made.txt"}},
			Usage: vendor.Usage{Input: 1000, CacheRead: 500, Output: 30, Reasoning: 5},
		},
		{Status: http.StatusInternalServerError, Message: "something broke"},
		{
			Text: "Now the file.", Calls: []vendor.Call{{File: "/workspace/new.txt", Content: "one line\nanother line\n"}},
			Usage: vendor.Usage{Input: 200, CacheRead: 1500, Output: 40},
		},
		{Calls: []vendor.Call{{Shell: "curl -sS -m 20 http://denied.test/"}}, Usage: vendor.Usage{Input: 2100, Output: 41}},
		{Status: http.StatusTooManyRequests, Message: "not so fast", RetryAfter: "1"},
		{Text: "A long story. ", Pad: long, Calls: []vendor.Call{{Shell: "true"}}, Usage: vendor.Usage{Input: 2200, Output: 9000}},
		{Text: "All is done.", Usage: vendor.Usage{Input: 3000, CacheRead: 2000, Output: 50}},
	}
}

func TestTheRealAgentsDoTheirWork(t *testing.T) {
	t.Parallel()
	n := needInternet(t)
	for _, agent := range realAgents {
		t.Run(agent.name, func(t *testing.T) {
			t.Parallel()
			turns := theWork(5 << 20)
			m := n.model(t, vendor.Script{Turns: turns})
			r := try(t, "Do what task.txt says.", m.served(t, agent), agent.as(t), func(cfg *runner.Config) {
				cfg.AllowedDomains = []string{"allowed.test"}
				cfg.Workspace = t.TempDir()
				run(t, cfg.Workspace, "echo a task > task.txt; git init -q; git add .; git -c user.name=t -c user.email=t@t commit -qm base; chown -R 1000:1000 .")
			})
			r.want(t, reports.Success)
			if r.Agent.ExitCode == nil || *r.Agent.ExitCode != 0 || r.Agent.Name != agent.name {
				t.Errorf("agent %+v", r.Agent)
			}
			r.wantWork(t)
			r.wantStory(t, agent.name)
			r.wantUsage(t, m.billed(t, turns))
			m.wantKeyOnly(t)
			m.wantNotice(t, "allowed.test")
			d := time.Duration(r.DurationMs) * time.Millisecond
			if d > 45*time.Second {
				t.Errorf("the run took %s", d)
			}
			t.Logf("%s: %d turns, %d steps, %d requests, %d tokens in (%d cached), %d out, $%.4f, patch of %d files",
				d, r.Transcript.Turns, len(r.Transcript.Steps), r.Usage.Requests, r.Usage.InputTokens, r.Usage.CachedInputTokens, r.Usage.OutputTokens,
				r.Usage.CostUSD, len(r.Changes.Files))
		})
	}
}

// wantNotice fails unless what the agent is told of its sandbox arrives where the model reads it, each time.
func (m model) wantNotice(t *testing.T, allowed string) {
	t.Helper()
	for _, r := range m.log(t) {
		if !r.Errand && !strings.Contains(r.Body, allowed) {
			t.Errorf("%s does not say what is allowed: %.300s", r.Path, r.Body)
		}
	}
}

// wantWork fails unless the patch has theWork and the report its only denial.
func (r result) wantWork(t *testing.T) {
	t.Helper()
	patch := string(readFile(t, filepath.Join(r.out, "changes.patch")))
	for _, want := range []string{"+++ b/made.txt", "+made by a command", "+++ b/new.txt", "+one line\n+another line\n"} {
		if !strings.Contains(patch, want) {
			t.Errorf("the patch lacks %q:\n%s", want, patch)
		}
	}
	if len(r.Changes.Files) != 2 {
		t.Errorf("changed files: %+v", r.Changes.Files)
	}
	denied := r.find(reports.Deny, deniedName(reports.LayerDNS, "denied.test"))
	if len(denied) == 0 {
		t.Error("the denied name is not in the record")
	}
	for _, e := range denied {
		if e.Process == nil || !strings.HasSuffix(e.Process.Exe, "/curl") {
			t.Errorf("denied to %+v, want curl", e.Process)
		}
	}
	for _, e := range r.find(reports.Deny, func(reports.Event) bool { return true }) {
		if e.Name != "denied.test" {
			t.Errorf("the agent itself was denied something: %+v", e)
		}
	}
}

// wantStory fails unless the transcript tells theWork.
func (r result) wantStory(t *testing.T, format string) {
	t.Helper()
	story := r.Transcript
	if story.Format != format || story.Tools != 4 || story.Turns < 5 || story.Final != "All is done." || story.Error != "" {
		t.Errorf("transcript %s: %d turns, %d tools, final %q, error %q", story.Format, story.Turns, story.Tools, story.Final, story.Error)
	}
	for _, want := range []string{"cat task.txt", "new.txt", "http://denied.test/"} {
		if len(r.steps(want)) != 1 {
			t.Errorf("%d steps with %q: %+v", len(r.steps(want)), want, story.Steps)
		}
	}
	for _, s := range r.steps("cat task.txt") {
		if s.Failed || !strings.Contains(s.Result, "a task") {
			t.Errorf("step %+v", s)
		}
	}
	for _, s := range r.steps("http://denied.test/") {
		if !strings.Contains(s.Result, "Could not resolve host") {
			t.Errorf("step %+v", s)
		}
	}
	if !slices.ContainsFunc(story.Steps, func(s reports.Step) bool {
		return s.Kind == reports.StepText && strings.Contains(s.Text, "I look around.")
	}) {
		t.Errorf("the model's words are in no step: %+v", story.Steps)
	}
}

// A key that the vendor refuses ends the run soon, with the vendor's reason.
func TestAWrongKeyEndsTheAgent(t *testing.T) {
	t.Parallel()
	n := needInternet(t)
	for _, agent := range realAgents {
		t.Run(agent.name, func(t *testing.T) {
			t.Parallel()
			m := n.model(t, vendor.Script{})
			wrong := m
			wrong.key += "-wrong"
			r := try(t, "Work.", wrong.served(t, agent), agent.as(t))
			if r.Outcome != reports.AgentFailed || r.Transcript.Error == "" {
				t.Errorf("outcome %s, transcript's error %q, errors %q", r.Outcome, r.Transcript.Error, r.Errors)
			}
			if d := time.Duration(r.DurationMs) * time.Millisecond; d > 40*time.Second {
				t.Errorf("it took %s", d)
			}
		})
	}
}
