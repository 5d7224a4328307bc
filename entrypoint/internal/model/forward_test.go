package model

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/yolo-run/yolo-run/entrypoint/wire"
	"github.com/yolo-run/yolo-run/reports"
)

const (
	anthropicBody = `{"model":"claude-test","max_tokens":100,"messages":[{"role":"user","content":"hi"}]}`
	openaiBody    = `{"model":"gpt-test","input":"hi"}`
	chatBody      = `{"model":"gpt-test","messages":[{"role":"user","content":"hi"}]}`
	geminiBody    = `{"contents":[{"role":"user","parts":[{"text":"hi"}]}]}`
)

func TestEveryOpenEndpointIsForwarded(t *testing.T) {
	tests := []struct{ method, path, body, arrives string }{
		{"POST", "/anthropic/v1/messages", anthropicBody, "/v1/messages"},
		{"POST", "/anthropic/v1/messages?beta=true", anthropicBody, "/v1/messages?beta=true"},
		{"POST", "/anthropic/v1/messages/count_tokens?beta=true", anthropicBody, "/v1/messages/count_tokens?beta=true"},
		{"GET", "/anthropic/v1/models?limit=20", "", "/v1/models?limit=20"},
		{"GET", "/anthropic/v1/models/claude-test", "", "/v1/models/claude-test"},
		{"POST", "/openai/v1/responses", openaiBody, "/v1/responses"},
		{"POST", "/openai/v1/responses/compact", openaiBody, "/v1/responses/compact"},
		{"POST", "/openai/v1/chat/completions", chatBody, "/v1/chat/completions"},
		{"GET", "/openai/v1/models", "", "/v1/models"},
		{"POST", "/gemini/v1beta/models/gemini-test:generateContent", geminiBody, "/v1beta/models/gemini-test:generateContent"},
		{"POST", "/gemini/v1beta/models/gemini-test:streamGenerateContent?alt=sse&key=abc", geminiBody, "/v1beta/models/gemini-test:streamGenerateContent?alt=sse"},
		{"POST", "/gemini/v1/models/gemini-test:countTokens", geminiBody, "/v1/models/gemini-test:countTokens"},
		{"GET", "/gemini/v1alpha/models/gemini-test", "", "/v1alpha/models/gemini-test"},
	}
	for _, tt := range tests {
		t.Run(tt.method+tt.path, func(t *testing.T) {
			r := newRig(t, nil)
			got := r.do(tt.method, tt.path, tt.body)
			sent, _ := r.sent()
			if got.status != http.StatusOK || len(sent) != 1 || sent[0].RequestURI != tt.arrives || sent[0].Method != tt.method {
				t.Fatalf("status %d %s, arrived %v", got.status, got.body, sent)
			}
			e := r.last(1)
			path, _, _ := strings.Cut(tt.path, "?")
			if e.Verdict != reports.Allow || e.Layer != reports.LayerModel || e.Status != 200 || e.Path != path || e.Method != tt.method ||
				e.Process == nil || e.Process.PID != 42 || e.Addr != "198.51.100.7" || !strings.HasPrefix(e.Rule, "model ") {
				t.Errorf("event %+v", e)
			}
		})
	}
}

func TestEverythingElseStaysHere(t *testing.T) {
	r := newRig(t, nil)
	n := 0
	for _, tt := range []struct{ method, path string }{
		{"POST", "/anthropic/v1/files"},
		{"GET", "/anthropic/v1/files"},
		{"POST", "/anthropic/v1/messages/batches"},
		{"GET", "/anthropic/v1/messages"},
		{"DELETE", "/anthropic/v1/models/x"},
		{"POST", "/anthropic/v1/messages/../files"},
		{"POST", "/anthropic/v1/messages/%2e%2e/files"},
		{"POST", "/anthropic/v1/%6dessages"},
		{"POST", "/anthropic//v1/messages"},
		{"POST", "/anthropic/v1/messages/"},
		{"POST", "/anthropic/v1/messages;x=1"},
		{"POST", "/anthropic/v1/responses"},
		{"GET", "/anthropic/v1/models/.."},
		{"GET", "/anthropic/v1/models/a/b"},
		{"GET", "/anthropic/v1/organizations/api_keys"},
		{"POST", "/anthropic/v1/messages?beta=%74rue"},
		{"POST", "/anthropic/v1/messages?upstream=evil"},
		{"GET", "/openai/v1/responses"},
		{"GET", "/openai/v1/responses/resp_1"},
		{"POST", "/openai/v1/files"},
		{"POST", "/openai/v1/embeddings"},
		{"POST", "/openai/v1/realtime/sessions"},
		{"POST", "/gemini/v1beta/models/a:b:generateContent"},
		{"POST", "/gemini/v1beta/models/:generateContent"},
		{"POST", "/gemini/v1beta/models/x:embedContent"},
		{"POST", "/gemini/v1beta/tunedModels/x:generateContent"},
		{"POST", "/gemini/upload/v1beta/files"},
		{"POST", "/gemini/v2/models/x:generateContent"},
		{"POST", "/gemini/v1beta/models/x:generateContent?alt=proto"},
		{"POST", "/other/v1/messages"},
		{"OPTIONS", "/anthropic/v1/messages"},
		{"OPTIONS", "*"},
		{"PRI", "/anthropic/v1/messages"},
	} {
		n++
		got := r.raw(fmt.Sprintf("%s %s HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}", tt.method, tt.path))
		if !strings.HasPrefix(got, "HTTP/1.1 403 ") && !strings.HasPrefix(got, "HTTP/1.1 404 ") {
			t.Errorf("%s %s: %.80q", tt.method, tt.path, got)
		}
		if !strings.Contains(got, "yolo-run: ") {
			t.Errorf("%s %s is not explained: %q", tt.method, tt.path, got)
		}
		if e := r.last(n); e.Verdict != reports.Deny || e.Reason == "" || e.Rule != "" || e.Method != tt.method {
			t.Errorf("%s %s: event %+v", tt.method, tt.path, e)
		}
	}
	if sent, _ := r.sent(); len(sent) != 0 {
		t.Errorf("arrived: %v", sent[0].RequestURI)
	}
	if got := r.do("POST", "/anthropic/v1/messages", anthropicBody); got.status != http.StatusOK {
		t.Errorf("control: %d %s", got.status, got.body)
	}
}

func TestRequestsThatWouldBeSomethingElseOnTheirWay(t *testing.T) {
	post := "POST /anthropic/v1/messages HTTP/1.1\r\nHost: x\r\n"
	tests := []struct {
		name, request string
		status        string
		events        int
	}{
		{"control", post + "Connection: close\r\nContent-Length: %d\r\n\r\n" + anthropicBody, "200", 1},
		{"upgrade to h2c", post + "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\nContent-Length: %d\r\n\r\n" + anthropicBody, "403", 1},
		{"websocket", "GET /openai/v1/models HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n", "403", 1},
		{"HTTP/2 without asking", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "", 0},
		{"tunnel", "CONNECT api.example:443 HTTP/1.1\r\nHost: api.example:443\r\n\r\n", "404", 1},
		{"absolute form", "POST http://evil.example/anthropic/v1/messages HTTP/1.1\r\nHost: evil.example\r\nContent-Length: %d\r\n\r\n" + anthropicBody, "404", 1},
		{"packed body", post + "Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" + anthropicBody, "415", 1},
		{"twice packed body", post + "Content-Encoding: identity\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" + anthropicBody, "415", 1},
		{"trailers", post + "Transfer-Encoding: chunked\r\nTrailer: X-Api-Key\r\n\r\n0\r\n\r\n", "400", 1},
		{"two lengths", post + "Content-Length: 5\r\nContent-Length: 6\r\n\r\n", "400", 0},
		{"two hosts", "POST /anthropic/v1/messages HTTP/1.1\r\nHost: a\r\nHost: b\r\nContent-Length: 0\r\n\r\n", "400", 0},
		{"odd expectation", post + "Expect: the unexpected\r\nContent-Length: %d\r\n\r\n" + anthropicBody, "417", 0},
		{"GET with a body", "GET /openai/v1/models HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}", "400", 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t, nil)
			request := strings.Replace(tt.request, "%d", fmt.Sprint(len(anthropicBody)), 1)
			got := r.raw(strings.Replace(request, "\r\n\r\n", "\r\nConnection: close\r\n\r\n", 1))
			if !strings.HasPrefix(got, "HTTP/1.1 "+tt.status) {
				t.Errorf("got %.100q, want %s", got, tt.status)
			}
			sent, _ := r.sent()
			if (len(sent) == 1) != (tt.status == "200") {
				t.Errorf("arrived: %v", sent)
			}
			r.last(tt.events)
		})
	}
}

func TestTheKeyIsSetAndTheAgentsAreDropped(t *testing.T) {
	for api, path := range map[string]string{
		"anthropic": "/anthropic/v1/messages", "openai": "/openai/v1/responses", "gemini": "/gemini/v1beta/models/m:generateContent?key=agents",
	} {
		t.Run(api, func(t *testing.T) {
			r := newRig(t, nil)
			body := map[string]string{"anthropic": anthropicBody, "openai": openaiBody, "gemini": geminiBody}[api]
			got := r.do("POST", path, body,
				"Authorization", "Bearer agents", "X-Api-Key", "agents", "X-Api-Key", "agents", "x-goog-api-key", "agents", "Cookie", "a=agents", "Api-Key", "agents",
				"Proxy-Authorization", "agents", "OpenAI-Organization", "agents", "OpenAI-Project", "agents", "X-Forwarded-For", "agents",
				"Connection", "x-api-key, authorization, x-goog-api-key", "User-Agent", "client/1")
			if got.status != http.StatusOK {
				t.Fatalf("%d %s", got.status, got.body)
			}
			sent, bodies := r.sent()
			keys := 0
			for name, values := range sent[0].Header {
				for _, v := range values {
					if strings.Contains(v, "agents") {
						t.Errorf("%s: %s arrived", name, v)
					}
					if strings.Contains(v, canary) {
						keys++
					}
				}
			}
			if keys != 1 || sent[0].Header.Get("User-Agent") != "client/1" || sent[0].Header.Get("Accept-Encoding") != "identity" || bodies[0] != body {
				t.Errorf("%d keys, header %v, body %s", keys, sent[0].Header, bodies[0])
			}
			if strings.Contains(sent[0].RequestURI, "agents") {
				t.Errorf("the agent's key arrived in %s", sent[0].RequestURI)
			}
		})
	}
}

func TestBetasThatReachTheNetworkAreLeftOut(t *testing.T) {
	ask := func(t *testing.T, allow bool) string {
		r := newRig(t, nil, func(c *Config) { c.AllowServerTools = allow; c.APIs[0].Beta = []string{"oauth-2025-04-20"} })
		r.do("POST", "/anthropic/v1/messages", anthropicBody, "anthropic-beta", "interleaved-thinking-2025-05-14, mcp-client-2025-04-04,files-api-2025-04-14",
			"Anthropic-Beta", "code-execution-2025-08-25,Web-Fetch-2025-09-10,bad value,context-1m-2025-08-07")
		sent, _ := r.sent()
		return strings.Join(sent[0].Header.Values("Anthropic-Beta"), "|")
	}
	if got := ask(t, false); got != "interleaved-thinking-2025-05-14,context-1m-2025-08-07,oauth-2025-04-20" {
		t.Errorf("closed: %s", got)
	}
	if got := ask(t, true); !strings.Contains(got, "mcp-client-2025-04-04,files-api") || strings.Contains(got, "bad value") {
		t.Errorf("open: %s", got)
	}
}

func TestTLSIsVerified(t *testing.T) {
	upstream := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) { _, _ = io.WriteString(w, req.Proto) }))
	upstream.EnableHTTP2 = true
	upstream.Config.ErrorLog = silent()
	upstream.StartTLS()
	defer upstream.Close()
	ask := func(host string, trusted bool) (reply, reports.Event) {
		r := &rig{t: t, upstream: upstream}
		r.start([]wire.ModelAPI{{Name: "a", Dialect: wire.Anthropic, Upstream: "https://" + host}}, func(c *Config) {
			c.Roots = trust(upstream)
			if !trusted {
				c.Roots = nil
			}
		})
		return r.do("POST", "/a/v1/messages", anthropicBody), r.last(1)
	}
	if got, e := ask("example.com", true); got.status != http.StatusOK || got.body != "HTTP/2.0" || e.Port != 443 || e.Name != "example.com" {
		t.Errorf("control: %+v %+v", got, e) // httptest's certificate is for example.com
	}
	if got, _ := ask("other.example", true); got.status != http.StatusBadGateway || !strings.Contains(got.body, "other.example") {
		t.Errorf("another name: %+v", got)
	}
	if got, _ := ask("example.com", false); got.status != http.StatusBadGateway {
		t.Errorf("an unknown authority: %+v", got)
	}
}

func TestAnUpstreamThatIsRefusedIsADenial(t *testing.T) {
	r := newRig(t, nil, func(c *Config) {
		c.Dial = func(context.Context, Upstream) (net.Conn, netip.AddrPort, error) {
			return nil, netip.AddrPort{}, &RefusedError{"the model's API x may not be reached: 10.0.0.1 is private-use"}
		}
	})
	got := r.do("POST", "/openai/v1/responses", openaiBody)
	if e := r.last(1); got.status != statusRefused || e.Verdict != reports.Deny || !strings.Contains(e.Reason, "private-use") {
		t.Errorf("%+v %+v", got, e)
	}
}

func TestProbesAreNoDenials(t *testing.T) {
	r := newRig(t, nil)
	for path, status := range map[string]int{"/": 200, "/anthropic": 200, "/anthropic/": 200, "/openai/": 200, "/nobody/": 404} {
		for _, method := range []string{"GET", "HEAD"} {
			if got := r.do(method, path, ""); got.status != status {
				t.Errorf("%s %s: %d", method, path, got.status)
			}
		}
	}
	if got := r.do("POST", "/anthropic/", "{}"); got.status != http.StatusForbidden {
		t.Errorf("control: %d", got.status)
	}
	r.last(1)
}

func TestConfigurationsThatCannotBeServed(t *testing.T) {
	key := []wire.Header{{Name: "x-api-key", Value: canary}}
	for want, api := range map[string]wire.ModelAPI{
		"name":           {Name: "a/b", Dialect: wire.Anthropic, Upstream: "https://a.example"},
		"dialect":        {Name: "a", Dialect: "basic", Upstream: "https://a.example"},
		"scheme":         {Name: "a", Dialect: wire.Anthropic, Upstream: "http://a.example"},
		"address":        {Name: "a", Dialect: wire.Anthropic, Upstream: "https://198.51.100.1"},
		"user":           {Name: "a", Dialect: wire.Anthropic, Upstream: "https://u:" + canary + "@a.example", Trusted: true},
		"not a URL":      {Name: "a", Dialect: wire.Anthropic, Upstream: "https://%zz" + canary, Trusted: true},
		"plain":          {Name: "a", Dialect: wire.Anthropic, Upstream: "https://a.example/%2e%2e/x", Trusted: true},
		"header \"x-y\"": {Name: "a", Dialect: wire.Anthropic, Upstream: "https://a.example", Headers: append(key, wire.Header{Name: "x-y", Value: canary + "\n"})},
	} {
		_, err := New(Config{APIs: []wire.ModelAPI{api}})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), canary) {
			t.Errorf("%+v: %v, want %q", api, err, want)
		}
	}
}

func TestAVersionIsNotRepeated(t *testing.T) {
	for _, tt := range []struct{ base, path, want string }{
		{"", "/v1/messages", "/v1/messages"},
		{"/v1", "/v1/responses", "/v1/responses"},
		{"/team/anthropic", "/v1/messages", "/team/anthropic/v1/messages"},
		{"/x/v1beta", "/v1beta/models/m:countTokens", "/x/v1beta/models/m:countTokens"},
		{"/v1", "/v1beta/models", "/v1/v1beta/models"},
	} {
		if got := join(tt.base, tt.path); got != tt.want {
			t.Errorf("join(%q, %q) = %q", tt.base, tt.path, got)
		}
	}
}
