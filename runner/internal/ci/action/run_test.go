package action

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/yolo-run/yolo-run/reports"
)

// runProject is a repository whose workflow runs the script, and then records what the step left.
func runProject(t *testing.T, script string) *project {
	t.Helper()
	workflow, err := os.ReadFile("testdata/run.yml")
	if err != nil {
		t.Fatal(err)
	}
	p := newProject(t, map[string]string{".github/workflows/run.yml": string(workflow), "src/a.txt": "one\n", "task.sh": script})
	p.env["PROMPT_FILE"] = "task.sh"
	return p
}

const runWorkflow = ".github/workflows/run.yml"

// report reads the report.json that was uploaded.
func (j *job) report(artifact string) *reports.Report {
	j.t.Helper()
	r, err := reports.ReadReport(strings.NewReader(j.recorded(filepath.Join("artifacts", artifact, "report.json"))))
	if err != nil {
		j.t.Fatal(err)
	}
	return r
}

// The action as somebody uses it who copies the README: nothing is installed, so that it is built from its own source.
func TestARunGivesOutputsSummaryAndFiles(t *testing.T) {
	p := runProject(t, "echo two >>src/a.txt\ncurl -sS https://collector.example.com/\nexit 0\n")
	j := p.act(runWorkflow, "workflow_dispatch")
	if j.failed {
		t.Fatal("the job failed")
	}
	built := j.report("yolo-run-agent").Version
	t.Cleanup(func() {
		_ = exec.Command("docker", "image", "rm", "yolo-run/gateway:"+built, "yolo-run/base:"+built).Run()
	})
	out := j.outputs("first.json")
	for name, want := range map[string]string{
		"outcome": "success", "exit-code": "0", "agent-exit-code": "0", "changed": "true", "denials": "1", "files-changed": "1",
		"insertions": "1", "deletions": "0", "input-tokens": "0", "output-tokens": "0", "cost-usd": "0", "base-sha": p.git("rev-parse", "HEAD"),
		"patch-file": out["artifact-dir"] + "/changes.patch", "report-file": out["artifact-dir"] + "/report.json",
		"artifact-name": "yolo-run-agent", "artifact-url": "https://artifacts.example.com/1",
	} {
		if out[name] != want {
			t.Errorf("%s is %q, want %q", name, out[name], want)
		}
	}
	if len(out) != 17 {
		t.Errorf("%d outputs: %v", len(out), out)
	}

	uploads := j.uploads()
	for _, name := range []string{
		"report.json", "report.html", "report.md", "junit.xml", "changes.patch", "network.jsonl", "agent.log", "run.log",
	} {
		if !slices.Contains(uploads, "yolo-run-agent/"+name) {
			t.Errorf("%s was not uploaded: %v", name, uploads)
		}
	}
	if patch := j.recorded("artifacts/yolo-run-agent/changes.patch"); !strings.Contains(patch, "\n+two\n") {
		t.Errorf("the patch:\n%s", patch)
	}
	if !strings.HasPrefix(built, "src-") {
		t.Errorf("version %s was not built by the action", built)
	}
	if s := j.summary(); !strings.Contains(s, "collector.example.com") || !strings.Contains(s, "src/a.txt") {
		t.Errorf("the summary:\n%s", s)
	}
	if status := j.recorded("status"); status != "" {
		t.Errorf("the checkout was changed:\n%s", status)
	}
	if got := j.obeyed(); !slices.Equal(got, []string{"warning Denied"}) {
		t.Errorf("annotations: %q", got)
	}
	// The second use in the job has a folder and an upload of its own.
	second := j.outputs("second.json")
	if second["outcome"] != "no-changes" || second["artifact-name"] != "yolo-run-agent-2" || second["artifact-dir"] == out["artifact-dir"] {
		t.Errorf("outputs of the second: %v", second)
	}
	if !slices.Contains(uploads, "yolo-run-agent-2/report.json") {
		t.Errorf("the second upload is missing: %v", uploads)
	}
}

// Without inputs the upload is called after the job and kept as long as the repository says.
func TestTheUploadIsCalledAndKeptAsTheInputsSay(t *testing.T) {
	for _, tt := range []struct{ with, name, days string }{
		{"artifact-name: night run\n          retention-days: 3", "night run", "3"},
		{`artifact-name: ""`, "yolo-run-agent", ""},
		{`upload-artifacts: "false"`, "", ""},
	} {
		p := newProject(t, map[string]string{"run.yml": `
on: workflow_dispatch
jobs:
  agent:
    runs-on: ubuntu-latest
    steps:
      - uses: yolo-run/yolo-run@v1
        id: first
        with:
          agent: shell
          version: installed
          prompt: "true"
          ` + tt.with + `
`})
		p.install()
		j := p.act("run.yml", "workflow_dispatch")
		if j.failed {
			t.Errorf("%s: the job failed", tt.with)
		}
		if tt.name == "" {
			if got := j.uploads(); len(got) > 0 {
				t.Errorf("%s: uploads %v", tt.with, got)
			}
			continue
		}
		if got := j.recorded("days of " + tt.name); got != tt.days {
			t.Errorf("%s: kept for %q days, want %q", tt.with, got, tt.days)
		}
		if !slices.Contains(j.uploads(), tt.name+"/report.json") {
			t.Errorf("%s: uploads %v", tt.with, j.uploads())
		}
	}
}

func TestWhatTheGateFindsFailsTheStepAndIsUploaded(t *testing.T) {
	p := runProject(t, "mkdir -p .github/workflows && echo 'on: push' >.github/workflows/evil.yml\n")
	p.install()
	j := p.act(runWorkflow, "workflow_dispatch")
	if !j.failed {
		t.Error("the job did not fail")
	}
	out := j.outputs("first.json")
	if out["outcome"] != "policy" || out["exit-code"] != "3" {
		t.Errorf("outputs: %v", out)
	}
	if r := j.report("yolo-run-agent"); r.Outcome != reports.PolicyFailed || r.Gate.Passed {
		t.Errorf("outcome %s", r.Outcome)
	}
	if got := j.obeyed(); len(got) < 2 || slices.ContainsFunc(got, func(s string) bool { return !strings.HasPrefix(s, "error ") }) {
		t.Errorf("annotations: %q", got)
	}
	if _, err := os.Stat(filepath.Join(p.record, "second.json")); err == nil {
		t.Error("a later step ran")
	}
}

func TestAFaultIsAnAnnotationAndUploadsNothing(t *testing.T) {
	p := runProject(t, "true\n")
	p.install()
	p.env["YOLO_MEMORY"] = "much" // an input that is empty leaves the workflow's variable as it is
	j := p.act(runWorkflow, "workflow_dispatch")
	if !j.failed {
		t.Error("the job did not fail")
	}
	if got := j.obeyed(); !slices.Equal(got, []string{"error yolo-run"}) {
		t.Errorf("annotations: %q", got)
	}
	if got := j.uploads(); len(got) > 0 {
		t.Errorf("uploads: %v", got)
	}
}

// An agent puts commands into everything that it can: what it prints, names of files and hosts, titles of processes, the files that a step
// may write.
func TestAHostileAgentSetsNothing(t *testing.T) {
	const evil = `
evil='::set-output name=outcome::evil'
for command in "$evil" '::add-mask::agent' '::set-env name=EVIL::1' '::add-path::/evil' '##[set-env name=EVIL;]1' '##[error]evil' '::stop-commands::deaf' \
  '::error::evil' '::warning::evil' '::notice::evil' '::endgroup::' '::save-state name=EVIL::1'; do
  echo "$command"
  echo "$command" >&2
  printf 'x\r%s\n  %s\nx%s' "$command" "$command" "$command"
  printf 'x' >"$(printf '%s\n%s' src "$command" | tr / _)"
  (exec -a "$command" curl -sS "https://$(printf '%s' "$command" | tr -c 'a-z\n' '-').example.com/") 2>&1
  (exec -a "$(printf 'a\n%s\n' "$command")" curl -sS "http://198.51.100.7/") 2>&1
done
for file in "$GITHUB_OUTPUT" "$GITHUB_ENV" "$GITHUB_PATH" "$GITHUB_STATE" /tmp/act/workflow/envs.txt; do
  mkdir -p "$(dirname "$file")" && echo "EVIL=1" >>"$file"
done
env | grep -E '^(GITHUB|RUNNER|ACTIONS)_' && echo leaked >leaked
exit 0
`
	p := runProject(t, evil)
	p.install()
	j := p.act(runWorkflow, "workflow_dispatch")
	out := j.outputs("first.json")
	if len(out) != 17 || out["outcome"] != string(j.report("yolo-run-agent").Outcome) || out["outcome"] == "evil" {
		t.Errorf("outputs: %v", out)
	}
	for _, got := range j.obeyed() {
		ours := slices.ContainsFunc([]string{"error yolo-run", "error Gate: ", "warning Gate: ", "warning Denied"}, func(title string) bool {
			return strings.HasPrefix(got, title)
		})
		if !ours {
			t.Errorf("the runner obeyed %q", got)
		}
	}
	for _, c := range j.commands {
		if c.Command == "set-output" && strings.Contains(c.Arg, "evil") || c.Command == "add-path" && strings.Contains(c.Arg, "evil") {
			t.Errorf("the runner obeyed %+v", c)
		}
	}
	if env := j.recorded("env"); strings.Contains(env, "EVIL") || strings.Contains(env, "/evil") {
		t.Errorf("a variable was set:\n%s", env)
	}
	r := j.report("yolo-run-agent")
	if len(r.Changes.Files) < 10 || r.Network.Denied < 10 {
		t.Fatalf("the agent did not do what it should: %d files, %d denied", len(r.Changes.Files), r.Network.Denied)
	}
	if slices.ContainsFunc(r.Changes.Files, func(f reports.FileChange) bool { return f.Path == "leaked" }) {
		t.Error("a variable of the job reached the agent")
	}
}

// Control of the test above: act does obey such text when nobody stands between.
func TestActObeysWhatAStepPrints(t *testing.T) {
	p := newProject(t, map[string]string{"run.yml": `
on: workflow_dispatch
jobs:
  agent:
    runs-on: ubuntu-latest
    steps:
      - id: first
        run: |
          echo '::set-output name=outcome::evil'
          echo '::error title=x::evil'
      - env:
          OUTPUTS: ${{ toJSON(steps.first.outputs) }}
        run: printf '%s' "$OUTPUTS" >"$RECORD/first.json"
`})
	j := p.act("run.yml", "workflow_dispatch")
	if got := j.outputs("first.json"); got["outcome"] != "evil" || !slices.Equal(j.obeyed(), []string{"error x"}) {
		t.Errorf("outputs %v, obeyed %q", got, j.obeyed())
	}
}

// The text of an issue is a prompt, not a part of any script.
func TestAPromptIsText(t *testing.T) {
	const title = "x\"; touch $RECORD/pwned; $(touch $RECORD/pwned) `touch $RECORD/pwned` ${{ github.token }}"
	p := newProject(t, map[string]string{"run.yml": `
on: issues
jobs:
  agent:
    runs-on: ubuntu-latest
    steps:
      - uses: yolo-run/yolo-run@v1
        id: first
        with:
          agent: shell
          version: installed
          prompt: |
            #!/bin/cat
            ${{ github.event.issue.title }}
`})
	p.install()
	event, err := json.Marshal(map[string]any{"issue": map[string]any{"title": title}})
	if err != nil {
		t.Fatal(err)
	}
	p.write("event.json", string(event))
	p.args = []string{"-e", filepath.Join(p.dir, "event.json")}
	j := p.act("run.yml", "issues")
	if j.failed {
		t.Error("the job failed")
	}
	if got := j.recorded("artifacts/yolo-run-agent/agent.log"); !strings.Contains(got, title) {
		t.Errorf("the prompt was %q", got)
	}
	if _, err := os.Stat(filepath.Join(p.record, "pwned")); err == nil {
		t.Error("the prompt was run by the runner")
	}
}
