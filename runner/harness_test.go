package runner_test

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/yolo-run/yolo-run/reports"
	"github.com/yolo-run/yolo-run/runner"
)

// result is a run that ended.
type result struct {
	*reports.Report
	out    string // output folder
	stderr string
	agent  string // agent.log
	events []reports.Event
}

// version is that of the images under test: VERSION, as in the Makefile.
func version() string { return cmp.Or(os.Getenv("VERSION"), "dev") }

// try runs a script in the sandbox; configure changes the configuration before.
func try(t testing.TB, script string, configure ...func(*runner.Config)) result {
	t.Helper()
	needEngine(t)
	cfg := runner.Defaults()
	cfg.Agent = "shell"
	cfg.Version = version()
	cfg.Prompt = script
	cfg.Timeout = time.Minute
	cfg.Memory = 1 << 30
	cfg.MinFreeDisk = 64 << 20
	cfg.Out = filepath.Join(t.TempDir(), "out")
	for _, c := range configure {
		c(&cfg)
	}
	if cfg.Workspace == "." {
		cfg.Workspace = t.TempDir()
	}
	var stdout, stderr bytes.Buffer
	rep, err := runner.Run(t.Context(), cfg, runner.Streams{In: strings.NewReader(""), Out: &stdout, Err: &stderr})
	if err != nil {
		t.Fatalf("run: %v\n%s", err, stderr.String())
	}
	r := result{Report: rep, out: cfg.Out, stderr: stderr.String(), agent: string(readFile(t, filepath.Join(cfg.Out, "agent.log")))}
	file, err := os.Open(filepath.Join(cfg.Out, "network.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	err = reports.ReadEvents(file, func(e reports.Event) error { r.events = append(r.events, e); return nil })
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("on record: %s", r.record())
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the run's log:\n%s\nagent's output:\n%s", clipLines(r.stderr), clipLines(r.agent))
		}
	})
	return r
}

func readFile(t testing.TB, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// want fails unless the run ended so.
func (r result) want(t testing.TB, outcome reports.Outcome) {
	t.Helper()
	if r.Outcome != outcome {
		t.Fatalf("outcome %s, want %s: %v", r.Outcome, outcome, r.Errors)
	}
	if !r.Network.Complete {
		t.Errorf("the network's record is not complete: %+v", r.Network)
	}
}

// record is what a run has left, in few words: make attacks prints it.
func (r result) record() string {
	denied := map[reports.Layer]int64{}
	for _, e := range r.find(reports.Deny, func(reports.Event) bool { return true }) {
		denied[e.Layer] += e.Count
	}
	var layers []string
	for _, layer := range slices.Sorted(maps.Keys(denied)) {
		layers = append(layers, fmt.Sprintf("%d %s", denied[layer], layer))
	}
	return fmt.Sprintf("%s, %d denied (%s), %d allowed", r.Outcome, r.Network.Denied, strings.Join(layers, ", "), r.Network.Allowed)
}

// find returns the events with a verdict that match.
func (r result) find(verdict reports.Verdict, match func(reports.Event) bool) []reports.Event {
	var list []reports.Event
	for _, e := range r.events {
		if e.Verdict == verdict && match(e) {
			list = append(list, e)
		}
	}
	return list
}

// says returns what the script printed after "NAME=" on a line of its own.
func (r result) says(t testing.TB, name string) string {
	t.Helper()
	for line := range strings.Lines(r.agent) {
		if value, ok := strings.CutPrefix(strings.TrimRight(line, "\r\n"), name+"="); ok {
			return value
		}
	}
	t.Fatalf("the script did not print %s=…:\n%s", name, r.agent)
	return ""
}

// clipLines keeps a failing test's log readable.
func clipLines(s string) string {
	var b strings.Builder
	for line := range strings.Lines(s) {
		if len(line) > 300 {
			line = line[:300] + "…\n"
		}
		b.WriteString(line)
	}
	return b.String()
}
