package model

import (
	"net/http"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/yolo-run/yolo-run/entrypoint/wire"
)

// maxValue bounds a line that is passed on, in both directions.
const maxValue = 1 << 10

// requestHeaders are the lines of the agent's that are passed on. Who asks (Authorization, x-api-key, organisation and project, cookies) is not
// the agent's to say.
func requestHeaders() []string {
	return []string{
		"Accept", "User-Agent",
		"Anthropic-Version", "X-App",
		"Openai-Beta", "Originator", "Session_id", "Session-Id", "Conversation_id", "X-Client-Request-Id",
		"X-Goog-Api-Client",
	}
}

// header is that of the request which is sent.
func (s *Server) header(a *api, r *http.Request) http.Header {
	h := http.Header{}
	for _, name := range requestHeaders() {
		if v := r.Header.Values(name); len(v) > 0 && len(v[0]) <= maxValue && httpguts.ValidHeaderFieldValue(v[0]) {
			h.Set(name, v[0])
		}
	}
	if h.Get("User-Agent") == "" {
		h["User-Agent"] = []string{""} // or the transport says its own
	}
	if r.Method == http.MethodPost {
		h.Set("Content-Type", "application/json")
	}
	h.Set("Accept-Encoding", "identity") // what is packed cannot be metered
	if a.Dialect == wire.Anthropic {
		if beta := s.beta(a, r.Header.Values("Anthropic-Beta")); beta != "" {
			h.Set("Anthropic-Beta", beta)
		}
	}
	for _, set := range a.Headers {
		h.Set(set.Name, set.Value)
	}
	return h
}

// beta joins what the agent asks for with what the configuration wants. Values that switch on what the provider does by itself are left out.
func (s *Server) beta(a *api, lines []string) string {
	var values []string
	add := func(v string) {
		if v != "" && len(v) <= maxQueryValue && isPlain(v) && !slices.Contains(values, v) {
			values = append(values, v)
		}
	}
	for v := range strings.SplitSeq(strings.Join(lines, ","), ",") {
		if v = strings.TrimSpace(v); len(values) < 64 && (s.cfg.AllowServerTools || !isServerBeta(v)) {
			add(v)
		}
	}
	for _, v := range a.Beta {
		add(v)
	}
	return strings.Join(values, ",")
}

func isServerBeta(v string) bool {
	return slices.ContainsFunc([]string{"mcp-client", "mcp-servers", "files-api", "code-execution", "web-fetch", "web-search", "skills", "advisor"},
		func(prefix string) bool { return strings.HasPrefix(strings.ToLower(v), prefix) })
}

// isResponseHeader accepts the lines of a response that clients act on: how long to wait, how much is left, which request it was. No cookie, no
// address to go to, nothing about the account.
func isResponseHeader(name string) bool {
	for _, prefix := range []string{"Anthropic-Ratelimit-", "X-Ratelimit-", "X-Codex-"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return slices.Contains([]string{
		"Content-Type", "Retry-After", "Retry-After-Ms", "X-Should-Retry", "Request-Id", "X-Request-Id", "Etag", "X-Models-Etag",
		"Openai-Model", "Openai-Processing-Ms", "Openai-Version", "X-Reasoning-Included", "Server-Timing",
	}, name)
}

// copyHeader passes on the lines of a response that are open, unless they hold a key.
func (s *Server) copyHeader(to, from http.Header) {
	for name, values := range from {
		if !isResponseHeader(http.CanonicalHeaderKey(name)) {
			continue
		}
		for _, v := range values {
			if len(v) <= maxValue && !s.redact.holds(v) {
				to.Add(name, v)
			}
		}
	}
}
