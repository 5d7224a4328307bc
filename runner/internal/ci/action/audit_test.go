package action

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// The rules are those that zizmor documents (https://docs.zizmor.sh/audits/), as far as they can be told without a network. zizmor itself
// runs in the workflow; here a fault is seen before it is pushed.

// finding is one breach of a rule.
type finding struct {
	rule, text string
}

func (f finding) String() string { return f.rule + ": " + f.text }

// auditor collects the findings of one file.
type auditor struct {
	findings []finding
	// own allows this repository's actions by tag: what a user copies names a release.
	own bool
}

func (a *auditor) add(rule, format string, args ...any) {
	a.findings = append(a.findings, finding{rule, fmt.Sprintf(format, args...)})
}

// audit looks at a workflow or at an action's metadata.
func audit(text []byte, own bool) ([]finding, error) {
	var document yaml.Node
	if err := yaml.Unmarshal(text, &document); err != nil {
		return nil, err
	}
	a := &auditor{own: own}
	root := document.Content[0]
	a.walk(root, "")
	if jobs := child(root, "jobs"); jobs != nil {
		a.workflow(root, jobs)
	}
	return a.findings, nil
}

// walk looks at every scalar, whatever it belongs to.
func (a *auditor) walk(n *yaml.Node, key string) {
	for i, c := range n.Content {
		if n.Kind == yaml.MappingNode {
			if i%2 == 1 {
				a.walk(c, n.Content[i-1].Value)
			}
			continue
		}
		a.walk(c, key)
	}
	if n.Kind != yaml.ScalarNode {
		return
	}
	switch key {
	case "run", "script":
		a.script(n.Value)
	case "uses":
		a.uses(n)
	case "if":
		a.condition(n)
	case "runs-on":
		if strings.Contains(n.Value, "self-hosted") {
			a.add("self-hosted-runner", "%s", n.Value)
		}
	case "secrets":
		if n.Value == "inherit" {
			a.add("secrets-inherit", "all secrets are handed on")
		}
	case "password":
		if !strings.Contains(n.Value, "${{") {
			a.add("hardcoded-container-credentials", "a password is written out")
		}
	}
	expression := strings.ToLower(strings.ReplaceAll(n.Value, " ", ""))
	if strings.Contains(expression, "tojson(secrets)") || strings.Contains(expression, "secrets[") {
		a.add("overprovisioned-secrets", "%s", n.Value)
	}
	if strings.Contains(expression, "fromjson(secrets.") {
		a.add("unredacted-secrets", "%s", n.Value)
	}
}

func (a *auditor) script(text string) {
	if strings.Contains(text, "${{") {
		a.add("template-injection", "an expression is a part of the script %q", text)
	}
	if strings.Contains(text, "GITHUB_ENV") || strings.Contains(text, "GITHUB_PATH") {
		a.add("github-env", "%q", text)
	}
	if regexp.MustCompile(`curl[^|\n]*\|\s*(ba)?sh`).MatchString(text) || strings.Contains(text, "set-output") {
		a.add("insecure-commands", "%q", text)
	}
}

var pinned = regexp.MustCompile(`^[\w.-]+/[\w./-]+@[0-9a-f]{40}$`)

func (a *auditor) uses(n *yaml.Node) {
	switch {
	case strings.HasPrefix(n.Value, "./"):
	case a.own && strings.HasPrefix(n.Value, "yolo-run/yolo-run"):
	case !pinned.MatchString(n.Value):
		a.add("unpinned-uses", "%s", n.Value)
	case !regexp.MustCompile(`^# v\d+\.\d+\.\d+$`).MatchString(n.LineComment):
		a.add("ref-version-mismatch", "%s does not say which version that is", n.Value)
	}
}

func (a *auditor) condition(n *yaml.Node) {
	if strings.Contains(n.Value, "github.actor") || strings.Contains(n.Value, "contains('") {
		a.add("bot-conditions", "%s", n.Value)
	}
	if n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0 && strings.Contains(n.Value, "${{") {
		a.add("unsound-condition", "%s is always true", n.Value)
	}
}

// workflow looks at triggers, permissions and steps.
func (a *auditor) workflow(root, jobs *yaml.Node) {
	for _, trigger := range []string{"pull_request_target", "workflow_run"} {
		if on := child(root, "on"); on == nil || on.Value == trigger || child(on, trigger) != nil {
			a.add("dangerous-triggers", "%s", trigger)
		}
	}
	a.permissions(child(root, "permissions"), "contents")
	publishes := false
	for i := 1; i < len(jobs.Content); i += 2 {
		job := jobs.Content[i]
		for _, p := range pairs(child(job, "permissions")) {
			publishes = publishes || p.value.Value == "write"
			if p.value.Value == "write" && p.value.LineComment == "" {
				a.add("undocumented-permissions", "%s: write", p.key)
			}
		}
		if child(job, "timeout-minutes") == nil {
			a.add("timeout", "%s has none", jobs.Content[i-1].Value)
		}
	}
	for i := 1; i < len(jobs.Content); i += 2 {
		if steps := child(jobs.Content[i], "steps"); steps != nil {
			for _, step := range steps.Content {
				a.step(step, publishes)
			}
		}
	}
}

// permissions of a whole workflow may at most let it read its own files; each job names what it needs beyond.
func (a *auditor) permissions(n *yaml.Node, allowed string) {
	if n == nil || n.Kind != yaml.MappingNode {
		a.add("excessive-permissions", "the workflow does not name them")
		return
	}
	for _, p := range pairs(n) {
		if p.key != allowed || p.value.Value != "read" {
			a.add("excessive-permissions", "%s: %s for every job", p.key, p.value.Value)
		}
	}
}

func (a *auditor) step(step *yaml.Node, publishes bool) {
	uses, with := child(step, "uses"), child(step, "with")
	if uses == nil {
		return
	}
	option := func(name string) string {
		if v := child(with, name); v != nil {
			return v.Value
		}
		return ""
	}
	switch action, _, _ := strings.Cut(uses.Value, "@"); {
	case action == "actions/checkout" && option("persist-credentials") != "false":
		a.add("artipacked", "the token stays in the checkout")
	case strings.HasPrefix(action, "actions/cache") && publishes, action == "actions/setup-go" && option("cache") != "false" && publishes:
		a.add("cache-poisoning", "%s in a workflow that publishes", action)
	}
}

func child(n *yaml.Node, key string) *yaml.Node {
	for _, p := range pairs(n) {
		if p.key == key {
			return p.value
		}
	}
	return nil
}

type pair struct {
	key   string
	value *yaml.Node
}

func pairs(n *yaml.Node) []pair {
	var list []pair
	if n != nil && n.Kind == yaml.MappingNode {
		for i := 0; i+1 < len(n.Content); i += 2 {
			list = append(list, pair{n.Content[i].Value, n.Content[i+1]})
		}
	}
	return list
}

// audited are the files that GitHub reads, here or in a user's repository.
func audited(t *testing.T) []string {
	t.Helper()
	list := []string{"../../../../action.yml", "../../../../.github/actions/install/action.yml"}
	for _, pattern := range []string{"../../../../.github/workflows/*.yml", "../../../../examples/github/*.yml"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: nothing found, %v", pattern, err)
		}
		list = append(list, files...)
	}
	return list
}

func TestWorkflowsAndActionsKeepTheRules(t *testing.T) {
	versions := map[string]string{}
	pin := regexp.MustCompile(`uses: (\S+@[0-9a-f]{40}) # (\S+)`)
	for _, file := range audited(t) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		findings, err := audit(text, strings.Contains(file, "examples"))
		if err != nil {
			t.Errorf("%s: %v", file, err)
		}
		for _, f := range findings {
			t.Errorf("%s: %s", file, f)
		}
		for _, m := range pin.FindAllStringSubmatch(string(text), -1) {
			action, _, _ := strings.Cut(m[1], "@")
			if versions[action] == "" {
				versions[action] = m[1] + m[2]
			}
			if versions[action] != m[1]+m[2] {
				t.Errorf("%s: %s is another version elsewhere", file, action)
			}
		}
	}
	for _, p := range []string{uploadPin, downloadPin, checkoutPin} {
		action, _, _ := strings.Cut(p, "@")
		if !strings.HasPrefix(versions[action], p) {
			t.Errorf("the tests replace %s, the files use %s", p, versions[action])
		}
	}
}

// Every rule finds what it is for.
func TestAuditFinds(t *testing.T) {
	const sha = "3d3c42e5aac5ba805825da76410c181273ba90b1"
	workflow := func(steps string) string {
		return "on: push\npermissions: {}\njobs:\n  a:\n    runs-on: ubuntu-latest\n    timeout-minutes: 1\n    steps:\n" + steps
	}
	tests := []struct{ rule, text string }{
		{"", workflow("      - uses: actions/checkout@" + sha + " # v7.0.1\n        with:\n          persist-credentials: false\n      - run: echo \"$X\"\n        env:\n          X: ${{ github.actor }}\n")},
		{"template-injection", workflow("      - run: echo ${{ github.event.issue.title }}\n")},
		{"unpinned-uses", workflow("      - uses: actions/setup-node@v6\n")},
		{"unpinned-uses", workflow("      - uses: yolo-run/yolo-run@v1\n")},
		{"ref-version-mismatch", workflow("      - uses: actions/setup-node@" + sha + "\n")},
		{"artipacked", workflow("      - uses: actions/checkout@" + sha + " # v7.0.1\n")},
		{"github-env", workflow("      - run: echo x >>$GITHUB_ENV\n")},
		{"insecure-commands", workflow("      - run: curl https://example.com/x | sh\n")},
		{"bot-conditions", workflow("      - if: github.actor == 'dependabot[bot]'\n        run: x\n")},
		{"unsound-condition", workflow("      - if: |\n          ${{ false }}\n        run: x\n")},
		{"overprovisioned-secrets", workflow("      - run: x\n        env:\n          X: ${{ toJSON( secrets ) }}\n")},
		{"unredacted-secrets", workflow("      - run: x\n        env:\n          X: ${{ fromJSON(secrets.X).y }}\n")},
		{"dangerous-triggers", strings.Replace(workflow("      - run: x\n"), "on: push", "on: pull_request_target", 1)},
		{"dangerous-triggers", strings.Replace(workflow("      - run: x\n"), "on: push", "on:\n  workflow_run:\n    workflows: [x]", 1)},
		{"excessive-permissions", strings.Replace(workflow("      - run: x\n"), "permissions: {}\n", "", 1)},
		{"excessive-permissions", strings.Replace(workflow("      - run: x\n"), "permissions: {}", "permissions: write-all", 1)},
		{"excessive-permissions", strings.Replace(workflow("      - run: x\n"), "permissions: {}", "permissions:\n  contents: write", 1)},
		{"undocumented-permissions", strings.Replace(workflow("      - run: x\n"), "    timeout", "    permissions:\n      contents: write\n    timeout", 1)},
		{"cache-poisoning", strings.Replace(workflow("      - uses: actions/setup-go@"+sha+" # v7.0.0\n"), "    timeout", "    permissions:\n      contents: write # x\n    timeout", 1)},
		{"timeout", strings.Replace(workflow("      - run: x\n"), "    timeout-minutes: 1\n", "", 1)},
		{"self-hosted-runner", strings.Replace(workflow("      - run: x\n"), "ubuntu-latest", "self-hosted", 1)},
		{"secrets-inherit", "on: push\npermissions: {}\njobs:\n  a:\n    timeout-minutes: 1\n    uses: ./x.yml\n    secrets: inherit\n"},
		{"hardcoded-container-credentials", workflow("      - run: x\n    container:\n      image: x\n      credentials:\n        username: a\n        password: b\n")},
		{"template-injection", "runs:\n  using: composite\n  steps:\n    - shell: bash\n      run: echo ${{ inputs.x }}\n"},
	}
	for _, tt := range tests {
		findings, err := audit([]byte(tt.text), false)
		if err != nil {
			t.Fatalf("%v in\n%s", err, tt.text)
		}
		got := ""
		if len(findings) > 0 {
			got = findings[0].rule
		}
		if got != tt.rule || len(findings) > 1 {
			t.Errorf("found %v, want %q in\n%s", findings, tt.rule, tt.text)
		}
	}
}

// actionFile is what the tests need of an action's metadata.
type actionFile struct {
	Name, Description, Author string
	Branding                  struct{ Icon, Color string }
	Inputs                    map[string]struct{ Description, Default string }
	Outputs                   map[string]struct{ Description, Value string }
	Runs                      struct {
		Using string
		Steps []struct {
			ID   string
			Env  map[string]string
			With map[string]string
		}
	}
}

func readAction(t *testing.T) actionFile {
	t.Helper()
	text, err := os.ReadFile("../../../../action.yml")
	if err != nil {
		t.Fatal(err)
	}
	var a actionFile
	if err := yaml.Unmarshal(text, &a); err != nil {
		t.Fatal(err)
	}
	return a
}

// What the Marketplace asks for.
func TestTheActionCanBeListed(t *testing.T) {
	a := readAction(t)
	if a.Name == "" || a.Author == "" || a.Branding.Icon == "" || a.Branding.Color == "" || len(a.Description) > 125 || a.Runs.Using != "composite" {
		t.Errorf("%+v", a)
	}
	for name, in := range a.Inputs {
		if in.Description == "" || name != strings.ToLower(name) || strings.Contains(name, "_") {
			t.Errorf("input %s: %q", name, in.Description)
		}
	}
}

// Every input becomes the variable of one setting, or steers the action itself; an empty one leaves the workflow's variable alone.
func TestInputsAreSettings(t *testing.T) {
	reference, err := os.ReadFile("../../../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	guide, err := os.ReadFile("../../../../docs/github.md")
	if err != nil {
		t.Fatal(err)
	}
	a := readAction(t)
	used := map[string]bool{"version": true, "upload-artifacts": true, "artifact-name": true, "retention-days": true}
	for _, step := range a.Runs.Steps {
		if step.ID != "run" {
			continue
		}
		for variable, value := range step.Env {
			m := regexp.MustCompile(`^\$\{\{ inputs\.([a-z-]+) \|\| env\.(YOLO_[A-Z_]+) \}\}$`).FindStringSubmatch(value)
			switch {
			case strings.HasPrefix(variable, "RUN_JOB_"):
			case m == nil || m[2] != variable:
				t.Errorf("%s: %s", variable, value)
			case variable != "YOLO_CONFIG" && !strings.Contains(string(reference), "| `"+variable+"` |"):
				t.Errorf("%s is no setting", variable)
			default:
				used[m[1]] = true
			}
		}
	}
	for name := range a.Inputs {
		if !used[name] {
			t.Errorf("the input %s does nothing", name)
		}
		if !strings.Contains(string(guide), "`"+name+"`") {
			t.Errorf("docs/github.md does not have the input %s", name)
		}
	}
	for name := range a.Outputs {
		if !strings.Contains(string(guide), "`"+name+"`") {
			t.Errorf("docs/github.md does not have the output %s", name)
		}
	}
	for name := range used {
		if _, ok := a.Inputs[name]; !ok {
			t.Errorf("%s is used and no input", name)
		}
	}
	list := []string{
		"prompt", "prompt-file", "agent", "model", "image", "workspace", "allowed-domains", "denied-domains", "allowed-internal", "network", "egress", "env",
		"mounts", "hide", "timeout", "memory", "max-cost-usd", "max-tokens", "max-requests", "fail-on", "protect", "gate", "apply", "config", "ca-file", "notice",
		"allow-server-tools", "upload-artifacts", "artifact-name", "retention-days", "version",
	}
	if i := slices.IndexFunc(list, func(name string) bool { return !used[name] }); i >= 0 {
		t.Errorf("the input %s is missing", list[i])
	}
}

// What stands in the documentation is taken by the action.
func TestExamplesInTheDocumentationNameInputs(t *testing.T) {
	inputs := readAction(t).Inputs
	found := 0
	for _, file := range []string{"../../../../README.md", "../../../../docs/github.md"} {
		for _, m := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(readFile(t, file), -1) {
			var document yaml.Node
			if err := yaml.Unmarshal([]byte(m[1]), &document); err != nil {
				t.Errorf("%s: %v", file, err)
				continue
			}
			steps := document.Content[0]
			if job := child(child(steps, "jobs"), "agent"); job != nil {
				steps = child(job, "steps")
			}
			for _, step := range steps.Content {
				if uses := child(step, "uses"); uses == nil || uses.Value != "yolo-run/yolo-run@v1" {
					continue
				}
				found++
				for _, p := range pairs(child(step, "with")) {
					if _, ok := inputs[p.key]; !ok {
						t.Errorf("%s: the action has no input %s", file, p.key)
					}
				}
			}
		}
	}
	if found != 2 {
		t.Errorf("%d examples, want 2", found)
	}
}
