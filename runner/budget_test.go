package runner

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/yolo-run/yolo-run/entrypoint/wire"
	"github.com/yolo-run/yolo-run/reports"
)

func newGatewayLink() *gatewayLink {
	return &gatewayLink{
		onEvent: func(reports.Event) {}, onUsage: func(reports.Usage) {},
		ready: make(chan wire.Ready, 1), disk: make(chan wire.Disk, 1), budget: make(chan wire.BudgetSpent, 1), ended: make(chan struct{}),
	}
}

func spent() *wire.BudgetSpent {
	return &wire.BudgetSpent{Option: "--max-tokens", Reason: "1000 tokens are used up"}
}

// An agent that was refused an answer may end by itself; one that does not is stopped.
func TestAnAgentWithoutABudgetIsGivenTimeToEnd(t *testing.T) {
	for name, tc := range map[string]struct {
		endsAfter time.Duration
		stopped   error
		took      time.Duration
	}{
		"it ends":         {3 * time.Second, nil, 3 * time.Second},
		"it does not end": {time.Hour, errBudget, budgetGrace},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := &run{gateway: newGatewayLink()}
				r.cfg, r.log = Config{Timeout: 10 * time.Minute}, slog.New(slog.DiscardHandler)
				ended := make(chan boxEnd, 1)
				end := time.AfterFunc(tc.endsAfter, func() { ended <- boxEnd{code: 1} })
				defer end.Stop()
				r.gateway.handle(wire.GatewayMessage{Type: wire.TypeBudget, Budget: spent()})
				begun := time.Now()
				if err := r.attend(t.Context(), ended); !errors.Is(err, tc.stopped) || (err == nil) != (tc.stopped == nil) {
					t.Errorf("stopped by %v, want %v", err, tc.stopped)
				}
				if took := time.Since(begun); took != tc.took {
					t.Errorf("after %s, want %s", took, tc.took)
				}
			})
		})
	}
}

func TestUsageIsWhatTheGatewaySaidLast(t *testing.T) {
	g := newGatewayLink()
	var shown []int64
	g.onUsage = func(u reports.Usage) { shown = append(shown, u.Requests) }
	g.handle(wire.GatewayMessage{Type: wire.TypeUsage, Usage: &reports.Usage{Requests: 1}})
	g.handle(wire.GatewayMessage{Type: wire.TypeUsage, Usage: &reports.Usage{Requests: 2}})
	if u, spent := g.asked(); u.Requests != 2 || spent != nil { // a gateway that died has no summary
		t.Errorf("%+v, %v", u, spent)
	}
	g.handle(wire.GatewayMessage{Type: wire.TypeBudget, Budget: spent()})
	g.handle(wire.GatewayMessage{Type: wire.TypeSummary, Summary: &wire.Summary{Usage: reports.Usage{Requests: 3}}})
	if u, spent := g.asked(); u.Requests != 3 || spent == nil || spent.Option != "--max-tokens" {
		t.Errorf("%+v, %v", u, spent)
	}
	if len(shown) != 2 {
		t.Errorf("shown %v", shown)
	}
}

func TestABudgetThatIsUsedUpIsTheOutcome(t *testing.T) {
	for name, tc := range map[string]struct {
		ending ending
		fault  error
		signal *SignalError
		want   reports.Outcome
	}{
		"the agent failed":         {ending{started: true, code: 1, spent: spent()}, nil, nil, reports.Budget},
		"the agent says all is ok": {ending{started: true, spent: spent()}, nil, nil, reports.Budget},
		"the agent was stopped":    {ending{started: true, code: 143, stopped: errBudget, spent: spent()}, nil, nil, reports.Budget},
		"timeout comes before":     {ending{started: true, stopped: errTimeout, spent: spent()}, nil, nil, reports.Timeout},
		"so does a fault":          {ending{started: true, spent: spent()}, errors.New("x"), nil, reports.Infrastructure},
		"so does a signal":         {ending{started: true, spent: spent()}, nil, &SignalError{Signal: 15}, reports.Cancelled},
		"nothing was used up":      {ending{started: true}, nil, nil, reports.NoChanges},
	} {
		r := &run{ending: tc.ending, signal: tc.signal}
		r.cfg.FailOn = []string{"gate", "no-changes"}
		if tc.want == reports.NoChanges {
			r.cfg.FailOn = []string{"none"}
		}
		r.live = &liveView{run: r}
		r.rep.Usage = reports.Usage{Requests: 2, InputTokens: 900, OutputTokens: 1, CostUSD: 0.25}
		r.fault(tc.fault)
		r.decide()
		if r.rep.Outcome != tc.want {
			t.Errorf("%s: outcome %s, want %s", name, r.rep.Outcome, tc.want)
		}
		text := strings.Join(r.rep.Errors, "\n")
		for _, want := range []string{"--max-tokens", "1000 tokens are used up", "2 requests, 900 tokens in, 1 token out, $0.2500"} {
			if tc.ending.spent != nil && !strings.Contains(text, want) {
				t.Errorf("%s: %q is missing in %q", name, want, text)
			}
		}
		if stopped := errors.Is(tc.ending.stopped, errBudget); stopped != strings.Contains(text, "was stopped") {
			t.Errorf("%s: %s", name, text)
		}
	}
}
