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

// Root is where everything of an agent lies in its image; its program is Root/bin/NAME.
const Root = "/opt/yolo-run/agent"

// Agent is one way to work on a prompt.
type Agent struct {
	Name string
	// Argv is the command line; for Shell the script's arguments.
	Argv []string
	// ModelFlag stands before the model's name. Agents without one find it in YOLO_MODEL only.
	ModelFlag string
	// Env is what the agent needs beside what every agent gets, as NAME=VALUE.
	Env []string
	// API is the name of the one that the agent is made for, empty when it is for none. Served says what the agent needs when the gateway
	// serves it at a base URL, beside the API's variables.
	API    string
	Served func(base string) Extra
	// Elsewhere are variables by which the agent is told to use a cloud's API, which the gateway does not serve.
	Elsewhere []string
	// Alone are options that keep it from offering what the gateway refuses: tools that the vendor runs.
	Alone []string
	// ConfigDir is where the agent keeps its settings and logins, below [Home].
	ConfigDir string
	// Tell hands the agent the notice in the vendor's own way.
	Tell func(notice string) Extra
	// Musl: there is a build for images with that libc.
	Musl bool
	// Bash: its tool for commands wants bash or zsh in the image, and no other shell.
	Bash bool
	// Shell: the prompt is a script and is run.
	Shell bool
	// Format is that of the JSON on its standard output ([NewTranscript]); empty for agents that print text.
	Format string
}

// Brought reports whether the agent's program comes from an image of the agent's own, below [Root].
func (a Agent) Brought() bool {
	return len(a.Argv) > 0 && strings.HasPrefix(a.Argv[0], Root+"/") && a.Name != Command
}

// Extra is what an agent is given beside its command line: options, variables as NAME=VALUE, and files by path. Files below [Home] are the
// agent's, others are root's and lie below [wire.Dir].
type Extra struct {
	Options []string
	Env     []string
	Files   map[string]string
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

// Setup is one run of an agent.
type Setup struct {
	Dir      string // where it starts
	UID, GID int
	Model    string   // that was asked for; empty is the agent's own choice
	Env      []string // of the user's, as NAME=VALUE; wins over everything else
	// APIs are those that the gateway serves at Addr, 127.0.0.1:PORT.
	APIs []API
	Addr string
	// ServerTools: the gateway lets through what the vendor does for the agent.
	ServerTools bool
	// Notice is what the agent is told about the sandbox; empty for nothing.
	Notice string
}

// Config is what `entrypoint agent` is told to run, and the files that the agent needs for it, by path. The layers of the workspace are the
// caller's to add.
func (a Agent) Config(s Setup) (wire.AgentConfig, map[string]string) {
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
	var options []string
	if s.Model != "" {
		vars = append(vars, "YOLO_MODEL="+s.Model)
		if a.ModelFlag != "" {
			options = append(options, a.ModelFlag, s.Model)
		}
	}
	if !s.ServerTools {
		options = append(options, a.Alone...)
	}
	extra := a.extra(s)
	argv := slices.Clone(a.Argv)
	options = append(options, extra.Options...)
	return wire.AgentConfig{
		Wire:  wire.Version,
		Argv:  slices.Insert(argv, optionsEnd(argv), options...),
		Dir:   s.Dir,
		Env:   merge(vars, a.Env, extra.Env, s.Env),
		UID:   s.UID,
		GID:   s.GID,
		Shell: a.Shell,
		Stdin: !a.Shell, // a script's input is not the script
	}, extra.Files
}

// extra collects what the served APIs and the notice bring.
func (a Agent) extra(s Setup) Extra {
	all := Extra{Files: map[string]string{}}
	add := func(e Extra) {
		all.Options = append(all.Options, e.Options...)
		all.Env = append(all.Env, e.Env...)
		maps.Copy(all.Files, e.Files)
	}
	for _, api := range s.APIs {
		add(Extra{Env: api.Env(s.Addr)})
		if api.Name == a.API && a.Served != nil {
			add(a.Served(api.BaseURL(s.Addr)))
		}
	}
	if s.Notice != "" {
		add(Extra{Env: []string{"YOLO_NOTICE_FILE=" + NoticePath}, Files: map[string]string{NoticePath: s.Notice}})
		if a.Tell != nil {
			add(a.Tell(s.Notice))
		}
	}
	return all
}

// optionsEnd is where further options go: before a "-" that stands for standard input.
func optionsEnd(argv []string) int {
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
