package agent

import (
	"encoding/json"
	"regexp"
	"strings"

	"github.com/yolo-run/yolo-run/reports"
)

// gemini reads `gemini --output-format stream-json` (google-gemini/gemini-cli, packages/core/src/output/types.ts). What the model says comes in
// parts.
type gemini struct{}

type geminiLine struct {
	Type       string          `json:"type"`
	Role       string          `json:"role"`
	Content    string          `json:"content"`
	Delta      bool            `json:"delta"`
	Tool       string          `json:"tool_name"`
	ID         string          `json:"tool_id"`
	Parameters json.RawMessage `json:"parameters"`
	Status     string          `json:"status"`
	Output     string          `json:"output"`
	Message    string          `json:"message"`
	Error      struct {
		Message string `json:"message"`
	} `json:"error"`
}

var _ dialect = (*gemini)(nil)

// geminiFailed is the result of a command that failed and printed nothing. To Gemini CLI that is a success; of one that printed something it does
// not tell the exit code.
var geminiFailed = regexp.MustCompile(`^Command exited with code: -?[1-9][0-9]*$`)

func (*gemini) read(data []byte, s *story) {
	var line geminiLine
	if !unmarshal(data, &line) {
		return
	}
	switch line.Type {
	case "message":
		if line.Role == "assistant" {
			geminiSays(line, s)
		}
	case "tool_use":
		s.answer()
		s.called(line.ID, line.Tool, callInput(line.Parameters), 0)
	case "tool_result":
		s.answering = false
		result := line.Output
		if line.Status == "error" && line.Error.Message != "" {
			result = line.Error.Message
		}
		s.returned(line.ID, result, line.Status == "error" || geminiFailed.MatchString(result))
	case "error":
		s.said(reports.StepError, line.Message, 0)
	case "result":
		s.hush()
		if line.Status == "error" {
			fault := strings.TrimSuffix(strings.TrimPrefix(line.Error.Message, "[API Error: "), "]")
			s.fault = faultText(fault)
		}
	}
}

func geminiSays(line geminiLine, s *story) {
	s.answer()
	if line.Delta {
		s.saying(line.Content)
	} else {
		s.said(reports.StepText, line.Content, 0)
	}
}
