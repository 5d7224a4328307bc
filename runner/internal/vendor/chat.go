package vendor

import (
	"encoding/json"
	"net/http"
	"time"
)

// chat is the API at api.openai.com/v1/chat/completions, which many other vendors serve too.
type chat struct{ responses }

func (d chat) answer(a *answer, t Turn) {
	var request struct {
		Model   string `json:"model"`
		Stream  bool   `json:"stream"`
		Options struct {
			Usage bool `json:"include_usage"`
		} `json:"stream_options"`
		Tools []struct {
			Function offer `json:"function"`
		} `json:"tools"`
	}
	if err := json.Unmarshal(a.body, &request); err != nil {
		a.fail(d, http.StatusBadRequest, err.Error())
		return
	}
	var offered []string
	for _, tool := range request.Tools {
		offered = append(offered, tool.Function.Name)
	}
	calls, finish := d.calls(a, t, offered), "stop"
	if len(calls) > 0 {
		finish = "tool_calls"
	}
	completion := func(kind string, choice object) object {
		return object{
			"id": "chatcmpl-1", "object": kind, "created": time.Now().Unix(), "model": request.Model, "choices": []object{choice},
		}
	}
	if !request.Stream {
		a.fault(t.Fault)
		message := object{"role": "assistant", "content": t.whole(), "tool_calls": calls, "refusal": nil}
		whole := completion("chat.completion", object{"index": 0, "message": message, "finish_reason": finish, "logprobs": nil})
		whole["usage"] = d.usage(t.Usage)
		a.json(http.StatusOK, whole)
		return
	}
	a.stream()
	delta := func(fields object, finish any) {
		a.event("", completion("chat.completion.chunk", object{"index": 0, "delta": fields, "finish_reason": finish}))
	}
	delta(object{"role": "assistant", "content": ""}, nil)
	pieces := t.pieces()
	for i, piece := range pieces {
		delta(object{"content": piece}, nil)
		if i == len(pieces)/2 {
			a.fault(t.Fault)
		}
	}
	for i, call := range calls {
		call["index"] = i
		delta(object{"tool_calls": []object{call}}, nil)
	}
	delta(object{}, finish)
	if request.Options.Usage {
		last := completion("chat.completion.chunk", nil)
		last["choices"], last["usage"] = []any{}, d.usage(t.Usage)
		a.event("", last)
	}
	if _, err := a.Write([]byte("data: [DONE]\n\n")); err != nil {
		a.abort()
	}
}

func (chat) usage(u Usage) object {
	input := u.Input + u.CacheRead + u.CacheWrite
	return object{
		"prompt_tokens": input, "prompt_tokens_details": object{"cached_tokens": u.CacheRead},
		"completion_tokens": u.Output + u.Reasoning, "completion_tokens_details": object{"reasoning_tokens": u.Reasoning},
		"total_tokens": input + u.Output + u.Reasoning,
	}
}

func (chat) calls(a *answer, t Turn, offered []string) []object {
	var list []object
	for _, c := range t.Calls {
		item := codexCall(a, c, offered)
		function := object{"name": item["name"], "arguments": item["arguments"]}
		list = append(list, object{"id": item["call_id"], "type": "function", "function": function})
	}
	return list
}
