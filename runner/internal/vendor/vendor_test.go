package vendor

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// asks are a request of each dialect that offers a shell; STREAM and GENERATE say how the answer is to come.
var asks = []struct {
	name, path, header, prefix, body, usage string
}{
	{
		"anthropic", "/v1/messages?beta=true", "X-Api-Key", "",
		`{"model":"m","stream":STREAM,"tools":[{"name":"Bash"},{"name":"Write"}]}`, `"output_tokens":47`,
	},
	{
		"responses", "/v1/responses", "Authorization", "Bearer ",
		`{"model":"m","stream":STREAM,"tools":[{"type":"function","name":"exec_command"}]}`, `"output_tokens":47`,
	},
	{
		"responses in code mode", "/v1/responses", "Authorization", "Bearer ",
		`{"model":"m","stream":STREAM,"input":[{"type":"additional_tools","tools":[{"type":"namespace","tools":[{"type":"custom","name":"exec"}]}]}]}`,
		`"output_tokens":47`,
	},
	{
		"chat", "/v1/chat/completions", "Authorization", "Bearer ",
		`{"model":"m","stream":STREAM,"stream_options":{"include_usage":true},"tools":[{"function":{"name":"shell"}}]}`, `"completion_tokens":47`,
	},
	{
		"gemini", "/v1beta/models/m:GENERATE", "X-Goog-Api-Key", "",
		`{"tools":[{"functionDeclarations":[{"name":"run_shell_command"}]}]}`, `"candidatesTokenCount":40`,
	},
}

var twoTurns = Script{Key: "right", Turns: []Turn{
	{Status: 429, Message: "not so fast", RetryAfter: "7"},
	{Thinking: "hm", Text: "I look.", Calls: []Call{{Shell: "ls -la"}, {File: "/w/new", Content: "a\n"}}, Usage: Usage{Input: 100, CacheRead: 5, Output: 40, Reasoning: 7}},
}}

func TestEveryDialectTellsTheScript(t *testing.T) {
	for _, ask := range asks {
		for stream, method := range map[string]string{"false": "generateContent", "true": "streamGenerateContent?alt=sse"} {
			t.Run(ask.name+" stream "+stream, func(t *testing.T) {
				url := begin(t, twoTurns)
				path := strings.Replace(ask.path, "GENERATE", method, 1)
				body := strings.Replace(ask.body, "STREAM", stream, 1)
				if res, _ := post(t, url+path, ask.header, ask.prefix+"wrong", body); res.StatusCode != http.StatusUnauthorized {
					t.Fatalf("the wrong key: %s", res.Status)
				}
				res, text := post(t, url+path, ask.header, ask.prefix+"right", body)
				if res.StatusCode != http.StatusTooManyRequests || res.Header.Get("Retry-After") != "7" || !strings.Contains(text, "not so fast") {
					t.Errorf("first turn: %s %s", res.Status, text)
				}
				res, text = post(t, url+path, ask.header, ask.prefix+"right", body)
				if events := strings.HasPrefix(res.Header.Get("Content-Type"), "text/event-stream"); events != (stream == "true") {
					t.Errorf("answered as %s", res.Header.Get("Content-Type"))
				}
				for _, want := range []string{"I look.", "ls -", "/w/new", ask.usage} {
					if !strings.Contains(strings.ReplaceAll(text, `\`, ""), want) {
						t.Errorf("second turn lacks %q:\n%s", want, text)
					}
				}
				if _, text = post(t, url+path, ask.header, ask.prefix+"right", body); !strings.Contains(text, "That was all.") {
					t.Errorf("after the script:\n%s", text)
				}
			})
		}
	}
}

func TestASideErrandTakesNoTurn(t *testing.T) {
	url := begin(t, Script{Key: "right", Turns: []Turn{{Text: "the first turn"}}})
	if _, text := post(t, url+"/v1/messages", "X-Api-Key", "right", `{"model":"m"}`); strings.Contains(text, "the first turn") {
		t.Errorf("a request without tools took the turn: %s", text)
	}
	if _, text := post(t, url+"/v1/messages", "X-Api-Key", "right", `{"model":"m","tools":[{"name":"Bash"}]}`); !strings.Contains(text, "the first turn") {
		t.Errorf("a request with tools did not: %s", text)
	}
}

func TestTheLogHasEveryRequestAndSaysWhatWasCutOff(t *testing.T) {
	url := begin(t, Script{Key: "right", Turns: []Turn{{Text: strings.Repeat("words ", 100), Fault: Abort}}})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/v1/messages?x=1", strings.NewReader(`{"stream":true,"tools":[{}]}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Api-Key", "right")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if _, err := io.ReadAll(res.Body); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("the answer ended with %v", err)
	}
	post(t, url+"/v1/files", "X-Api-Key", "right", "a body")

	_, text := post(t, strings.Replace(url, "/s", "/control/s", 1), "", "", "")
	var log Log
	if err := json.Unmarshal([]byte(text), &log); err != nil {
		t.Fatal(err)
	}
	if len(log.Requests) != 2 {
		t.Fatalf("%d requests: %s", len(log.Requests), text)
	}
	first, second := log.Requests[0], log.Requests[1]
	if first.Path != "/v1/messages?x=1" || first.Ended || first.Header.Get("X-Api-Key") != "right" || first.Status != http.StatusOK {
		t.Errorf("first request: %+v", first)
	}
	if second.Path != "/v1/files" || !second.Ended || second.Body != "a body" || second.Status != http.StatusNotFound {
		t.Errorf("second request: %+v", second)
	}
}

// begin starts a server with one session and returns its base URL.
func begin(t *testing.T, script Script) string {
	t.Helper()
	server := httptest.NewServer(&Server{})
	t.Cleanup(server.Close)
	data, err := json.Marshal(script)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, server.URL+"/control/s", strings.NewReader(string(data)))
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Fatal(res.Status)
	}
	return server.URL + "/s"
}

// post asks, and returns the answer with its text.
func post(t *testing.T, url, header, key, body string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if header != "" {
		req.Header.Set(header, key)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(text)
}
