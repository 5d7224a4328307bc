// Package agent knows what an agent is: its command line, its environment, and the files that its container is given before it starts.
//
// Invariant: an agent's own sandbox and questions are switched off, the container is the boundary; and nothing here is a secret, the
// agent can read all of it.
package agent

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/yolo-run/yolo-run/entrypoint/wire"
)

// Who the agent is inside, whatever its UID and GID.
const (
	User = "agent"
	Home = "/home/agent" // not below /tmp, which Codex refuses
)

// Command is the name of an agent that is a command line of the user's.
const Command = "command"

// Agent is one way to work on a prompt.
type Agent struct {
	Name string
	// Argv is the command line; for Shell the script's arguments.
	Argv []string
	// ModelFlag stands before the model's name. Agents without one find it in YOLO_MODEL only.
	ModelFlag string
	// Env is what the agent needs beside what every agent gets, as NAME=VALUE.
	Env []string
	// Shell: the prompt is a script and is run.
	Shell bool
	// Format is that of the JSON on its standard output ([NewTranscript]); empty for agents that print text.
	Format string
}

// Resolve returns the agent of this name, or the one that command is when there is one. An unknown name is an error that lists the known ones.
func Resolve(name string, command []string) (Agent, error) {
	if len(command) > 0 {
		if name != "" && name != Command {
			return Agent{}, fmt.Errorf("agent %q and a command: only one of them can run", name)
		}
		return Agent{Name: Command, Argv: slices.Clone(command)}, nil
	}
	all := known()
	a, ok := all[name]
	if !ok {
		return Agent{}, fmt.Errorf("agent %q is unknown: want %s, or a command behind --", name, strings.Join(slices.Sorted(maps.Keys(all)), ", "))
	}
	a.Name = name
	return a, nil
}

// known are the agents with a name. All but shell read the prompt from standard input: it may be larger than an argument can be, and
// /proc/*/cmdline is no place for it.
func known() map[string]Agent {
	return map[string]Agent{
		"claude": {
			Argv:      []string{"claude", "-p", "--output-format", "stream-json", "--verbose", "--dangerously-skip-permissions"},
			ModelFlag: "--model",
			Format:    "claude",
			Env:       []string{"CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1"}, // or its telemetry fills the report with denials
		},
		"codex": {
			Argv:      []string{"codex", "exec", "--json", "--dangerously-bypass-approvals-and-sandbox", "-"},
			ModelFlag: "--model",
			Format:    "codex",
		},
		"gemini": {
			Argv:      []string{"gemini", "--yolo", "--output-format", "stream-json"},
			ModelFlag: "--model",
			Format:    "gemini",
		},
		"shell": {Shell: true},
	}
}

// Config is what `entrypoint agent` is told to run: in dir, as uid:gid, with env (NAME=VALUE) over what every agent gets, on the model of
// this name if one is given. The layers of the workspace are the caller's to add.
func (a Agent) Config(dir string, uid, gid int, env []string, model string) wire.AgentConfig {
	argv := slices.Clone(a.Argv)
	vars := []string{
		"YOLO_RUN=1",
		"CI=1", // tools ask no questions
		"HOME=" + Home,
		"USER=" + User,
		"LOGNAME=" + User,
		"SHELL=/bin/sh", // the only one that can be relied on
		"TMPDIR=/tmp",
		"YOLO_PROMPT_FILE=" + wire.PromptPath,
	}
	if model != "" {
		vars = append(vars, "YOLO_MODEL="+model)
		if a.ModelFlag != "" {
			argv = slices.Insert(argv, modelAt(argv), a.ModelFlag, model)
		}
	}
	return wire.AgentConfig{
		Wire:  wire.Version,
		Argv:  argv,
		Dir:   dir,
		Env:   merge(vars, a.Env, env),
		UID:   uid,
		GID:   gid,
		Shell: a.Shell,
		Stdin: !a.Shell, // a script's input is not the script
	}
}

// modelAt is where options end: before a "-" that stands for standard input.
func modelAt(argv []string) int {
	if n := len(argv); n > 0 && argv[n-1] == "-" {
		return n - 1
	}
	return len(argv)
}

// merge joins lists of variables; a later one of the same name takes the place of an earlier one.
func merge(lists ...[]string) []string {
	var out []string
	at := map[string]int{}
	for _, v := range slices.Concat(lists...) {
		name, _, _ := strings.Cut(v, "=")
		if i, ok := at[name]; ok {
			out[i] = v
			continue
		}
		at[name] = len(out)
		out = append(out, v)
	}
	return out
}

// CAEnv are the variables that make the usual clients trust the bundle at [wire.CAPath]. Most take it instead of the system's roots, so
// it must hold every root that the agent needs.
func CAEnv() []string {
	names := []string{
		"SSL_CERT_FILE", // OpenSSL, Go, Python's ssl, Ruby
		"NODE_EXTRA_CA_CERTS",
		"REQUESTS_CA_BUNDLE",
		"CURL_CA_BUNDLE",
		"GIT_SSL_CAINFO",
		"PIP_CERT",
		"AWS_CA_BUNDLE",
	}
	env := make([]string, len(names))
	for i, name := range names {
		env[i] = name + "=" + wire.CAPath
	}
	return env
}
