package runner

import (
	"io"
	"time"
)

// Config is one run as the user asked for it. The zero value of a field means its default, written beside it; sizes are in bytes.
// Defaults, config file, YOLO_* environment and flags all end here, in this order (docs/configuration.md).
type Config struct {
	// What to do.
	PromptFile string   `yaml:"prompt-file" env:"PROMPT_FILE"` // path, or - for standard input
	Prompt     string   `yaml:"prompt" env:"PROMPT"`
	Agent      string   `yaml:"agent" env:"AGENT"` // claude (default), codex, gemini, shell; "command" when Command is set
	Command    []string `yaml:"-" env:"-"`         // what stands behind --
	Model      string   `yaml:"model" env:"MODEL"`
	Image      string   `yaml:"image" env:"IMAGE"` // yolo-run/AGENT:VERSION
	Pull       string   `yaml:"pull" env:"PULL"`   // missing (default), always, never
	Platform   string   `yaml:"platform" env:"PLATFORM"`
	Notice     string   `yaml:"notice" env:"NOTICE"` // what the agent is told about the sandbox: auto (default), none, or a file's path

	// What it works on.
	Workspace     string   `yaml:"workspace" env:"WORKSPACE"`           // .
	WorkspaceMode string   `yaml:"workspace-mode" env:"WORKSPACE_MODE"` // auto (default), overlay, copy
	Hide          []string `yaml:"hide" env:"HIDE"`
	Env           []string `yaml:"env" env:"ENV"`     // NAME or NAME=VALUE
	Mounts        []string `yaml:"mount" env:"MOUNT"` // SRC:DST[:ro|cow|rw]
	User          string   `yaml:"user" env:"USER"`   // UID:GID

	// What it may reach.
	AllowedDomains  []string `yaml:"allowed-domain" env:"ALLOWED_DOMAIN"`
	DeniedDomains   []string `yaml:"denied-domain" env:"DENIED_DOMAIN"`
	AllowedInternal []string `yaml:"allowed-internal" env:"ALLOWED_INTERNAL"`
	Egress          string   `yaml:"egress" env:"EGRESS"` // enforce (default), audit, none
	Network         string   `yaml:"network" env:"NETWORK"`
	DNS             []string `yaml:"dns" env:"DNS"`
	UpstreamProxy   string   `yaml:"upstream-proxy" env:"UPSTREAM_PROXY"`
	CAFile          string   `yaml:"ca-file" env:"CA_FILE"`

	// What it may use.
	Timeout     time.Duration `yaml:"timeout" env:"TIMEOUT"`             // 30m
	Memory      Bytes         `yaml:"memory" env:"MEMORY"`               // 6g, at most 80 % of the engine's
	CPUs        float64       `yaml:"cpus" env:"CPUS"`                   // 4, clamped to the engine's
	PIDs        int64         `yaml:"pids" env:"PIDS"`                   // 4096
	ShmSize     Bytes         `yaml:"shm-size" env:"SHM_SIZE"`           // 1g
	MinFreeDisk Bytes         `yaml:"min-free-disk" env:"MIN_FREE_DISK"` // 2g
	MaxTokens   int64         `yaml:"max-tokens" env:"MAX_TOKENS"`
	MaxCostUSD  float64       `yaml:"max-cost-usd" env:"MAX_COST_USD"`
	MaxRequests int64         `yaml:"max-requests" env:"MAX_REQUESTS"`
	Secrets     []string      `yaml:"secret" env:"SECRET"`     // NAME=file:PATH or NAME=env:VAR
	Upstreams   []string      `yaml:"upstream" env:"UPSTREAM"` // NAME=URL
	Prices      []string      `yaml:"price" env:"PRICE"`       // MODEL=INPUT/OUTPUT[/CACHED[/WRITE[/WRITE1H]]], dollars per million tokens

	// AllowServerTools opens what the model's provider does for the agent: it is a way out that the firewall does not see.
	AllowServerTools bool `yaml:"allow-server-tools" env:"ALLOW_SERVER_TOOLS"`

	// What may leave.
	Protect       []string `yaml:"protect" env:"PROTECT"`
	Gate          []string `yaml:"gate" env:"GATE"`                       // RULE=block|warn|off
	MaxPatchBytes Bytes    `yaml:"max-patch-bytes" env:"MAX_PATCH_BYTES"` // 4 MiB
	MaxPatchFiles int      `yaml:"max-patch-files" env:"MAX_PATCH_FILES"` // 100
	Apply         bool     `yaml:"apply" env:"APPLY"`
	FailOn        []string `yaml:"fail-on" env:"FAIL_ON"` // gate (default), denied, would-deny, no-changes, none
	Out           string   `yaml:"out" env:"OUT"`

	// How it looks.
	LogLevel  string `yaml:"log-level" env:"LOG_LEVEL"`   // info
	LogFormat string `yaml:"log-format" env:"LOG_FORMAT"` // text, json
	Quiet     bool   `yaml:"quiet" env:"QUIET"`
	DryRun    bool   `yaml:"-" env:"-"`

	GatewayImage string `yaml:"gateway-image" env:"GATEWAY_IMAGE"` // yolo-run/gateway:VERSION

	// ConfigSHA256 is the digest of the file that --config named, for the report.
	ConfigSHA256 string `yaml:"-" env:"-"`
	// Version is yolo-run's own.
	Version string `yaml:"-" env:"-"`
	// Images are this version's own images by name (gateway, base, claude, …), where they are not yolo-run/NAME:VERSION: a release names its
	// images by registry and digest.
	Images map[string]string `yaml:"-" env:"-"`
}

// Streams are where a run reads and writes. Out is for CI commands and results, Err for people.
type Streams struct {
	In  io.Reader
	Out io.Writer
	Err io.Writer
}
