package runner

import (
	"errors"

	"github.com/yolo-run/yolo-run/entrypoint/wire"
	"github.com/yolo-run/yolo-run/runner/internal/agent"
)

// validatePrices makes sure that a budget in dollars can be kept: a model without a price would cost nothing.
func (c Config) validatePrices(f *faults) {
	table := true
	for _, text := range c.Prices {
		if _, err := agent.ParsePrice(text); err != nil {
			f.add("--price", text, err)
			table = false
		}
	}
	if !table || c.Model == "" || !(c.MaxCostUSD > 0) {
		return
	}
	rows, err := agent.Prices(c.Prices)
	if err == nil && !agent.IsPriced(rows, c.agentName(), c.Model) {
		err = withHint(errors.New("has no known price, so that --max-cost-usd could not be kept"),
			"give its price in dollars per million tokens: --price "+c.Model+"=INPUT/OUTPUT[/CACHED[/WRITE]]")
	}
	if err != nil {
		f.add("--model", c.Model, err)
	}
}

// budget is what the gateway keeps to.
func (c Config) budget() wire.Budget {
	return wire.Budget{MaxTokens: c.MaxTokens, MaxRequests: c.MaxRequests, MaxCostUSD: c.MaxCostUSD}
}
