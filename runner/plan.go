package runner

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/yolo-run/yolo-run/entrypoint/policy"
)

// masked stands for a value that may be a secret.
const masked = "***"

// plan is what --dry-run prints: the configuration as the run would see it. Its JSON is for machines, the rest for people.
type plan struct {
	Task      planTask      `json:"task"`
	Workspace planWorkspace `json:"workspace"`
	Network   planNetwork   `json:"network"`
	Models    planModels    `json:"models"`
	Limits    planLimits    `json:"limits"`
	Results   planResults   `json:"results"`
	Version   string        `json:"version"`
	Config    string        `json:"configSha256,omitempty"`
}

type planTask struct {
	Agent    string   `json:"agent"`
	Model    string   `json:"model,omitempty"`
	Prompt   string   `json:"prompt,omitempty"`
	Notice   string   `json:"notice"`
	Command  []string `json:"command,omitempty"`
	Image    string   `json:"image"`
	Pull     string   `json:"pull"`
	Platform string   `json:"platform,omitempty"`
	Gateway  string   `json:"gatewayImage"`
}

type planWorkspace struct {
	Root   string   `json:"root"`
	Start  string   `json:"start"` // the folder in which the agent starts, inside
	Mode   string   `json:"mode"`
	User   string   `json:"user,omitempty"`
	Hide   []string `json:"hide,omitempty"`
	Env    []string `json:"env,omitempty"` // values masked
	Mounts []Mount  `json:"mounts,omitempty"`
}

type planNetwork struct {
	Egress   string   `json:"egress"`
	Allowed  []string `json:"allowedDomains"`
	Denied   []string `json:"deniedDomains"`
	Internal []string `json:"allowedInternal"`
	Network  string   `json:"network,omitempty"`
	DNS      []string `json:"dns,omitempty"`
	Proxy    string   `json:"upstreamProxy,omitempty"`
	CAFile   string   `json:"caFile,omitempty"`
	Secrets  []string `json:"secrets,omitempty"` // names and where they come from
}

type planLimits struct {
	TimeoutMs   int64   `json:"timeoutMs"`
	Memory      Bytes   `json:"memoryBytes"`
	CPUs        float64 `json:"cpus"`
	PIDs        int64   `json:"pids"`
	Shm         Bytes   `json:"shmBytes"`
	MinFreeDisk Bytes   `json:"minFreeDiskBytes"`
	MaxTokens   int64   `json:"maxTokens,omitempty"`
	MaxCostUSD  float64 `json:"maxCostUsd,omitempty"`
	MaxRequests int64   `json:"maxRequests,omitempty"`
}

type planResults struct {
	Out           string   `json:"out"`
	Apply         bool     `json:"apply"`
	FailOn        []string `json:"failOn"`
	Protect       []string `json:"protect,omitempty"`
	Gate          []string `json:"gate,omitempty"`
	MaxPatchBytes Bytes    `json:"maxPatchBytes"`
	MaxPatchFiles int      `json:"maxPatchFiles"`
}

// Plan writes what a run with this configuration would do, with secrets masked: aligned text, or JSON with --log-format json. It needs no engine
// and starts nothing. cfg has passed [Config.Validate] and has its defaults.
func Plan(w io.Writer, cfg Config) error {
	p, err := newPlan(cfg)
	if err != nil {
		return err
	}
	if cfg.LogFormat == "json" {
		out := json.NewEncoder(w)
		out.SetIndent("", "  ")
		return out.Encode(p)
	}
	_, err = io.WriteString(w, p.text(cfg))
	return err
}

func newPlan(cfg Config) (plan, error) {
	machine := thisHost()
	root, err := cfg.workspaceRoot(machine)
	if err != nil {
		return plan{}, err
	}
	start, err := cfg.startFolder(machine, root)
	if err != nil {
		return plan{}, err
	}
	mounts, mountErr := cfg.mountList(machine, root)
	spec, specErr := cfg.PolicySpec()
	out, outErr := outputPath(cfg, "ID")
	models, modelErr := cfg.planModels(machine)
	if err := errors.Join(mountErr, specErr, outErr, modelErr); err != nil {
		return plan{}, err
	}
	parsed, err := policy.Parse(spec)
	if err != nil {
		return plan{}, err
	}
	return plan{
		Task:      cfg.planTask(),
		Workspace: planWorkspace{root, start, cfg.WorkspaceMode, cfg.User, cfg.Hide, maskEnv(cfg.Env), mounts},
		Network:   cfg.planNetwork(parsed.Spec()),
		Models:    models,
		Limits: planLimits{
			cfg.Timeout.Milliseconds(), cfg.Memory, cfg.CPUs, cfg.PIDs, cfg.ShmSize, cfg.MinFreeDisk,
			cfg.MaxTokens, cfg.MaxCostUSD, cfg.MaxRequests,
		},
		Results: planResults{out, cfg.Apply, cfg.FailOn, cfg.Protect, cfg.Gate, cfg.MaxPatchBytes, cfg.MaxPatchFiles},
		Version: cfg.Version, Config: cfg.ConfigSHA256,
	}, nil
}

// startFolder is where the agent starts, as it sees it.
func (c Config) startFolder(machine host, root string) (string, error) {
	folder, err := machine.resolve(c.Workspace)
	if err != nil {
		return "", err
	}
	relative, err := filepath.Rel(root, folder)
	if err != nil {
		return "", err
	}
	return filepath.Join("/workspace", relative), nil
}

func (c Config) planTask() planTask {
	prompt := c.PromptFile
	switch {
	case prompt == "-":
		prompt = "standard input"
	case prompt == "" && c.Prompt != "":
		prompt = fmt.Sprintf("given as text, %s", Bytes(len(c.Prompt)).Human())
	case prompt != "":
		if info, err := os.Stat(prompt); err == nil && info.Mode().IsRegular() {
			prompt += ", " + Bytes(info.Size()).Human()
		}
	}
	return planTask{c.Agent, c.Model, prompt, c.Notice, c.Command, c.Image, c.Pull, c.Platform, c.GatewayImage}
}

func (c Config) planNetwork(spec policy.Spec) planNetwork {
	p := planNetwork{
		Egress: string(spec.Egress), Allowed: spec.Allow, Denied: spec.Deny, Internal: spec.Internal,
		Network: c.Network, DNS: c.DNS, CAFile: c.CAFile, Secrets: c.Secrets,
	}
	switch proxy, err := c.upstreamProxy(thisHost()); {
	case err != nil:
		p.Proxy = noProxy
	case proxy.url != "":
		p.Proxy = redactURL(proxy.url)
	case c.UpstreamProxy != "":
		p.Proxy = noProxy
	}
	return p
}

// maskEnv keeps the names. A name without a value is taken from the environment, which is no secret to say.
func maskEnv(env []string) []string {
	var out []string
	for _, entry := range env {
		if name, _, ok := strings.Cut(entry, "="); ok {
			entry = name + "=" + masked
		}
		out = append(out, entry)
	}
	return out
}

// text lays the plan out in sections, names and values aligned. What is empty is left out.
func (p plan) text(cfg Config) string {
	var b strings.Builder
	section := func(title string, rows ...[2]string) {
		if len(rows) == 0 {
			return
		}
		fmt.Fprintf(&b, "%s\n", title)
		for _, row := range rows {
			if row[1] != "" {
				fmt.Fprintf(&b, "  %-18s %s\n", row[0], wrapList(inert(row[1])))
			}
		}
	}
	t, ws, n, l, r := p.Task, p.Workspace, p.Network, p.Limits, p.Results
	section("task", [][2]string{
		{"agent", t.Agent},
		{"model", t.Model},
		{"prompt", t.Prompt},
		{"notice", t.Notice},
		{"command", strings.Join(t.Command, " ")},
		{"image", t.Image + ", pull " + t.Pull},
		{"platform", t.Platform},
		{"gateway", t.Gateway},
	}...)
	section("workspace", [][2]string{
		{"root", ws.Root},
		{"starts in", ws.Start},
		{"mode", ws.Mode},
		{"user", ws.User},
		{"hidden", list(ws.Hide)},
		{"environment", list(ws.Env)},
		{"mounts", list(mountTexts(ws.Mounts))},
	}...)
	section("network", [][2]string{
		{"egress", n.Egress},
		{"allowed", orNothing(n.Allowed)},
		{"denied", list(n.Denied)},
		{"internal", list(n.Internal)},
		{"network", n.Network},
		{"dns", list(n.DNS)},
		{"upstream proxy", n.Proxy},
		{"ca file", n.CAFile},
		{"secrets", list(n.Secrets)},
	}...)
	section("models", p.Models.rows()...)
	section("limits", [][2]string{
		{"timeout", cfg.Timeout.String()},
		{"memory", l.Memory.Human()},
		{"cpus", number(l.CPUs)},
		{"processes", number(l.PIDs)},
		{"shared memory", l.Shm.Human()},
		{"free disk", l.MinFreeDisk.Human()},
		{"tokens", number(l.MaxTokens)},
		{"cost in dollars", number(l.MaxCostUSD)},
		{"requests", number(l.MaxRequests)},
	}...)
	section("results", [][2]string{
		{"folder", r.Out},
		{"fails on", list(r.FailOn)},
		{"protected", list(r.Protect)},
		{"gate", list(r.Gate)},
		{"patch", fmt.Sprintf("at most %s, %d files", r.MaxPatchBytes.Human(), r.MaxPatchFiles)},
		{"apply", yes(r.Apply)},
	}...)
	return b.String()
}

// The column where the values of a plan begin, and the width that lists of them keep to.
const planColumn, planWidth = 21, 80

// wrapList breaks a list behind its commas.
func wrapList(text string) string {
	var b strings.Builder
	column := planColumn
	for i, part := range strings.SplitAfter(text, ", ") {
		if i > 0 && column+len(strings.TrimRight(part, " ")) > planWidth {
			b.WriteString("\n" + strings.Repeat(" ", planColumn))
			column = planColumn
		}
		b.WriteString(part)
		column += len(part)
	}
	return strings.ReplaceAll(b.String(), ", \n", ",\n")
}

func list(values []string) string { return strings.Join(values, ", ") }

func orNothing(values []string) string {
	if len(values) == 0 {
		return "nothing"
	}
	return list(values)
}

func yes(b bool) string {
	if b {
		return "when the gate passes"
	}
	return ""
}

// number writes a limit; 0 is none and left out.
func number[T int64 | float64](n T) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprint(n)
}

func mountTexts(mounts []Mount) []string {
	texts := make([]string, 0, len(mounts))
	for _, m := range mounts {
		texts = append(texts, fmt.Sprintf("%s at %s (%s)", m.Source, m.Target, m.Mode))
	}
	return texts
}
