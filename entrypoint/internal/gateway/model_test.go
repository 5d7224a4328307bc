package gateway

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/yolo-run/yolo-run/entrypoint/internal/firewall/firewalltest"
	"github.com/yolo-run/yolo-run/entrypoint/internal/model"
	"github.com/yolo-run/yolo-run/entrypoint/policy"
	"github.com/yolo-run/yolo-run/entrypoint/wire"
	"github.com/yolo-run/yolo-run/reports"
)

const modelKey = "sk-canary-0123456789"

func TestAModelIsServedToTheAgentOnly(t *testing.T) {
	if !firewalltest.Isolated(t) {
		return
	}
	outside := firewalltest.NewOutside(t)
	const server = firewalltest.ServerAddr + ":8080"
	outside.Do(func() {
		ln, err := net.Listen("tcp4", server)
		if err != nil {
			t.Error(err)
			return
		}
		upstream := &httptest.Server{Listener: ln, Config: &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, `{"type":"message","key":%t,"usage":{"input_tokens":7,"output_tokens":5}}`, r.Header.Get("x-api-key") == modelKey)
		})}}
		upstream.Start()
		t.Cleanup(upstream.Close)
	})
	cfg := testGatewayConfig()
	cfg.Policy.Egress = policy.None // models are served all the same
	cfg.Budget.MaxRequests = 1
	cfg.Models = []wire.ModelAPI{{
		Name: "anthropic", Dialect: wire.Anthropic, Upstream: "http://" + server, Trusted: true,
		Headers: []wire.Header{{Name: "x-api-key", Value: modelKey}},
	}}
	g := startGateway(t, cfg)
	ready := g.ready()
	if !strings.HasPrefix(ready.ModelAddr, "127.0.0.1:") {
		t.Fatalf("models at %q", ready.ModelAddr)
	}
	h := startHelper(t, agentID)
	const body = `{"model":"claude-test","max_tokens":9,"messages":[]}`
	if answer := h.do(t, "post http://%s/anthropic/v1/messages %s", ready.ModelAddr, body); !strings.HasPrefix(answer, `200 {"type":"message","key":true`) {
		t.Errorf("control: %s", answer)
	}
	if answer := h.do(t, "post http://%s/anthropic/v1/messages %s", ready.ModelAddr, body); !strings.Contains(answer, "--max-requests") {
		t.Errorf("a second request of one: %s", answer)
	}
	if answer := h.do(t, "post http://%s/anthropic/v1/files %s", ready.ModelAddr, body); !strings.HasPrefix(answer, "403 ") {
		t.Errorf("another path: %s", answer)
	}
	if answer := h.do(t, "dial tcp4 %s read", server); !strings.Contains(answer, "reset") {
		t.Errorf("the upstream itself: %s", answer)
	}
	events, s := g.finish()
	if s.Allowed != 1 || s.Denied != 3 || s.Usage.Requests != 1 || s.Usage.InputTokens != 7 || s.Usage.OutputTokens != 5 {
		t.Errorf("summary %+v", s)
	}
	usage := slices.ContainsFunc(g.models, func(m wire.GatewayMessage) bool { return m.Type == wire.TypeUsage && m.Usage.InputTokens == 7 })
	spent := slices.ContainsFunc(g.models, func(m wire.GatewayMessage) bool {
		return m.Type == wire.TypeBudget && m.Budget.Option == "--max-requests"
	})
	if !usage || !spent {
		t.Errorf("said: %+v", g.models)
	}
	i := slices.IndexFunc(events, func(e reports.Event) bool { return e.Layer == reports.LayerModel && e.Verdict == reports.Allow })
	if i < 0 || events[i].Process == nil || events[i].Process.PID != h.cmd.Process.Pid || events[i].Name != firewalltest.ServerAddr || events[i].Status != 200 {
		t.Errorf("events %+v", events)
	}
	if said := fmt.Sprintf("%+v %+v %+v", ready, events, s); strings.Contains(said, modelKey) {
		t.Errorf("the key is in %s", said)
	}
}

func TestWhereAModelMayBe(t *testing.T) {
	own := netip.MustParseAddr("198.51.100.254")
	tests := []struct {
		host    string
		trusted bool
		zone    []string // of the public resolver
		within  []string // of the network's own
		proxy   string
		dialled string // the error says so where nothing was
	}{
		{"api.example", false, []string{"198.51.100.7"}, []string{"10.0.0.1"}, "", "[198.51.100.7:443]"},
		{"api.example", false, []string{"10.0.0.1"}, nil, "", "10.0.0.1 is private-use"},
		{"api.example", false, []string{"198.51.100.254"}, nil, "", "198.51.100.254 is the host"},
		{"api.example", true, []string{"198.51.100.254"}, nil, "", "[198.51.100.254:443]"},
		{"api.example", true, []string{"198.51.100.7"}, []string{"10.0.0.1"}, "", "[10.0.0.1:443]"},
		{"api.example", true, []string{"198.51.100.7"}, nil, "", "[198.51.100.7:443]"},
		{"litellm", true, nil, []string{"172.18.0.5"}, "", "[172.18.0.5:443]"},
		{"litellm", true, nil, []string{"127.0.0.1"}, "", "127.0.0.1 is loopback"},
		{"litellm", true, nil, []string{"169.254.169.254"}, "", "169.254.169.254 is cloud metadata"},
		{"10.1.2.3", true, nil, nil, "", "[10.1.2.3:443]"},
		{"198.51.100.254", true, nil, nil, "", "[198.51.100.254:443]"},
		{"127.0.0.1", true, nil, nil, "", "127.0.0.1 is loopback"},
		{"169.254.1.1", true, nil, nil, "", "169.254.1.1 is link-local"},
		{"::ffff:169.254.169.254", true, nil, nil, "", "169.254.169.254 is cloud metadata"},
		{"api.example", false, []string{"198.51.100.7"}, nil, "http://198.51.100.9:3128", "[198.51.100.9:3128]"},
		{"api.example", true, []string{"198.51.100.7"}, nil, "http://198.51.100.9:3128", "[198.51.100.9:3128]"},
		{"api.example", true, nil, []string{"10.0.0.1"}, "http://198.51.100.9:3128", "[10.0.0.1:443]"},
		{"127.0.0.1", true, nil, nil, "http://198.51.100.9:3128", "127.0.0.1 is loopback"},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprint(tt.host, tt.trusted, tt.zone, tt.within, tt.proxy), func(t *testing.T) {
			d := newModelDialer(upstreamConfig{
				Resolvers: []netip.AddrPort{zoneServer(t, tt.host, tt.zone)}, InternalResolver: zoneServer(t, tt.host, tt.within),
				Own: []netip.Addr{own}, Policy: mustPolicy(t, policy.Spec{Egress: policy.None}), Proxy: tt.proxy,
			})
			dialled := stopDials(d.up)
			_, _, err := d.dial(context.Background(), model.Upstream{Host: tt.host, Port: 443, Trusted: tt.trusted})
			if err == nil {
				t.Fatal("nothing stopped it")
			}
			if got := dialled(); len(got) > 0 && fmt.Sprint(got) == tt.dialled {
				return
			} else if len(got) > 0 || !strings.Contains(err.Error(), tt.dialled) {
				t.Errorf("dialled %v, %v; want %s", got, err, tt.dialled)
			}
		})
	}
}

// zoneServer is a resolver that knows one name.
func zoneServer(t *testing.T, name string, addrs []string) netip.AddrPort {
	t.Helper()
	var zone []string
	for _, a := range addrs {
		zone = append(zone, name+". 60 IN A "+a)
	}
	return newNameserver(t, func(q *dns.Msg, _ string) []*dns.Msg { return []*dns.Msg{answering(t, q, zone...)} }).addr
}
