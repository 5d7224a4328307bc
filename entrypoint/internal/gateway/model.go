package gateway

import (
	"context"
	"net/netip"

	"github.com/yolo-run/yolo-run/entrypoint/internal/model"
	"github.com/yolo-run/yolo-run/entrypoint/wire"
	"github.com/yolo-run/yolo-run/reports"
)

// newModels makes the server of the models' APIs, nil when there are none.
func newModels(cfg *wire.ServeConfig, up upstreamConfig, l *link) (*model.Server, error) {
	if len(cfg.Models) == 0 {
		return nil, nil
	}
	return model.New(model.Config{
		APIs: cfg.Models, AllowServerTools: cfg.AllowServerTools, Budget: cfg.Budget, Prices: cfg.Prices,
		Roots: up.Roots, Dial: newModelDialer(up).dial,
		Record: l.Record, Process: func(local, remote netip.AddrPort) *reports.Process { return l.Process("tcp", local, remote) },
	})
}

// tellUsage tells PID 1 what models were asked for, and that the budget is used up, until ctx ends and all is told.
func tellUsage(ctx context.Context, models *model.Server, send func(wire.ServeMessage) error) error {
	told := false
	for open := true; open; {
		select {
		case <-models.Changed():
		case <-ctx.Done():
			open = false
		}
		usage := models.Usage()
		if err := send(wire.ServeMessage{Type: wire.TypeUsage, Usage: &usage}); err != nil {
			return err
		}
		spent := models.Spent()
		if spent == nil || told {
			continue
		}
		told = true
		if err := send(wire.ServeMessage{Type: wire.TypeBudget, Budget: spent}); err != nil {
			return err
		}
	}
	return nil
}
