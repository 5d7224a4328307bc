package workspace_test

import (
	"io"
	"strconv"
	"strings"
	"testing"

	"github.com/yolo-run/yolo-run/entrypoint/wire"
	"github.com/yolo-run/yolo-run/runner/internal/workspace"
)

// The collector is ours, and what it reads is not: whatever it says is checked, and a conversation that breaks is an error, not half a patch.
func TestCollectRefusesBrokenConversations(t *testing.T) {
	t.Parallel()
	const change = `{"type":"change","change":{"path":"YQ==","new":{"kind":"file","perm":420,"size":2}}}` + "\n"
	const end = `{"type":"end","end":{"changes":1,"folders":1}}` + "\n"
	const content = `{"type":"content","content":{"index":0,"side":"new","size":2}}` + "\n"
	const contentEnd = `{"type":"content-end","contentEnd":{}}` + "\n"
	for name, tc := range map[string]struct {
		stream string
		ok     bool
	}{
		"an honest one":                     {change + end + content + "x\n" + contentEnd, true},
		"it ends early":                     {change, false},
		"it counts wrongly":                 {change + change + end, false},
		"one path twice":                    {change + change + strings.Replace(end, "1", "2", 1), false},
		"a path that climbs":                {strings.Replace(change, "YQ==", "Li4vYQ==", 1) + end, false},
		"contents that nobody asked for":    {change + content, false},
		"contents of another file":          {change + end + strings.Replace(content, `"index":0`, `"index":1`, 1) + "x\n" + contentEnd, false},
		"contents of the other side":        {change + end + strings.Replace(content, "new", "old", 1) + "x\n" + contentEnd, false},
		"contents over the bound":           {change + end + strings.Replace(content, `"size":2`, `"size":1099511627776`, 1), false},
		"contents that stop":                {change + end + content + "x", false},
		"contents without an end":           {change + end + content + "x\n" + change, false},
		"a file that could not be read":     {change + end + `{"type":"content","content":{"index":0,"side":"new","size":0,"error":"gone"}}` + "\n", true},
		"a file that changed in the middle": {change + end + content + "x\n" + `{"type":"content-end","contentEnd":{"error":"shrank"}}` + "\n", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, err := workspace.Open(t.Context(), workspace.Options{Dir: t.TempDir()})
			must(t, err)
			c, err := w.Collect(t.Context(), io.Discard, strings.NewReader(tc.stream), workspace.CollectOptions{})
			if (err == nil) != tc.ok {
				t.Fatalf("error %v, want success: %v", err, tc.ok)
			}
			if err != nil {
				return
			}
			defer c.Close()
			if r := c.Report(); len(r.Files)+len(r.NotCarried) != 1 || (len(r.Files) == 1) != (name == "an honest one") {
				t.Errorf("report %+v", r)
			}
		})
	}
}

// An agent makes a hundred thousand names of 4 KB in seconds: they must not fill the runner's memory and every report.
func TestNamesAreBounded(t *testing.T) {
	t.Parallel()
	for changes, ok := range map[int]bool{1000: true, 5000: false, 20000: false} {
		var stream strings.Builder
		messages := wire.NewWriter(&stream)
		for i := range changes {
			path := strings.Repeat(strings.Repeat("x", 249)+"/", 15) + strconv.Itoa(i)
			must(t, messages.Send(wire.CollectMessage{Type: wire.TypeChange, Change: &wire.CollectChange{
				Path: []byte(path), New: &wire.CollectEntry{Kind: wire.KindFIFO}, Notes: []string{"a FIFO"},
			}}))
		}
		must(t, messages.Send(wire.CollectMessage{Type: wire.TypeEnd, End: &wire.CollectEnd{Changes: int64(changes)}}))
		w, err := workspace.Open(t.Context(), workspace.Options{Dir: t.TempDir()})
		must(t, err)
		c, err := w.Collect(t.Context(), io.Discard, strings.NewReader(stream.String()), workspace.CollectOptions{})
		if (err == nil) != ok || err != nil && !strings.Contains(err.Error(), "names") {
			t.Errorf("%d changes: error %v, want success: %v", changes, err, ok)
		}
		if err == nil {
			must(t, c.Close())
		}
	}
}
