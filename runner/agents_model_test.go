package runner_test

import (
	"strings"
	"testing"

	"github.com/yolo-run/yolo-run/reports"
	"github.com/yolo-run/yolo-run/runner"
	"github.com/yolo-run/yolo-run/runner/internal/vendor"
)

// The gateway verifies TLS: with the certificate of the test's internet the vendor is reached, without it nothing is said to it.
func TestTheModelIsReachedOverTLS(t *testing.T) {
	t.Parallel()
	n := needInternet(t)
	const ask = "echo status=$(" + askModel + " -o /dev/null -w '%{http_code}')"
	m := n.model(t, endless)
	r := try(t, ask, m.served(t, realAgents[0]), m.overTLS, withCA(n.caFile(t)))
	r.want(t, reports.NoChanges)
	if r.says(t, "status") != "200" || len(m.log(t)) != 1 || m.log(t)[0].Host != "api.allowed.test:8444" {
		t.Errorf("status %s, the vendor saw %+v", r.says(t, "status"), m.log(t))
	}
	m.wantKeyOnly(t)

	m = n.model(t, endless)
	r = try(t, ask, m.served(t, realAgents[0]), m.overTLS)
	r.want(t, reports.NoChanges)
	if r.says(t, "status") != "502" || len(m.log(t)) != 0 {
		t.Errorf("without the certificate: status %s, the vendor saw %+v", r.says(t, "status"), m.log(t))
	}
}

// A token of a subscription goes into another header than a key, with a word of Anthropic's beside it.
func TestClaudeWithATokenOfASubscription(t *testing.T) {
	t.Parallel()
	n := needInternet(t)
	m := n.model(t, vendor.Script{Beta: "oauth-2025-04-20", Turns: []vendor.Turn{{Text: "Hello.", Usage: vendor.Usage{Input: 10, Output: 2}}}})
	subscription := realAgent{"claude", "anthropic", "CLAUDE_CODE_OAUTH_TOKEN"}
	r := try(t, "Say hello.", m.served(t, subscription), subscription.as(t))
	r.want(t, reports.NoChanges)
	if r.Transcript.Final != "Hello." {
		t.Errorf("final %q", r.Transcript.Final)
	}
	m.wantKeyOnly(t)
}

// What a provider does for the agent is a way out: refused and in the record, unless the user opened it.
func TestServerToolsOfTheRealAgents(t *testing.T) {
	t.Parallel()
	n := needInternet(t)
	for _, c := range []struct {
		agent realAgent
		tool  string
		seen  string // in the request for it
	}{
		{realAgents[0], "WebSearch", `"type":"web_search_20`},
		{realAgents[2], "google_web_search", `"googleSearch":`},
	} {
		for option, allowed := range map[string]bool{"closed": false, "open": true} {
			t.Run(c.agent.name+" "+option, func(t *testing.T) {
				t.Parallel()
				turn := vendor.Turn{Text: "I have it.", Usage: vendor.Usage{Input: 10, Output: 2}}
				m := n.model(t, vendor.Script{Repeat: true, Turns: []vendor.Turn{
					{Calls: []vendor.Call{{Tool: c.tool, Input: []byte(`{"query":"anything at all"}`)}}, Usage: vendor.Usage{Input: 10, Output: 2}}, turn,
				}})
				r := try(t, "Search.", m.served(t, c.agent), c.agent.as(t), func(cfg *runner.Config) { cfg.AllowServerTools = allowed })
				r.want(t, reports.NoChanges)
				searches := 0
				for _, request := range m.log(t) {
					if strings.Contains(request.Body, c.seen) {
						searches++
					}
				}
				denied := r.find(reports.Deny, func(e reports.Event) bool { return e.Layer == reports.LayerModel })
				if (searches > 0) != allowed || (len(denied) > 0) == allowed {
					t.Errorf("the vendor saw %d searches, the record has %+v", searches, denied)
				}
				if r.Transcript.Final != turn.Text {
					t.Errorf("the agent did not go on: final %q", r.Transcript.Final)
				}
			})
		}
	}
}
