package sandbox

import (
	"strings"
	"testing"
)

func TestLabelsOfAnImageAreWords(t *testing.T) {
	for value, want := range map[string]string{
		"2.1.330": "2.1.330", "0.61.0-preview.1+x": "0.61.0-preview.1+x", "": "", "1\n::set-output name=x::y": "", "\x1b[2J": "", strings.Repeat("1", 1<<20): "",
	} {
		got := labelled(map[string]string{"yolo-run.agent": "claude", "yolo-run.agent-version": value, "yolo-run.libc": "glibc"})
		if got != (Agent{Name: "claude", Version: want, Libc: "glibc"}) {
			t.Errorf("%.20q: %.80q", value, got)
		}
	}
}
