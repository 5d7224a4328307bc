package model

import "github.com/yolo-run/yolo-run/entrypoint/wire"

const million = 1e6

// cost is what tokens cost by a row of the table, in US dollars. A rate for cached tokens that the row leaves out is that of the others.
func (c counts) cost(row wire.Price) float64 {
	fresh := c.input - c.cached - c.write - c.write1h
	write := or(row.CacheWrite, row.Input)
	return (float64(fresh)*row.Input +
		float64(c.cached)*or(row.CachedInput, row.Input) +
		float64(c.write)*write +
		float64(c.write1h)*or(row.CacheWrite1h, write) +
		float64(c.output)*row.Output) / million
}

// most is what a token of a prompt may cost: it is not known before which ones are in a cache, or will be written to it.
func most(row wire.Price, longCache bool) float64 {
	rate := max(row.Input, row.CacheWrite)
	if longCache {
		rate = max(rate, row.CacheWrite1h)
	}
	return rate / million
}

func or(rate, other float64) float64 {
	if rate > 0 {
		return rate
	}
	return other
}
