package agent

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/yolo-run/yolo-run/entrypoint/wire"
)

// A slip of the decimal point in the table would make a budget worth nothing, or everything.
func TestListPricesAreSane(t *testing.T) {
	list, err := ListPrices()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := time.Parse(time.DateOnly, list.Date); err != nil {
		t.Error(err)
	}
	seen := map[wire.Price]bool{}
	for _, vendor := range list.Vendors {
		if !strings.HasPrefix(vendor.Source, "https://") || len(vendor.Models) == 0 {
			t.Errorf("%s: %d models from %q", vendor.Name, len(vendor.Models), vendor.Source)
		}
		for _, p := range vendor.Models {
			key := wire.Price{Model: p.Model, Above: p.Above}
			if seen[key] {
				t.Errorf("%s above %d stands there twice", p.Model, p.Above)
			}
			seen[key] = true
			if p.Input < 0.01 || p.Input > 100 || p.Output < p.Input || p.Output > 500 {
				t.Errorf("%s: %v in, %v out", p.Model, p.Input, p.Output)
			}
			if p.CachedInput <= 0 || p.CachedInput > p.Input || p.CacheWrite < p.Input || p.CacheWrite1h < p.CacheWrite {
				t.Errorf("%s: cached %v, written %v and %v, input %v", p.Model, p.CachedInput, p.CacheWrite, p.CacheWrite1h, p.Input)
			}
			if p.MaxOutput < 8_000 || p.MaxOutput > 1_000_000 {
				t.Errorf("%s answers with up to %d tokens", p.Model, p.MaxOutput)
			}
		}
	}
	for key := range seen {
		if base := (wire.Price{Model: key.Model}); key.Above > 0 && !seen[base] {
			t.Errorf("%s has a price for long prompts only", key.Model)
		}
	}
}

func TestPricesOfOnesOwnTakeThePlaceOfTheList(t *testing.T) {
	rows, err := Prices([]string{"claude-haiku-5-5=1/2", "mine=3/4/0.5", "openai/gpt:free=0/0"})
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		model  string
		prompt int64
		want   wire.Price
	}{
		{"claude-haiku-5-5", 200_000, wire.Price{Model: "claude-haiku-5-5", Input: 1, Output: 2, CachedInput: 1, CacheWrite: 1, CacheWrite1h: 1, MaxOutput: 128_000}},
		{"mine", 1, wire.Price{Model: "mine", Input: 3, Output: 4, CachedInput: 0.5, CacheWrite: 3, CacheWrite1h: 3}},
		{"openai/gpt:free", 1, wire.Price{Model: "openai/gpt:free"}},
	} {
		if got, ok := wire.FindPrice(rows, tc.model, tc.prompt); !ok || got != tc.want {
			t.Errorf("%s: %+v, want %+v", tc.model, got, tc.want)
		}
	}
	if list, err := Prices(nil); err != nil || len(list) == 0 {
		t.Errorf("%d rows, %v", len(list), err)
	}
	if _, err := Prices([]string{"nonsense"}); err == nil {
		t.Error("nonsense is a price")
	}
}

func TestParsePrice(t *testing.T) {
	for text, want := range map[string]wire.Price{
		"m=1/2":           {Model: "m", Input: 1, Output: 2, CachedInput: 1, CacheWrite: 1, CacheWrite1h: 1},
		"m=1/2/0.1":       {Model: "m", Input: 1, Output: 2, CachedInput: 0.1, CacheWrite: 1, CacheWrite1h: 1},
		"m=1/2/0.1/1.25":  {Model: "m", Input: 1, Output: 2, CachedInput: 0.1, CacheWrite: 1.25, CacheWrite1h: 1.25},
		"m=1/2/.1/1.25/2": {Model: "m", Input: 1, Output: 2, CachedInput: 0.1, CacheWrite: 1.25, CacheWrite1h: 2},
	} {
		if got, err := ParsePrice(text); err != nil || got != want {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{
		"", "m", "m=", "=1/2", "m=1", "m=1/2/3/4/5/6", "m=a/2", "m=-1/2", "m=NaN/2", "m=1/Inf", "m=1/10001", "m= 1/2", "m m=1/2", "m=1//2", "m=$1/2",
	} {
		if got, err := ParsePrice(text); err == nil {
			t.Errorf("%q is taken for %+v", text, got)
		}
	}
}

func FuzzParsePrice(f *testing.F) {
	f.Add("m=1/2/0.1/1.25/2")
	f.Add("a/b:c=0/1e3")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := ParsePrice(text)
		if err != nil {
			return
		}
		for _, v := range []float64{p.Input, p.Output, p.CachedInput, p.CacheWrite, p.CacheWrite1h} {
			if !(v >= 0 && v <= maxPrice) || math.Signbit(v) && v != 0 {
				t.Errorf("%q costs %v", text, v)
			}
		}
		if p.Model == "" || p.Above != 0 {
			t.Errorf("%q is for %q above %d", text, p.Model, p.Above)
		}
	})
}

func TestIsPriced(t *testing.T) {
	rows, err := Prices([]string{"mine=1/2"})
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		agent, model string
		want         bool
	}{
		{"claude", "claude-opus-5-5", true},
		{"claude", "claude-opus-5-5[1m]", true},
		{"claude", "claude-sonnet-4-5-20250929", true},
		{"claude", "opus", true},
		{"claude", "Sonnet[1m]", true},
		{"codex", "opus", false},
		{"codex", "gpt-6.1-sol", true},
		{"gemini", "gemini-3.1-pro-preview", true},
		{"gemini", "gemini-3.1-pro-preview-customtools", true}, // what Gemini CLI takes by itself
		{"gemini", "flash", true},
		{"command", "mine", true},
		{"claude", "claude-opus-99", false},
	} {
		if got := IsPriced(rows, tc.agent, tc.model); got != tc.want {
			t.Errorf("%s %s: %v", tc.agent, tc.model, got)
		}
	}
}
