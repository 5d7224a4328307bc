package agent

import (
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/yolo-run/yolo-run/entrypoint/wire"
)

// prices are list prices as the vendors' own pages had them on the date that stands in the file.
//
//go:embed prices.json
var prices []byte

// PriceList is the table of list prices, with where and when they were looked up.
type PriceList struct {
	Date    string `json:"date"` // of the day on which all of it was looked up
	Vendors []struct {
		Name   string       `json:"name"`
		Source string       `json:"source"` // the vendor's own page
		Note   string       `json:"note"`   // which of the vendor's rates these are
		Models []wire.Price `json:"models"`
	} `json:"vendors"`
}

// ListPrices returns the table that this version was built with.
func ListPrices() (PriceList, error) {
	var list PriceList
	if err := json.Unmarshal(prices, &list); err != nil {
		return PriceList{}, fmt.Errorf("prices.json: %w", err)
	}
	return list, nil
}

// Prices returns the rows by which a run is charged: the list's, and in place of those with the same name what own says, which are texts for
// [ParsePrice].
func Prices(own []string) ([]wire.Price, error) {
	list, err := ListPrices()
	if err != nil {
		return nil, err
	}
	var rows []wire.Price
	for _, vendor := range list.Vendors {
		rows = append(rows, vendor.Models...)
	}
	for _, text := range own {
		row, err := ParsePrice(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", text, err)
		}
		if known, ok := wire.FindPrice(rows, row.Model, 0); ok {
			row.MaxOutput = known.MaxOutput
		}
		rows = slices.DeleteFunc(rows, func(p wire.Price) bool { return p.Model == row.Model })
		rows = append(rows, row)
	}
	return rows, nil
}

// maxPrice bounds a price, in dollars per million tokens. Above it somebody has written the price of something else.
const maxPrice = 10_000

// ParsePrice reads MODEL=INPUT/OUTPUT[/CACHED[/WRITE[/WRITE1H]]], in dollars per million tokens. What is left out costs as much as input; a
// write for an hour as much as one for five minutes.
func ParsePrice(text string) (wire.Price, error) {
	model, rest, ok := strings.Cut(text, "=")
	fields := strings.Split(rest, "/")
	if !ok || model == "" || strings.ContainsAny(model, " \t\r\n") || len(fields) < 2 || len(fields) > 5 {
		return wire.Price{}, errors.New("must be MODEL=INPUT/OUTPUT[/CACHED[/WRITE[/WRITE1H]]], in dollars per million tokens")
	}
	values := make([]float64, 0, len(fields))
	for _, field := range fields {
		value, err := strconv.ParseFloat(field, 64)
		if err != nil || math.IsNaN(value) || value < 0 || value > maxPrice {
			return wire.Price{}, fmt.Errorf("%q is no price from 0 to %d dollars", field, maxPrice)
		}
		values = append(values, value)
	}
	p := wire.Price{Model: model, Input: values[0], Output: values[1], CachedInput: values[0], CacheWrite: values[0]}
	if len(values) > 2 {
		p.CachedInput = values[2]
	}
	if len(values) > 3 {
		p.CacheWrite = values[3]
	}
	p.CacheWrite1h = p.CacheWrite
	if len(values) > 4 {
		p.CacheWrite1h = values[4]
	}
	return p, nil
}

// IsPriced reports whether the table has a price for what --model names: a model, or a short name by which the agent takes its vendor's newest
// one. What the agent then asks for is charged by the name that it sends.
func IsPriced(table []wire.Price, agentName, model string) bool {
	if _, ok := wire.FindPrice(table, model, 0); ok {
		return true
	}
	model = strings.TrimSuffix(strings.ToLower(model), "[1m]") // Claude Code's mark for the long context; it is not sent
	if _, ok := wire.FindPrice(table, model, 0); ok {
		return true
	}
	return slices.Contains(shortNames()[agentName], model)
}

// shortNames are the names of no model that the agents take for one.
func shortNames() map[string][]string {
	return map[string][]string{
		"claude": {"default", "best", "fable", "opus", "sonnet", "haiku", "opusplan"},
		"gemini": {"auto", "pro", "flash", "flash-lite"},
	}
}
