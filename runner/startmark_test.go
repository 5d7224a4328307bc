package runner

import (
	"testing"

	"github.com/yolo-run/yolo-run/entrypoint/wire"
)

func TestTheMarkOfTheStartIsTheFirstLineOrNone(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		in   string
		out  string
		seen bool
	}{
		{wire.StartMark, "", true},
		{wire.StartMark + "text", "text", true},
		{wire.StartMark + wire.StartMark, wire.StartMark, true},
		{"", "", false},
		{"text\n" + wire.StartMark, "text\n" + wire.StartMark, false},
		{wire.StartMark[:5], wire.StartMark[:5], false},
		{wire.StartMark[:5] + "x", wire.StartMark[:5] + "x", false},
	} {
		for size := 1; size <= len(c.in)+1; size++ {
			m, got := &startMark{}, ""
			for rest := c.in; rest != ""; {
				n := min(size, len(rest))
				got += string(m.strip([]byte(rest[:n])))
				rest = rest[n:]
			}
			if got += string(m.rest()); got != c.out || m.seen != c.seen {
				t.Fatalf("%q in pieces of %d: %q, %v", c.in, size, got, m.seen)
			}
		}
	}
}
