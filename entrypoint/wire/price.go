package wire

import (
	"slices"
	"strings"
)

// FindPrice returns the row of a table that holds for a model and a prompt of so many tokens (see [Price]), and whether one does. Runner and
// gateway both ask here: what the one takes for priced before the start, the other charges.
func FindPrice(table []Price, model string, prompt int64) (Price, bool) {
	var best Price
	found := false
	for _, row := range table {
		if !row.names(model) || prompt <= row.Above && row.Above > 0 {
			continue
		}
		longer := len(row.Model) > len(best.Model)
		if !found || longer || len(row.Model) == len(best.Model) && row.Above > best.Above {
			best, found = row, true
		}
	}
	return best, found
}

// names reports whether the row is for this model. A model of another name that only begins alike costs something else: gpt-5-mini is no
// gpt-5, and claude-opus-4-1 no claude-opus-4.
func (p Price) names(model string) bool {
	rest, ok := strings.CutPrefix(model, p.Model)
	if !ok || p.Model == "" {
		return false
	}
	return rest == "" || strings.IndexByte("-@:", rest[0]) >= 0 && isRelease(rest[1:])
}

// isRelease reports whether s says which release of a model is meant: a date, a number that is no version of its own, or a word for the newest.
func isRelease(s string) bool {
	for _, word := range []string{"preview", "exp"} {
		if s == word {
			return true
		}
		if rest, ok := strings.CutPrefix(s, word+"-"); ok {
			s = rest
			break
		}
	}
	shape := strings.Map(func(r rune) rune {
		if '0' <= r && r <= '9' {
			return 'd'
		}
		return r
	}, s)
	return slices.Contains([]string{"latest", "default", "dddddddd", "dddd-dd-dd", "dd-dd", "dd-dddd", "dddd", "ddd"}, shape)
}
