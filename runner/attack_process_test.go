package runner_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/yolo-run/yolo-run/reports"
	"github.com/yolo-run/yolo-run/runner"
)

// caller is a kind of short-lived process that makes one denied attempt.
type caller struct {
	name    string
	command string // %d is the number of the attempt
	exe     string // what its executable ends in
	layer   reports.Layer
	where   string  // what the address or name of its attempts begins with
	most    float64 // how many may go without a name, in percent
}

func callers() []caller {
	return []caller{
		{"curl", `curl -s -m 3 -o /dev/null http://198.51.100.101:$((10000 + %s))/`, "/curl", reports.LayerTCP, "198.51.100.101", 1},
		{"dig", `dig +tries=1 +time=3 d%s.dig-attribution.test`, "/dig", reports.LayerDNS, ".dig-attribution.test", 1},
		{"udp-waiting", `perl -MSocket -e 'socket(S,2,2,17); send(S,"x",0,pack_sockaddr_in(10000+'%s',inet_aton("198.51.100.103"))); select(undef,undef,undef,0.05)'`, "/perl", reports.LayerUDP, "198.51.100.103", 5},
		// A sender that ends with its only packet is often gone before the kernel has told of it, and nothing holds it back.
		{"udp", `bash -c 'printf x > /dev/udp/198.51.100.102/'$((10000 + %s))`, "/bash", reports.LayerUDP, "198.51.100.102", 100},
	}
}

// misses has every caller run n times, one process after the other, and returns what share of the attempts the record gives no process.
func misses(t testing.TB, n int) map[string]float64 {
	t.Helper()
	var script strings.Builder
	for _, c := range callers() {
		fmt.Fprintf(&script, "for i in $(seq %d); do "+c.command+"; done >/dev/null 2>&1\n", n, "$i")
	}
	r := try(t, script.String()+"true\n", online(needInternet(t)), func(cfg *runner.Config) { cfg.Timeout = cfg.Timeout * 5 })
	r.want(t, reports.NoChanges)
	rates := map[string]float64{}
	for _, c := range callers() {
		made, named, wrong := int64(0), int64(0), int64(0)
		for _, e := range r.find(reports.Deny, func(e reports.Event) bool {
			return e.Layer == c.layer && (strings.HasPrefix(e.Addr, c.where) || strings.HasSuffix(e.Name, c.where))
		}) {
			made += e.Count
			if e.Process == nil || e.Process.Exe == "" {
				continue
			}
			if !strings.HasSuffix(e.Process.Exe, c.exe) {
				wrong += e.Count
				t.Logf("an attempt of %s is on record as one of %+v", c.name, e.Process)
				continue
			}
			named += e.Count
		}
		if made != int64(n) {
			t.Errorf("control: %d attempts of %s are on record, want %d", made, c.name, n)
		}
		// A datagram's sender is known by its port alone, which may have been another's a moment ago.
		if share := 100 * float64(wrong) / float64(n); share > 0.5 || wrong > 0 && c.layer != reports.LayerUDP {
			t.Errorf("%s: %.1f %% of the attempts have another's process", c.name, share)
		}
		rates[c.name] = 100 * float64(int64(n)-named) / float64(n)
		if rates[c.name] > c.most {
			t.Errorf("%s: %.1f %% of the attempts have no process, want at most %.0f %%", c.name, rates[c.name], c.most)
		}
	}
	return rates
}

// Every attempt names its process, however short-lived that is. A tenth of what BenchmarkAttribution makes; not beside other tests.
func TestEveryAttemptNamesItsProcess(t *testing.T) {
	t.Logf("without a process, in percent: %v", misses(t, 100))
}

// BenchmarkAttribution is a thousand attempts of each kind of process, in percent without a name.
func BenchmarkAttribution(b *testing.B) {
	for b.Loop() {
		for name, value := range misses(b, 1000) {
			b.ReportMetric(value, name+"-missed-%")
		}
	}
	b.ReportMetric(0, "ns/op")
}
