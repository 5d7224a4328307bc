// Package reports has the types of what a run leaves behind: report.json and the lines of network.jsonl.
//
// It imports nothing but the standard library, because the gateway, which parses hostile bytes, imports it too. Invariant: what is written
// can be read back as it was, and no byte of it can act on a terminal that shows the file.
// Field names are promises (docs/report.md): camelCase, times in RFC 3339, durations in milliseconds (…Ms), sizes in bytes.
package reports

import "time"

// Schema names the format of [Report].
const Schema = "yolo-run/report/v1"

// Outcome is how a run ended, in one word.
type Outcome string

// The outcomes; the first that holds, in this order, is the run's.
const (
	Cancelled      Outcome = "cancelled"
	Infrastructure Outcome = "infrastructure"
	Timeout        Outcome = "timeout"
	Budget         Outcome = "budget"
	PolicyFailed   Outcome = "policy"
	AgentFailed    Outcome = "agent-failed"
	NoChanges      Outcome = "no-changes"
	Success        Outcome = "success"
)

// Report is report.json.
type Report struct {
	Schema     string     `json:"schema"`
	ID         string     `json:"id"`
	Version    string     `json:"version"`
	Outcome    Outcome    `json:"outcome"`
	ExitCode   int        `json:"exitCode"`
	FailOn     []string   `json:"failOn"` // rules that make the run fail: gate, denied, would-deny, no-changes, none
	StartedAt  time.Time  `json:"startedAt"`
	FinishedAt time.Time  `json:"finishedAt"`
	DurationMs int64      `json:"durationMs"`
	Phases     []Phase    `json:"phases"`
	Engine     Engine     `json:"engine"`
	Sandbox    Sandbox    `json:"sandbox"`
	Agent      Agent      `json:"agent"`
	Workspace  Workspace  `json:"workspace"`
	Changes    Changes    `json:"changes"`
	Network    Network    `json:"network"`
	Gate       Gate       `json:"gate"`
	Usage      Usage      `json:"usage"`
	Transcript Transcript `json:"transcript"`
	SelfTest   []Check    `json:"selfTest"`
	Policy     Policy     `json:"policy"`
	Artifacts  []Artifact `json:"artifacts"`
	Errors     []string   `json:"errors"`
}

// Phase is one step of the run and how long it took. Some run side by side, and one may hold others.
type Phase struct {
	Name       string `json:"name"`
	StartMs    int64  `json:"startMs"` // since the run's start
	DurationMs int64  `json:"durationMs"`
}

// Engine describes the container engine that the run used.
type Engine struct {
	Version  string `json:"version"`
	OS       string `json:"os"`
	Kernel   string `json:"kernel"`
	Rootless bool   `json:"rootless"`
	Host     string `json:"host"` // the engine's address, such as unix:///var/run/docker.sock
}

// Sandbox is who the agent was inside and what it could use.
type Sandbox struct {
	UID    int    `json:"uid"`
	GID    int    `json:"gid"`
	Limits Limits `json:"limits"`
}

// Limits are the bounds that the run was started with; 0 means none.
type Limits struct {
	TimeoutMs        int64   `json:"timeoutMs"`
	MemoryBytes      int64   `json:"memoryBytes"`
	CPUs             float64 `json:"cpus"`
	PIDs             int64   `json:"pids"`
	ShmBytes         int64   `json:"shmBytes"`
	MinFreeDiskBytes int64   `json:"minFreeDiskBytes"`
}

// Agent is what ran and how it ended.
type Agent struct {
	Name        string   `json:"name"`
	Version     string   `json:"version,omitempty"` // of the agent's program, where its image says so
	Model       string   `json:"model,omitempty"`   // that was asked for; empty is the agent's own choice
	Command     []string `json:"command"`
	Image       string   `json:"image"`
	ImageDigest string   `json:"imageDigest"`
	ExitCode    *int     `json:"exitCode"` // null when it never started or never ended by itself
	Signal      string   `json:"signal,omitempty"`
	OOMKilled   bool     `json:"oomKilled"`
	CPUMs       int64    `json:"cpuMs"`
	MaxRSSBytes int64    `json:"maxRssBytes"`
}

// Workspace is what the agent worked on.
type Workspace struct {
	Path       string   `json:"path"` // on the host
	Mode       string   `json:"mode"` // overlay or copy
	ModeReason string   `json:"modeReason,omitempty"`
	Git        *Git     `json:"git,omitempty"`
	Hidden     []string `json:"hidden"` // paths that the agent saw as empty files
}

// Git is the state of the workspace's repository before the run.
type Git struct {
	Head   string `json:"head"` // commit, empty before the first one
	Branch string `json:"branch,omitempty"`
	Dirty  bool   `json:"dirty"`
}

// Changes is what the agent changed in the workspace.
type Changes struct {
	Files      []FileChange `json:"files"`
	Insertions int64        `json:"insertions"`
	Deletions  int64        `json:"deletions"`
	Patch      *Patch       `json:"patch,omitempty"` // absent when nothing changed
	Ignored    Ignored      `json:"ignored"`
	NotCarried []NotCarried `json:"notCarried"`
}

// FileChange is one changed file. Paths are relative to the mounted root, may hold any byte but NUL and are untrusted;
// bytes that are not UTF-8 are written as in a git patch.
type FileChange struct {
	Path       string `json:"path"`
	OldPath    string `json:"oldPath,omitempty"` // of a rename
	Status     string `json:"status"`            // added, modified, deleted, renamed, type-changed
	Insertions int64  `json:"insertions"`
	Deletions  int64  `json:"deletions"`
	Binary     bool   `json:"binary,omitempty"`
	Mode       string `json:"mode,omitempty"` // git's, in octal: 100644, 100755, 120000
	OldMode    string `json:"oldMode,omitempty"`
}

// Patch is changes.patch.
type Patch struct {
	File   string `json:"file"`
	SHA256 string `json:"sha256"`
	Bytes  int64  `json:"bytes"`
}

// Ignored counts changed files that git's ignore rules, as they stood before the run, leave out of the patch.
type Ignored struct {
	Files int64 `json:"files"`
	Bytes int64 `json:"bytes"`
}

// NotCarried is a change that a patch cannot carry, such as an empty folder, a device or a file over the size limit.
type NotCarried struct {
	Path   string `json:"path"`
	Reason string `json:"reason"`
}

// Network sums up network.jsonl. The three totals count attempts and come from the firewall's counters.
type Network struct {
	Egress       string        `json:"egress"`
	Upstream     string        `json:"upstream,omitempty"` // proxy that allowed connections went through
	Allowed      int64         `json:"allowed"`
	Denied       int64         `json:"denied"`
	WouldDeny    int64         `json:"wouldDeny"`
	Complete     bool          `json:"complete"` // the events add up to the totals and the gateway said its last word
	Destinations []Destination `json:"destinations"`
}

// Destination groups equal events: the same name (the same address where there is no name), port, layer, verdict and reason.
type Destination struct {
	Name      string    `json:"name,omitempty"`
	Addr      string    `json:"addr,omitempty"` // empty when a name had several
	Port      int       `json:"port,omitempty"`
	Layer     Layer     `json:"layer"`
	Verdict   Verdict   `json:"verdict"`
	Reason    string    `json:"reason,omitempty"`
	Count     int64     `json:"count"`
	BytesIn   int64     `json:"bytesIn"`
	BytesOut  int64     `json:"bytesOut"`
	Processes []Process `json:"processes"` // at most 5 different programs, each with the PID that was seen first

	MoreProcesses bool `json:"moreProcesses,omitempty"` // there were more than are listed
	Folded        bool `json:"folded,omitempty"`        // stands for all destinations of its verdict beyond the list's bound
}

// Gate is the verdict on the patch.
type Gate struct {
	Passed   bool      `json:"passed"`
	Findings []Finding `json:"findings"`
}

// Severity says whether a [Finding] fails the gate.
type Severity string

// The severities of a [Finding].
const (
	Block Severity = "block"
	Warn  Severity = "warn"
)

// Finding is one thing in the patch that somebody should look at.
type Finding struct {
	Rule     string   `json:"rule"`
	Severity Severity `json:"severity"`
	Path     string   `json:"path,omitempty"`
	Reason   string   `json:"reason"`
}

// Usage is what the models' APIs were asked for, as their answers say it.
type Usage struct {
	Requests          int64        `json:"requests"`          // that could cost something
	InputTokens       int64        `json:"inputTokens"`       // all of the prompt: cached tokens too
	OutputTokens      int64        `json:"outputTokens"`      // reasoning included
	CachedInputTokens int64        `json:"cachedInputTokens"` // part of InputTokens that was read from a cache
	CostUSD           float64      `json:"costUsd"`           // of the models whose price is known
	Models            []ModelUsage `json:"models"`
}

// ModelUsage is the part of [Usage] of one model. Its name comes from the agent and is untrusted.
type ModelUsage struct {
	API               string  `json:"api"`
	Model             string  `json:"model"`
	Requests          int64   `json:"requests"`
	InputTokens       int64   `json:"inputTokens"`
	OutputTokens      int64   `json:"outputTokens"`
	CachedInputTokens int64   `json:"cachedInputTokens"`
	CostUSD           float64 `json:"costUsd"`
	// Unpriced: the model's price is not known, CostUSD is 0 for that reason.
	Unpriced bool `json:"unpriced,omitempty"`
	// Estimated is how many of the requests ended without saying their usage and were charged by estimate.
	Estimated int64 `json:"estimated,omitempty"`
}

// Check is one probe of the self-test before the run.
type Check struct {
	Name   string `json:"name"`
	Result string `json:"result"` // refused (our rule counted it), unreachable (the kernel has no route), failed
	Detail string `json:"detail,omitempty"`
}

// Policy is the network policy as it was enforced, normalised.
type Policy struct {
	Egress          string   `json:"egress"`
	AllowedDomains  []string `json:"allowedDomains"`
	DeniedDomains   []string `json:"deniedDomains"`
	AllowedInternal []string `json:"allowedInternal"`
	ConfigSHA256    string   `json:"configSha256,omitempty"` // of the file given by --config
	SHA256          string   `json:"sha256"`                 // of this object's JSON with sha256 empty
}

// Artifact is one file of the output folder.
type Artifact struct {
	File   string `json:"file"`
	SHA256 string `json:"sha256"`
	Bytes  int64  `json:"bytes"`
}
