package runner_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/yolo-run/yolo-run/reports"
	"github.com/yolo-run/yolo-run/runner"
)

// Work that nobody committed is merged with what the agent did to it, though the lines around that have changed since.
func TestApplyMergesWorkThatWasNotCommitted(t *testing.T) {
	needEngine(t)
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	dir := makeTree(t, true, 1000)
	file := filepath.Join(dir, "untracked.txt")
	if err := os.WriteFile(file, []byte("1\n2\n3\n4\n5\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	r := try(t, `sed -i s/4/agent/ untracked.txt`, func(cfg *runner.Config) { cfg.Workspace = dir })
	r.want(t, reports.Success)
	if err := os.WriteFile(file, []byte("1\nuser\n3\n4\n5\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := runner.Defaults()
	cfg.Workspace = dir
	var out, stderr bytes.Buffer
	if err := runner.Apply(t.Context(), cfg, r.out, runner.Streams{Out: &out, Err: &stderr}); err != nil {
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	if got := string(readFile(t, file)); got != "1\nuser\n3\nagent\n5\n" {
		t.Errorf("merged to %q", got)
	}
}
