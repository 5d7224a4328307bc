package agent

import (
	"slices"
	"strings"
	"testing"

	"github.com/yolo-run/yolo-run/entrypoint/wire"
)

// A variable that two APIs read would send the key of the one to the other.
func TestVariablesBelongToOneAPI(t *testing.T) {
	owner := map[string]string{}
	for _, a := range APIs() {
		for _, variable := range append(a.KeyVars(), a.BaseVars...) {
			if other, taken := owner[variable]; taken {
				t.Errorf("%s belongs to %s and %s", variable, other, a.Name)
			}
			owner[variable] = a.Name
		}
		if _, ok := a.Key(a.KeyVar); !ok {
			t.Errorf("%s: %s is none of its variables", a.Name, a.KeyVar)
		}
		if base, err := CheckBase(a.Dialect, a.Upstream); err != nil || base != a.Upstream {
			t.Errorf("%s: %s is written %s (%v)", a.Name, a.Upstream, base, err)
		}
		if !strings.HasPrefix(a.Upstream, "https://") {
			t.Errorf("%s goes over %s", a.Name, a.Upstream)
		}
	}
}

func TestWhatClientsAreTold(t *testing.T) {
	for name, want := range map[string][]string{
		"anthropic":  {"ANTHROPIC_API_KEY=yolo-run-placeholder", "ANTHROPIC_BASE_URL=http://127.0.0.1:7/anthropic"},
		"openai":     {"OPENAI_API_KEY=yolo-run-placeholder", "OPENAI_BASE_URL=http://127.0.0.1:7/openai/v1", "OPENAI_API_BASE=http://127.0.0.1:7/openai/v1"},
		"gemini":     {"GEMINI_API_KEY=yolo-run-placeholder", "GOOGLE_GEMINI_BASE_URL=http://127.0.0.1:7/gemini"},
		"openrouter": {"OPENROUTER_API_KEY=yolo-run-placeholder", "OPENROUTER_BASE_URL=http://127.0.0.1:7/openrouter/v1", "OPENROUTER_API_BASE=http://127.0.0.1:7/openrouter/v1"},
	} {
		a, ok := FindAPI(name)
		if got := a.Env("127.0.0.1:7"); !ok || !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

func TestKeysGoIntoTheirHeader(t *testing.T) {
	for variable, want := range map[string]wire.Header{
		"ANTHROPIC_API_KEY":       {Name: "X-Api-Key", Value: "secret"},
		"ANTHROPIC_AUTH_TOKEN":    {Name: "Authorization", Value: "Bearer secret"},
		"CLAUDE_CODE_OAUTH_TOKEN": {Name: "Authorization", Value: "Bearer secret"},
		"CODEX_API_KEY":           {Name: "Authorization", Value: "Bearer secret"},
		"GOOGLE_API_KEY":          {Name: "X-Goog-Api-Key", Value: "secret"},
		"XAI_API_KEY":             {Name: "Authorization", Value: "Bearer secret"},
	} {
		found := false
		for _, a := range APIs() {
			if key, ok := a.Key(variable); ok {
				found = true
				if got := key.Head("secret"); got != want {
					t.Errorf("%s makes %v, want %v", variable, got, want)
				}
				if beta := variable == "CLAUDE_CODE_OAUTH_TOKEN"; (len(key.Beta) > 0) != beta {
					t.Errorf("%s: beta %v", variable, key.Beta)
				}
			}
		}
		if !found {
			t.Errorf("no API has a key in %s", variable)
		}
	}
}

func TestCustomAPI(t *testing.T) {
	for _, tc := range []struct {
		name    string
		dialect wire.Dialect
		header  string
		base    string
		fault   string
	}{
		{"my-corp", wire.OpenAI, "Authorization", "MY_CORP_BASE_URL=http://a:1/my-corp/v1", ""},
		{"mycorp", wire.Anthropic, "X-Api-Key", "MYCORP_BASE_URL=http://a:1/mycorp", ""},
		{"mycorp", wire.Gemini, "X-Goog-Api-Key", "MYCORP_BASE_URL=http://a:1/mycorp", ""},
		{"mycorp", "cohere", "", "", "no dialect"},
		{"", wire.OpenAI, "", "", "lower-case"},
		{"Corp", wire.OpenAI, "", "", "lower-case"},
		{"a/b", wire.OpenAI, "", "", "lower-case"},
		{"google", wire.OpenAI, "", "", "GOOGLE_API_KEY is a variable of gemini"},
		{"google-gemini", wire.OpenAI, "", "", "GOOGLE_GEMINI_BASE_URL is a variable of gemini"},
		{"codex", wire.OpenAI, "", "", "CODEX_API_KEY is a variable of openai"},
	} {
		a, err := Custom(tc.name, tc.dialect)
		if tc.fault != "" {
			if err == nil || !strings.Contains(err.Error(), tc.fault) {
				t.Errorf("%s %s: error %v, want %q", tc.name, tc.dialect, err, tc.fault)
			}
			continue
		}
		if err != nil || a.Keys[0].Header != tc.header || !slices.Contains(a.Env("a:1"), tc.base) {
			t.Errorf("%s %s: %+v, %v", tc.name, tc.dialect, a, err)
		}
	}
}

func TestCheckBase(t *testing.T) {
	for _, tc := range []struct {
		dialect wire.Dialect
		in, out string // out is empty where in is refused
	}{
		{wire.OpenAI, "https://llm.example.com/v1", "https://llm.example.com"},
		{wire.OpenAI, "https://llm.example.com/v1/", "https://llm.example.com"},
		{wire.OpenAI, "https://llm.example.com", "https://llm.example.com"},
		{wire.OpenAI, "https://llm.example.com/", "https://llm.example.com"},
		{wire.OpenAI, "https://LLM.example.com/team/openai/v1", "https://llm.example.com/team/openai"},
		{wire.OpenAI, "https://llm.example.com/v1beta", "https://llm.example.com/v1beta"},
		{wire.OpenAI, "http://192.0.2.7:8080/v1", "http://192.0.2.7:8080"},
		{wire.OpenAI, "http://[2001:db8::7]:8080", "http://[2001:db8::7]:8080"},
		{wire.Anthropic, "https://llm.example.com/anthropic", "https://llm.example.com/anthropic"},
		{wire.Anthropic, "https://llm.example.com/anthropic/v1", "https://llm.example.com/anthropic"},
		{wire.Gemini, "https://llm.example.com/v1beta", "https://llm.example.com"},
		{wire.Gemini, "https://llm.example.com/v1", "https://llm.example.com"},
		{wire.OpenAI, "", ""},
		{wire.OpenAI, "llm.example.com", ""},
		{wire.OpenAI, "ftp://llm.example.com", ""},
		{wire.OpenAI, "https:///v1", ""},
		{wire.OpenAI, "http://localhost:11434/v1", ""},
		{wire.OpenAI, "http://127.0.0.1:11434/v1", ""},
		{wire.OpenAI, "http://[::ffff:127.0.0.1]:11434/v1", ""},
		{wire.OpenAI, "https://user:pw@llm.example.com", ""},
		{wire.OpenAI, "https://llm.example.com?key=1", ""},
		{wire.OpenAI, "https://llm.example.com?", ""},
		{wire.OpenAI, "https://llm.example.com#x", ""},
		{wire.OpenAI, "https://llm.example.com/a/../b", ""},
		{wire.OpenAI, "https://llm.example.com/%2e%2e/b", ""},
		{wire.OpenAI, "https://llm.example.com//b", ""},
		{wire.OpenAI, "https://llm.example.com/v1/chat/completions", ""},
		{wire.Anthropic, "https://llm.example.com/v1/messages", ""},
	} {
		got, err := CheckBase(tc.dialect, tc.in)
		if got != tc.out || (err == nil) != (tc.out != "") {
			t.Errorf("%s %q: %q, %v, want %q", tc.dialect, tc.in, got, err, tc.out)
		}
	}
}
