package vendor

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

// responses is the API at api.openai.com/v1/responses.
type responses struct{}

func (responses) authorized(h http.Header, script Script) bool {
	return h.Get("Authorization") == "Bearer "+script.Key
}

func (responses) failure(status int, message string) any {
	kind, code := "invalid_request_error", any(nil)
	switch {
	case status == http.StatusUnauthorized:
		code = "invalid_api_key"
	case status == http.StatusTooManyRequests:
		kind, code = "requests", "rate_limit_exceeded"
	case status >= http.StatusInternalServerError:
		kind = "server_error"
	}
	return object{"error": object{"message": message, "type": kind, "param": nil, "code": code}}
}

// offer is a tool that a request offers: a function, or a custom one whose input is free text.
type offer struct {
	Type  string  `json:"type"`
	Name  string  `json:"name"`
	Tools []offer `json:"tools"` // of a namespace
}

// flat returns the names of tools, those of namespaces too.
func flat(tools []offer) []string {
	var names []string
	for _, o := range tools {
		names = append(append(names, o.Name), flat(o.Tools)...)
	}
	return names
}

func (d responses) answer(a *answer, t Turn) {
	var request struct {
		Model  string          `json:"model"`
		Stream bool            `json:"stream"`
		Tools  []offer         `json:"tools"`
		Input  json.RawMessage `json:"input"` // a text or a list
	}
	if err := json.Unmarshal(a.body, &request); err != nil {
		a.fail(d, http.StatusBadRequest, err.Error())
		return
	}
	var input []struct {
		Tools []offer `json:"tools"` // of an item additional_tools
	}
	offered := flat(request.Tools)
	if json.Unmarshal(request.Input, &input) == nil {
		for _, item := range input {
			offered = append(offered, flat(item.Tools)...)
		}
	}
	items := d.items(a, t, offered)
	response := object{
		"id": a.id("resp_"), "object": "response", "created_at": time.Now().Unix(), "status": "completed", "model": request.Model,
		"output": items, "usage": d.usage(t.Usage), "error": nil, "incomplete_details": nil, "parallel_tool_calls": true,
	}
	if !request.Stream {
		a.fault(t.Fault)
		a.json(http.StatusOK, response)
		return
	}
	a.stream()
	s := &responseStream{answer: a}
	s.write(t, response, items)
}

func (responses) usage(u Usage) object {
	input := u.Input + u.CacheRead + u.CacheWrite
	return object{
		"input_tokens": input, "input_tokens_details": object{"cached_tokens": u.CacheRead, "cache_write_tokens": u.CacheWrite},
		"output_tokens": u.Output + u.Reasoning, "output_tokens_details": object{"reasoning_tokens": u.Reasoning},
		"total_tokens": input + u.Output + u.Reasoning,
	}
}

func (responses) items(a *answer, t Turn, offered []string) []object {
	var list []object
	if t.Thinking != "" {
		summary := []object{{"type": "summary_text", "text": t.Thinking}}
		list = append(list, object{"type": "reasoning", "id": a.id("rs_"), "summary": summary, "encrypted_content": "c3R1Yg=="})
	}
	if text := t.whole(); text != "" {
		content := []object{{"type": "output_text", "text": text, "annotations": []any{}}}
		list = append(list, object{"type": "message", "id": a.id("msg_"), "status": "completed", "role": "assistant", "content": content})
	}
	for _, c := range t.Calls {
		list = append(list, codexCall(a, c, offered))
	}
	return list
}

// codexCall is a call in the terms of Codex's tools, which depend on the model: JavaScript that calls further tools, a shell that takes a line
// or a list, patches as free text or as a command.
func codexCall(a *answer, c Call, offered []string) object {
	custom := func(name, input string) object {
		return object{
			"type": "custom_tool_call", "id": a.id("ctc_"), "call_id": a.id("call_"), "name": name, "input": input, "status": "completed",
		}
	}
	if c.File != "" && slices.Contains(offered, "apply_patch") {
		return custom("apply_patch", patch(c.File, c.Content))
	}
	if c.Tool == "" && slices.Contains(offered, "exec") {
		return custom("exec", codeMode(c))
	}
	name, input := c.Tool, any(c.Input)
	if c.Tool == "" {
		line := c.Shell
		if c.File != "" {
			line = "apply_patch <<'EOF'\n" + patch(c.File, c.Content) + "\nEOF\n"
		}
		name = tool(offered, "exec_command", "shell_command", "shell")
		input = map[string]object{
			"exec_command":  {"cmd": line},
			"shell_command": {"command": line},
			"shell":         {"command": []string{"bash", "-lc", line}},
		}[name]
	}
	return object{
		"type": "function_call", "id": a.id("fc_"), "call_id": a.id("call_"), "name": name, "arguments": text(input), "status": "completed",
	}
}

// codeMode is a call as a program for the tool exec.
func codeMode(c Call) string {
	if c.File != "" {
		return "text(await tools.apply_patch(" + text(patch(c.File, c.Content)) + "));"
	}
	return "const r = await tools.exec_command(" + text(object{"cmd": c.Shell}) + "); text(r.output); text(`exit code ${r.exit_code}`);"
}

func text(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(data)
}

// patch adds a file in the format of apply_patch.
func patch(file, content string) string {
	lines := strings.Split(strings.TrimSuffix(content, "\n"), "\n")
	return "*** Begin Patch\n*** Add File: " + file + "\n+" + strings.Join(lines, "\n+") + "\n*** End Patch"
}

// responseStream numbers the events of an answer.
type responseStream struct {
	*answer
	number int
}

func (s *responseStream) send(name string, fields object) {
	fields["type"], fields["sequence_number"] = name, s.number
	s.number++
	s.event(name, fields)
}

func (s *responseStream) write(t Turn, response object, items []object) {
	begun := maps.Clone(response)
	begun["status"], begun["output"], begun["usage"] = "in_progress", []any{}, nil
	s.send("response.created", object{"response": begun})
	s.send("response.in_progress", object{"response": begun})
	for i, item := range items {
		s.item(t, i, item)
	}
	if t.whole() == "" {
		s.fault(t.Fault)
	}
	s.send("response.completed", object{"response": response})
}

func (s *responseStream) item(t Turn, index int, item object) {
	opening := maps.Clone(item)
	switch item["type"] {
	case "message":
		opening["status"], opening["content"] = "in_progress", []any{}
	case "function_call":
		opening["status"], opening["arguments"] = "in_progress", ""
	case "custom_tool_call":
		opening["status"], opening["input"] = "in_progress", ""
	case "reasoning":
		opening["summary"] = []any{}
	}
	s.send("response.output_item.added", object{"output_index": index, "item": opening})
	at := func(fields object) object {
		fields["output_index"], fields["item_id"] = index, item["id"]
		return fields
	}
	switch item["type"] {
	case "message":
		s.text(t, at)
	case "function_call":
		s.send("response.function_call_arguments.delta", at(object{"delta": item["arguments"]}))
		s.send("response.function_call_arguments.done", at(object{"arguments": item["arguments"]}))
	case "custom_tool_call":
		s.send("response.custom_tool_call_input.delta", at(object{"delta": item["input"]}))
		s.send("response.custom_tool_call_input.done", at(object{"input": item["input"]}))
	case "reasoning":
		s.send("response.reasoning_summary_part.added", at(object{"summary_index": 0, "part": object{"type": "summary_text", "text": ""}}))
		s.send("response.reasoning_summary_text.delta", at(object{"summary_index": 0, "delta": t.Thinking}))
		s.send("response.reasoning_summary_text.done", at(object{"summary_index": 0, "text": t.Thinking}))
	}
	s.send("response.output_item.done", object{"output_index": index, "item": item})
}

func (s *responseStream) text(t Turn, at func(object) object) {
	part := object{"type": "output_text", "text": "", "annotations": []any{}}
	s.send("response.content_part.added", at(object{"content_index": 0, "part": part}))
	pieces := t.pieces()
	for i, piece := range pieces {
		s.send("response.output_text.delta", at(object{"content_index": 0, "delta": piece}))
		if i == len(pieces)/2 {
			s.fault(t.Fault)
		}
	}
	s.send("response.output_text.done", at(object{"content_index": 0, "text": t.whole()}))
	done := object{"type": "output_text", "text": t.whole(), "annotations": []any{}}
	s.send("response.content_part.done", at(object{"content_index": 0, "part": done}))
}
