package runner

import (
	"slices"
	"strings"
	"testing"
)

func TestLinesAreWholeAndBounded(t *testing.T) {
	long := strings.Repeat("x", maxLogLine)
	for _, tc := range []struct {
		name   string
		writes []string
		want   []string // the last one is what flush brings
	}{
		{"several at once", []string{"a\n\nb\n"}, []string{"a", "", "b"}},
		{"one in pieces", []string{"a", "b", "c\nd", "\n"}, []string{"abc", "d"}},
		{"no end", []string{"a\nb"}, []string{"a", "b"}},
		{"as long as may be", []string{long, "\n"}, []string{long}},
		{"longer", []string{long + "y\n"}, []string{long, "y"}},
		{"much longer, in pieces", []string{long, long, "z"}, []string{long, long, "z"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var got []string
			l := &lines{each: func(line []byte) { got = append(got, string(line)) }}
			for _, s := range tc.writes {
				if n, err := l.Write([]byte(s)); n != len(s) || err != nil {
					t.Fatalf("%d, %v", n, err)
				}
			}
			l.flush()
			if !slices.Equal(got, tc.want) {
				t.Errorf("%d lines %.200q", len(got), got)
			}
		})
	}
}
