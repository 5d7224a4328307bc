package runner

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/yolo-run/yolo-run/reports"
	"github.com/yolo-run/yolo-run/runner/internal/workspace"
)

// Validate checks the whole configuration and returns every fault, joined; each is a [UsageError] that names its flag.
// It reads the files that are named and changes nothing. A limit of 0 is a fault here: whoever means the default starts from [Defaults] or
// calls [Config.SetDefaults] before.
func (c Config) Validate() error { return c.validate(thisHost()) }

func (c Config) validate(machine host) error {
	f := &faults{}
	root := c.validateWorkspace(f, machine)
	c.validatePrompt(f, machine, root)
	c.validateSettings(f, machine, root)
	c.validateModels(f, machine)
	return errors.Join(f.list...)
}

// validateSettings checks what holds for any task, agent and model.
func (c Config) validateSettings(f *faults, machine host, root string) {
	c.validateChoices(f)
	c.validateNames(f)
	c.validateLimits(f)
	c.validatePatterns(f)
	c.gateSeverities(f)
	c.validateEnv(f)
	c.validateNetwork(f)
	c.validateSecrets(f, machine)
	c.validateNotice(f, machine)
	c.validateCA(f, machine, root)
	if _, err := c.mountList(machine, root); err != nil {
		f.list = append(f.list, err)
	}
}

// faults collects what is wrong, so that the user hears all of it at once.
type faults struct {
	list []error
}

func (f *faults) add(option, value string, err error) {
	f.list = append(f.list, &UsageError{Option: option, Value: value, Err: err, Hint: Hint(err)})
}

func (f *faults) addf(option, value, format string, args ...any) {
	f.add(option, value, fmt.Errorf(format, args...))
}

// validateChoices checks the options that take one or several of a few words.
func (c Config) validateChoices(f *faults) {
	agents := []string{AgentClaude, AgentCodex, AgentGemini, AgentShell}
	if len(c.Command) > 0 {
		if c.Agent != "" && c.Agent != AgentCommand {
			f.addf("--agent", c.Agent, "a command behind -- is the agent; leave one of the two out")
		}
	} else {
		f.choice("--agent", c.Agent, agents...)
	}
	f.choice("--pull", c.Pull, "missing", "always", "never")
	f.choice("--workspace-mode", c.WorkspaceMode, "auto", "overlay", "copy")
	f.choice("--egress", c.Egress, "enforce", "audit", "none")
	f.choice("--log-level", c.LogLevel, "debug", "info", "warn", "error")
	f.choice("--log-format", c.LogFormat, "text", "json")
	for _, rule := range c.FailOn {
		f.choice("--fail-on", rule, "gate", "denied", "would-deny", "no-changes", "none")
	}
	if len(c.FailOn) > 1 && slices.Contains(c.FailOn, "none") {
		f.addf("--fail-on", strings.Join(c.FailOn, ","), "none stands alone")
	}
}

func (f *faults) choice(option, value string, words ...string) {
	if value != "" && !slices.Contains(words, value) {
		f.addf(option, value, "must be one of %s", strings.Join(words, ", "))
	}
}

// validateNames checks what is handed on as a word to the engine or to the agent's command line, where a leading dash would be an option.
func (c Config) validateNames(f *faults) {
	for _, o := range []struct{ option, value string }{
		{"--model", c.Model}, {"--image", c.Image}, {"--gateway-image", c.GatewayImage},
	} {
		if o.value != "" && !wordPattern().MatchString(o.value) {
			f.addf(o.option, o.value, "must be one word that does not begin with a dash")
		}
	}
	if c.Platform != "" && !platformPattern().MatchString(c.Platform) {
		f.addf("--platform", c.Platform, "must be OS/ARCH[/VARIANT], such as linux/arm64")
	}
	if c.User != "" {
		if _, _, err := ParseUser(c.User); err != nil {
			f.add("--user", c.User, err)
		}
	}
}

func wordPattern() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:/@+\-\[\]]*$`) }

func platformPattern() *regexp.Regexp {
	return regexp.MustCompile(`^[a-z0-9]+/[a-z0-9_]+(/[a-z0-9]+)?$`)
}
func variablePattern() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`) }

// ParseUser reads UID:GID. Both are wanted, because an engine gives a user without a group the groups of the image, and neither may be 0:
// nothing in the agent's container is ever root.
func ParseUser(s string) (uid, gid int, err error) {
	first, second, ok := strings.Cut(s, ":")
	if !ok {
		return 0, 0, errors.New("must be UID:GID, both as numbers")
	}
	for _, part := range []struct {
		text string
		into *int
	}{{first, &uid}, {second, &gid}} {
		// The last number means "no change" to chown(2) and setuid(2).
		n, err := strconv.ParseUint(part.text, 10, 32)
		if err != nil || n == math.MaxUint32 {
			return 0, 0, errors.New("must be UID:GID, both as numbers")
		}
		*part.into = int(n)
	}
	if uid == 0 || gid == 0 {
		return 0, 0, errors.New("an agent never runs as root; neither UID nor GID may be 0")
	}
	return uid, gid, nil
}

// minMemory is what the program that starts the agent needs for itself.
const minMemory = 16 * mib

// minCPUs is the least that a cgroup takes: 1 ms in each 100 ms.
const minCPUs = 0.01

func (c Config) validateLimits(f *faults) {
	if c.Timeout < time.Second {
		f.addf("--timeout", c.Timeout.String(), "must be at least 1s")
	}
	if c.Memory < minMemory {
		f.addf("--memory", c.Memory.String(), "must be at least %s", minMemory)
	}
	// Not a number compares with nothing, so that each test is written as what must hold.
	if !(c.CPUs >= minCPUs) || math.IsInf(c.CPUs, 0) {
		f.addf("--cpus", strconv.FormatFloat(c.CPUs, 'g', -1, 64), "must be at least %g", minCPUs)
	}
	if !(c.MaxCostUSD >= 0) || math.IsInf(c.MaxCostUSD, 0) {
		f.addf("--max-cost-usd", strconv.FormatFloat(c.MaxCostUSD, 'g', -1, 64), "must be an amount of dollars, not negative")
	}
	for _, o := range []struct {
		option string
		value  int64
		least  int64
		text   string
	}{
		{"--pids", c.PIDs, 1, strconv.FormatInt(c.PIDs, 10)},
		{"--shm-size", int64(c.ShmSize), 1, c.ShmSize.String()},
		{"--min-free-disk", int64(c.MinFreeDisk), 1, c.MinFreeDisk.String()},
		{"--max-patch-bytes", int64(c.MaxPatchBytes), 1, c.MaxPatchBytes.String()},
		{"--max-patch-files", int64(c.MaxPatchFiles), 1, strconv.Itoa(c.MaxPatchFiles)},
		{"--max-tokens", c.MaxTokens, 0, strconv.FormatInt(c.MaxTokens, 10)},
		{"--max-requests", c.MaxRequests, 0, strconv.FormatInt(c.MaxRequests, 10)},
	} {
		if o.value < o.least {
			f.addf(o.option, o.text, "must be at least %d", o.least)
		}
	}
}

// validatePatterns checks globs, which are written as in a .gitignore.
func (c Config) validatePatterns(f *faults) {
	for _, o := range []struct {
		option   string
		patterns []string
	}{{"--hide", c.Hide}, {"--protect", c.Protect}} {
		for _, pattern := range o.patterns {
			if workspace.CheckGlob(pattern) != nil {
				f.addf(o.option, pattern, "not a pattern below the workspace; write it like *.pem or secrets/**")
			}
		}
	}
}

// gateSeverities reads --gate; the last entry of a rule counts.
func (c Config) gateSeverities(f *faults) map[string]reports.Severity {
	severities := map[string]reports.Severity{}
	for _, entry := range c.Gate {
		rule, how, _ := strings.Cut(entry, "=")
		severity, known := map[string]reports.Severity{"block": reports.Block, "warn": reports.Warn, "off": ""}[how]
		switch {
		case !known:
			f.addf("--gate", entry, "write RULE=block, RULE=warn or RULE=off")
		case !slices.Contains(workspace.Rules(), rule):
			f.addf("--gate", entry, "not a rule of the gate; they are %s", strings.Join(workspace.Rules(), ", "))
		default:
			severities[rule] = severity
		}
	}
	return severities
}

func (c Config) validateEnv(f *faults) {
	for _, entry := range c.Env {
		// The value may be a secret: a fault names the variable only.
		name, value, _ := strings.Cut(entry, "=")
		switch {
		case !variablePattern().MatchString(name):
			f.addf("--env", "", "%s is not the name of a variable; write NAME or NAME=VALUE", quoteShort(name))
		case strings.ContainsRune(value, 0):
			f.addf("--env", name, "the value holds a NUL")
		}
	}
}
