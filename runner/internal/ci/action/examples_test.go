package action

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/yolo-run/yolo-run/reports"
)

const (
	examples = "../../../../examples"
	testKey  = "sk-ant-this-is-not-a-key-0123456789"
	// A script is served a model only when its key is named; then it has a budget as an agent has.
	keyOfScripts = "ANTHROPIC_API_KEY=env:ANTHROPIC_API_KEY"
)

// exampleProject is a repository with a workflow to copy. The agent is a script, and the program is the one under test.
func exampleProject(t *testing.T, workflow string, files map[string]string) *project {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(examples, workflow))
	if err != nil {
		t.Fatal(err)
	}
	files[".github/workflows/"+filepath.Base(workflow)] = installed(string(text))
	p := newProject(t, files)
	p.install()
	p.env["YOLO_AGENT"], p.env["YOLO_SECRET"] = "shell", keyOfScripts
	p.args = []string{"-s", "ANTHROPIC_API_KEY=" + testKey}
	p.program("gh", "#!/bin/sh\nprintf '%s\\n' \"$*\" >>\"$RECORD/gh\"\n")
	return p
}

// installed makes the actions of this repository take the program that is there, so that each test does not build one.
func installed(workflow string) string {
	workflow = strings.ReplaceAll(workflow, "actions/install@v1\n", "actions/install@v1\n        with:\n          version: installed\n")
	with := regexp.MustCompile(`(uses: yolo-run/yolo-run@v1\n(?: +id: \w+\n)?( +)with:\n)`)
	return with.ReplaceAllString(workflow, "$1$2  version: installed\n")
}

// program puts a program of that name into the runner's PATH.
func (p *project) program(name, script string) {
	p.t.Helper()
	if err := os.WriteFile(filepath.Join(p.bin, name), []byte(script), 0o755); err != nil {
		p.t.Fatal(err)
	}
}

// pushed returns the branches beside main.
func (p *project) pushed() []string {
	p.t.Helper()
	branches := strings.Fields(p.git("for-each-ref", "--format=%(refname:short)", "refs/heads"))
	return slices.DeleteFunc(branches, func(b string) bool { return b == "main" })
}

// onlyBranch is the branch that was pushed; it must descend from main by one commit.
func (p *project) onlyBranch() string {
	p.t.Helper()
	branches := p.pushed()
	if len(branches) != 1 {
		p.t.Fatalf("branches %q, want one", branches)
	}
	if p.git("rev-parse", branches[0]+"~") != p.git("rev-parse", "main") {
		p.t.Errorf("%s is not one commit on top of main", branches[0])
	}
	return branches[0]
}

func TestTheNightlyRunOpensAPullRequest(t *testing.T) {
	p := exampleProject(t, "github/nightly.yml", map[string]string{
		"src/a.txt": "one\n", ".github/prompts/nightly.md": "echo two >>src/a.txt\nenv\n",
	})
	j := p.act(".github/workflows/nightly.yml", "schedule")
	if j.failed {
		t.Fatal("a job failed")
	}
	if got := p.git("show", p.onlyBranch()+":src/a.txt"); got != "one\ntwo" {
		t.Errorf("src/a.txt is %q", got)
	}
	if gh := j.recorded("gh"); !strings.Contains(gh, "pr create --head yolo-run/nightly-1 --title Nightly refactoring --body-file") {
		t.Errorf("gh was called so:\n%s", gh)
	}
	if !slices.ContainsFunc(j.commands, func(c command) bool { return c.Command == "add-mask" }) {
		t.Error("the key was not masked")
	}
	for _, name := range j.uploads() {
		if text := j.recorded("artifacts/" + name); strings.Contains(text, testKey) {
			t.Errorf("the key is in %s", name)
		}
	}
}

func TestTheNightlyRunThatChangesNothingProposesNothing(t *testing.T) {
	p := exampleProject(t, "github/nightly.yml", map[string]string{".github/prompts/nightly.md": "true\n"})
	if j := p.act(".github/workflows/nightly.yml", "schedule"); j.failed || len(p.pushed()) > 0 {
		t.Errorf("failed %v, branches %q", j.failed, p.pushed())
	}
}

func TestThePatchThatTheGateRefusesIsNotProposed(t *testing.T) {
	p := exampleProject(t, "github/nightly.yml", map[string]string{
		".github/prompts/nightly.md": "echo 'on: push' >.github/workflows/evil.yml\n",
	})
	if j := p.act(".github/workflows/nightly.yml", "schedule"); !j.failed || len(p.pushed()) > 0 {
		t.Errorf("failed %v, branches %q", j.failed, p.pushed())
	}
}

// The text of an issue is anybody's: here it closes every quote that a careless workflow would have around it.
func TestAnIssueIsATask(t *testing.T) {
	p := exampleProject(t, "github/label.yml", map[string]string{"src/a.txt": "one\n"})
	event, err := json.Marshal(map[string]any{
		"label": map[string]any{"name": "agent"},
		"issue": map[string]any{
			"number": 7, "title": "#!/bin/sh",
			"body": "echo two >>src/a.txt\n: <<'END'\n\"; touch $RECORD/pwned; ' ; touch $RECORD/pwned\n`touch $RECORD/pwned` $(touch $RECORD/pwned) ${{ github.token }}\nEOF\nEND",
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	p.write("event.json", string(event))
	p.args = append(p.args, "-e", filepath.Join(p.dir, "event.json"))
	j := p.act(".github/workflows/label.yml", "issues")
	if j.failed {
		t.Error("a job failed")
	}
	if got := p.git("show", p.onlyBranch()+":src/a.txt"); got != "one\ntwo" {
		t.Errorf("src/a.txt is %q", got)
	}
	if _, err := os.Stat(filepath.Join(p.record, "pwned")); err == nil {
		t.Error("a part of the issue's text was run by the runner")
	}
	if gh := j.recorded("gh"); !strings.Contains(gh, "--title Work on #7") {
		t.Errorf("gh was called so:\n%s", gh)
	}
}

func TestAnotherLabelStartsNothing(t *testing.T) {
	p := exampleProject(t, "github/label.yml", map[string]string{"src/a.txt": "one\n"})
	p.write("event.json", `{"label":{"name":"bug"},"issue":{"number":7,"title":"t","body":"b"}}`)
	p.args = append(p.args, "-e", filepath.Join(p.dir, "event.json"))
	j := p.act(".github/workflows/label.yml", "issues")
	if len(j.uploads()) > 0 || len(p.pushed()) > 0 {
		t.Errorf("uploads %q, branches %q", j.uploads(), p.pushed())
	}
}

// One package's agent stays in its folder, the other's does not: the pull request has the work of the first.
func TestEachPackageHasItsAgent(t *testing.T) {
	p := exampleProject(t, "github/monorepo.yml", map[string]string{
		"packages/api/a.txt": "one\n", "packages/web/a.txt": "one\n",
		".github/prompts/package.md": "echo two >>a.txt\ncase $PWD in */web) echo two >>../api/a.txt ;; esac\n",
	})
	j := p.act(".github/workflows/monorepo.yml", "workflow_dispatch")
	if !j.failed {
		t.Error("the job of packages/web did not fail")
	}
	branch := p.onlyBranch()
	if got := p.git("diff", "--name-only", "main", branch); got != "packages/api/a.txt" {
		t.Errorf("the pull request changes %q", got)
	}
}

// act starts no services on this machine: the test does. Another name on their network stays closed.
func TestAnAgentReachesTheServiceThatIsNamed(t *testing.T) {
	p := exampleProject(t, "github/services.yml", map[string]string{"a.txt": "one\n"})
	network := "yolo-run-test-services-" + strconv.Itoa(os.Getpid())
	docker := func(args ...string) {
		t.Helper()
		if out, err := exec.Command("docker", args...).CombinedOutput(); err != nil {
			t.Fatalf("docker %q: %v\n%s", args, err, out)
		}
	}
	docker("network", "create", network)
	t.Cleanup(func() {
		_ = exec.Command("docker", "rm", "-f", network).Run()
		_ = exec.Command("docker", "network", "rm", network).Run()
	})
	docker("run", "-d", "--name", network, "--network", network, "--network-alias", "db", "--network-alias", "other", "--entrypoint", "python3",
		"yolo-run/base:"+version(), "-m", "http.server", "--directory", "/etc", "5432")

	file := filepath.Join(p.dir, ".github/workflows/services.yml")
	workflow := readFile(t, file)
	for _, change := range []struct{ from, to string }{
		{`(?s)    services:\n.*?    steps:\n`, "    steps:\n"},
		{`\$\{\{ job\.services\.db\.network \}\}`, network},
		{`prompt: .*`, "prompt-file: task.sh"},
	} {
		changed := regexp.MustCompile(change.from).ReplaceAllLiteralString(workflow, change.to)
		if changed == workflow {
			t.Fatalf("services.yml has no %s", change.from)
		}
		workflow = changed
	}
	p.write(".github/workflows/services.yml", workflow)
	p.write("task.sh", `curl -sS --retry 20 --retry-delay 1 --retry-connrefused http://db:5432/hostname >/dev/null && echo "$DATABASE_URL" >reached
curl -sS http://other:5432/hostname
exit 0
`)
	p.git("add", "-A")
	p.git("commit", "-q", "-m", "task")
	j := p.act(".github/workflows/services.yml", "workflow_dispatch")
	if j.failed {
		t.Error("the job failed")
	}
	if patch := j.recorded("artifacts/yolo-run-agent/changes.patch"); !strings.Contains(patch, "+postgres://postgres:only-for-this-job@db:5432/postgres\n") {
		t.Errorf("the service was not reached:\n%s", patch)
	}
	denied := func(d reports.Destination) bool { return d.Name == "other" && d.Verdict == reports.Deny }
	if r := j.report("yolo-run-agent"); !slices.ContainsFunc(r.Network.Destinations, denied) {
		t.Errorf("another service was not denied: %+v", r.Network.Destinations)
	}
}

// GitLab's runner is not here; its script is, with the engine of this machine in place of a service.
func TestTheGitLabJob(t *testing.T) {
	var pipeline struct {
		Agent struct {
			Script      []string `yaml:"script"`
			AfterScript []string `yaml:"after_script"`
			Artifacts   struct {
				When    string            `yaml:"when"`
				Paths   []string          `yaml:"paths"`
				Reports map[string]string `yaml:"reports"`
			} `yaml:"artifacts"`
		} `yaml:"agent"`
	}
	text, err := os.ReadFile(filepath.Join(examples, "gitlab/.gitlab-ci.yml"))
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, &pipeline); err != nil {
		t.Fatal(err)
	}
	p := newProject(t, map[string]string{"a.txt": "one\n", ".gitlab/prompts/task.md": "echo two >>a.txt\n"})
	p.install()
	for _, part := range [][]string{pipeline.Agent.Script, pipeline.Agent.AfterScript} {
		cmd := exec.Command("bash", "-ec", strings.Join(part, "\n"))
		cmd.Dir = p.dir
		cmd.Env = append(hostEnviron(t), "CI=true", "CI_PROJECT_DIR="+p.dir, "YOLO_AGENT=shell", "YOLO_SECRET="+keyOfScripts, "ANTHROPIC_API_KEY="+testKey, "PATH="+p.bin+":"+os.Getenv("PATH"))
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	if a := pipeline.Agent.Artifacts; a.When != "always" || !slices.Equal(a.Paths, []string{"yolo-run/"}) {
		t.Errorf("artifacts: %+v", a)
	}
	for _, name := range []string{"yolo-run/report.json", "yolo-run/changes.patch"} {
		if _, err := os.Stat(filepath.Join(p.dir, name)); err != nil {
			t.Error(err)
		}
	}
}

func TestTheCronJobPushesABranch(t *testing.T) {
	p := newProject(t, map[string]string{"a.txt": "one\n"})
	p.install()
	checkout, task := filepath.Join(t.TempDir(), "checkout"), filepath.Join(t.TempDir(), "task.md")
	p.git("clone", "-q", p.dir, checkout)
	script, err := filepath.Abs(filepath.Join(examples, "cron/nightly.sh"))
	if err != nil {
		t.Fatal(err)
	}
	night := func(prompt string) error {
		if err := os.WriteFile(task, []byte(prompt), 0o644); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(script, checkout, task)
		cmd.Env = append(hostEnviron(t), "YOLO_AGENT=shell", "YOLO_SECRET="+keyOfScripts, "ANTHROPIC_API_KEY="+testKey, "PATH="+p.bin+":"+os.Getenv("PATH"), "XDG_STATE_HOME="+t.TempDir(),
			"GIT_AUTHOR_NAME=me", "GIT_AUTHOR_EMAIL=me@example.com", "GIT_COMMITTER_NAME=me", "GIT_COMMITTER_EMAIL=me@example.com")
		out, err := cmd.CombinedOutput()
		t.Logf("%s", out)
		return err
	}
	if err := night("mkdir .githooks; echo x >.git/hooks/pre-commit; echo '*' >.gitignore; echo x >.gitattributes\n"); err == nil || len(p.pushed()) > 0 {
		t.Errorf("a patch that the gate refuses: %v, branches %q", err, p.pushed())
	}
	if err := night("true\n"); err != nil || len(p.pushed()) > 0 {
		t.Errorf("a night without a change: %v, branches %q", err, p.pushed())
	}
	if err := night("echo two >>a.txt\n"); err != nil {
		t.Error(err)
	}
	if got := p.git("show", p.onlyBranch()+":a.txt"); got != "one\ntwo" {
		t.Errorf("a.txt is %q", got)
	}
}
