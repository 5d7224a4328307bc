package runner_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/yolo-run/yolo-run/reports"
	"github.com/yolo-run/yolo-run/runner"
	"github.com/yolo-run/yolo-run/runner/internal/vendor"
)

// realAgent is a vendor's own agent: its image, its API, the variable that its key is in.
type realAgent struct{ name, api, key string }

var realAgents = []realAgent{
	{"claude", "anthropic", "ANTHROPIC_API_KEY"},
	{"codex", "openai", "OPENAI_API_KEY"},
	{"gemini", "gemini", "GEMINI_API_KEY"},
}

// agentImage is how a test gets the image of an agent. It fails without one, unless AGENTS is set and leaves this agent out.
func agentImage(t testing.TB, name string) string {
	t.Helper()
	listed, given := os.LookupEnv("AGENTS")
	if given && !slices.Contains(strings.FieldsFunc(listed, func(r rune) bool { return r == ',' || r == ' ' }), name) {
		t.Skipf("AGENTS=%s leaves %s out", listed, name)
	}
	image := "yolo-run/" + name + ":" + version()
	if _, err := needEngine(t).ImageInspect(t.Context(), image); err != nil {
		t.Fatalf("%s is missing (make images AGENTS=claude,codex,gemini builds it from npm; AGENTS= leaves such tests out): %v", image, err)
	}
	return image
}

// model is a session with the stub of the vendors' APIs, with a key of its own.
type model struct {
	internet

	name string
	key  string
}

// keyMark begins every key of the tests, canaries all: a search needs not know the rest.
const keyMark = "canary-key-"

// model begins a session.
func (n internet) model(t testing.TB, script vendor.Script) model {
	t.Helper()
	id := make([]byte, 16)
	if _, err := rand.Read(id); err != nil {
		t.Fatal(err)
	}
	m := model{internet: n, name: "s" + hex.EncodeToString(id[:4]), key: keyMark + hex.EncodeToString(id)}
	m.say(t, script)
	return m
}

// say begins the session anew with another script.
func (m model) say(t testing.TB, script vendor.Script) {
	t.Helper()
	script.Key = m.key
	body, err := json.Marshal(script)
	if err != nil {
		t.Fatal(err)
	}
	m.control(t, http.MethodPut, "", body)
}

// log is what the vendor saw since.
func (m model) log(t testing.TB) []vendor.Request {
	t.Helper()
	var log vendor.Log
	if err := json.Unmarshal(m.control(t, http.MethodGet, "", nil), &log); err != nil {
		t.Fatal(err)
	}
	return log.Requests
}

func (m model) control(t testing.TB, method, query string, body []byte) []byte {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, "http://"+internetAddr+":8098/control/"+m.name+query, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	res, err := (&http.Client{Transport: &http.Transport{Proxy: nil, DisableKeepAlives: true}}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("the vendor's stub: %s %v", res.Status, err)
	}
	return data
}

// asked waits until the vendor has been asked.
func (m model) asked(t testing.TB) {
	t.Helper()
	m.control(t, http.MethodGet, "?asked", nil)
}

// served has the run serve this model as one of the APIs, with the key that the vendor wants.
func (m model) served(t testing.TB, a realAgent) func(*runner.Config) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, []byte(m.key+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return func(cfg *runner.Config) {
		online(m.internet)(cfg)
		cfg.Secrets = append(cfg.Secrets, a.key+"=file:"+file)
		cfg.Upstreams = append(cfg.Upstreams, a.api+"=http://"+internetAddr+":8098/"+m.name)
	}
}

// overTLS has the run reach the model by a name and TLS.
func (m model) overTLS(cfg *runner.Config) {
	for i, upstream := range cfg.Upstreams {
		cfg.Upstreams[i] = strings.Replace(upstream, "http://"+internetAddr+":8098", "https://api.allowed.test:8444", 1)
	}
}

// as runs the agent itself in place of a script.
func (a realAgent) as(t testing.TB) func(*runner.Config) {
	t.Helper()
	image := agentImage(t, a.name)
	return func(cfg *runner.Config) { cfg.Agent, cfg.Image = a.name, image }
}

// wantKeyOnly fails unless every request bore the run's key and nothing else that could be one.
func (m model) wantKeyOnly(t testing.TB) {
	t.Helper()
	requests := m.log(t)
	if len(requests) == 0 {
		t.Error("the vendor saw no request")
	}
	for _, r := range requests {
		var credentials []string
		for _, name := range []string{"X-Api-Key", "Authorization", "X-Goog-Api-Key", "Proxy-Authorization", "Cookie"} {
			credentials = append(credentials, r.Header.Values(name)...)
		}
		if len(credentials) != 1 || strings.TrimPrefix(credentials[0], "Bearer ") != m.key {
			t.Errorf("%s %s bore %q, want the key alone", r.Method, r.Path, credentials)
		}
		if all, _ := json.Marshal(r); bytes.Contains(all, []byte("yolo-run-placeholder")) {
			t.Errorf("%s %s carries the placeholder: %.300s", r.Method, r.Path, all)
		}
	}
}

// billed adds up what the vendor charged: the turns that it gave, and side errands.
func (m model) billed(t testing.TB, turns []vendor.Turn) (u vendor.Usage) {
	t.Helper()
	add := func(v vendor.Usage) {
		u.Input += v.Input + v.CacheRead + v.CacheWrite
		u.CacheRead += v.CacheRead
		u.Output += v.Output + v.Reasoning
	}
	for _, turn := range turns {
		if turn.Status == 0 {
			add(turn.Usage)
		}
	}
	for _, r := range m.log(t) {
		if r.Errand && r.Status == http.StatusOK {
			add(vendor.ErrandUsage)
		}
	}
	return u
}

// wantUsage fails unless the report has what the vendor charged.
func (r result) wantUsage(t testing.TB, billed vendor.Usage) {
	t.Helper()
	u := r.Usage
	if u.InputTokens != billed.Input || u.OutputTokens != billed.Output || u.CachedInputTokens != billed.CacheRead {
		t.Errorf("usage %+v, the vendor charged %+v", u, billed)
	}
}

// steps returns the calls of tools whose input contains text.
func (r result) steps(text string) (list []reports.Step) {
	for _, s := range r.Transcript.Steps {
		if s.Kind == reports.StepTool && strings.Contains(s.Input, text) {
			list = append(list, s)
		}
	}
	return list
}
