// Package wire is what the runner and the programs inside the containers say to each other.
//
// Everything is bounded, versioned and fuzzed: one JSON object a line in both directions on the containers' standard streams, and files
// below /.yolo-run for the agent's container. Invariant: a peer that breaks a bound is an error, never a truncation.
package wire

import (
	"github.com/yolo-run/yolo-run/entrypoint/policy"
	"github.com/yolo-run/yolo-run/reports"
)

// Version is the protocol's. Runner and entrypoint must agree on it; they are built together.
const Version = 1

// Bounds of one line, in bytes. The gateway's configuration holds the policy and keys; its messages hold one event.
const (
	MaxConfigLine  = 8 << 20
	MaxMessageLine = 256 << 10
)

// GatewayRequest is one line on the gateway's standard input. The first must be a "config".
type GatewayRequest struct {
	Type   string         `json:"type"` // config, heartbeat, finish
	Config *GatewayConfig `json:"config,omitempty"`
}

// The types of a [GatewayRequest].
const (
	TypeConfig    = "config"
	TypeHeartbeat = "heartbeat"
	TypeFinish    = "finish" // write the summary and exit
)

// GatewayConfig is all that the gateway knows. It never stands in an environment, an argv or a label.
type GatewayConfig struct {
	Wire     int         `json:"wire"`
	RunID    string      `json:"runId"`
	Policy   policy.Spec `json:"policy"`
	AgentUID int         `json:"agentUid"`
	AgentGID int         `json:"agentGid"`
	// DNS are the upstream resolvers for public names, as address or address:port. Empty: those of resolv.conf.
	DNS []string `json:"dns,omitempty"`
	// HostAddrs are the addresses of the machine that runs the engine, as far as known: always refused after resolving.
	HostAddrs []string `json:"hostAddrs,omitempty"`
	// HeartbeatTimeoutMs: the gateway exits when no line came for so long. DeadlineMs: it exits so long after its start, whatever happens.
	HeartbeatTimeoutMs int64 `json:"heartbeatTimeoutMs"`
	DeadlineMs         int64 `json:"deadlineMs"`
	// MinFreeDiskBytes: below it on the engine's disk the gateway says so (TypeDisk), once. 0: never.
	MinFreeDiskBytes int64 `json:"minFreeDiskBytes"`
	// CAPEM are further certificates to trust when the gateway itself speaks TLS to an upstream.
	CAPEM string `json:"caPem,omitempty"`
	// UpstreamProxy is the proxy that allowed connections go through (http://user:password@host:port), empty for none.
	UpstreamProxy string `json:"upstreamProxy,omitempty"`
	// NoProxy is what is dialled directly all the same, in the form of the variable NO_PROXY.
	NoProxy string `json:"noProxy,omitempty"`

	// Models are the APIs that are served on loopback; none, and nothing listens.
	Models []ModelAPI `json:"models,omitempty"`
	// AllowServerTools opens what a model's provider does on behalf of the agent: web search, URL sources, code execution, remote MCP.
	AllowServerTools bool    `json:"allowServerTools,omitempty"`
	Budget           Budget  `json:"budget"`
	Prices           []Price `json:"prices,omitempty"`
}

// GatewayMessage is one line on the gateway's standard output. Exactly one of the pointers that Type names is set.
type GatewayMessage struct {
	Type    string         `json:"type"`
	Ready   *Ready         `json:"ready,omitempty"`
	Event   *reports.Event `json:"event,omitempty"`
	Fatal   *Fatal         `json:"fatal,omitempty"`
	Disk    *Disk          `json:"disk,omitempty"`
	Usage   *reports.Usage `json:"usage,omitempty"`
	Budget  *BudgetSpent   `json:"budget,omitempty"`
	Summary *Summary       `json:"summary,omitempty"`
}

// The types of a [GatewayMessage].
const (
	TypeReady   = "ready"   // rules were read back and the self-test passed: the agent may start
	TypeEvent   = "event"   // one decision
	TypeFatal   = "fatal"   // the gateway cannot go on and exits; nothing follows
	TypeDisk    = "disk"    // free disk fell below the bound
	TypeUsage   = "usage"   // what models were asked for since the start, after it changed
	TypeBudget  = "budget"  // a request was refused because the budget is used up, once
	TypeSummary = "summary" // the last line
)

// Ready says what the gateway proved before the agent may start.
type Ready struct {
	Wire      int             `json:"wire"`
	Version   string          `json:"version"` // of the entrypoint binary
	SelfTest  []reports.Check `json:"selfTest"`
	Backend   string          `json:"backend"`   // nf_tables or legacy
	Rules     int             `json:"rules"`     // how many were applied and read back
	Resolvers []string        `json:"resolvers"` // upstream resolvers that will be asked
	// ModelAddr is where models are served, 127.0.0.1:PORT; empty without any.
	ModelAddr string `json:"modelAddr,omitempty"`
}

// Fatal is why the gateway gives up.
type Fatal struct {
	Stage  string `json:"stage"` // config, rules, nflog, listen, self-test, heartbeat, deadline, …
	Reason string `json:"reason"`
}

// Disk is the state of the engine's disk.
type Disk struct {
	FreeBytes int64 `json:"freeBytes"`
	// NoFiles: whatever the bytes, there is hardly an inode left.
	NoFiles bool `json:"noFiles,omitempty"`
}

// Summary closes the gateway's output. Totals count attempts; Denied includes what only the rule counters saw.
type Summary struct {
	Allowed   int64 `json:"allowed"`
	Denied    int64 `json:"denied"`
	WouldDeny int64 `json:"wouldDeny"`
	// Overflow is the part of Denied that no event before the closing overflow event described.
	Overflow int64 `json:"overflow"`
	// Stray counts packets without a socket (RST, IGMP), which are dropped and are nobody's attempt.
	Stray int64 `json:"stray"`
	// Events is how many event lines were written.
	Events int64 `json:"events"`
	// RulesIntact: the rules, read back at the end, are the ones that were applied.
	RulesIntact bool `json:"rulesIntact"`
	// Usage is what models were asked for.
	Usage reports.Usage `json:"usage"`
}

// The files of the agent's container. Dir belongs to root; only OutDir can be written by the agent's user.
const (
	Dir            = "/.yolo-run"
	EntrypointPath = Dir + "/entrypoint"
	AgentPath      = Dir + "/agent.json"
	PromptPath     = Dir + "/prompt"
	CAPath         = Dir + "/ca.pem"
	OutDir         = Dir + "/out"
	ExitPath       = OutDir + "/exit.json"
)

// EndSignal is the signal to the first process of the agent's container that ends all of the agent's processes at once. SIGKILL would end that process alone on
// an engine without cgroups, which then waits for the others.
const EndSignal = "ALRM"

// AgentConfig is the file agent.json: what `entrypoint agent` runs and what it insists on before it does.
type AgentConfig struct {
	Wire int      `json:"wire"`
	Argv []string `json:"argv"`
	Dir  string   `json:"dir"`
	// Env is set over the environment of the image, from which proxy variables were dropped (NAME=VALUE).
	Env []string `json:"env"`
	UID int      `json:"uid"`
	GID int      `json:"gid"`
	// Shell makes the prompt a script: it is run by its #! line, else by bash where the image has it, else by sh. Argv is then its arguments.
	Shell bool `json:"shell,omitempty"`
	// Stdin gives the prompt to the agent's standard input.
	Stdin bool `json:"stdin"`
	// Layers are those that must be mounted at /workspace, checked against mountinfo; nil: not checked.
	Layers *Layers `json:"layers,omitempty"`
	// Placeholders stand in the workspace for files whose contents the agent must not see.
	Placeholders []Placeholder `json:"placeholders,omitempty"`
}

// Placeholder is what must be at a path of the workspace: a regular file of these contents, or nothing.
type Placeholder struct {
	Path   []byte `json:"path"` // relative; any byte may be in it
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256,omitempty"` // in hexadecimal; empty where Size is 0
}

// Layers are the folders of an overlay as the kernel shows them in mountinfo.
type Layers struct {
	Lower string `json:"lower"`
	Upper string `json:"upper"`
	Work  string `json:"work"`
}

// StartMark is what `entrypoint agent` writes to standard error before it starts the agent, and first of all: what follows may be the agent's word, what comes
// without it cannot.
const StartMark = "entrypoint: the agent starts\n"

// AgentExit is the file exit.json, written by `entrypoint agent` when the agent ended, or when it was never started (Refused).
// The agent could forge it: it says nothing that the agent's own exit code could not say.
type AgentExit struct {
	Wire     int    `json:"wire"`
	Refused  string `json:"refused,omitempty"` // why the agent was not started: a check from inside failed, or the command was not found
	NotFound bool   `json:"notFound,omitempty"`
	ExitCode int    `json:"exitCode"`
	Signal   int    `json:"signal,omitempty"`
	CPUMs    int64  `json:"cpuMs"`
	// MaxRSSBytes is the largest process's peak (getrusage(2), RUSAGE_CHILDREN).
	MaxRSSBytes int64 `json:"maxRssBytes"`
	PIDsMax     int64 `json:"pidsMax"` // how often fork failed at the PID limit (pids.events)
	OOMKills    int64 `json:"oomKills"`
}

// The exit codes of `entrypoint agent` when the agent did not start, as in env(1) and chroot(1).
const (
	ExitRefused  = 125
	ExitNotExec  = 126
	ExitNotFound = 127
)
