package runner

import (
	"errors"
	"strings"
	"unicode/utf8"

	"github.com/yolo-run/yolo-run/runner/internal/agent"
)

// noticeText is what --notice has the agent told: a text made from the policy, one of the user's, or none.
func (c Config) noticeText(machine host, model bool) (string, error) {
	switch c.Notice {
	case "none":
		return "", nil
	case "", "auto":
		spec, err := c.PolicySpec()
		return agent.Notice(spec, c.Hide, model), err
	}
	root, err := c.workspaceRoot(machine)
	if err != nil {
		return "", err
	}
	file, err := machine.resolveInside(c.Notice, root)
	if err != nil {
		return "", plainPathError(err)
	}
	data, err := readBounded(file, agent.MaxNotice)
	if err != nil {
		return "", plainPathError(err)
	}
	text := string(data)
	if strings.ContainsRune(text, 0) || !utf8.ValidString(text) {
		return "", errors.New("is not text in UTF-8")
	}
	return text, nil
}

func (c Config) validateNotice(f *faults, machine host) {
	if c.Notice == "" || c.Notice == "auto" || c.Notice == "none" {
		return // the fault would be the policy's or the workspace's, which others report
	}
	if _, err := c.noticeText(machine, false); err != nil {
		f.add("--notice", c.Notice, withHint(err, "give auto, none, or the path of a file"))
	}
}
