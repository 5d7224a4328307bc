package agent

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/yolo-run/yolo-run/reports"
)

// claude reads `claude -p --output-format stream-json --verbose`: the messages of its SDK (code.claude.com/docs/en/agent-sdk). An answer of
// the model comes as one line a block, with the answer's id; what a helper says has the id of the call that began it. Parts of answers
// (stream_event) come again as a whole.
type claude struct {
	answers map[string]string // id of the last answer, by who gives it: the agent, or one of its helpers
}

type claudeLine struct {
	Type    string          `json:"type"`
	Subtype string          `json:"subtype"`
	Parent  string          `json:"parent_tool_use_id"`
	Message claudeMessage   `json:"message"`
	Error   json.RawMessage `json:"error"`

	// Of a result.
	IsError bool     `json:"is_error"`
	Result  string   `json:"result"`
	Errors  []string `json:"errors"`

	// Of a request that is made again.
	Attempt    int64   `json:"attempt"`
	MaxRetries int64   `json:"max_retries"`
	DelayMs    float64 `json:"retry_delay_ms"`
	Status     int64   `json:"error_status"`
}

type claudeMessage struct {
	ID      string          `json:"id"`
	Model   string          `json:"model"`
	Content json.RawMessage `json:"content"`
}

type claudeBlock struct {
	Type     string          `json:"type"`
	Text     string          `json:"text"`
	Thinking string          `json:"thinking"`
	ID       string          `json:"id"`
	Name     string          `json:"name"`
	Input    json.RawMessage `json:"input"`

	// Of a result.
	CallID  string          `json:"tool_use_id"`
	Content json.RawMessage `json:"content"`
	IsError bool            `json:"is_error"`
}

var _ dialect = (*claude)(nil)

func (c *claude) read(data []byte, s *story) {
	var line claudeLine
	if !unmarshal(data, &line) {
		return
	}
	switch line.Type {
	case "assistant":
		c.answer(line, s)
	case "user":
		for _, b := range claudeBlocks(line.Message.Content) {
			c.result(b, s)
		}
	case "system":
		if line.Subtype == "api_retry" {
			s.said(reports.StepError, claudeRetry(line), line.depth())
		}
	case "result":
		c.end(line, s)
	}
}

func (l claudeLine) depth() int { return min(len(l.Parent), 1) }

// syntheticModel says that Claude Code itself wrote the answer: as a rule that a request failed.
const syntheticModel = "<synthetic>"

func (c *claude) answer(line claudeLine, s *story) {
	m := line.Message
	kind := reports.StepText
	if m.Model == syntheticModel || argument(line.Error) != "" {
		kind = reports.StepError
	} else {
		c.count(line, s)
	}
	for _, b := range claudeBlocks(m.Content) {
		switch b.Type {
		case "text":
			s.said(kind, b.Text, line.depth())
		case "thinking":
			s.said(reports.StepThinking, b.Thinking, line.depth())
		case "tool_use", "server_tool_use":
			s.called(b.ID, b.Name, callInput(b.Input), line.depth())
		default: // of tools that the provider runs, the result is a part of the answer
			c.result(b, s)
		}
	}
}

// count counts an answer once, however many lines it has.
func (c *claude) count(line claudeLine, s *story) {
	if c.answers == nil || len(c.answers) > maxOpenSteps {
		c.answers = map[string]string{}
	}
	by, id := shortID(line.Parent), shortID(line.Message.ID)
	if id == "" || c.answers[by] != id {
		c.answers[by] = id
		s.turns++
	}
}

func (c *claude) result(b claudeBlock, s *story) {
	if b.CallID != "" {
		s.returned(b.CallID, claudeText(b.Content), b.IsError)
	}
}

func (c *claude) end(line claudeLine, s *story) {
	text := line.Result
	if text == "" {
		text = strings.Join(line.Errors, "; ")
	}
	failed := line.IsError || strings.HasPrefix(line.Subtype, "error")
	switch {
	case !failed:
		s.final = text
	case text == "": // such as error_max_turns
		s.fault = strings.ReplaceAll(line.Subtype, "_", " ")
	default:
		s.fault = text
	}
}

func claudeRetry(line claudeLine) string {
	text := "request failed"
	if line.Status > 0 {
		text += fmt.Sprintf(" with status %d", line.Status)
	}
	if reason := argument(line.Error); reason != "" && reason != "unknown" {
		text += ": " + reason
	}
	return text + fmt.Sprintf("; attempt %d of %d in %.1f s", line.Attempt, line.MaxRetries, line.DelayMs/1000)
}

// claudeBlocks are the blocks of a message; its content may be a text.
func claudeBlocks(content json.RawMessage) []claudeBlock {
	var blocks []claudeBlock
	if unmarshal(content, &blocks) && len(blocks) > 0 {
		return blocks
	}
	var text string
	if json.Unmarshal(content, &text) != nil {
		return nil
	}
	return []claudeBlock{{Type: "text", Text: text}}
}

// claudeText joins the texts of a result.
func claudeText(content json.RawMessage) string {
	var parts []string
	for _, b := range claudeBlocks(content) {
		switch b.Type {
		case "text":
			parts = append(parts, b.Text)
		case "":
		default:
			parts = append(parts, "["+b.Type+"]")
		}
	}
	return strings.Join(parts, "\n")
}
