package runner

import (
	"strings"

	"github.com/yolo-run/yolo-run/runner/internal/agent"
)

// keys says which models' keys there are, by name: those that this run would use where an agent was named, else all that are set.
func (d *doctor) keys(machine host) {
	if d.named {
		apis, err := d.cfg.modelAPIs(machine)
		d.check("models", keysInWords(apis), err)
		return
	}
	var set []string
	for _, api := range agent.APIs() {
		for _, name := range api.KeyVars() {
			if machine.getenv(name) != "" {
				set = append(set, name)
			}
		}
	}
	text := "no key is set: agents that need a model will ask for one"
	if len(set) > 0 {
		text = "keys: " + strings.Join(set, ", ")
	}
	d.check("models", text, nil)
}

func keysInWords(apis []modelAPI) string {
	var list []string
	for _, api := range apis {
		text := api.Name + " at " + api.upstream + " without a key"
		if api.key != nil {
			text = api.Name + " at " + api.upstream + " with " + api.key.Variable + " from " + api.key.from
		}
		list = append(list, text)
	}
	if list == nil {
		return "none is served"
	}
	return strings.Join(list, "; ")
}
