package workspace_test

import (
	"io"
	"strings"
	"testing"

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
