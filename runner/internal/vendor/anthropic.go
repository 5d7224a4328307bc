package vendor

import (
	"encoding/json"
	"maps"
	"net/http"
	"strings"
)

// anthropic is the API at api.anthropic.com/v1/messages.
type anthropic struct{}

func (anthropic) authorized(h http.Header, script Script) bool {
	if script.Beta != "" && !strings.Contains(strings.Join(h.Values("Anthropic-Beta"), ","), script.Beta) {
		return false
	}
	if script.Beta != "" { // a subscription's token
		return h.Get("Authorization") == "Bearer "+script.Key && h.Get("X-Api-Key") == ""
	}
	return h.Get("X-Api-Key") == script.Key && h.Get("Authorization") == ""
}

func (anthropic) failure(status int, message string) any {
	kind, ok := map[int]string{
		400: "invalid_request_error", 401: "authentication_error", 403: "permission_error", 404: "not_found_error",
		413: "request_too_large", 429: "rate_limit_error", 529: "overloaded_error",
	}[status]
	if !ok {
		kind = "api_error"
	}
	return object{"type": "error", "error": object{"type": kind, "message": message}, "request_id": "req_011CStub"}
}

func (d anthropic) answer(a *answer, t Turn) {
	var request struct {
		Model  string `json:"model"`
		Stream bool   `json:"stream"`
		Tools  []struct {
			Name string `json:"name"`
		} `json:"tools"`
	}
	if err := json.Unmarshal(a.body, &request); err != nil {
		a.fail(d, http.StatusBadRequest, err.Error())
		return
	}
	var offered []string
	for _, tool := range request.Tools {
		offered = append(offered, tool.Name)
	}
	blocks := d.blocks(a, t, offered)
	stop := "end_turn"
	if len(t.Calls) > 0 {
		stop = "tool_use"
	}
	message := object{
		"id": a.id("msg_"), "type": "message", "role": "assistant", "model": request.Model, "content": blocks,
		"stop_reason": stop, "stop_sequence": nil, "usage": d.usage(t.Usage),
	}
	if !request.Stream {
		a.fault(t.Fault)
		a.json(http.StatusOK, message)
		return
	}
	a.stream()
	d.stream(a, t, message, blocks)
}

func (anthropic) usage(u Usage) object {
	return object{
		"input_tokens": u.Input, "cache_read_input_tokens": u.CacheRead, "cache_creation_input_tokens": u.CacheWrite,
		"cache_creation": object{"ephemeral_5m_input_tokens": u.CacheWrite, "ephemeral_1h_input_tokens": 0},
		"output_tokens":  u.Output + u.Reasoning, "service_tier": "standard",
	}
}

func (anthropic) blocks(a *answer, t Turn, offered []string) []object {
	var list []object
	if t.Thinking != "" {
		list = append(list, object{"type": "thinking", "thinking": t.Thinking, "signature": "c3R1Yg=="})
	}
	if text := t.whole(); text != "" {
		list = append(list, object{"type": "text", "text": text})
	}
	for _, c := range t.Calls {
		name, input := c.Tool, any(c.Input)
		switch {
		case c.Shell != "":
			name, input = tool(offered, "Bash"), object{"command": c.Shell, "description": "Run what the script says"}
		case c.File != "":
			name, input = tool(offered, "Write"), object{"file_path": c.File, "content": c.Content}
		}
		list = append(list, object{"type": "tool_use", "id": a.id("toolu_"), "name": name, "input": input})
	}
	return list
}

// stream writes the events of one message. The first tells the tokens of the prompt, the last but one those of the answer.
func (d anthropic) stream(a *answer, t Turn, message object, blocks []object) {
	first := maps.Clone(message)
	opening := d.usage(t.Usage)
	opening["output_tokens"] = 1
	first["content"], first["stop_reason"], first["usage"] = []any{}, nil, opening
	a.event("message_start", object{"type": "message_start", "message": first})
	a.event("ping", object{"type": "ping"})
	for i, block := range blocks {
		d.block(a, t, i, block)
	}
	if len(blocks) == 0 {
		a.fault(t.Fault)
	}
	closing := object{"stop_reason": message["stop_reason"], "stop_sequence": nil}
	a.event("message_delta", object{"type": "message_delta", "delta": closing, "usage": d.usage(t.Usage)})
	a.event("message_stop", object{"type": "message_stop"})
}

func (anthropic) block(a *answer, t Turn, index int, block object) {
	start := func(b object) {
		a.event("content_block_start", object{"type": "content_block_start", "index": index, "content_block": b})
	}
	delta := func(d object) {
		a.event("content_block_delta", object{"type": "content_block_delta", "index": index, "delta": d})
	}
	switch block["type"] {
	case "thinking":
		start(object{"type": "thinking", "thinking": "", "signature": ""})
		delta(object{"type": "thinking_delta", "thinking": block["thinking"]})
		delta(object{"type": "signature_delta", "signature": block["signature"]})
	case "text":
		start(object{"type": "text", "text": ""})
		pieces := t.pieces()
		for i, piece := range pieces {
			delta(object{"type": "text_delta", "text": piece})
			if i == len(pieces)/2 {
				a.fault(t.Fault)
			}
		}
	case "tool_use":
		start(object{"type": "tool_use", "id": block["id"], "name": block["name"], "input": object{}})
		input, err := json.Marshal(block["input"])
		if err != nil {
			panic(err)
		}
		delta(object{"type": "input_json_delta", "partial_json": ""})
		delta(object{"type": "input_json_delta", "partial_json": string(input[:len(input)/2])})
		delta(object{"type": "input_json_delta", "partial_json": string(input[len(input)/2:])})
	}
	a.event("content_block_stop", object{"type": "content_block_stop", "index": index})
}
