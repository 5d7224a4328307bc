package agent

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// callInput says what a tool was called with in as few words as do: the one argument that matters, else all of them as JSON.
func callInput(arguments json.RawMessage) string {
	var fields map[string]json.RawMessage
	if json.Unmarshal(arguments, &fields) != nil || fields == nil {
		return argument(arguments)
	}
	if todos, ok := fields["todos"]; ok {
		if s := progress(todos); s != "" {
			return s
		}
	}
	// The names that the vendors' tools use, the telling ones first: a command has a description too, a page a prompt.
	for _, name := range []string{
		"command", "cmd", "file_path", "absolute_path", "notebook_path", "pattern", "query", "url", "path", "dir_path", "paths", "skill",
		"subject", "description", "fact", "prompt", "message", "shell_id", "task_id", "input",
	} {
		value, ok := fields[name]
		if !ok {
			continue
		}
		text := argument(value)
		if text == "" {
			continue
		}
		if path := argument(fields["path"]); name == "pattern" && path != "" {
			text += " in " + path
		}
		return text
	}
	if len(fields) == 0 {
		return ""
	}
	return argument(arguments)
}

// argument is a text, the words of a list of texts, or JSON.
func argument(value json.RawMessage) string {
	var text string
	if json.Unmarshal(value, &text) == nil {
		return text
	}
	var words []string
	if json.Unmarshal(value, &words) == nil {
		return strings.Join(words, " ")
	}
	var compact bytes.Buffer
	if json.Compact(&compact, value) != nil {
		return ""
	}
	return compact.String()
}

// progress says how much of a list of tasks is done, and what is in hand.
func progress(tasks json.RawMessage) string {
	var list []struct{ Content, Description, Text, Status string }
	if json.Unmarshal(tasks, &list) != nil || len(list) == 0 {
		return ""
	}
	done, current := 0, ""
	for _, task := range list {
		switch task.Status {
		case "completed", "done":
			done++
		case "in_progress":
			current = task.Content + task.Description + task.Text
		}
	}
	return progressText(done, len(list), current)
}

func progressText(done, all int, current string) string {
	s := fmt.Sprintf("%d of %d done", done, all)
	if current != "" {
		s += ": " + current
	}
	return s
}

// faultText is what an error says. Where an agent passes on an API's answer as it came, that is the message in it.
func faultText(text string) string {
	var answer struct {
		Error struct {
			Message string `json:"message"`
		} `json:"error"`
	}
	if json.Unmarshal([]byte(text), &answer) == nil && answer.Error.Message != "" {
		return answer.Error.Message
	}
	return text
}
