package runner

import (
	"reflect"
	"time"

	"github.com/yolo-run/yolo-run/runner/internal/workspace"
)

// The names of agents that Config.Agent knows. AgentCommand stands for a command that the user gave behind --.
const (
	AgentClaude  = "claude"
	AgentCodex   = "codex"
	AgentGemini  = "gemini"
	AgentShell   = "shell"
	AgentCommand = "command"
)

// Defaults returns the configuration that configuration file, environment and flags then change.
// Fields whose default depends on others (image, output folder, user) stay empty; [Config.SetDefaults] fills what can be known.
func Defaults() Config {
	return Config{
		Pull:          "missing",
		Notice:        "auto",
		Workspace:     ".",
		WorkspaceMode: "auto",
		Hide:          workspace.DefaultHide(),
		Egress:        "enforce",
		Timeout:       30 * time.Minute,
		Memory:        6 * gib,
		CPUs:          4,
		PIDs:          4096,
		ShmSize:       gib,
		MinFreeDisk:   2 * gib,
		MaxPatchBytes: 4 * mib,
		MaxPatchFiles: 100,
		FailOn:        []string{"gate"},
		LogLevel:      "info",
		LogFormat:     "text",
	}
}

// SetDefaults fills every field that is still zero, those that depend on others too. An empty list that is not nil hides nothing. It may be
// called more than once.
func (c *Config) SetDefaults() {
	d := Defaults()
	field, fallback := reflect.ValueOf(c).Elem(), reflect.ValueOf(d)
	for i := range field.NumField() {
		if field.Field(i).IsZero() {
			field.Field(i).Set(fallback.Field(i))
		}
	}
	if len(c.FailOn) == 0 {
		c.FailOn = d.FailOn
	}
	c.setDerived()
}

// setDerived fills the fields whose default depends on other fields.
func (c *Config) setDerived() {
	agent := AgentClaude
	if len(c.Command) > 0 {
		agent = AgentCommand
	}
	setDefault(&c.Agent, agent)
	setDefault(&c.Version, "dev")
	setDefault(&c.Image, c.ownImage(imageOf(c.Agent)))
	setDefault(&c.GatewayImage, c.ownImage("gateway"))
}

// ownImage is the reference of an image that belongs to this version.
func (c *Config) ownImage(name string) string {
	if ref, ok := c.Images[name]; ok {
		return ref
	}
	return "yolo-run/" + name + ":" + c.Version
}

// imageOf names the image of an agent. Scripts and commands run in the base, which has the usual tools and no agent.
func imageOf(agent string) string {
	if agent == AgentShell || agent == AgentCommand {
		return "base"
	}
	return agent
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
