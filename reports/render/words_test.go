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

func TestWhatWasAllowedAndDidNotAnswerIsSaid(t *testing.T) {
	r := &reports.Report{Network: reports.Network{Destinations: []reports.Destination{
		{Name: "db", Port: 5432, Layer: reports.LayerTCP, Verdict: reports.Allow, Reason: reports.NotReached + "lookup db: no such host", Count: 1},
		{Name: "fine.example", Port: 443, Layer: reports.LayerTLS, Verdict: reports.Allow, Count: 1},
	}}}
	m := Model{Report: r}
	if got, want := render(t, Terminal{}, m), "not reached     1× db:5432 (tcp): lookup db: no such host\n"; !strings.Contains(got, want) || strings.Contains(got, "fine") {
		t.Errorf("want one row %q in\n%s", want, got)
	}
	section, _, _ := strings.Cut(render(t, Markdown{}, m), "<details>")
	if !strings.Contains(section, "## Allowed, and not reached") || !strings.Contains(section, "lookup db: no such host") || strings.Contains(section, "fine") {
		t.Errorf("the page says it otherwise:\n%s", section)
	}
}
