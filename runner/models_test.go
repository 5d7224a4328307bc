package runner

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/yolo-run/yolo-run/entrypoint/wire"
	"github.com/yolo-run/yolo-run/runner/internal/agent"
)

// machineWith is this machine with other variables.
func machineWith(env map[string]string) host {
	h := thisHost()
	h.lookupEnv = func(name string) (string, bool) { value, ok := env[name]; return value, ok }
	return h
}

// describe writes an API as a test can compare it: name, where to, and what for a key.
func describe(apis []modelAPI) []string {
	var list []string
	for _, a := range apis {
		key := "no key"
		if a.key != nil {
			key = a.key.Variable + " (" + a.key.from + ")"
		}
		trust := ""
		if a.trusted() {
			trust = " trusted"
		}
		list = append(list, fmt.Sprintf("%s %s%s, %s", a.Name, a.upstream, trust, key))
	}
	return list
}

func TestWhichAPIsARunServes(t *testing.T) {
	for name, tc := range map[string]struct {
		cfg  Config
		env  map[string]string
		want []string
	}{
		"the agent's own, with a key of the environment": {
			Config{Agent: "claude"},
			map[string]string{"ANTHROPIC_API_KEY": "k", "OPENAI_API_KEY": "k", "GEMINI_API_KEY": "k"},
			[]string{"anthropic https://api.anthropic.com, ANTHROPIC_API_KEY (environment)"},
		},
		"claude is the default": {
			Config{},
			map[string]string{"CLAUDE_CODE_OAUTH_TOKEN": "k"},
			[]string{"anthropic https://api.anthropic.com, CLAUDE_CODE_OAUTH_TOKEN (environment)"},
		},
		"the first of several keys": {
			Config{Agent: "codex"},
			map[string]string{"OPENAI_API_KEY": "k", "CODEX_API_KEY": "k"},
			[]string{"openai https://api.openai.com, CODEX_API_KEY (environment)"},
		},
		"a script does not get what only lies about": {
			Config{Agent: "shell"}, map[string]string{"ANTHROPIC_API_KEY": "k", "OPENAI_API_KEY": "k"}, nil,
		},
		"nor does a command": {
			Config{Command: []string{"aider"}}, map[string]string{"OPENAI_API_KEY": "k"}, nil,
		},
		"a script gets what it is given": {
			Config{Agent: "shell", Secrets: []string{"OPENROUTER_API_KEY=env:MINE", "OTHER=env:MINE"}},
			map[string]string{"MINE": "k"},
			[]string{"openrouter https://openrouter.ai/api, OPENROUTER_API_KEY (--secret)"},
		},
		"--secret before the environment": {
			Config{Agent: "claude", Secrets: []string{"ANTHROPIC_API_KEY=env:MINE"}},
			map[string]string{"MINE": "k", "ANTHROPIC_AUTH_TOKEN": "k"},
			[]string{"anthropic https://api.anthropic.com, ANTHROPIC_API_KEY (--secret)"},
		},
		"a gateway without a key": {
			Config{Command: []string{"aider"}, Upstreams: []string{"openai=http://192.0.2.7:8080/v1"}},
			map[string]string{"OPENAI_API_KEY": "k"},
			[]string{"openai http://192.0.2.7:8080 trusted, no key"},
		},
		"an agent's gateway gets the agent's key": {
			Config{Agent: "codex", Upstreams: []string{"openai=https://llm.example.com/v1"}},
			map[string]string{"OPENAI_API_KEY": "k"},
			[]string{"openai https://llm.example.com trusted, OPENAI_API_KEY (environment)"},
		},
		"a key for a gateway is not sent to the vendor": {
			Config{Agent: "claude"},
			map[string]string{"ANTHROPIC_AUTH_TOKEN": "k", "ANTHROPIC_BASE_URL": "https://llm.example.com/anthropic"},
			[]string{"anthropic https://llm.example.com/anthropic trusted, ANTHROPIC_AUTH_TOKEN (environment)"},
		},
		"--upstream before the environment": {
			Config{Agent: "claude", Upstreams: []string{"anthropic=https://api.anthropic.com"}},
			map[string]string{"ANTHROPIC_API_KEY": "k", "ANTHROPIC_BASE_URL": "https://llm.example.com"},
			[]string{"anthropic https://api.anthropic.com, ANTHROPIC_API_KEY (environment)"},
		},
		"one of the user's own": {
			Config{Agent: "shell", Upstreams: []string{"my-corp=anthropic+https://llm.example.com"}, Secrets: []string{"MY_CORP_API_KEY=env:MINE"}},
			map[string]string{"MINE": "k"},
			[]string{"my-corp https://llm.example.com trusted, MY_CORP_API_KEY (--secret)"},
		},
		"several": {
			Config{Agent: "gemini", Secrets: []string{"OPENAI_API_KEY=env:MINE"}, Upstreams: []string{"deepseek=https://llm.example.com"}},
			map[string]string{"MINE": "k", "GOOGLE_API_KEY": "k"},
			[]string{
				"deepseek https://llm.example.com trusted, no key", "gemini https://generativelanguage.googleapis.com, GOOGLE_API_KEY (environment)",
				"openai https://api.openai.com, OPENAI_API_KEY (--secret)",
			},
		},
		"a cloud's API in place of the vendor's": {
			Config{Agent: "claude", Env: []string{"CLAUDE_CODE_USE_BEDROCK=1", "AWS_BEARER_TOKEN_BEDROCK"}}, map[string]string{"ANTHROPIC_API_KEY": "k"}, nil,
		},
		"a login that is mounted in place of a key": {
			Config{Agent: "codex", Mounts: []string{"/somewhere:~/.codex:cow"}}, nil, nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := tc.cfg.modelAPIs(machineWith(tc.env))
			if err != nil || !slices.Equal(describe(got), tc.want) {
				t.Errorf("%q, %v, want %q", describe(got), err, tc.want)
			}
		})
	}
}

func TestWhatCannotBeServedIsAFault(t *testing.T) {
	claude := map[string]string{"ANTHROPIC_API_KEY": "sk-canary"}
	for name, tc := range map[string]struct {
		cfg    Config
		env    map[string]string
		option string
		want   string
	}{
		"no key":                {Config{Agent: "claude"}, nil, "--agent", "none of ANTHROPIC_AUTH_TOKEN, ANTHROPIC_API_KEY, CLAUDE_CODE_OAUTH_TOKEN is set"},
		"no key for gemini":     {Config{Agent: "gemini"}, claude, "--agent", "GEMINI_API_KEY, GOOGLE_API_KEY"},
		"another's login":       {Config{Agent: "codex", Mounts: []string{"/somewhere:~/.claude"}}, nil, "--agent", "no key"},
		"unknown upstream":      {Config{Upstreams: []string{"mycorp=https://llm.example.com"}}, claude, "--upstream", "want one of anthropic, openai, gemini, openrouter"},
		"unknown dialect":       {Config{Upstreams: []string{"mycorp=cohere+https://llm.example.com"}}, claude, "--upstream", "no dialect"},
		"another dialect":       {Config{Upstreams: []string{"openai=gemini+https://llm.example.com"}}, claude, "--upstream", "openai speaks openai"},
		"twice":                 {Config{Upstreams: []string{"openai=https://a.example", "openai=https://b.example"}}, claude, "--upstream", "twice"},
		"no URL":                {Config{Upstreams: []string{"openai"}}, claude, "--upstream", "NAME=URL"},
		"loopback":              {Config{Upstreams: []string{"openai=http://localhost:11434/v1"}}, claude, "--upstream", "loopback"},
		"a name forgotten":      {Config{Upstreams: []string{"https://me:canary@llm.example.com/v1"}}, claude, "--upstream", "NAME=URL"},
		"a name forgotten, too": {Config{Upstreams: []string{"https://me:canary@llm.example.com/v1?a=b"}}, claude, "--upstream", "xxxxx"},
		"a key in the URL":      {Config{Upstreams: []string{"gemini=https://llm.example.com/?key=canary"}}, claude, "--upstream", "query"},
		"a password":            {Config{Upstreams: []string{"mycorp=openai+https://me:canary@llm.example.com"}}, claude, "--upstream", "password"},
		"two keys":              {Config{Secrets: []string{"OPENAI_API_KEY=env:A", "CODEX_API_KEY=env:A"}}, map[string]string{"A": "k", "ANTHROPIC_API_KEY": "k"}, "--secret", "has a key already"},
		"a broken variable":     {Config{}, map[string]string{"ANTHROPIC_API_KEY": "k", "ANTHROPIC_BASE_URL": "llm.example.com"}, "ANTHROPIC_BASE_URL", "URL"},
		"a key of two lines":    {Config{}, map[string]string{"ANTHROPIC_API_KEY": "sk-canary\nx: y"}, "ANTHROPIC_API_KEY", "line break"},
		"a key with a space":    {Config{}, map[string]string{"ANTHROPIC_API_KEY": "Bearer sk-canary"}, "ANTHROPIC_API_KEY", "space"},
		"a strange secret":      {Config{Agent: "shell", Secrets: []string{"OPENAI_API_KEY=env:A"}}, map[string]string{"A": "sk-canary\x1b"}, "--secret", "control character"},
		"a key in clear":        {Config{Env: []string{"CLAUDE_CODE_OAUTH_TOKEN"}}, claude, "--env", "show the agent a key"},
		"a key in clear, too":   {Config{Env: []string{"ANTHROPIC_API_KEY=sk-canary"}}, claude, "--env", "show the agent a key"},
		"a way past":            {Config{Env: []string{"ANTHROPIC_BASE_URL=https://x.example"}}, claude, "--env", "past the gateway"},
		"nobody counts":         {Config{Agent: "shell", MaxTokens: 1}, claude, "--max-tokens", "serves no model"},
		"nobody pays":           {Config{Agent: "shell", MaxCostUSD: 1}, claude, "--max-cost-usd", "serves no model"},
		"no price":              {Config{Model: "claude-zeus-9", MaxCostUSD: 1}, claude, "--model", "no known price"},
		"a strange price":       {Config{Model: "claude-zeus-9", MaxCostUSD: 1, Prices: []string{"claude-zeus-9=cheap"}}, claude, "--price", "MODEL=INPUT/OUTPUT"},
	} {
		t.Run(name, func(t *testing.T) {
			f := &faults{}
			tc.cfg.validateModels(f, machineWith(tc.env))
			err := errors.Join(f.list...)
			fault, ok := errors.AsType[*UsageError](err)
			if !ok || fault.Option != tc.option || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v, want %s: … %s", err, tc.option, tc.want)
			}
			if text := fmt.Sprint(err, Hint(err)); strings.Contains(text, "canary") {
				t.Errorf("the key stands in %s", text)
			}
		})
	}
}

// The positive controls of the table above.
func TestWhatCanBeServedIsNoFault(t *testing.T) {
	claude := map[string]string{"ANTHROPIC_API_KEY": "sk-ant-api03-_x.y+z/=~", "A": "k\n"}
	for name, cfg := range map[string]Config{
		"budgets":            {MaxTokens: 1, MaxRequests: 1, MaxCostUSD: 1, AllowServerTools: true},
		"a price":            {Model: "claude-zeus-9", MaxCostUSD: 1, Prices: []string{"claude-zeus-9=1/2"}},
		"a short name":       {Model: "opus", MaxCostUSD: 1},
		"no price, no cap":   {Model: "claude-zeus-9", MaxTokens: 1},
		"another's variable": {Env: []string{"OPENAI_API_KEY"}},
		"a newline at the end": {
			Agent: "shell", Secrets: []string{"OPENAI_API_KEY=env:A"}, MaxTokens: 5,
		},
	} {
		f := &faults{}
		cfg.validateModels(f, machineWith(claude))
		if err := errors.Join(f.list...); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestKeysReachTheGatewayInTheirHeaders(t *testing.T) {
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, []byte("from-a-file\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	machine := machineWith(map[string]string{"CLAUDE_CODE_OAUTH_TOKEN": "from-the-environment\n"})
	cfg := Config{Agent: "claude", Secrets: []string{"GEMINI_API_KEY=file:" + file}, Upstreams: []string{"openai=http://192.0.2.7"}}
	served, err := cfg.modelAPIs(machine)
	if err != nil {
		t.Fatal(err)
	}
	models, keys, err := readKeys(served, machine)
	if err != nil || !slices.Equal(keys, []string{"from-the-environment", "from-a-file"}) {
		t.Fatalf("keys %q, %v", keys, err)
	}
	want := []wire.ModelAPI{
		{
			Name: "anthropic", Dialect: wire.Anthropic, Upstream: "https://api.anthropic.com",
			Headers: []wire.Header{{Name: "Authorization", Value: "Bearer from-the-environment"}}, Beta: []string{"oauth-2025-04-20"},
		},
		{
			Name: "gemini", Dialect: wire.Gemini, Upstream: "https://generativelanguage.googleapis.com",
			Headers: []wire.Header{{Name: "X-Goog-Api-Key", Value: "from-a-file"}},
		},
		{Name: "openai", Dialect: wire.OpenAI, Upstream: "http://192.0.2.7", Trusted: true},
	}
	if fmt.Sprint(models) != fmt.Sprint(want) {
		t.Errorf("%+v\nwant %+v", models, want)
	}
}

// What the gateway says goes into the agent's environment and must not lead it elsewhere.
func TestTheModelsAddressIsOnLoopback(t *testing.T) {
	for addr, good := range map[string]bool{
		"127.0.0.1:7": true, "": false, "127.0.0.1": false, "127.0.0.1:0": false, "192.0.2.7:80": false, "localhost:80": false, "127.0.0.1:7/x": false,
	} {
		if err := checkModelAddr(addr, 1); (err == nil) != good {
			t.Errorf("%q: %v", addr, err)
		}
	}
	if err := checkModelAddr("", 0); err != nil {
		t.Error(err)
	}
}

func TestDoctorNamesKeysAndNeverShowsThem(t *testing.T) {
	env := map[string]string{"OPENAI_API_KEY": "canary", "GROQ_API_KEY": "canary"}
	for name, tc := range map[string]struct {
		d    doctor
		want string
		ok   bool
	}{
		"any agent":   {doctor{}, "keys: OPENAI_API_KEY, GROQ_API_KEY", true},
		"codex":       {doctor{session: session{cfg: Config{Agent: "codex"}}, named: true}, "openai at https://api.openai.com with OPENAI_API_KEY from environment", true},
		"claude":      {doctor{session: session{cfg: Config{Agent: "claude"}}, named: true}, "no key", false},
		"a script":    {doctor{session: session{cfg: Config{Agent: "shell"}}, named: true}, "none is served", true},
		"two of them": {doctor{session: session{cfg: Config{Agent: "shell", Upstreams: []string{"openai=https://a.example"}}}, named: true}, "openai at https://a.example without a key", true},
	} {
		tc.d.keys(machineWith(env))
		got := tc.d.results[0]
		if got.ok != tc.ok || !strings.Contains(got.text, tc.want) || strings.Contains(got.text+got.hint, "canary") {
			t.Errorf("%s: %+v, want %q", name, got, tc.want)
		}
	}
}

func TestAKeyThatIsSentInClearTextIsWarnedOf(t *testing.T) {
	api, _ := agent.FindAPI("openai")
	key := &modelKey{Key: agent.Key{Variable: "OPENAI_API_KEY"}, from: fromSecret}
	for _, test := range []struct {
		name   string
		served modelAPI
		warned bool
	}{
		{"in clear", modelAPI{API: api, upstream: "http://llm.example.com/v1", key: key}, true},
		{"encrypted", modelAPI{API: api, upstream: "https://llm.example.com/v1", key: key}, false},
		{"no key", modelAPI{API: api, upstream: "http://llm.example.com/v1"}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			var log bytes.Buffer
			r := &run{served: []modelAPI{test.served}}
			r.log = NewLogger(&log, LogOptions{})
			r.sayModels()
			if warned := strings.Contains(log.String(), "clear text"); warned != test.warned {
				t.Errorf("warned %v, want %v:\n%s", warned, test.warned, &log)
			}
		})
	}
}
