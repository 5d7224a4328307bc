package main

import "github.com/yolo-run/yolo-run/runner"

// The groups of settings, in the order in which --help shows them.
const (
	groupTask      = "Task"
	groupWorkspace = "Workspace"
	groupNetwork   = "Network"
	groupLimits    = "Limits"
	groupModel     = "Model"
	groupResults   = "Results"
	groupOutput    = "Output"
)

func groups() []string {
	return []string{groupTask, groupWorkspace, groupNetwork, groupLimits, groupModel, groupResults, groupOutput}
}

// settings is the one list of all settings: flags, variables, keys, usage texts and docs/configuration.md come from it.
func settings(c *runner.Config) []setting {
	var all []setting
	for _, part := range [][]setting{
		taskSettings(c), workspaceSettings(c), networkSettings(c), limitSettings(c), modelSettings(c), resultSettings(c), outputSettings(c),
	} {
		all = append(all, part...)
	}
	return all
}

func taskSettings(c *runner.Config) []setting {
	g := groupTask
	return []setting{
		{name: "prompt-file", group: g, meta: "FILE", help: "the task; - reads standard input", dest: &c.PromptFile, brief: true},
		{name: "prompt", group: g, meta: "TEXT", help: "the task, in place of a file", dest: &c.Prompt, brief: true},
		{
			name: "agent", group: g, meta: "NAME", help: "claude, codex, gemini; shell runs a script", dest: &c.Agent,
			words: []string{"claude", "codex", "gemini", "shell"}, brief: true, shown: "claude",
		},
		{name: "model", group: g, meta: "NAME", help: "the agent's model", dest: &c.Model, brief: true},
		{
			name: "image", group: g, meta: "IMAGE", help: "any image with your toolchain", dest: &c.Image, brief: true,
			shown: "yolo-run/AGENT:VERSION",
		},
		{
			name: "pull", group: g, meta: "WHEN", help: "missing, always, never; never without a registry", dest: &c.Pull,
			words: []string{"missing", "always", "never"},
		},
		{
			name: "platform", group: g, meta: "OS/ARCH", help: "platform of the image, such as linux/arm64", dest: &c.Platform,
			shown: "the engine's",
		},
		{
			name: "gateway-image", group: g, meta: "IMAGE", help: "image of the firewall", dest: &c.GatewayImage,
			shown: "yolo-run/gateway:VERSION",
		},
		{name: "notice", group: g, meta: "auto|none|FILE", help: "what the agent is told about the sandbox", dest: &c.Notice},
		{name: "dry-run", group: g, help: "print the plan, start nothing", dest: &c.DryRun, brief: true, once: true},
	}
}

func workspaceSettings(c *runner.Config) []setting {
	g := groupWorkspace
	return []setting{
		{name: "workspace", group: g, meta: "DIR", help: "the agent gets a copy-on-write view", dest: &c.Workspace, brief: true},
		{
			name: "workspace-mode", group: g, meta: "MODE", help: "auto, overlay, copy; auto takes overlay where that is safe",
			dest: &c.WorkspaceMode, words: []string{"auto", "overlay", "copy"},
		},
		{
			name: "hide", group: g, meta: "GLOB", help: "show these files empty, in place of the default", dest: &c.Hide, brief: true,
			shown: ".env, .netrc, *.pem, …",
		},
		{name: "env", group: g, meta: "NAME[=VALUE]", help: "give the agent a variable", dest: &c.Env, brief: true},
		{name: "mount", group: g, meta: "SRC:DST[:ro|cow|rw]", help: "another folder; what cow writes is lost", dest: &c.Mounts, brief: true},
		{name: "user", group: g, meta: "UID:GID", help: "who the agent is inside, never 0", dest: &c.User, shown: "you, if not root"},
	}
}

func networkSettings(c *runner.Config) []setting {
	g := groupNetwork
	return []setting{
		{
			name: "allowed-domain", group: g, meta: "HOST[:PORT]", help: "open a name: host, *.host, host:22,443", dest: &c.AllowedDomains,
			list: byEntry, brief: true,
		},
		{
			name: "denied-domain", group: g, meta: "HOST[:PORT]", help: "close a name again; deny beats allow", dest: &c.DeniedDomains,
			list: byEntry, brief: true,
		},
		{
			name: "allowed-internal", group: g, meta: "HOST:PORT", help: "open a private address; or CIDR:PORT", dest: &c.AllowedInternal,
			list: byEntry, brief: true,
		},
		{
			name: "egress", group: g, meta: "MODE", help: "enforce, audit (only records), none", dest: &c.Egress, brief: true,
			words: []string{"enforce", "audit", "none"},
		},
		{name: "network", group: g, meta: "NAME", help: "user-defined network of the engine", dest: &c.Network, shown: "the engine's bridge"},
		{
			name: "dns", group: g, meta: "ADDRESS[:PORT]", help: "resolvers for public names", dest: &c.DNS, list: byWord,
			shown: "the engine's",
		},
		{
			name: "upstream-proxy", group: g, meta: "URL|none", help: "proxy that allowed connections go through", dest: &c.UpstreamProxy,
			shown: "that of HTTPS_PROXY",
		},
		{name: "ca-file", group: g, meta: "FILE", help: "further certificates to trust, in PEM form", dest: &c.CAFile},
	}
}

func limitSettings(c *runner.Config) []setting {
	g := groupLimits
	return []setting{
		{name: "timeout", group: g, meta: "DURATION", help: "end the run after this long", dest: &c.Timeout, brief: true},
		{name: "memory", group: g, meta: "SIZE", help: "at most 80 % of the engine's", dest: &c.Memory, brief: true},
		{name: "cpus", group: g, meta: "N", help: "may be a fraction", dest: &c.CPUs},
		{name: "pids", group: g, meta: "N", help: "processes and threads", dest: &c.PIDs},
		{name: "shm-size", group: g, meta: "SIZE", help: "size of /dev/shm", dest: &c.ShmSize},
		{name: "min-free-disk", group: g, meta: "SIZE", help: "stop the run when the engine's disk has less", dest: &c.MinFreeDisk},
	}
}

func modelSettings(c *runner.Config) []setting {
	g := groupModel
	return []setting{
		{
			name: "secret", group: g, meta: "NAME=SOURCE", help: "file:PATH or env:VAR of a key that the agent never sees",
			dest: &c.Secrets,
		},
		{name: "upstream", group: g, meta: "NAME=URL", help: "another base URL for a model's API; your own: NAME=openai+URL", dest: &c.Upstreams},
		{name: "max-tokens", group: g, meta: "N", help: "budget of input and output tokens", dest: &c.MaxTokens, shown: "no limit"},
		{name: "max-cost-usd", group: g, meta: "AMOUNT", help: "budget in US dollars", dest: &c.MaxCostUSD, shown: "no limit"},
		{
			name: "price", group: g, meta: "MODEL=IN/OUT", help: "dollars per million tokens; …/CACHED/WRITE/WRITE1H", dest: &c.Prices,
			shown: "a table of list prices",
		},
		{
			name: "allow-server-tools", group: g, help: "open the provider's own web search and the like: a way out",
			dest: &c.AllowServerTools,
		},
		{name: "max-requests", group: g, meta: "N", help: "budget of requests to the model", dest: &c.MaxRequests, shown: "no limit"},
	}
}

func resultSettings(c *runner.Config) []setting {
	g := groupResults
	return []setting{
		{
			name: "out", group: g, meta: "DIR", help: "patch and reports; never in the workspace", dest: &c.Out, brief: true,
			shown: "in CI $RUNNER_TEMP/…, else ~/.local/state/yolo-run/runs/ID",
		},
		{name: "apply", group: g, help: "apply the patch if it passed the gate", dest: &c.Apply, brief: true},
		{
			name: "fail-on", group: g, meta: "RULE", help: "gate, denied, would-deny, no-changes, none", dest: &c.FailOn,
			list: byWord, brief: true, words: []string{"gate", "denied", "would-deny", "no-changes", "none"},
		},
		{name: "protect", group: g, meta: "GLOB", help: "further paths that must not change", dest: &c.Protect},
		{name: "gate", group: g, meta: "RULE=HOW", help: "block, warn or off: how a rule of the gate counts", dest: &c.Gate},
		{name: "max-patch-bytes", group: g, meta: "SIZE", help: "larger patches fail the gate", dest: &c.MaxPatchBytes},
		{name: "max-patch-files", group: g, meta: "N", help: "patches of more files fail the gate", dest: &c.MaxPatchFiles},
	}
}

func outputSettings(c *runner.Config) []setting {
	g := groupOutput
	return []setting{
		{
			name: "log-level", group: g, meta: "LEVEL", help: "debug, info, warn, error; to standard error", dest: &c.LogLevel,
			words: []string{"debug", "info", "warn", "error"},
		},
		{name: "log-format", group: g, meta: "FORM", help: "text, json; of the log and of the plan", dest: &c.LogFormat, words: []string{"text", "json"}},
		{name: "quiet", group: g, help: "warnings, errors and the result only", dest: &c.Quiet},
	}
}
