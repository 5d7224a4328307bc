package model

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/yolo-run/yolo-run/entrypoint/wire"
	"github.com/yolo-run/yolo-run/reports"
)

const (
	// usualOutput is the bound on an answer where neither the request nor the table says one.
	usualOutput = 32_000
	// leastOutput is the shortest bound that a request is lowered to: with less an agent gets nowhere.
	leastOutput = 1024
	// maxModels bounds the list of models; the agent chooses their names.
	maxModels = 64
	// otherModels is the row of those beyond it.
	otherModels = "other"
)

// ledger keeps the budget and the usage of a run.
//
// Invariant: what was used and what is reserved together never exceed the budget. Reserved is the most that a request can take, not what it probably
// does: else many at once, each a little larger than it seems, would exceed it by as many times. A request whose most does not fit may be made when
// no other one is, if its estimate fits; what the estimate missed is known after it, and counts against the next one.
type ledger struct {
	budget wire.Budget
	prices []wire.Price

	mu       sync.Mutex
	models   map[modelKey]*reports.ModelUsage
	used     amount
	reserved amount
	spent    *wire.BudgetSpent
	wake     chan struct{} // closed when a reservation ended
	changed  chan struct{}
}

type modelKey struct{ api, model string }

// amount is what a budget bounds.
type amount struct {
	requests int64
	tokens   int64
	cost     float64
}

func (a amount) plus(b amount) amount {
	return amount{a.requests + b.requests, a.tokens + b.tokens, a.cost + b.cost}
}

func (a amount) minus(b amount) amount {
	return amount{a.requests - b.requests, a.tokens - b.tokens, a.cost - b.cost}
}

func newLedger(b wire.Budget, prices []wire.Price) *ledger {
	return &ledger{budget: b, prices: prices, models: map[modelKey]*reports.ModelUsage{}, wake: make(chan struct{}), changed: make(chan struct{}, 1)}
}

// ticket is the reservation of one request.
type ticket struct {
	*ledger
	key    modelKey
	amount amount // that was set aside
	output int64  // the most that the answer can have
}

// plan is what a request may cost.
type plan struct {
	row    wire.Price
	priced bool
	output int64 // tokens of one answer
	rate   float64

	worst     wire.Price // the row for the longest that the prompt can be
	unbounded int64      // tokens of one answer that is not kept to its bound
}

func (l *ledger) plan(q *inquiry) plan {
	p := plan{output: q.bound.tokens}
	p.row, p.priced = wire.FindPrice(l.prices, q.model, q.tokens)
	p.rate = most(p.row, q.longCache)
	p.worst, _ = wire.FindPrice(l.prices, q.model, q.longest())
	p.unbounded = or64(p.row.MaxOutput, usualOutput)
	if p.output == 0 {
		p.output = p.unbounded
	}
	if p.row.MaxOutput > 0 {
		p.output = min(p.output, p.row.MaxOutput)
	}
	return p
}

// longest is the most tokens that the prompt can have.
func (q *inquiry) longest() int64 { return max(q.most, q.tokens) }

func or64(n, other int64) int64 {
	if n > 0 {
		return n
	}
	return other
}

// most is the amount to reserve: the most that a request can take.
func (p plan) most(q *inquiry) amount {
	output := p.output
	if q.bound.loose {
		output = max(output, p.unbounded)
	}
	output *= q.answers
	prompt := float64(q.longest()) * most(p.worst, true)
	return amount{requests: 1, tokens: q.longest() + output, cost: prompt + float64(output)*p.worst.Output/million}
}

// ask is the amount that a request probably takes, and has to fit.
func (p plan) ask(q *inquiry) amount {
	output := p.output * q.answers
	return amount{requests: 1, tokens: q.tokens + output, cost: float64(q.tokens)*p.rate + float64(output)*p.row.Output/million}
}

// metered reports whether tokens or cost are bounded: then a request must be one that can be estimated.
func (l *ledger) metered() bool { return l.budget.MaxTokens > 0 || l.budget.MaxCostUSD > 0 }

// reserve sets aside what a request may cost. It waits while others are under way that may give back what they did not need; a request that would not
// fit alone is made shorter, or refused, and from then on everything is.
func (l *ledger) reserve(ctx context.Context, api string, q *inquiry) (*ticket, *fault) {
	p := l.plan(q)
	if f := l.estimable(q, p); f != nil {
		return nil, f
	}
	for {
		t, wait, f := l.try(api, q, p)
		if wait == nil {
			return t, f
		}
		select {
		case <-wait:
		case <-ctx.Done():
			return nil, gone()
		}
	}
}

// estimable refuses what a budget could not be kept with.
func (l *ledger) estimable(q *inquiry, p plan) *fault {
	switch {
	case l.budget.MaxCostUSD > 0 && !p.priced:
		return &fault{
			status: statusRefused, deny: true, advice: "--price",
			reason: "the price of the model " + quote(q.model) + " is not known, and the run's cost is bounded (--max-cost-usd)",
		}
	case l.budget.MaxCostUSD > 0 && q.dear != "":
		return denied(statusRefused, "the price of "+q.dear+" is not known, and the run's cost is bounded (--max-cost-usd)")
	case l.metered() && q.hidden != "":
		return denied(statusRefused, "a request with "+q.hidden+" is larger than what it sends, and the run's tokens or cost are bounded")
	}
	return nil
}

// try reserves, or says what to wait for, or why not.
func (l *ledger) try(api string, q *inquiry, p plan) (t *ticket, wait <-chan struct{}, f *fault) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.spent != nil {
		return nil, nil, spentFault(l.spent)
	}
	ask := p.ask(q)
	if l.reserved.requests > 0 && l.over(p.most(q)) != "" {
		return nil, l.wake, nil
	}
	if over := l.over(ask); over != "" {
		n := l.affordable(q, p)
		shorter := p
		shorter.output = n
		if n < leastOutput || n <= q.bound.floor || n >= p.output || !q.canLower() || l.over(shorter.ask(q)) != "" {
			l.spend(over, q, ask)
			return nil, nil, spentFault(l.spent)
		}
		p = shorter
		q.lower(n)
	} else if l.metered() && q.bound.tokens == 0 && p.row.MaxOutput == 0 && q.canLower() {
		q.lower(p.output) // or nobody knows how long the answer may be
	}
	held := p.most(q)
	l.reserved = l.reserved.plus(held)
	return &ticket{ledger: l, key: modelKey{api, q.model}, amount: held, output: p.output * q.answers}, nil, nil
}

// over names the option that an amount does not fit, empty when it does.
func (l *ledger) over(ask amount) string {
	sum := l.used.plus(l.reserved).plus(ask)
	switch {
	case l.budget.MaxRequests > 0 && sum.requests > l.budget.MaxRequests:
		return "--max-requests"
	case l.budget.MaxTokens > 0 && sum.tokens > l.budget.MaxTokens:
		return "--max-tokens"
	case l.budget.MaxCostUSD > 0 && sum.cost > l.budget.MaxCostUSD:
		return "--max-cost-usd"
	}
	return ""
}

// affordable is how long one answer may be with what is left.
func (l *ledger) affordable(q *inquiry, p plan) int64 {
	n := p.output
	if l.budget.MaxTokens > 0 {
		n = min(n, (l.budget.MaxTokens-l.used.tokens-q.tokens)/q.answers)
	}
	if l.budget.MaxCostUSD > 0 && p.row.Output > 0 {
		left := l.budget.MaxCostUSD - l.used.cost - float64(q.tokens)*p.rate
		n = min(n, int64(left/(p.row.Output/million))/q.answers)
	}
	return n
}

func (l *ledger) spend(option string, q *inquiry, ask amount) {
	b, u := l.budget, l.used
	var reason string
	switch option {
	case "--max-requests":
		reason = fmt.Sprintf("%d requests were made", u.requests)
	case "--max-tokens":
		reason = fmt.Sprintf("%d tokens of %d were used, and a request to %s may need %d", u.tokens, b.MaxTokens, quote(q.model), ask.tokens)
	default:
		reason = fmt.Sprintf("$%.4f of $%.2f were spent, and a request to %s may cost $%.4f", u.cost, b.MaxCostUSD, quote(q.model), ask.cost)
	}
	l.spent = &wire.BudgetSpent{Option: option, Reason: reason}
	l.notify()
}

func spentFault(s *wire.BudgetSpent) *fault {
	f := denied(statusRefused, fmt.Sprintf("the run's budget (%s) is used up: %s", s.Option, s.Reason))
	f.money = true
	return f
}

// settle ends a reservation with what was used. sent: the request left; c is what it took.
func (t *ticket) settle(sent bool, c counts, estimated bool) {
	l := t.ledger
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reserved = l.reserved.minus(t.amount)
	if l.reserved.requests == 0 {
		l.reserved = amount{} // dollars leave crumbs
	}
	close(l.wake)
	l.wake = make(chan struct{})
	if !sent {
		return
	}
	m := l.row(t.key)
	row, priced := wire.FindPrice(l.prices, t.key.model, c.input)
	cost := 0.0
	if priced {
		cost = c.cost(row)
	}
	l.used = l.used.plus(amount{1, c.input + c.output, cost})
	m.Requests++
	m.InputTokens += c.input
	m.CachedInputTokens += c.cached
	m.OutputTokens += c.output
	m.CostUSD += cost
	m.Unpriced = m.Unpriced || !priced
	if estimated {
		m.Estimated++
	}
	l.notify()
}

// row bounds the list: the agent chooses the names.
func (l *ledger) row(k modelKey) *reports.ModelUsage {
	m := l.models[k]
	if m == nil && len(l.models) >= maxModels {
		k.model = otherModels
		m = l.models[k]
	}
	if m == nil {
		m = &reports.ModelUsage{API: k.api, Model: k.model}
		l.models[k] = m
	}
	return m
}

func (l *ledger) notify() {
	select {
	case l.changed <- struct{}{}:
	default:
	}
}

func (l *ledger) spentBy() *wire.BudgetSpent {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.spent
}

// usage is the sum over all models, and each of them, sorted.
func (l *ledger) usage() reports.Usage {
	l.mu.Lock()
	defer l.mu.Unlock()
	u := reports.Usage{Models: []reports.ModelUsage{}}
	for m := range maps.Values(l.models) {
		u.Requests += m.Requests
		u.InputTokens += m.InputTokens
		u.OutputTokens += m.OutputTokens
		u.CachedInputTokens += m.CachedInputTokens
		u.CostUSD += m.CostUSD
		u.Models = append(u.Models, *m)
	}
	slices.SortFunc(u.Models, func(a, b reports.ModelUsage) int {
		return cmp.Or(cmp.Compare(a.API, b.API), cmp.Compare(a.Model, b.Model))
	})
	return u
}
