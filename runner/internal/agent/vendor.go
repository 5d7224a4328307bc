package agent

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/yolo-run/yolo-run/entrypoint/wire"
)

// known are the agents with a name. All but shell read the prompt from standard input: it may be larger than an argument can be, and
// /proc/*/cmdline is no place for it. What they would send or fetch beside their work is switched off: it would fill the report with denials.
func known() map[string]Agent {
	return map[string]Agent{
		"claude": {
			Argv: []string{
				Root + "/bin/claude", "-p", "--output-format", "stream-json", "--verbose", "--dangerously-skip-permissions",
				// Else it asks its vendor about each name that it wants to fetch, and takes the denial for an answer.
				"--settings", `{"skipWebFetchPreflight":true}`,
			},
			ModelFlag: "--model",
			Format:    "claude",
			API:       "anthropic",
			Musl:      true,
			Bash:      true,
			Elsewhere: []string{"CLAUDE_CODE_USE_BEDROCK", "CLAUDE_CODE_USE_VERTEX", "CLAUDE_CODE_USE_FOUNDRY"},
			ConfigDir: Home + "/.claude",
			Env:       []string{"CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1"},
			Tell:      func(notice string) Extra { return Extra{Options: []string{"--append-system-prompt", notice}} },
		},
		"codex": {
			Argv: []string{
				Root + "/bin/codex", "exec", "--json", "--dangerously-bypass-approvals-and-sandbox", "--skip-git-repo-check",
				"-c", "analytics.enabled=false", "-c", "check_for_update_on_startup=false", "-c", `otel.metrics_exporter="none"`,
				"-c", "features.plugins=false", "-c", "features.apps=false", "-c", "features.enable_request_compression=false",
				"-",
			},
			Alone:     []string{"-c", `web_search="disabled"`},
			ModelFlag: "--model",
			Format:    "codex",
			API:       "openai",
			Served:    codexProvider,
			ConfigDir: Home + "/.codex",
			Tell: func(notice string) Extra {
				return Extra{Options: []string{"-c", "developer_instructions=" + tomlString(notice)}}
			},
		},
		"gemini": {
			Argv:      []string{Root + "/bin/gemini", "--yolo", "--output-format", "stream-json"},
			ModelFlag: "--model",
			Format:    "gemini",
			API:       "gemini",
			Elsewhere: []string{"GOOGLE_GENAI_USE_VERTEXAI"},
			Served:    geminiSettings,
			ConfigDir: Home + "/.gemini",
			// It asks before each step in a folder that it does not trust, complains of a terminal that it does not have, and starts itself a
			// second time, which costs 0.7 s of a processor.
			Env:  []string{"GEMINI_CLI_TRUST_WORKSPACE=true", "GEMINI_CLI_NO_RELAUNCH=true", "TERM=xterm-256color", "COLORTERM=truecolor"},
			Tell: geminiMemory,
		},
		"shell": {Shell: true},
	}
}

// codexProvider makes Codex ask for its model at base: its own entry for OpenAI goes elsewhere for more than the model.
func codexProvider(base string) Extra {
	return Extra{Options: []string{
		"-c", `model_provider="yolo-run"`,
		"-c", fmt.Sprintf(`model_providers.yolo-run={name="yolo-run",base_url=%s,env_key="OPENAI_API_KEY",wire_api="responses"}`, tomlString(base)),
	}}
}

// geminiSettings lets Gemini's CLI use the key without asking, and keeps it from calling home. As system settings they win over those of a
// checkout. With a login of the user's in place of a key they would lock it out.
func geminiSettings(string) Extra {
	const path = wire.Dir + "/gemini.json"
	return Extra{
		Env: []string{"GEMINI_CLI_SYSTEM_SETTINGS_PATH=" + path},
		Files: map[string]string{path: `{
  "general": {"enableAutoUpdate": false, "enableAutoUpdateNotification": false},
  "privacy": {"usageStatisticsEnabled": false},
  "telemetry": {"enabled": false},
  "security": {"auth": {"selectedType": "gemini-api-key"}}
}
`},
	}
}

// geminiMemory is what Gemini's CLI reads in every folder. GEMINI_SYSTEM_MD would take the place of its own prompt.
func geminiMemory(notice string) Extra {
	return Extra{Files: map[string]string{Home + "/.gemini/GEMINI.md": notice}}
}

// tomlString quotes a text as a basic string of TOML. JSON's strings are such, but for DEL, which TOML wants escaped.
func tomlString(text string) string {
	quoted, err := json.Marshal(text)
	if err != nil {
		panic(err) // a string always has a JSON form
	}
	return strings.ReplaceAll(string(quoted), "\x7f", `\u007f`)
}
