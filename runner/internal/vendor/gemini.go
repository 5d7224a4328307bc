package vendor

import (
	"encoding/json"
	"net/http"
)

// gemini is the API at generativelanguage.googleapis.com/v1beta.
type gemini struct {
	model  string
	stream bool
}

func (gemini) authorized(h http.Header, script Script) bool {
	return h.Get("X-Goog-Api-Key") == script.Key && h.Get("Authorization") == ""
}

func (gemini) failure(status int, message string) any {
	word, ok := map[int]string{
		400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND",
		429: "RESOURCE_EXHAUSTED", 503: "UNAVAILABLE",
	}[status]
	if !ok {
		word = "INTERNAL"
	}
	failure := object{"code": status, "message": message, "status": word}
	if status == http.StatusTooManyRequests {
		failure["details"] = []any{object{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "0.2s"}}
	}
	return object{"error": failure}
}

func (d gemini) answer(a *answer, t Turn) {
	var request struct {
		Tools []struct {
			Functions []struct {
				Name string `json:"name"`
			} `json:"functionDeclarations"`
		} `json:"tools"`
	}
	if err := json.Unmarshal(a.body, &request); err != nil {
		a.fail(d, http.StatusBadRequest, err.Error())
		return
	}
	var offered []string
	for _, tool := range request.Tools {
		for _, f := range tool.Functions {
			offered = append(offered, f.Name)
		}
	}
	parts := d.parts(a, t, offered)
	id := a.id("response-")
	if !d.stream {
		a.fault(t.Fault)
		a.json(http.StatusOK, d.chunk(id, parts, t.Usage, true))
		return
	}
	d.events(a, t, id, parts)
}

// events writes each part in a chunk of its own; every chunk tells the usage so far, the last one ends the answer.
func (d gemini) events(a *answer, t Turn, id string, parts []object) {
	if a.request.URL.Query().Get("alt") != "sse" {
		a.fail(d, http.StatusBadRequest, "only alt=sse is served here")
		return
	}
	a.stream()
	early := t.Usage
	early.Output, early.Reasoning = 0, 0
	for i, part := range parts {
		a.event("", d.chunk(id, []object{part}, early, false))
		if i == len(parts)/2 {
			a.fault(t.Fault)
		}
	}
	a.event("", d.chunk(id, []object{{"text": ""}}, t.Usage, true))
}

func (d gemini) chunk(id string, parts []object, u Usage, last bool) object {
	candidate := object{"index": 0, "content": object{"role": "model", "parts": parts}}
	if last {
		candidate["finishReason"] = "STOP"
	}
	usage := object{"promptTokenCount": u.Input + u.CacheRead, "totalTokenCount": u.Input + u.CacheRead + u.Output + u.Reasoning}
	for name, n := range map[string]int64{"cachedContentTokenCount": u.CacheRead, "candidatesTokenCount": u.Output, "thoughtsTokenCount": u.Reasoning} {
		if n > 0 {
			usage[name] = n
		}
	}
	return object{"candidates": []object{candidate}, "usageMetadata": usage, "modelVersion": d.model, "responseId": id}
}

func (gemini) parts(a *answer, t Turn, offered []string) []object {
	var list []object
	if t.Thinking != "" {
		list = append(list, object{"text": t.Thinking, "thought": true})
	}
	for _, piece := range t.pieces() {
		list = append(list, object{"text": piece})
	}
	for _, c := range t.Calls {
		name, input := c.Tool, any(c.Input)
		switch {
		case c.Shell != "":
			name, input = tool(offered, "run_shell_command"), object{"command": c.Shell, "description": "Run what the script says"}
		case c.File != "":
			name, input = tool(offered, "write_file"), object{"file_path": c.File, "content": c.Content}
		}
		call := object{"name": name, "args": input, "id": a.id("call-")}
		list = append(list, object{"functionCall": call, "thoughtSignature": "c3R1Yg=="})
	}
	return list
}
