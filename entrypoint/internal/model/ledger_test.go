package model

import (
	"context"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/yolo-run/yolo-run/entrypoint/wire"
	"github.com/yolo-run/yolo-run/reports"
)

// prices are round, so that sums are easy to check: a token of input costs a millionth of a dollar, one of output ten.
func prices() []wire.Price {
	return []wire.Price{
		{Model: "claude-test", Input: 1, CachedInput: 0.1, CacheWrite: 1.25, CacheWrite1h: 2, Output: 10, MaxOutput: 64_000},
		{Model: "gpt-test", Input: 1, CachedInput: 0.1, Output: 10},
		{Model: "gpt-test", Above: 200_000, Input: 2, CachedInput: 0.2, Output: 20},
	}
}

func question(tokens, output int64) *inquiry {
	return &inquiry{kind: kindMessages, model: "claude-test", tokens: tokens, answers: 1, bound: bound{tokens: output, spans: []edit{{from: 0, to: 1}}}}
}

func TestWhatWasSaidIsCharged(t *testing.T) {
	l := newLedger(wire.Budget{}, prices())
	charge := func(api string, q *inquiry, c counts, estimated bool) {
		ticket, f := l.reserve(t.Context(), api, q)
		if f != nil {
			t.Fatal(f.reason)
		}
		ticket.settle(true, c, estimated)
	}
	charge("anthropic", question(10, 10), counts{input: 1_000_000, cached: 500_000, write: 100_000, write1h: 100_000, output: 100_000}, false)
	charge("openai", &inquiry{model: "gpt-test", answers: 1}, counts{input: 300_000, cached: 100_000, output: 10}, false)
	charge("openai", &inquiry{model: "gpt-test-2026-01-01", answers: 1}, counts{input: 100_000, output: 10}, true)
	charge("openai", &inquiry{model: "unknown", answers: 1}, counts{input: 5, output: 6}, false)
	u := l.usage()
	want := []reports.ModelUsage{
		{API: "anthropic", Model: "claude-test", Requests: 1, InputTokens: 1_000_000, CachedInputTokens: 500_000, OutputTokens: 100_000, CostUSD: 0.3 + 0.05 + 0.125 + 0.2 + 1},
		{API: "openai", Model: "gpt-test", Requests: 1, InputTokens: 300_000, CachedInputTokens: 100_000, OutputTokens: 10, CostUSD: 0.4 + 0.02 + 0.0002},
		{API: "openai", Model: "gpt-test-2026-01-01", Requests: 1, InputTokens: 100_000, OutputTokens: 10, CostUSD: 0.1001, Estimated: 1},
		{API: "openai", Model: "unknown", Requests: 1, InputTokens: 5, OutputTokens: 6, Unpriced: true},
	}
	if len(u.Models) != len(want) || u.Requests != 4 || u.InputTokens != 1_400_005 || u.CachedInputTokens != 600_000 {
		t.Fatalf("usage %+v", u)
	}
	for i, m := range u.Models {
		if math.Abs(m.CostUSD-want[i].CostUSD) > 1e-9 {
			t.Errorf("%s costs %v, want %v", m.Model, m.CostUSD, want[i].CostUSD)
		}
		m.CostUSD, want[i].CostUSD = 0, 0
		if m != want[i] {
			t.Errorf("%+v, want %+v", m, want[i])
		}
	}
}

func TestAnAnswerIsBoundedByWhatIsLeft(t *testing.T) {
	tests := []struct {
		name    string
		budget  wire.Budget
		used    counts
		q       *inquiry
		lowered int64 // 0: as it was
		spent   string
	}{
		{"it fits", wire.Budget{MaxTokens: 10_000}, counts{}, question(1000, 9000), 0, ""},
		{"one token too many", wire.Budget{MaxTokens: 10_000}, counts{}, question(1000, 9001), 9000, ""},
		{"much too long", wire.Budget{MaxTokens: 10_000}, counts{input: 5000, output: 1000}, question(1000, 64_000), 3000, ""},
		{"too little is left", wire.Budget{MaxTokens: 10_000}, counts{input: 8000}, question(1000, 64_000), 0, "--max-tokens"},
		{"nothing is left", wire.Budget{MaxTokens: 10_000}, counts{input: 12_000}, question(1, 1), 0, "--max-tokens"},
		{"dollars", wire.Budget{MaxCostUSD: 1}, counts{}, question(100_000, 64_000), 64_000, ""}, // 0.125 + 0.64
		{"dollars, shorter", wire.Budget{MaxCostUSD: 0.5}, counts{}, question(100_000, 64_000), 37_500, ""},
		{"dollars, less left", wire.Budget{MaxCostUSD: 0.5}, counts{output: 30_000}, question(100_000, 64_000), 7500, ""},
		{"no dollars left", wire.Budget{MaxCostUSD: 0.5}, counts{output: 49_000}, question(1000, 64_000), 0, "--max-cost-usd"},
		{"both", wire.Budget{MaxCostUSD: 0.5, MaxTokens: 110_000}, counts{}, question(100_000, 64_000), 10_000, ""},
		{"requests", wire.Budget{MaxRequests: 1}, counts{input: 1}, question(1, 1), 0, "--max-requests"},
		{"requests left", wire.Budget{MaxRequests: 2}, counts{input: 1}, question(1, 1), 0, ""},
		{"several answers", wire.Budget{MaxTokens: 10_000}, counts{}, &inquiry{model: "m", answers: 3, tokens: 1000, bound: bound{tokens: 9000, spans: []edit{{from: 0, to: 1}}}}, 3000, ""},
		{"thinking needs more", wire.Budget{MaxTokens: 10_000}, counts{}, &inquiry{model: "m", answers: 1, tokens: 1000, bound: bound{tokens: 20_000, floor: 9000, spans: []edit{{from: 0, to: 1}}}}, 0, "--max-tokens"},
		{"no bound can be said", wire.Budget{MaxTokens: 10_000}, counts{}, &inquiry{model: "m", answers: 1, tokens: 1000}, 0, "--max-tokens"},
		{"no bound was said", wire.Budget{MaxTokens: 100_000}, counts{}, &inquiry{model: "m", answers: 1, tokens: 1000, bound: bound{insert: &edit{with: "%"}}}, usualOutput, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := newLedger(tt.budget, prices())
			if tt.used != (counts{}) {
				first, f := l.reserve(t.Context(), "a", question(0, 1))
				if f != nil {
					t.Fatal(f.reason)
				}
				first.settle(true, tt.used, false)
			}
			before := tt.q.bound.tokens
			ticket, f := l.reserve(t.Context(), "a", tt.q)
			if tt.spent != "" {
				if f == nil || !strings.Contains(f.reason, tt.spent) || f.status != statusRefused || l.spentBy() == nil || l.spentBy().Option != tt.spent {
					t.Fatalf("%+v, spent %+v", f, l.spentBy())
				}
				if _, f := l.reserve(t.Context(), "a", question(0, 1)); f == nil {
					t.Error("a later request passed")
				}
				return
			}
			if f != nil {
				t.Fatal(f.reason)
			}
			want := tt.lowered
			if want == 0 || want == before {
				want = before
			}
			if tt.q.bound.tokens != want || ticket.output != want*tt.q.answers {
				t.Errorf("bound %d, reserved %d; want %d", tt.q.bound.tokens, ticket.output, want)
			}
		})
	}
}

func TestWhoDoesNotFitWaitsForOthers(t *testing.T) {
	l := newLedger(wire.Budget{MaxTokens: 10_000}, prices())
	first, f := l.reserve(t.Context(), "a", question(1000, 8000))
	if f != nil {
		t.Fatal(f.reason)
	}
	type result struct {
		*ticket
		*fault
	}
	second := make(chan result, 1)
	waits := make(chan struct{})
	go func() {
		close(waits)
		ticket, f := l.reserve(t.Context(), "a", question(1000, 8000))
		second <- result{ticket, f}
	}()
	<-waits
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, f := l.reserve(ctx, "a", question(1000, 8000)); f == nil || f.deny {
		t.Errorf("who leaves while waiting: %+v", f)
	}
	first.settle(true, counts{input: 500, output: 100}, false) // it gives back 8,400
	got := <-second
	if got.fault != nil || got.output != 8000 {
		t.Fatalf("%+v", got)
	}
	got.settle(false, counts{}, false) // never sent: it costs nothing
	if u := l.usage(); u.Requests != 1 || u.InputTokens != 500 || u.OutputTokens != 100 {
		t.Errorf("usage %+v", u)
	}
}

func TestModelsWithoutAPriceAndABudgetOfDollars(t *testing.T) {
	l := newLedger(wire.Budget{MaxCostUSD: 1}, prices())
	for _, q := range []*inquiry{
		{model: "unknown", answers: 1}, {model: "claude-test", answers: 1, dear: `"speed":"fast"`}, {model: "claude-test", answers: 1, hidden: "previous_response_id"},
	} {
		if _, f := l.reserve(t.Context(), "a", q); f == nil || f.status != statusRefused {
			t.Errorf("%+v: %+v", q, f)
		}
	}
	if l.spentBy() != nil {
		t.Error("that is no budget used up")
	}
	if _, f := l.reserve(t.Context(), "a", question(1, 1)); f != nil {
		t.Errorf("control: %s", f.reason)
	}
}

func TestTheListOfModelsIsBounded(t *testing.T) {
	l := newLedger(wire.Budget{}, nil)
	for i := range 1000 {
		ticket, f := l.reserve(t.Context(), "a", &inquiry{model: fmt.Sprint("m", i), answers: 1})
		if f != nil {
			t.Fatal(f.reason)
		}
		ticket.settle(true, counts{input: 1}, false)
	}
	u := l.usage()
	if len(u.Models) != maxModels+1 || u.InputTokens != 1000 || u.Requests != 1000 {
		t.Errorf("%d models, %d tokens", len(u.Models), u.InputTokens)
	}
}

// TestParallelRequestsKeepToTheBudget: a hundred at once, of an upstream that always gives all that it may.
func TestParallelRequestsKeepToTheBudget(t *testing.T) {
	budgets := map[string]wire.Budget{"tokens": {MaxTokens: 50_000}, "dollars": {MaxCostUSD: 0.2}, "requests": {MaxRequests: 20}}
	for name, budget := range budgets {
		t.Run(name, func(t *testing.T) {
			var asked atomic.Int64
			r := newRig(t, func(w http.ResponseWriter, req *http.Request) {
				asked.Add(1)
				body, _ := io.ReadAll(req.Body)
				_, limit, _ := strings.Cut(string(body), `"max_tokens":`)
				limit, _, _ = strings.Cut(limit, ",")
				w.Header().Set("Content-Type", "application/json")
				_, _ = io.WriteString(w, `{"type":"message","usage":{"input_tokens":20,"output_tokens":`+limit+`}}`)
			}, func(c *Config) { c.Budget, c.Prices = budget, prices() })
			var group sync.WaitGroup
			var refused, served atomic.Int64
			for range 100 {
				group.Go(func() {
					resp, err := http.Post(r.url+"/anthropic/v1/messages", "application/json", strings.NewReader(`{"model":"claude-test","max_tokens":3000,"messages":[{"role":"user","content":"how do you do?"}]}`))
					if err != nil {
						t.Error(err)
						return
					}
					defer resp.Body.Close()
					_, _ = io.Copy(io.Discard, resp.Body)
					if resp.StatusCode == http.StatusOK {
						served.Add(1)
					} else {
						refused.Add(1)
					}
				})
			}
			group.Wait()
			r.recorded(100)
			u := r.Usage()
			if budget.MaxTokens > 0 && u.InputTokens+u.OutputTokens > budget.MaxTokens || budget.MaxCostUSD > 0 && u.CostUSD > budget.MaxCostUSD || budget.MaxRequests > 0 && u.Requests > budget.MaxRequests {
				t.Errorf("over the budget: %+v", u)
			}
			if served.Load() < 5 || refused.Load() == 0 || u.Requests != served.Load() || asked.Load() != served.Load() || r.Spent() == nil {
				t.Errorf("%d served, %d refused, %d asked, spent %+v", served.Load(), refused.Load(), asked.Load(), r.Spent())
			}
		})
	}
}

// TestManyPromptsThatAreLargerThanTheySeem: an upstream that finds a token in every byte, which no estimate expects. One answer may end over the
// budget, not all that are under way.
func TestManyPromptsThatAreLargerThanTheySeem(t *testing.T) {
	const prompt, budget = 20_000, 100_000
	text := `{"model":"claude-test","max_tokens":1,"messages":[{"role":"user","content":"` + strings.Repeat("xq", prompt/2) + `"}]}`
	for name, budget := range map[string]wire.Budget{"tokens": {MaxTokens: budget}, "dollars": {MaxCostUSD: budget * 2 / million}} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				_, _ = fmt.Fprintf(w, `{"type":"message","usage":{"input_tokens":0,"cache_creation_input_tokens":%d,"cache_creation":{"ephemeral_1h_input_tokens":%[1]d},"output_tokens":1}}`, len(text))
			}, func(c *Config) { c.Budget, c.Prices = budget, prices() })
			var group sync.WaitGroup
			for range 50 {
				group.Go(func() { r.do("POST", "/anthropic/v1/messages", text) })
			}
			group.Wait()
			u := r.Usage()
			if u.Requests < 4 || u.Requests > 6 || r.Spent() == nil {
				t.Errorf("%d requests of %d tokens were made, of which 5 nearly fit: %+v", u.Requests, len(text), u)
			}
		})
	}
}

// TestACacheThatIsKeptLongCostsMore: OpenAI's usage does not say for how long; the request does.
func TestACacheThatIsKeptLongCostsMore(t *testing.T) {
	price := []wire.Price{{Model: "gpt-test", Input: 1, CachedInput: 1, CacheWrite: 2, CacheWrite1h: 3, Output: 1}}
	for options, want := range map[string]float64{``: 2, `,"prompt_cache_options":{"ttl":"30m"}`: 2, `,"prompt_cache_options":{"ttl":"12h"}`: 3} {
		r := newRig(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"usage":{"input_tokens":1000000,"input_tokens_details":{"cache_write_tokens":1000000}}}`)
		}, func(c *Config) { c.Prices = price })
		if got := r.do("POST", "/openai/v1/responses", `{"model":"gpt-test","input":"1h `+"\\\"1h\\\""+`"`+options+`}`); got.status != http.StatusOK {
			t.Errorf("%s: %+v", options, got)
		}
		r.recorded(1)
		if u := r.Usage(); math.Abs(u.CostUSD-want) > 1e-9 {
			t.Errorf("%q costs %v, want %v", options, u.CostUSD, want)
		}
	}
}

func TestUsageIsToldAndTheEndOfTheBudgetToo(t *testing.T) {
	r := newRig(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"type":"message","usage":{"input_tokens":30,"output_tokens":3}}`)
	}, func(c *Config) { c.Budget.MaxRequests = 1 })
	r.do("POST", "/anthropic/v1/messages", anthropicBody)
	<-r.Changed()
	if u := r.Usage(); u.Requests != 1 || u.OutputTokens != 3 || r.Spent() != nil {
		t.Errorf("usage %+v, spent %+v", u, r.Spent())
	}
	got := r.do("POST", "/anthropic/v1/messages", anthropicBody)
	<-r.Changed()
	if got.status != http.StatusPaymentRequired || !strings.Contains(got.body, "--max-requests") || !strings.Contains(got.body, `"billing_error"`) || r.Spent() == nil {
		t.Errorf("%+v, spent %+v", got, r.Spent())
	}
	if free := r.do("POST", "/anthropic/v1/messages/count_tokens", anthropicBody); free.status != http.StatusOK {
		t.Errorf("control: counting is free: %+v", free)
	}
}

func TestWhatWasNotSentCostsNothing(t *testing.T) {
	nobody := newRig(t, nil, func(c *Config) {
		c.Budget.MaxRequests = 1
		c.Dial = func(context.Context, Upstream) (net.Conn, netip.AddrPort, error) {
			return nil, netip.AddrPort{}, io.ErrUnexpectedEOF
		}
	})
	for range 3 {
		if got := nobody.do("POST", "/openai/v1/responses", openaiBody); got.status != http.StatusBadGateway {
			t.Errorf("%+v", got)
		}
	}
	nobody.recorded(3)
	if u := nobody.Usage(); u.Requests != 0 || nobody.Spent() != nil {
		t.Errorf("usage %+v", u)
	}
	busy := newRig(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTooManyRequests) }, func(c *Config) { c.Budget.MaxRequests = 2 })
	for range 2 {
		if got := busy.do("POST", "/openai/v1/responses", openaiBody); got.status != http.StatusTooManyRequests {
			t.Errorf("%+v", got)
		}
	}
	busy.recorded(2)
	if u := busy.Usage(); u.Requests != 2 || u.InputTokens != 0 || u.Models[0].Estimated != 0 {
		t.Errorf("usage %+v", u)
	}
	if got := busy.do("POST", "/openai/v1/responses", openaiBody); got.status != statusRefused {
		t.Errorf("a third: %+v", got)
	}
}

func TestAnAbortedStreamIsCharged(t *testing.T) {
	tests := []struct {
		name, path, body, begin string
		input                   int64 // 0: an estimate
	}{
		{
			"anthropic", "/anthropic/v1/messages", `{"model":"claude-test","max_tokens":5000,"stream":true,"messages":[{"role":"user","content":"hi"}]}`,
			"event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":1000,\"cache_read_input_tokens\":500,\"output_tokens\":1}}}\n\n" +
				"event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"delta\":{\"type\":\"text_delta\",\"text\":\"" + strings.Repeat("word ", 600) + "\"}}\n\n", 1500,
		},
		{
			"openai", "/openai/v1/responses", `{"model":"gpt-test","stream":true,"input":"` + strings.Repeat("word ", 4000) + `"}`,
			"event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\"" + strings.Repeat("word ", 600) + "\"}\n\n", 0,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t, func(w http.ResponseWriter, req *http.Request) {
				w.Header().Set("Content-Type", "text/event-stream")
				_, _ = io.WriteString(w, tt.begin)
				w.(http.Flusher).Flush()
				<-req.Context().Done()
			})
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			req, _ := http.NewRequestWithContext(ctx, "POST", r.url+tt.path, strings.NewReader(tt.body))
			resp, err := http.DefaultTransport.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if _, err := io.ReadFull(resp.Body, make([]byte, len(tt.begin))); err != nil {
				t.Fatal(err)
			}
			cancel()
			r.recorded(1)
			u := r.Usage()
			if u.OutputTokens < 900 || u.OutputTokens > 2000 || u.Models[0].Estimated != 1 {
				t.Errorf("usage %+v", u)
			}
			if tt.input > 0 && u.InputTokens != tt.input || tt.input == 0 && (u.InputTokens < 4000 || u.InputTokens > 8000) {
				t.Errorf("input %d", u.InputTokens)
			}
		})
	}
}

func TestAStreamThatDidNotBeginIsChargedItsPrompt(t *testing.T) {
	arrived := make(chan struct{}, 2)
	r := newRig(t, func(_ http.ResponseWriter, req *http.Request) {
		arrived <- struct{}{}
		<-req.Context().Done()
	})
	for i, stream := range []string{"true", "false"} {
		ctx, cancel := context.WithCancel(t.Context())
		left := make(chan struct{})
		go func() {
			defer close(left)
			req, _ := http.NewRequestWithContext(ctx, "POST", r.url+"/openai/v1/responses", strings.NewReader(`{"model":"m`+stream+`","input":"hi","stream":`+stream+`}`))
			if resp, err := http.DefaultTransport.RoundTrip(req); err == nil {
				resp.Body.Close()
			}
		}()
		<-arrived
		time.AfterFunc(50*time.Millisecond, cancel) // what a model makes in the time would be charged
		<-left
		r.recorded(i + 1)
	}
	u := r.Usage()
	if len(u.Models) != 2 || u.Models[1].Model != "mtrue" || u.Models[1].OutputTokens != 0 || u.Models[1].InputTokens == 0 || u.Models[1].Estimated != 1 {
		t.Errorf("a stream: %+v", u.Models)
	}
	if u.Models[0].OutputTokens != usualOutput {
		t.Errorf("an answer in one piece, which is made whether somebody waits for it or not: %+v", u.Models)
	}
}

func TestHiddenTokensOfAnAbortedAnswerAreGuessedByTime(t *testing.T) {
	m := newMeter(wire.OpenAI, kindResponses, newBodies().Weighted)
	m.start = time.Now().Add(-10 * time.Second)
	if c, estimated := m.close(false, 100, 32_000); c.output < 1000 || c.output > 1100 || c.input != 100 || !estimated {
		t.Errorf("%+v", c)
	}
	m = newMeter(wire.OpenAI, kindResponses, newBodies().Weighted)
	m.start = time.Now().Add(-time.Hour)
	if c, _ := m.close(false, 100, 32_000); c.output != 32_000 {
		t.Errorf("more than was allowed: %+v", c)
	}
}
