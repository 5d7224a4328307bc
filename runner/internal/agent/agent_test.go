package agent

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/yolo-run/yolo-run/entrypoint/wire"
)

func TestConfig(t *testing.T) {
	claude := strings.Fields(Root + "/bin/claude -p --output-format stream-json --verbose --dangerously-skip-permissions" +
		` --settings {"skipWebFetchPreflight":true}`)
	codex := strings.Fields(Root + "/bin/codex exec --json --dangerously-bypass-approvals-and-sandbox --skip-git-repo-check" +
		` -c analytics.enabled=false -c check_for_update_on_startup=false -c otel.metrics_exporter="none" -c features.plugins=false` +
		` -c features.apps=false -c features.enable_request_compression=false`)
	gemini := strings.Fields(Root + "/bin/gemini --yolo --output-format stream-json")
	tests := []struct {
		name    string
		command []string
		model   string
		argv    []string
		shell   bool
	}{
		{"claude", nil, "", claude, false},
		{"claude", nil, "opus", append(slices.Clip(claude), "--model", "opus"), false},
		{"codex", nil, "", append(slices.Clip(codex), "-c", `web_search="disabled"`, "-"), false},
		{"codex", nil, "o9", append(slices.Clip(codex), "--model", "o9", "-c", `web_search="disabled"`, "-"), false},
		{"gemini", nil, "pro", append(slices.Clip(gemini), "--model", "pro"), false},
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
			c, _ := a.Config(Setup{Dir: "/workspace/sub", UID: 1000, GID: 1001, Model: tt.model})
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
	one, _ := a.Config(Setup{Dir: "/", UID: 1, GID: 1})
	one.Argv[1] = "changed"
	if two, _ := a.Config(Setup{Dir: "/", UID: 1, GID: 1}); !slices.Equal(two.Argv, []string{"a", "b"}) {
		t.Errorf("argv %q", two.Argv)
	}
}

func TestEnvironment(t *testing.T) {
	a, err := Resolve("claude", nil)
	if err != nil {
		t.Fatal(err)
	}
	c, _ := a.Config(Setup{
		Dir: "/workspace", UID: 1000, GID: 1000, APIs: APIs()[:1], Addr: "127.0.0.1:7",
		Env: append(CAEnv(), "CI=false", "EMPTY=", "A=1", "A=2", "HOME=/elsewhere"),
	})
	got := c.Env
	want := []string{
		"YOLO_RUN=1", "CI=false", "HOME=/elsewhere", "USER=agent", "LOGNAME=agent", "SHELL=/bin/sh", "TMPDIR=/tmp",
		"YOLO_PROMPT_FILE=/.yolo-run/prompt", "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1",
		"ANTHROPIC_API_KEY=yolo-run-placeholder", "ANTHROPIC_BASE_URL=http://127.0.0.1:7/anthropic",
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

// Codex learns the base URL by an option: the placeholder stands in the environment, where its provider looks for the key.
func TestCodexIsToldWhereItsModelIs(t *testing.T) {
	a, err := Resolve("codex", nil)
	if err != nil {
		t.Fatal(err)
	}
	openai, _ := FindAPI("openai")
	c, _ := a.Config(Setup{APIs: []API{openai}, Addr: "127.0.0.1:7"})
	argv := strings.Join(c.Argv, " ")
	if !strings.Contains(argv, `base_url="http://127.0.0.1:7/openai/v1"`) || c.Argv[len(c.Argv)-1] != "-" {
		t.Errorf("argv %s", argv)
	}
	if !slices.Contains(c.Env, "OPENAI_API_KEY=yolo-run-placeholder") {
		t.Errorf("env %q", c.Env)
	}
	anthropic, _ := FindAPI("anthropic")
	if other, _ := a.Config(Setup{APIs: []API{anthropic}, Addr: "127.0.0.1:7"}); strings.Contains(strings.Join(other.Argv, " "), "base_url") {
		t.Errorf("argv %q", other.Argv)
	}
}

// Settings that insist on a key would lock out a login that the user has mounted.
func TestGeminiIsSetUpForAKeyOnlyWhereThereIsOne(t *testing.T) {
	a, err := Resolve("gemini", nil)
	if err != nil {
		t.Fatal(err)
	}
	gemini, _ := FindAPI("gemini")
	c, files := a.Config(Setup{APIs: []API{gemini}, Addr: "127.0.0.1:7"})
	if text := files["/.yolo-run/gemini.json"]; !json.Valid([]byte(text)) || !slices.Contains(c.Env, "GEMINI_CLI_SYSTEM_SETTINGS_PATH=/.yolo-run/gemini.json") {
		t.Errorf("settings %q, env %q", text, c.Env)
	}
	if c, files := a.Config(Setup{}); len(files) > 0 || strings.Contains(strings.Join(c.Env, " "), "SETTINGS") {
		t.Errorf("without a key: files %v, env %q", files, c.Env)
	}
}

func TestEachAgentIsToldInItsOwnWay(t *testing.T) {
	const notice = "two lines\nwith \"quotes\" and \\ and \u2028 <b> \x7f"
	for name, told := range map[string]func(wire.AgentConfig, map[string]string) bool{
		"claude": func(c wire.AgentConfig, _ map[string]string) bool {
			i := slices.Index(c.Argv, "--append-system-prompt")
			return i > 0 && c.Argv[i+1] == notice
		},
		"codex": func(c wire.AgentConfig, _ map[string]string) bool {
			i := slices.IndexFunc(c.Argv, func(arg string) bool { return strings.HasPrefix(arg, "developer_instructions=") })
			if i < 0 || c.Argv[i-1] != "-c" || c.Argv[len(c.Argv)-1] != "-" {
				return false
			}
			var got string
			toml := strings.TrimPrefix(c.Argv[i], "developer_instructions=") // where no control character stands as it is (TOML 1.0, String)
			return !strings.ContainsAny(toml, "\n\x7f") && json.Unmarshal([]byte(toml), &got) == nil && got == notice
		},
		"gemini": func(_ wire.AgentConfig, files map[string]string) bool {
			return files[Home+"/.gemini/GEMINI.md"] == notice
		},
		"shell": func(wire.AgentConfig, map[string]string) bool { return true },
	} {
		a, err := Resolve(name, nil)
		if err != nil {
			t.Fatal(err)
		}
		c, files := a.Config(Setup{Notice: notice})
		if !told(c, files) || files[NoticePath] != notice || !slices.Contains(c.Env, "YOLO_NOTICE_FILE=/.yolo-run/notice") {
			t.Errorf("%s: argv %q, env %q, files %q", name, c.Argv, c.Env, files)
		}
		quiet, files := a.Config(Setup{})
		if all := strings.Join(append(quiet.Argv, quiet.Env...), " "); len(files) > 0 || strings.Contains(all, "append-system") || strings.Contains(all, "developer_") || strings.Contains(all, "NOTICE") {
			t.Errorf("%s without a notice: %q %q", name, all, files)
		}
	}
}

func TestCodexSearchesWhereTheGatewayLetsIt(t *testing.T) {
	a, err := Resolve("codex", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, open := range []bool{false, true} {
		c, _ := a.Config(Setup{ServerTools: open})
		if closed := slices.Contains(c.Argv, `web_search="disabled"`); closed == open {
			t.Errorf("open %v: argv %q", open, c.Argv)
		}
	}
}

// Claude Code asks in another way for a subscription than for a key, and an API key in its environment would win.
func TestTheTokenOfASubscriptionHasItsOwnPlaceholder(t *testing.T) {
	anthropic, _ := FindAPI("anthropic")
	for variable, want := range map[string]string{
		"CLAUDE_CODE_OAUTH_TOKEN": "CLAUDE_CODE_OAUTH_TOKEN", "ANTHROPIC_API_KEY": "ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN": "ANTHROPIC_API_KEY",
	} {
		key, _ := anthropic.Key(variable)
		env := anthropic.With(key).Env("127.0.0.1:7")
		if env[0] != want+"=yolo-run-placeholder" || len(env) != 2 {
			t.Errorf("%s: %q", variable, env)
		}
	}
}
