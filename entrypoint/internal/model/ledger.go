package model

import (
	"github.com/yolo-run/yolo-run/entrypoint/wire"
	"github.com/yolo-run/yolo-run/reports"
)

// ledger keeps what models were asked for.
type ledger struct {
	changed chan struct{}
}

func newLedger(wire.Budget, []wire.Price) *ledger { return &ledger{changed: make(chan struct{}, 1)} }

func (*ledger) usage() reports.Usage       { return reports.Usage{Models: []reports.ModelUsage{}} }
func (*ledger) spentBy() *wire.BudgetSpent { return nil }
