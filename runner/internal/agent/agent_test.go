package agent

import (
	"slices"
	"strings"
	"testing"

	"github.com/yolo-run/yolo-run/entrypoint/wire"
)

func TestConfig(t *testing.T) {
	tests := []struct {
		name    string
		command []string
		model   string
		argv    []string
		shell   bool
	}{
		{"claude", nil, "", []string{"claude", "-p", "--output-format", "stream-json", "--verbose", "--dangerously-skip-permissions"}, false},
		{
			"claude", nil, "opus",
			[]string{"claude", "-p", "--output-format", "stream-json", "--verbose", "--dangerously-skip-permissions", "--model", "opus"},
			false,
		},
		{"codex", nil, "", []string{"codex", "exec", "--json", "--dangerously-bypass-approvals-and-sandbox", "-"}, false},
		{"codex", nil, "o9", []string{"codex", "exec", "--json", "--dangerously-bypass-approvals-and-sandbox", "--model", "o9", "-"}, false},
		{"gemini", nil, "pro", []string{"gemini", "--yolo", "--output-format", "stream-json", "--model", "pro"}, false},
		{"shell", nil, "any", nil, true},
		{"", []string{"make", "-"}, "any", []string{"make", "-"}, false},
		{Command, []string{"sh", "-c", "exit 3"}, "", []string{"sh", "-c", "exit 3"}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name+" "+tt.model, func(t *testing.T) {
			a, err := Resolve(tt.name, tt.command)
			if err != nil {
				t.Fatal(err)
			}
			c := a.Config("/workspace/sub", 1000, 1001, nil, tt.model)
			if !slices.Equal(c.Argv, tt.argv) {
				t.Errorf("argv %q, want %q", c.Argv, tt.argv)
			}
			if c.Shell != tt.shell || c.Stdin == tt.shell {
				t.Errorf("shell %v, stdin %v", c.Shell, c.Stdin)
			}
			if c.Wire != wire.Version || c.Dir != "/workspace/sub" || c.UID != 1000 || c.GID != 1001 || c.Layers != nil {
				t.Errorf("%+v", c)
			}
			if got := slices.Contains(c.Env, "YOLO_MODEL="+tt.model); got != (tt.model != "") {
				t.Errorf("env %q with model %q", c.Env, tt.model)
			}
		})
	}
}

func TestConfigSharesNothing(t *testing.T) {
	command := []string{"a", "b"}
	a, err := Resolve("", command)
	if err != nil {
		t.Fatal(err)
	}
	command[0] = "changed"
	one := a.Config("/", 1, 1, nil, "")
	one.Argv[1] = "changed"
	if two := a.Config("/", 1, 1, nil, ""); !slices.Equal(two.Argv, []string{"a", "b"}) {
		t.Errorf("argv %q", two.Argv)
	}
}

func TestEnvironment(t *testing.T) {
	a, err := Resolve("claude", nil)
	if err != nil {
		t.Fatal(err)
	}
	got := a.Config("/workspace", 1000, 1000, append(CAEnv(), "CI=false", "EMPTY=", "A=1", "A=2", "HOME=/elsewhere"), "").Env
	want := []string{
		"YOLO_RUN=1", "CI=false", "HOME=/elsewhere", "USER=agent", "LOGNAME=agent", "SHELL=/bin/sh", "TMPDIR=/tmp",
		"YOLO_PROMPT_FILE=/.yolo-run/prompt", "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1",
		"SSL_CERT_FILE=/.yolo-run/ca.pem", "NODE_EXTRA_CA_CERTS=/.yolo-run/ca.pem", "REQUESTS_CA_BUNDLE=/.yolo-run/ca.pem",
		"CURL_CA_BUNDLE=/.yolo-run/ca.pem", "GIT_SSL_CAINFO=/.yolo-run/ca.pem", "PIP_CERT=/.yolo-run/ca.pem", "AWS_CA_BUNDLE=/.yolo-run/ca.pem",
		"EMPTY=", "A=2",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestResolveRefuses(t *testing.T) {
	tests := []struct {
		name    string
		command []string
		want    string
	}{
		{"", nil, `agent "" is unknown: want claude, codex, gemini, shell, or a command behind --`},
		{"aider", nil, `agent "aider" is unknown`},
		{Command, nil, `agent "command" is unknown`},
		{"Claude", nil, `agent "Claude" is unknown`},
		{"claude", []string{"make"}, `agent "claude" and a command`},
	}
	for _, tt := range tests {
		if _, err := Resolve(tt.name, tt.command); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q %q: error %v, want %q", tt.name, tt.command, err, tt.want)
		}
	}
}
