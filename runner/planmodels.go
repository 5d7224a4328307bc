package runner

import (
	"fmt"
	"strings"

	"github.com/yolo-run/yolo-run/entrypoint/wire"
	"github.com/yolo-run/yolo-run/runner/internal/agent"
)

// planModels is what a plan says about models: never what a key is.
type planModels struct {
	Served      []planAPI    `json:"served"`
	ServerTools bool         `json:"serverTools"`
	Prices      []wire.Price `json:"prices,omitempty"` // of --model, where it has one
	PricesFrom  string       `json:"pricesFrom,omitempty"`
}

type planAPI struct {
	Name         string `json:"name"`
	Dialect      string `json:"dialect"`
	Upstream     string `json:"upstream"`
	UpstreamFrom string `json:"upstreamFrom,omitempty"`
	Key          string `json:"key,omitempty"` // the variable that it is known by
	KeyFrom      string `json:"keyFrom,omitempty"`
}

func (c Config) planModels(machine host) (planModels, error) {
	apis, err := c.modelAPIs(machine)
	if err != nil {
		return planModels{}, err
	}
	p := planModels{Served: []planAPI{}, ServerTools: c.AllowServerTools}
	for _, served := range apis {
		api := planAPI{Name: served.Name, Dialect: string(served.Dialect), Upstream: served.upstream, UpstreamFrom: served.from}
		if served.key != nil {
			api.Key, api.KeyFrom = served.key.Variable, served.key.from
		}
		p.Served = append(p.Served, api)
	}
	if c.Model == "" || len(apis) == 0 {
		return p, nil
	}
	rows, err := agent.Prices(c.Prices)
	if err != nil {
		return p, err
	}
	p.Prices = pricesOf(rows, c.Model)
	list, err := agent.ListPrices()
	p.PricesFrom = "list of " + list.Date
	if len(c.Prices) > 0 {
		p.PricesFrom += " and --price"
	}
	return p, err
}

// pricesOf returns the rows that hold for a model: more than one where long prompts cost more.
func pricesOf(rows []wire.Price, model string) []wire.Price {
	base, ok := wire.FindPrice(rows, model, 0)
	if !ok {
		return nil
	}
	var list []wire.Price
	for _, row := range rows {
		if row.Model == base.Model {
			list = append(list, row)
		}
	}
	return list
}

func (p planModels) rows() [][2]string {
	var rows [][2]string
	for _, api := range p.Served {
		text := api.Upstream
		if api.UpstreamFrom != "" {
			text += " (" + api.UpstreamFrom + ")"
		}
		key := ", no key"
		if api.Key != "" {
			key = ", key " + api.Key + " from " + strings.Replace(api.KeyFrom, fromEnvironment, "the environment", 1)
		}
		rows = append(rows, [2]string{api.Name, text + key})
	}
	for _, price := range p.Prices {
		name := "price"
		if price.Above > 0 {
			name = fmt.Sprintf("above %dk", price.Above/1000)
		}
		text := fmt.Sprintf("%v in, %v cached, %v out, dollars a million tokens", price.Input, price.CachedInput, price.Output)
		rows = append(rows, [2]string{name, text + ", by the " + p.PricesFrom})
	}
	if p.ServerTools {
		rows = append(rows, [2]string{"server tools", "open: what the provider fetches, the firewall does not see"})
	}
	return rows
}
