package runner_test

import (
	"maps"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/yolo-run/yolo-run/reports"
	"github.com/yolo-run/yolo-run/runner/internal/vendor"
)

// BenchmarkModelProxy is a request of 60 KB to a model through the gateway, beside the same request from a plain container to the same stub:
// an answer at once, and a stream of 200 events, to its first byte and to its end.
func BenchmarkModelProxy(b *testing.B) {
	n := needInternet(b)
	m := n.model(b, vendor.Script{Repeat: true, Turns: []vendor.Turn{{Text: strings.Repeat("words ", 800), Usage: vendor.Usage{Input: 9, Output: 9}}}})
	program := string(readFile(b, "testdata/requests.py"))
	through, direct := map[string][]time.Duration{}, map[string][]time.Duration{}
	for b.Loop() {
		script := "cat > /tmp/requests.py <<'END'\n" + program + "END\npython3 /tmp/requests.py $ANTHROPIC_BASE_URL placeholder"
		r := try(b, script, m.served(b, realAgents[0]))
		r.want(b, reports.NoChanges)
		collect(b, through, r.agent)

		plain := exec.CommandContext(b.Context(), "docker", "run", "--rm", "-i", "--network", n.network, baseImage(), //nolint:gosec // all ours
			"python3", "-", "http://"+internetAddr+":8098/"+m.name, m.key)
		plain.Stdin = strings.NewReader(program)
		out, err := plain.CombinedOutput()
		if err != nil {
			b.Fatalf("%v\n%s", err, out)
		}
		collect(b, direct, string(out))
	}
	for _, name := range slices.Sorted(maps.Keys(direct)) {
		b.ReportMetric(float64(median(through[name]).Microseconds()), name+"-us")
		b.ReportMetric(float64(median(direct[name]).Microseconds()), name+"-direct-us")
	}
	b.ReportMetric(0, "ns/op")
}

// collect reads lines NAME=MICROSECONDS.
func collect(b *testing.B, into map[string][]time.Duration, text string) {
	b.Helper()
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		us, err := strconv.Atoi(value)
		if err != nil {
			b.Fatalf("%q: %v", line, err)
		}
		into[name] = append(into[name], time.Duration(us)*time.Microsecond)
	}
}

// BenchmarkAgents is a whole run of each real agent: three turns with a command and a file.
func BenchmarkAgents(b *testing.B) {
	n := needInternet(b)
	for _, agent := range realAgents {
		b.Run(agent.name, func(b *testing.B) {
			var whole, working []time.Duration
			for b.Loop() {
				m := n.model(b, vendor.Script{Turns: []vendor.Turn{
					{Text: "I look.", Calls: []vendor.Call{{Shell: "ls"}}, Usage: vendor.Usage{Input: 1000, Output: 10}},
					{Text: "I write.", Calls: []vendor.Call{{File: "/workspace/new.txt", Content: "new\n"}}, Usage: vendor.Usage{Input: 1000, Output: 10}},
					{Text: "Done.", Usage: vendor.Usage{Input: 1000, Output: 10}},
				}})
				begun := time.Now()
				r := try(b, "Work.", m.served(b, agent), agent.as(b))
				whole = append(whole, time.Since(begun))
				r.want(b, reports.Success)
				for _, p := range r.Phases {
					if p.Name == "agent" {
						working = append(working, time.Duration(p.DurationMs)*time.Millisecond)
					}
				}
			}
			b.ReportMetric(float64(median(whole).Milliseconds()), "run-ms")
			b.ReportMetric(float64(median(working).Milliseconds()), "agent-ms")
			b.ReportMetric(0, "ns/op")
		})
	}
}
