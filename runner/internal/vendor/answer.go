package vendor

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// object is a JSON object.
type object = map[string]any

// answer is the answer to one request.
type answer struct {
	http.ResponseWriter
	request *http.Request
	session *session
	seen    *Request
	body    []byte
}

// dialect is how one vendor words things.
type dialect interface {
	// authorized says whether the request bears the key.
	authorized(h http.Header, script Script) bool
	// failure is the body of an error.
	failure(status int, message string) any
	// answer writes one turn.
	answer(a *answer, t Turn)
}

// route finds who is asked for what.
func (a *answer) route(method, path string) {
	d, known := a.dialect(path)
	switch {
	case !known:
		a.fail(d, http.StatusNotFound, "not found: "+path)
	case !d.authorized(a.request.Header, a.session.script):
		a.fail(d, http.StatusUnauthorized, "")
	case strings.HasPrefix(path, "/v1/models") || path == "/v1beta/models":
		a.json(http.StatusOK, object{"data": []any{}, "models": []any{}, "has_more": false})
	case method != http.MethodPost:
		a.fail(d, http.StatusMethodNotAllowed, "")
	case path == "/v1/messages/count_tokens":
		a.json(http.StatusOK, object{"input_tokens": 1234})
	case strings.HasSuffix(path, ":countTokens"):
		a.json(http.StatusOK, object{"totalTokens": 1234})
	default:
		a.converse(d)
	}
}

func (a *answer) dialect(path string) (d dialect, known bool) {
	model, method, _ := strings.Cut(strings.TrimPrefix(path, "/v1beta/models/"), ":")
	switch {
	case path == "/v1/messages", path == "/v1/messages/count_tokens":
		return anthropic{}, true
	case path == "/v1/responses":
		return responses{}, true
	case path == "/v1/chat/completions":
		return chat{}, true
	case strings.HasPrefix(path, "/v1/models"):
		if a.request.Header.Get("Anthropic-Version") != "" {
			return anthropic{}, true
		}
		return responses{}, true
	case strings.HasPrefix(path, "/v1beta/models"):
		known := slices.Contains([]string{"generateContent", "streamGenerateContent", "countTokens"}, method)
		return gemini{model: model, stream: method == "streamGenerateContent"}, known || method == ""
	}
	return anthropic{}, false
}

// converse gives the turn that is due.
func (a *answer) converse(d dialect) {
	tools, err := a.offersTools()
	if err != nil {
		a.fail(d, http.StatusBadRequest, err.Error())
		return
	}
	if !tools {
		a.seen.Errand = true
		d.answer(a, Turn{Text: `{"title":"An errand","complexity_reasoning":"none","complexity_score":90,"reasoning":"none","next_speaker":"user"}`, Usage: ErrandUsage})
		return
	}
	t := a.session.turn()
	if t.Status == 0 {
		d.answer(a, t)
		return
	}
	if t.RetryAfter != "" {
		a.Header().Set("Retry-After", t.RetryAfter)
	}
	a.fail(d, t.Status, t.Message)
}

// offersTools says whether the request lets the model call tools. Codex puts them into the input for some models.
func (a *answer) offersTools() (bool, error) {
	var request struct {
		Tools []json.RawMessage `json:"tools"`
		Input json.RawMessage   `json:"input"`
	}
	if err := json.Unmarshal(a.body, &request); err != nil {
		return false, err
	}
	return len(request.Tools) > 0 || bytes.Contains(request.Input, []byte(`"additional_tools"`)), nil
}

func (a *answer) fail(d dialect, status int, message string) {
	if message == "" {
		message = http.StatusText(status)
	}
	a.json(status, d.failure(status, message))
}

func (a *answer) json(status int, v any) {
	a.status(status)
	writeJSON(a.ResponseWriter, status, v)
}

func (a *answer) status(status int) {
	a.session.mu.Lock()
	defer a.session.mu.Unlock()
	a.seen.Status = status
}

// stream begins an event stream.
func (a *answer) stream() {
	a.status(http.StatusOK)
	a.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	a.Header().Set("Cache-Control", "no-cache")
	a.WriteHeader(http.StatusOK)
}

// event writes one server-sent event; name may be empty.
func (a *answer) event(name string, v any) {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	if name != "" {
		name = "event: " + name + "\n"
	}
	if _, err := fmt.Fprintf(a.ResponseWriter, "%sdata: %s\n\n", name, data); err != nil {
		a.abort()
	}
	if err := http.NewResponseController(a.ResponseWriter).Flush(); err != nil {
		a.abort()
	}
}

// fault does what goes wrong with a turn in its middle.
func (a *answer) fault(f Fault) {
	switch f {
	case Hang:
		<-a.request.Context().Done()
		a.abort()
	case Wait:
		select {
		case <-a.session.over:
		case <-a.request.Context().Done():
			a.abort()
		}
	case Abort:
		a.abort()
	}
}

func (a *answer) abort() {
	panic(http.ErrAbortHandler)
}

// pieces are the text of a turn as it is streamed: a few words at a time, or a two-hundredth of it.
func (t Turn) pieces() []string {
	text := t.whole()
	size := max(24, len(text)/200)
	var list []string
	for len(text) > size {
		list = append(list, text[:size])
		text = text[size:]
	}
	if text != "" {
		list = append(list, text)
	}
	return list
}

// whole is the text with its padding, which is numbered: agents stop at what repeats.
func (t Turn) whole() string {
	var b strings.Builder
	b.WriteString(t.Text)
	for line := 0; b.Len() < len(t.Text)+t.Pad; line++ {
		fmt.Fprintf(&b, "%x is line %d of a long answer.\n", line*line*2654435761, line)
	}
	return b.String()[:len(t.Text)+t.Pad]
}

// id is unique in the session: what agents match calls and results by.
func (a *answer) id(prefix string) string {
	a.session.mu.Lock()
	defer a.session.mu.Unlock()
	a.session.ids++
	return fmt.Sprintf("%s%08d", prefix, a.session.ids)
}

// tool returns the first of the tools that the request offers by name.
func tool(offered []string, names ...string) string {
	for _, name := range names {
		if slices.Contains(offered, name) {
			return name
		}
	}
	return names[0]
}
