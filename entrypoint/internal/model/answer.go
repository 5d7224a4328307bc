package model

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"

	"github.com/yolo-run/yolo-run/entrypoint/wire"
)

// fault is why a request gets no answer of the upstream's. Its words are for whoever reads the agent's output, and for the agent.
type fault struct {
	status int
	reason string
	// advice is what would help: an option of the run's.
	advice string
	// deny: the request was refused by a rule, as against one that came to nothing.
	deny bool
	// money: it is the budget that refuses.
	money bool
}

// statusRefused answers a request that was refused for what it asks. It is the one that the vendors' clients give up on and show as it is: Codex sends
// what got a 403 five times more, and Claude Code takes it for a bad key.
const statusRefused = http.StatusBadRequest

func denied(status int, reason string) *fault {
	return &fault{status: status, reason: reason, deny: true}
}

// needsSwitch is the refusal of what the provider would do by itself.
func needsSwitch(what string) *fault {
	return &fault{
		status: statusRefused, deny: true,
		reason: what + " is closed: the model's provider would reach the network, or other data, on behalf of the agent",
		advice: "--allow-server-tools",
	}
}

// message is what the client shows.
func (f *fault) message() string {
	text := "yolo-run: " + f.reason + "."
	if f.advice != "" {
		text += " If this is meant to work, whoever starts the run can add: " + f.advice
	}
	return text
}

// answer sends a fault in the shape that the vendor's own clients understand, with a status that they do not try again.
func answer(w http.ResponseWriter, d wire.Dialect, f *fault) int64 {
	f.status = f.statusFor(d)
	body, err := json.Marshal(faultBody(d, f))
	if err != nil {
		body = []byte("{}")
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	if f.deny {
		h.Set("X-Should-Retry", "false") // what the vendors' SDKs obey
	}
	w.WriteHeader(f.status)
	n, _ := w.Write(body) // a client that is gone needs no answer
	return int64(n)
}

// statusFor is the fault's status in a dialect: what got a 400 Claude Code tries six times in other words, of which none costs less.
func (f *fault) statusFor(d wire.Dialect) int {
	if f.money && d == wire.Anthropic {
		return http.StatusPaymentRequired
	}
	return f.status
}

func faultBody(d wire.Dialect, f *fault) any {
	text := f.message()
	switch d {
	case wire.Anthropic:
		return map[string]any{"type": "error", "error": map[string]any{"type": anthropicType(f.status), "message": text}}
	case wire.Gemini:
		return map[string]any{"error": map[string]any{"code": f.status, "message": text, "status": googleStatus(f.status)}}
	default:
		return map[string]any{"error": map[string]any{"message": text, "type": "invalid_request_error", "param": nil, "code": "yolo_run_refused"}}
	}
}

func anthropicType(status int) string {
	switch status {
	case http.StatusPaymentRequired:
		return "billing_error"
	case http.StatusForbidden:
		return "permission_error"
	case http.StatusNotFound:
		return "not_found_error"
	case http.StatusRequestEntityTooLarge:
		return "request_too_large"
	case http.StatusBadGateway, http.StatusServiceUnavailable:
		return "api_error"
	default:
		return "invalid_request_error"
	}
}

func googleStatus(status int) string {
	switch status {
	case http.StatusForbidden:
		return "PERMISSION_DENIED"
	case http.StatusNotFound:
		return "NOT_FOUND"
	case http.StatusBadGateway, http.StatusServiceUnavailable:
		return "UNAVAILABLE"
	default:
		return "INVALID_ARGUMENT"
	}
}

// maxText bounds what the agent chose wherever it is kept or shown.
const maxText = 128

func clip(s string) string {
	if len(s) <= maxText {
		return strings.ToValidUTF8(strings.Clone(s), "�")
	}
	return strings.ToValidUTF8(s[:maxText], "") + "…"
}
