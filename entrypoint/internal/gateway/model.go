package gateway

import (
	"context"
	"net/netip"
	"time"

	"github.com/yolo-run/yolo-run/entrypoint/internal/model"
	"github.com/yolo-run/yolo-run/entrypoint/wire"
	"github.com/yolo-run/yolo-run/reports"
)

// usageTime is how often the runner hears of what models were asked for, at most.
const usageTime = 250 * time.Millisecond

// newModels makes the server of the models' APIs, nil when there are none.
func (g *gateway) newModels() (*model.Server, error) {
	if len(g.cfg.Models) == 0 {
		return nil, nil
	}
	return model.New(model.Config{
		APIs: g.cfg.Models, AllowServerTools: g.cfg.AllowServerTools, Budget: g.cfg.Budget, Prices: g.cfg.Prices,
		Roots: g.upstream.Roots, Dial: newModelDialer(g.upstream).dial,
		Record: g.ledger.Record, Process: func(local, remote netip.AddrPort) *reports.Process { return g.finder.Process("tcp", local, remote) },
	})
}

// serveModels begins after ready was said: connections wait in the listener's queue until then.
func (g *gateway) serveModels(ctx context.Context) error {
	if g.models == nil {
		<-ctx.Done()
		return nil
	}
	return g.models.Serve(ctx, g.listen.model)
}

// reportModels tells the runner what models were asked for, and once that the budget is used up.
func (g *gateway) reportModels(ctx context.Context, send func(any) error) error {
	told := false
	for {
		select {
		case <-g.models.Changed():
		case <-ctx.Done():
			return g.tellSpent(&told, send)
		}
		usage := g.models.Usage()
		if err := send(wire.GatewayMessage{Type: wire.TypeUsage, Usage: &usage}); err != nil {
			return err
		}
		if err := g.tellSpent(&told, send); err != nil {
			return err
		}
		select {
		case <-time.After(usageTime):
		case <-ctx.Done():
			return g.tellSpent(&told, send)
		}
	}
}

func (g *gateway) tellSpent(told *bool, send func(any) error) error {
	spent := g.models.Spent()
	if spent == nil || *told {
		return nil
	}
	*told = true
	return send(wire.GatewayMessage{Type: wire.TypeBudget, Budget: spent})
}
