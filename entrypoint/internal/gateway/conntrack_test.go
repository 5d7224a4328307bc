package gateway

import (
	"strings"
	"testing"
)

func TestConntrackDrops(t *testing.T) {
	tests := map[string]struct {
		text string
		want int64
	}{
		"two processors": {"entries  clashres drop early_drop\n0003fdfd  00000001 00000016 00000007\n0003fdfd  00000000 00000012 00000000\n", 0x16 + 0x12},
		"no such column": {"entries found\n00000001 00000002\n", 0},
		"a short line":   {"entries drop\n00000001\n00000001 0000000a\n", 10},
		"empty":          {"", 0},
	}
	for name, test := range tests {
		if got := parseConntrackDrops(strings.NewReader(test.text)); got != test.want {
			t.Errorf("%s: got %d, want %d", name, got, test.want)
		}
	}
	if _, err := connectionsRefused(); err != nil {
		t.Error(err)
	}
}
