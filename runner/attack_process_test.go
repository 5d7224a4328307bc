package runner_test

import (
	"fmt"
	"maps"
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

// lives are C programs that send one datagram and live on for a while.
func lives() []caller {
	var list []caller
	for i, life := range []int{0, 100, 200, 500, 1000, 2000, 5000, 50000} {
		addr := fmt.Sprintf("198.51.100.%d", 110+i)
		command := fmt.Sprintf(`/tmp/sender %s $((10000 + %%s)) %d`, addr, life)
		list = append(list, caller{fmt.Sprintf("%05d-us", life), command, "/sender", reports.LayerUDP, addr, 100})
	}
	return list
}

// programs are those of everyday that send one datagram.
func programs() []caller {
	return []caller{
		{"bash", `bash -c 'printf x > /dev/udp/198.51.100.120/'$((10000 + %s))`, "/bash", reports.LayerUDP, "198.51.100.120", 100},
		{"python", `python3 -c 'import socket; socket.socket(2, 2).sendto(b"x", ("198.51.100.121", 10000+'%s'))'`, "/python3.13", reports.LayerUDP, "198.51.100.121", 100},
		{"dig", `dig +tries=1 +time=1 -p $((10000 + %s)) @198.51.100.122 a.test`, "/dig", reports.LayerUDP, "198.51.100.122", 100},
		{"nslookup", `nslookup -port=$((10000 + %s)) -retry=0 -timeout=1 a.test 198.51.100.123`, "/nslookup", reports.LayerUDP, "198.51.100.123", 100},
	}
}

// sender is a C program whose start and end take as little as they can: sender ADDRESS PORT MICROSECONDS-TO-LIVE.
const sender = `cat >/tmp/sender.c <<'C'
#include <arpa/inet.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>
int main(int c, char **v) {
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(atoi(v[2])), .sin_addr.s_addr = inet_addr(v[1])};
	struct timespec life = {.tv_nsec = atol(v[3]) * 1000};
	prctl(PR_SET_TIMERSLACK, 1);
	sendto(socket(AF_INET, SOCK_DGRAM, 0), "x", 1, 0, (void *)&to, sizeof to);
	if (life.tv_nsec) nanosleep(&life, 0);
	_exit(0);
}
C
gcc -O2 -static -o /tmp/sender /tmp/sender.c || exit 1
`

// misses has every caller run n times, one process after the other, and returns what share of the attempts the record gives no process.
func misses(t testing.TB, n int, prepare string, callers []caller) map[string]float64 {
	t.Helper()
	var script strings.Builder
	script.WriteString(prepare)
	for _, c := range callers {
		fmt.Fprintf(&script, "for i in $(seq %d); do "+c.command+"; done >/dev/null 2>&1\n", n, "$i")
	}
	r := try(t, script.String()+"true\n", online(needInternet(t)), func(cfg *runner.Config) { cfg.Timeout = cfg.Timeout * 5 })
	r.want(t, reports.NoChanges)
	rates := map[string]float64{}
	for _, c := range callers {
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
	t.Logf("without a process, in percent: %v", misses(t, 100, "", callers()))
}

// BenchmarkAttribution is a thousand attempts of each kind of process, in percent without a name.
func BenchmarkAttribution(b *testing.B) {
	for b.Loop() {
		for name, value := range misses(b, 1000, "", callers()) {
			b.ReportMetric(value, name+"-missed-%")
		}
	}
	b.ReportMetric(0, "ns/op")
}

// BenchmarkSenders says how long a UDP sender must live on to be named, in percent without a name.
func BenchmarkSenders(b *testing.B) {
	for b.Loop() {
		rates := misses(b, 300, sender, lives())
		maps.Copy(rates, misses(b, 100, "", programs()))
		for name, value := range rates {
			b.ReportMetric(value, name+"-missed-%")
		}
	}
	b.ReportMetric(0, "ns/op")
}
