package agent

import (
	"encoding/json"
	"regexp"
	"strings"

	"github.com/yolo-run/yolo-run/reports"
)

// codex reads `codex exec --json`: events about a thread, its turns, and items that begin, change and end (openai/codex,
// codex-rs/exec/src/exec_events.rs). A turn of its is the whole work on a prompt, so that answers of the model are counted from the items.
type codex struct {
	plan string // what was last said about it
}

type codexLine struct {
	Type    string     `json:"type"`
	Item    codexItem  `json:"item"`
	Error   codexFault `json:"error"`
	Message string     `json:"message"`
}

type codexFault struct {
	Message string `json:"message"`
}

type codexItem struct {
	ID       string `json:"id"`
	Type     string `json:"type"`
	Text     string `json:"text"`
	Message  string `json:"message"`
	Status   string `json:"status"`
	Command  string `json:"command"`
	Output   string `json:"aggregated_output"`
	ExitCode *int64 `json:"exit_code"`
	Changes  []struct {
		Path string `json:"path"`
		Kind string `json:"kind"`
	} `json:"changes"`
	Server    string          `json:"server"`
	Tool      string          `json:"tool"`
	Arguments json.RawMessage `json:"arguments"`
	Result    json.RawMessage `json:"result"`
	Error     codexFault      `json:"error"`
	Prompt    string          `json:"prompt"`
	Query     string          `json:"query"`
	Items     []struct {
		Text      string `json:"text"`
		Completed bool   `json:"completed"`
	} `json:"items"`
}

var _ dialect = (*codex)(nil)

func (c *codex) read(data []byte, s *story) {
	var line codexLine
	if !unmarshal(data, &line) {
		return
	}
	switch line.Type {
	case "item.started", "item.updated":
		c.item(line.Item, false, s)
	case "item.completed":
		c.item(line.Item, true, s)
	case "turn.failed":
		fault := faultText(line.Error.Message)
		if fault != s.fault { // as a rule it was said just before
			s.said(reports.StepError, fault, 0)
		}
		s.fault = fault
	case "turn.completed":
		s.fault = "" // what went wrong on the way was overcome
	case "error":
		s.fault = faultText(line.Message)
		s.said(reports.StepError, s.fault, 0)
	}
}

func (c *codex) item(it codexItem, done bool, s *story) {
	switch it.Type {
	case "agent_message", "plan":
		if done {
			s.answer()
			s.said(reports.StepText, it.Text, 0)
		}
	case "reasoning":
		if done {
			s.answer()
			s.said(reports.StepThinking, it.Text, 0)
		}
	case "error":
		if done {
			s.said(reports.StepError, it.Message, 0)
		}
	case "todo_list":
		c.tasks(it, s)
	default:
		if tool, input, ok := it.call(); ok {
			c.tool(it, tool, input, done, s)
		}
	}
}

// call says what the item calls, by the name that the agent has for it; ok is false for what is no call.
func (it codexItem) call() (tool, input string, ok bool) {
	switch it.Type {
	case "command_execution":
		return "shell", plainCommand(it.Command), true
	case "file_change":
		var parts []string
		for _, change := range it.Changes {
			parts = append(parts, change.Kind+" "+change.Path)
		}
		return "apply_patch", strings.Join(parts, ", "), true
	case "mcp_tool_call":
		return it.Server + "." + it.Tool, callInput(it.Arguments), true
	case "collab_tool_call":
		return it.Tool, it.Prompt, true
	case "web_search":
		return "web_search", it.Query, true
	}
	return "", "", false
}

// tool follows a call. Some are told of only when they are over.
func (c *codex) tool(it codexItem, tool, input string, done bool, s *story) {
	if !s.has(it.ID) {
		s.answer()
		s.called(it.ID, tool, input, 0)
	}
	if !done {
		return
	}
	failed := it.Status == "failed" || it.Status == "declined" || it.ExitCode != nil && *it.ExitCode != 0
	s.amend(it.ID, input)
	s.returned(it.ID, it.outcome(), failed)
	s.answering = false
}

func (it codexItem) outcome() string {
	if it.Error.Message != "" {
		return it.Error.Message
	}
	if it.Output != "" || len(it.Result) == 0 {
		return it.Output
	}
	var result struct {
		Content json.RawMessage `json:"content"`
	}
	unmarshal(it.Result, &result)
	return claudeText(result.Content) // blocks of MCP are of the same form
}

// tasks makes a step of every change of the plan. As an item it is open all the time.
func (c *codex) tasks(it codexItem, s *story) {
	done, current := 0, ""
	for _, task := range it.Items {
		switch {
		case task.Completed:
			done++
		case current == "":
			current = task.Text
		}
	}
	plan := progressText(done, len(it.Items), current)
	if plan == c.plan {
		return
	}
	c.plan = plan
	s.answer()
	s.called(it.ID, "update_plan", plan, 0)
	s.returned(it.ID, "", false)
}

// shellCall is how a command is shown that runs in a shell of the agent's choice.
var shellCall = regexp.MustCompile(`^(?:/usr)?(?:/bin/)?(?:ba|z|da)?sh -l?c (?s:(.+))$`)

// escaped are the characters that a backslash stands before within double quotes (POSIX, Shell Command Language 2.2.3).
var escaped = regexp.MustCompile(`\\([$"\\` + "`" + `])`)

// plainCommand takes the shell around a command away, and the quotes where they are one pair.
func plainCommand(command string) string {
	m := shellCall.FindStringSubmatch(command)
	if m == nil {
		return command
	}
	inner := m[1]
	n := len(inner)
	if n < 2 || inner[0] != inner[n-1] {
		return inner
	}
	text := inner[1 : n-1]
	switch {
	case inner[0] == '\'' && !strings.Contains(text, "'"):
		return text
	case inner[0] == '"' && !strings.Contains(escaped.ReplaceAllString(text, ""), `"`):
		return escaped.ReplaceAllString(text, "$1")
	default:
		return inner
	}
}
