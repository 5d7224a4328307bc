package runner_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/yolo-run/yolo-run/reports"
	"github.com/yolo-run/yolo-run/runner"
	"github.com/yolo-run/yolo-run/runner/internal/vendor"
)

// endless is a model that has one more thing to do, again and again.
var endless = vendor.Script{Repeat: true, Turns: []vendor.Turn{{
	Text: "One more.", Calls: []vendor.Call{{Shell: "echo more >> work.txt"}}, Usage: vendor.Usage{Input: 1000, Output: 100},
}}}

// budgets are one of each kind, and how many requests of 1,100 tokens, and 0.45 cents, they have room for: fewer where an estimate is careful.
var budgets = []struct {
	option    string
	set       func(*runner.Config)
	low, high int
}{
	{"--max-requests", func(cfg *runner.Config) { cfg.MaxRequests = 4 }, 4, 4},
	{"--max-tokens", func(cfg *runner.Config) { cfg.MaxTokens = 6000 }, 3, 5},
	{"--max-cost-usd", func(cfg *runner.Config) { cfg.MaxCostUSD = 0.025 }, 3, 5},
}

func TestABudgetEndsTheRunAndKeepsItsWork(t *testing.T) {
	t.Parallel()
	n := needInternet(t)
	for _, c := range budgets {
		t.Run(c.option, func(t *testing.T) {
			t.Parallel()
			m := n.model(t, endless)
			r := try(t, "for i in $(seq 20); do echo $i > work.txt; "+askModel+" -f >/dev/null || exit 7; done", m.served(t, realAgents[0]), c.set)
			r.want(t, reports.Budget)
			if got := len(m.log(t)); got < c.low || got > c.high {
				t.Errorf("the vendor saw %d requests, want %d to %d", got, c.low, c.high)
			}
			r.wantSpent(t, c.option)
			r.wantUsage(t, m.billed(t, repeated(endless.Turns[0], len(m.log(t)))))
		})
	}
}

// Agents of the vendors stop at the refusal by themselves, or are stopped.
func TestABudgetEndsTheRealAgents(t *testing.T) {
	t.Parallel()
	n := needInternet(t)
	for _, agent := range realAgents {
		t.Run(agent.name, func(t *testing.T) {
			t.Parallel()
			m := n.model(t, endless)
			r := try(t, "Work on.", m.served(t, agent), agent.as(t), func(cfg *runner.Config) { cfg.MaxRequests = 3 })
			r.want(t, reports.Budget)
			if got := len(m.log(t)); got != 3 {
				t.Errorf("the vendor saw %d requests, want 3", got)
			}
			r.wantSpent(t, "--max-requests")
			if d := time.Duration(r.DurationMs) * time.Millisecond; d > 30*time.Second {
				t.Errorf("the run took %s", d)
			}
		})
	}
}

// wantSpent fails unless the run says which budget is used up, and has the work that was done until then.
func (r result) wantSpent(t *testing.T, option string) {
	t.Helper()
	if r.ExitCode != 4 || !strings.Contains(strings.Join(r.Errors, "\n"), option) {
		t.Errorf("exit code %d, errors %q", r.ExitCode, r.Errors)
	}
	if len(r.Changes.Files) != 1 || r.Changes.Files[0].Path != "work.txt" {
		t.Errorf("changed files: %+v", r.Changes.Files)
	}
}

func TestRequestsAtOnceDoNotOutrunABudget(t *testing.T) {
	t.Parallel()
	n := needInternet(t)
	for _, c := range budgets {
		t.Run(c.option, func(t *testing.T) {
			t.Parallel()
			m := n.model(t, endless)
			r := try(t, "echo 1 > work.txt; for i in $(seq 30); do "+askModel+" -o /dev/null & done; wait", m.served(t, realAgents[0]), c.set)
			r.want(t, reports.Budget)
			if got := len(m.log(t)); got < 1 || got > c.high {
				t.Errorf("the vendor saw %d requests, want 1 to %d", got, c.high)
			}
		})
	}
}

// A stream that the agent cuts off before it says what it cost is charged all the same, and does not go on at the vendor.
func TestAnAbortedStreamIsCharged(t *testing.T) {
	t.Parallel()
	n := needInternet(t)
	for _, agent := range realAgents {
		t.Run(agent.api, func(t *testing.T) {
			t.Parallel()
			m := n.model(t, vendor.Script{Repeat: true, Turns: []vendor.Turn{{Text: strings.Repeat("many words ", 500), Fault: vendor.Hang}}})
			r := try(t, agent.askLong()+" -m 1 | wc -c", m.served(t, agent))
			r.want(t, reports.NoChanges)
			u := r.Usage
			if u.Requests != 1 || u.OutputTokens < 100 || u.InputTokens < 1 || len(u.Models) != 1 || u.Models[0].Estimated != 1 {
				t.Errorf("usage %+v", u)
			}
			if log := m.log(t); len(log) != 1 || log[0].Ended {
				t.Errorf("the vendor saw %+v", log)
			}
		})
	}
}

// askLong is a request for a stream in the dialect of the agent's API.
func (a realAgent) askLong() string {
	switch a.api {
	case "openai":
		return `curl -sS -d '{"model":"gpt-5.2","max_output_tokens":100000,"stream":true,"tools":[{"type":"function","name":"shell"}],"input":"go on"}'` +
			` $OPENAI_BASE_URL/responses`
	case "gemini":
		return `curl -sS -d '{"tools":[{"functionDeclarations":[{"name":"f"}]}],"contents":[{"role":"user","parts":[{"text":"go on"}]}]}'` +
			` "$GOOGLE_GEMINI_BASE_URL/v1beta/models/gemini-3.1-pro-preview:streamGenerateContent?alt=sse"`
	}
	return askModel
}

func repeated(turn vendor.Turn, n int) (list []vendor.Turn) {
	for range n {
		list = append(list, turn)
	}
	return list
}

// Attack 18b: the model's API as a way out. What is closed never reaches the vendor and is in the record; beside each stands what is open.
func TestAttack18bTheModelAPIIsNoWayOut(t *testing.T) {
	t.Parallel()
	n := needInternet(t)
	const message = `"model":"claude-sonnet-4-5","max_tokens":100,"messages":[{"role":"user","content":"hi"}]`
	m := n.model(t, vendor.Script{Repeat: true, Turns: []vendor.Turn{{Text: "Hello.", Usage: vendor.Usage{Input: 1, Output: 1}}}})
	closed := []struct{ name, curl string }{
		{"files", "$URL/v1/files -F file=@/etc/hostname"},
		{"list-files", "$URL/v1/files"},
		{"batches", "$URL/v1/messages/batches -d '{\"requests\":[]}'"},
		{"dots", "--path-as-is $URL/v1/messages/../files -d '{}'"},
		{"encoded-dots", "--path-as-is $URL/v1/messages/%2e%2e/files -d '{}'"},
		{"encoded-slash", "--path-as-is $URL/v1%2ffiles -d '{}'"},
		{"double-slash", "--path-as-is $URL//v1/files -d '{}'"},
		{"other-method", "-X DELETE $URL/v1/messages"},
		{"query", "'$URL/v1/messages?next=http://denied.test' -d '{` + message + `}'"},
		{"web-search", `-d '{` + message + `,"tools":[{"type":"web_search_20250305","name":"web_search"}]}' $URL/v1/messages`},
		{"web-fetch", `-d '{` + message + `,"tools":[{"type":"web_fetch_20250910","name":"web_fetch"}]}' $URL/v1/messages`},
		{"remote-mcp", `-d '{` + message + `,"mcp_servers":[{"type":"url","url":"https://denied.test/","name":"x"}]}' $URL/v1/messages`},
		{"code", `-d '{` + message + `,"tools":[{"type":"code_execution_20250522","name":"code_execution"}]}' $URL/v1/messages`},
		{"hidden-tool", `-d '{` + message + `,"tools":[],"t\\u006fols":[{"type":"web_search_20250305","name":"web_search"}]}' $URL/v1/messages`},
		{
			"url-source",
			`-d '{"model":"m","max_tokens":9,"messages":[{"role":"user","content":[{"type":"image","source":{"type":"url","url":"http://denied.test/s"}}]}]}' $URL/v1/messages`,
		},
		{"upgrade", `-H 'Connection: Upgrade' -H 'Upgrade: websocket' -d '{` + message + `}' $URL/v1/messages`},
		{"packed", `-H 'Content-Encoding: gzip' -d '{` + message + `}' $URL/v1/messages`},
		{"not-json", `-d 'model=m' $URL/v1/messages`},
		{"proxy", "-x ${URL%/anthropic} http://denied.test/"},
		{"connect", "-p -x ${URL%/anthropic} https://denied.test/"},
		{"another-api", "${URL%/anthropic}/openai/v1/models"},
		{"straight", "http://" + internetAddr + ":8098/v1/messages -d '{}'"},
	}
	script := "URL=$ANTHROPIC_BASE_URL\ntry() { name=$1; shift; echo $name=$(curl -s -m 10 -o /dev/null -w '%{http_code}' \"$@\"); }\n"
	script += `try first -d '{` + message + `,"tools":[{"name":"Bash"}]}' $URL/v1/messages` + "\n"
	for _, c := range closed {
		script += fmt.Sprintf("try %s %s\n", c.name, strings.ReplaceAll(c.curl, "'$URL/v1/messages?next=http://denied.test'", `"$URL/v1/messages?next=http://denied.test"`))
	}
	script += `try own-key -H 'x-api-key: sk-mine' -H 'Authorization: Bearer sk-mine' -H 'Cookie: a=b' -H 'Connection: x-api-key' -d '{` + message + `}' $URL/v1/messages` + "\n"
	script += `try other-host -H 'Host: denied.test' -H 'X-Forwarded-Host: denied.test' -d '{` + message + `}' $URL/v1/messages` + "\n"
	script += `try last -d '{` + message + `,"tools":[{"name":"Bash"}]}' $URL/v1/messages` + "\n"

	r := try(t, script, m.served(t, realAgents[0]))
	r.want(t, reports.NoChanges)
	for _, open := range []string{"first", "own-key", "other-host", "last"} {
		if got := r.says(t, open); got != "200" {
			t.Errorf("control: %s is %s, want 200", open, got)
		}
	}
	for _, c := range closed {
		if got := r.says(t, c.name); got < "400" || got >= "500" {
			if got != "000" || c.name != "connect" && c.name != "straight" { // curl has no code of a tunnel, or of a connection, that was refused
				t.Errorf("%s is %s, want a refusal", c.name, got)
			}
		}
	}
	if got := len(m.log(t)); got != 4 {
		t.Errorf("the vendor saw %d requests, want the 4 controls: %+v", got, m.log(t))
	}
	m.wantKeyOnly(t)
	if straight := r.find(reports.Deny, toAddr(internetAddr, 8098)); total(straight) != 1 {
		t.Errorf("past the gateway: %+v", straight)
	}
	denied := r.find(reports.Deny, func(e reports.Event) bool { return e.Layer == reports.LayerModel })
	if got := total(denied); got < int64(len(closed)-2) {
		t.Errorf("%d denials of the model API are in the record, want about %d: %+v", got, len(closed), denied)
	}
	for _, e := range denied {
		if e.Process == nil || !strings.HasSuffix(e.Process.Exe, "/curl") || e.Reason == "" {
			t.Errorf("denied to %+v because of %q", e.Process, e.Reason)
		}
	}
}
