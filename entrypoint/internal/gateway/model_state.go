package gateway

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/yolo-run/yolo-run/entrypoint/wire"
	"github.com/yolo-run/yolo-run/reports"
)

// usageTime is how often the runner hears of what models were asked for, at most.
const usageTime = 250 * time.Millisecond

// modelState is what the serving process has said of models. It counts, and could count nothing; what it has once said stays.
type modelState struct {
	changed chan struct{} // holds one value after something was said

	mu    sync.Mutex
	usage reports.Usage
	spent *wire.BudgetSpent
}

func newModelState() *modelState {
	return &modelState{changed: make(chan struct{}, 1), usage: reports.Usage{Models: []reports.ModelUsage{}}}
}

// use takes the newest sums; they never fall.
func (s *modelState) use(u reports.Usage) error {
	for i, m := range u.Models {
		u.Models[i].API, u.Models[i].Model = clip(m.API), clip(m.Model)
	}
	if u.Models == nil {
		u.Models = []reports.ModelUsage{}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	was := s.usage
	if u.Requests < was.Requests || u.InputTokens < was.InputTokens || u.OutputTokens < was.OutputTokens || u.CostUSD < was.CostUSD {
		return errors.New("less use of models than before")
	}
	s.usage = u
	s.notify()
	return nil
}

// spend takes why the budget is used up; the first reason counts.
func (s *modelState) spend(b wire.BudgetSpent) {
	b.Option, b.Reason = clip(b.Option), clip(b.Reason)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.spent == nil {
		s.spent = &b
		s.notify()
	}
}

func (s *modelState) notify() {
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// said returns the newest.
func (s *modelState) said() (reports.Usage, *wire.BudgetSpent) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.usage, s.spent
}

// report tells the runner what models were asked for, and once that the budget is used up.
func (s *modelState) report(ctx context.Context, send func(any) error) error {
	told := false
	for {
		select {
		case <-s.changed:
		case <-ctx.Done():
			return s.tellSpent(&told, send)
		}
		usage, _ := s.said()
		if err := send(wire.GatewayMessage{Type: wire.TypeUsage, Usage: &usage}); err != nil {
			return err
		}
		if err := s.tellSpent(&told, send); err != nil {
			return err
		}
		select {
		case <-time.After(usageTime):
		case <-ctx.Done():
			return s.tellSpent(&told, send)
		}
	}
}

func (s *modelState) tellSpent(told *bool, send func(any) error) error {
	_, spent := s.said()
	if spent == nil || *told {
		return nil
	}
	*told = true
	return send(wire.GatewayMessage{Type: wire.TypeBudget, Budget: spent})
}
