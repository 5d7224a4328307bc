package runner_test

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/yolo-run/yolo-run/entrypoint/policy"
	"github.com/yolo-run/yolo-run/runner"
)

// validConfig is a configuration without faults, to be spoilt by one thing at a time.
func validConfig(t *testing.T) runner.Config {
	t.Helper()
	t.Setenv("HOME", t.TempDir())
	for _, name := range []string{"ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN", "ANTHROPIC_BASE_URL", "OPENAI_API_KEY", "CODEX_API_KEY"} {
		t.Setenv(name, "")
	}
	t.Setenv("ANTHROPIC_API_KEY", "sk-ant-canary-of-the-environment")
	cfg := runner.Defaults()
	cfg.Workspace = t.TempDir()
	cfg.Prompt = "do it"
	return cfg
}

func TestDefaultsAreValid(t *testing.T) {
	cfg := validConfig(t)
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	cfg.SetDefaults()
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	if cfg.Agent != "claude" || cfg.Image != "yolo-run/claude:dev" || cfg.GatewayImage != "yolo-run/gateway:dev" {
		t.Errorf("agent %q, image %q, gateway %q", cfg.Agent, cfg.Image, cfg.GatewayImage)
	}
}

func TestDefaultsOfACommand(t *testing.T) {
	cfg := runner.Config{Command: []string{"true"}, Workspace: t.TempDir(), Version: "1.2.3"}
	cfg.SetDefaults()
	if cfg.Agent != "command" || cfg.Image != "yolo-run/base:1.2.3" || cfg.Timeout != 30*time.Minute {
		t.Errorf("agent %q, image %q, timeout %v", cfg.Agent, cfg.Image, cfg.Timeout)
	}
	if err := cfg.Validate(); err != nil {
		t.Error(err)
	}
}

// Each row spoils one thing; the fault must name the flag and say want, and it must be the only one.
func TestValidateNamesTheFlag(t *testing.T) {
	for _, tc := range []struct {
		flag  string
		spoil func(*runner.Config)
		want  string
	}{
		{"--agent", func(c *runner.Config) { c.Agent = "gpt" }, "one of claude, codex, gemini, shell"},
		{"--agent", func(c *runner.Config) { c.Agent = "command" }, "one of"},
		{"--pull", func(c *runner.Config) { c.Pull = "sometimes" }, "one of"},
		{"--workspace-mode", func(c *runner.Config) { c.WorkspaceMode = "bind" }, "one of"},
		{"--egress", func(c *runner.Config) { c.Egress = "open" }, "one of"},
		{"--fail-on", func(c *runner.Config) { c.FailOn = []string{"everything"} }, "one of"},
		{"--fail-on", func(c *runner.Config) { c.FailOn = []string{"none", "gate"} }, "stands alone"},
		{"--log-level", func(c *runner.Config) { c.LogLevel = "trace" }, "one of"},
		{"--log-format", func(c *runner.Config) { c.LogFormat = "xml" }, "one of"},
		{"--model", func(c *runner.Config) { c.Model = "--dangerous" }, "dash"},
		{"--image", func(c *runner.Config) { c.Image = "a b" }, "one word"},
		{"--platform", func(c *runner.Config) { c.Platform = "arm" }, "OS/ARCH"},
		{"--user", func(c *runner.Config) { c.User = "0:1000" }, "0"},
		{"--user", func(c *runner.Config) { c.User = "1000:0" }, "0"},
		{"--user", func(c *runner.Config) { c.User = "000:1" }, "0"},
		{"--user", func(c *runner.Config) { c.User = "1000" }, "UID:GID"},
		{"--user", func(c *runner.Config) { c.User = "me:staff" }, "UID:GID"},
		{"--user", func(c *runner.Config) { c.User = "4294967295:1" }, "UID:GID"},
		{"--user", func(c *runner.Config) { c.User = "4294967296:1" }, "UID:GID"},
		{"--timeout", func(c *runner.Config) { c.Timeout = -time.Minute }, "at least"},
		{"--memory", func(c *runner.Config) { c.Memory = 1 }, "at least"},
		{"--cpus", func(c *runner.Config) { c.CPUs = -1 }, "at least 0.01"},
		{"--cpus", func(c *runner.Config) { c.CPUs = math.NaN() }, "at least 0.01"},
		{"--cpus", func(c *runner.Config) { c.CPUs = math.Inf(1) }, "at least 0.01"},
		{"--pids", func(c *runner.Config) { c.PIDs = 0 }, "at least 1"},
		{"--max-tokens", func(c *runner.Config) { c.MaxTokens = -1 }, "at least 0"},
		{"--max-cost-usd", func(c *runner.Config) { c.MaxCostUSD = math.NaN() }, "negative"},
		{"--max-patch-files", func(c *runner.Config) { c.MaxPatchFiles = -1 }, "at least 1"},
		{"--hide", func(c *runner.Config) { c.Hide = []string{"[a"} }, "not a pattern"},
		{"--hide", func(c *runner.Config) { c.Hide = []string{"../x"} }, "not a pattern"},
		{"--hide", func(c *runner.Config) { c.Hide = []string{"!"} }, "not a pattern"},
		{"--protect", func(c *runner.Config) { c.Protect = []string{"a//b"} }, "not a pattern"},
		{"--env", func(c *runner.Config) { c.Env = []string{"1A=x"} }, "not the name of a variable"},
		{"--env", func(c *runner.Config) { c.Env = []string{"=x"} }, "not the name of a variable"},
		{"--env", func(c *runner.Config) { c.Env = []string{"A=x\x00y"} }, "NUL"},
		{"--network", func(c *runner.Config) { c.Network = "host" }, "of its own"},
		{"--network", func(c *runner.Config) { c.Network = "none" }, "of its own"},
		{"--network", func(c *runner.Config) { c.Network = "container:abc" }, "of its own"},
		{"--network", func(c *runner.Config) { c.Network = "-x" }, "name of a network"},
		{"--dns", func(c *runner.Config) { c.DNS = []string{"dns.example.com"} }, "not an address"},
		{"--dns", func(c *runner.Config) { c.DNS = []string{"127.0.0.53"} }, "loopback"},
		{"--dns", func(c *runner.Config) { c.DNS = []string{"[::ffff:127.0.0.1]:53"} }, "loopback"},
		{"--dns", func(c *runner.Config) { c.DNS = []string{"0.0.0.0"} }, "cannot be"},
		{"--allowed-domain", func(c *runner.Config) { c.AllowedDomains = []string{"a.example *"} }, "everything"},
		{"--allowed-domain", func(c *runner.Config) { c.AllowedDomains = []string{"https://a.example/"} }, "host alone"},
		{"--allowed-domain", func(c *runner.Config) { c.AllowedDomains = []string{"b\u00fc\u202echer.example"} }, "international"},
		{"--denied-domain", func(c *runner.Config) { c.DeniedDomains = []string{"a..b"} }, "empty"},
		{"--allowed-internal", func(c *runner.Config) { c.AllowedInternal = []string{"db.example"} }, "port"},
		{"--upstream-proxy", func(c *runner.Config) { c.UpstreamProxy = "proxy:3128" }, "http://"},
		{"--upstream-proxy", func(c *runner.Config) { c.UpstreamProxy = "http://proxy:3128/path" }, "end after the port"},
		{"--upstream", func(c *runner.Config) { c.Upstreams = []string{"anthropic"} }, "NAME=URL"},
		{"--upstream", func(c *runner.Config) { c.Upstreams = []string{"anthropic=ftp://a.example"} }, "NAME=URL"},
		{"--workspace", func(c *runner.Config) { c.Workspace = "/nonexistent" }, "no such file"},
		{"--mount", func(c *runner.Config) { c.Mounts = []string{"/nonexistent"} }, "SRC:DST"},
	} {
		cfg := validConfig(t)
		tc.spoil(&cfg)
		t.Run(tc.flag+" "+tc.want, func(t *testing.T) {
			err := cfg.Validate()
			fault, ok := errors.AsType[*runner.UsageError](err)
			if !ok || fault.Option != tc.flag || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("got %v", err)
			}
			if n := strings.Count(err.Error(), "\n"); n != 0 {
				t.Fatalf("%d further faults: %v", n, err)
			}
		})
	}
}

// The positive controls of the table above.
func TestValidateAccepts(t *testing.T) {
	cfg := validConfig(t)
	cfg.Agent, cfg.Model, cfg.Platform, cfg.User = "shell", "claude-opus-4-1[1m]", "linux/arm/v7", "1000:4294967294"
	cfg.Image = "registry.example.com:5000/a/b:c@sha256:0123"
	cfg.FailOn = []string{"gate", "denied"}
	cfg.Hide, cfg.Protect = []string{"*.pem", "!.env.example", "a/**/b", "/top", "folder/"}, []string{"deploy/**"}
	cfg.Env = []string{"A", "_b=c=d", "E=", "F=line\nline"}
	cfg.Network = "my-net_1.x"
	cfg.DNS = []string{"192.0.2.53", "192.0.2.53:5353", "2001:db8::53", "[2001:db8::53]:53"}
	cfg.AllowedDomains = []string{"a.example,b.example:80,443\n*.c.example 192.0.2.1:22", "bücher.example"}
	cfg.AllowedInternal = []string{"db.example:5432", "10.0.0.0/8:5432"}
	cfg.UpstreamProxy = "http://user:secret@proxy.example:3128"
	cfg.Upstreams = []string{"anthropic=https://api.example.com/base", "mycorp=openai+http://192.0.2.7:8080/v1"}
	cfg.Prices = []string{"my-model=1/2", "claude-opus-5=0/0/0/0/0"}
	cfg.MaxTokens, cfg.MaxRequests, cfg.MaxCostUSD = 1, 1, 0.5
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
}

func TestFaultsNeverRepeatASecret(t *testing.T) {
	cfg := validConfig(t)
	cfg.Env = []string{"BAD-NAME=canary", "A=canary\x00"}
	cfg.UpstreamProxy = "https://user:canary@proxy.example:3128"
	cfg.Upstreams = []string{"openai=https://user:canary@api.example.com"}
	cfg.Secrets = []string{"KEY=canary", "canary"}
	err := cfg.Validate()
	if err == nil || strings.Contains(err.Error(), "canary") {
		t.Fatalf("got %v", err)
	}
	if n := strings.Count(err.Error(), "\n") + 1; n != 6 {
		t.Fatalf("%d faults, want 6: %v", n, err)
	}
}

func TestPolicySpec(t *testing.T) {
	cfg := runner.Config{
		AllowedDomains:  []string{"a.example, b.example:80,443", "*.Bücher.example:8443"},
		DeniedDomains:   []string{"münchen.example"},
		AllowedInternal: []string{"db.example:5432"},
	}
	spec, err := cfg.PolicySpec()
	if err != nil {
		t.Fatal(err)
	}
	p, err := policy.Parse(spec)
	if err != nil {
		t.Fatal(err)
	}
	if p.Connect("xn--bcher-kva.example", 8443).Verdict != "deny" || p.Connect("shop.xn--bcher-kva.example", 8443).Verdict != "allow" {
		t.Errorf("the wildcard: %v", spec.Allow)
	}
	if p.Connect("b.example", 80).Verdict != "allow" || p.Connect("b.example", 8080).Verdict != "deny" {
		t.Errorf("the ports: %v", spec.Allow)
	}
	if len(spec.Deny) != 1 || spec.Deny[0] != "xn--mnchen-3ya.example" || spec.Egress != policy.Enforce {
		t.Errorf("got %+v", spec)
	}
}

func TestReadPrompt(t *testing.T) {
	exact := "first\x00line\r\nno newline at the end"
	file := filepath.Join(t.TempDir(), "prompt")
	if err := os.WriteFile(file, []byte(exact), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		cfg   runner.Config
		stdin string
	}{
		"file":           {runner.Config{PromptFile: file}, ""},
		"standard input": {runner.Config{PromptFile: "-"}, exact},
		"text":           {runner.Config{Prompt: exact}, ""},
	} {
		got, err := tc.cfg.ReadPrompt(strings.NewReader(tc.stdin))
		if err != nil || string(got) != exact {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	for name, cfg := range map[string]runner.Config{
		"empty input": {PromptFile: "-"},
		"no file":     {PromptFile: file + "x"},
	} {
		_, err := cfg.ReadPrompt(strings.NewReader("  \n"))
		if _, ok := errors.AsType[*runner.UsageError](err); !ok {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestAReleaseNamesItsImages(t *testing.T) {
	release := map[string]string{"gateway": "registry.example.com/gateway@sha256:1", "claude": "registry.example.com/claude@sha256:2"}
	tests := []struct {
		cfg            runner.Config
		image, gateway string
	}{
		{runner.Config{Version: "1.2.3"}, "yolo-run/claude:1.2.3", "yolo-run/gateway:1.2.3"},
		{runner.Config{Version: "1.2.3", Images: release}, release["claude"], release["gateway"]},
		{runner.Config{Version: "1.2.3", Images: release, Agent: "shell"}, "yolo-run/base:1.2.3", release["gateway"]},
		{runner.Config{Images: release, Image: "golang:1.26", GatewayImage: "mine:1"}, "golang:1.26", "mine:1"},
	}
	for _, tt := range tests {
		tt.cfg.SetDefaults()
		if tt.cfg.Image != tt.image || tt.cfg.GatewayImage != tt.gateway {
			t.Errorf("got %s and %s, want %s and %s", tt.cfg.Image, tt.cfg.GatewayImage, tt.image, tt.gateway)
		}
	}
}
