package render

import (
	"strings"
	"testing"

	"github.com/yolo-run/yolo-run/reports"
)

func TestHeadlineOfAnAgentThatWasStopped(t *testing.T) {
	for _, c := range []struct {
		code int
		want string
	}{
		{0, "The agent did not end by itself and changed nothing"}, // it heeded SIGTERM
		{3, "The agent failed with exit code 3 and changed nothing"},
	} {
		r := &reports.Report{Outcome: reports.AgentFailed, Agent: reports.Agent{ExitCode: &c.code}}
		if got := Headline(r); got != c.want {
			t.Errorf("exit code %d: %q, want %q", c.code, got, c.want)
		}
	}
}

func TestOneFlagIsNamedOnce(t *testing.T) {
	r := &reports.Report{Policy: reports.Policy{Egress: "audit"}, Network: reports.Network{Destinations: []reports.Destination{
		{Name: "a.example", Layer: reports.LayerDNS, Verdict: reports.WouldDeny, Count: 1},
		{Name: "a.example", Port: 443, Layer: reports.LayerTLS, Verdict: reports.WouldDeny, Count: 1},
		{Name: "b.example", Layer: reports.LayerDNS, Verdict: reports.WouldDeny, Count: 1},
	}}}
	got := render(t, Terminal{}, Model{Report: r})
	for _, flag := range []string{"--allowed-domain a.example\n", "--allowed-domain b.example\n"} {
		if n := strings.Count(got, flag); n != 1 {
			t.Errorf("%s is there %d times:\n%s", flag, n, got)
		}
	}
}
