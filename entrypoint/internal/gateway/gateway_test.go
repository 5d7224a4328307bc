package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/yolo-run/yolo-run/entrypoint/internal/firewall"
	"github.com/yolo-run/yolo-run/entrypoint/internal/firewall/firewalltest"
	"github.com/yolo-run/yolo-run/entrypoint/policy"
	"github.com/yolo-run/yolo-run/entrypoint/wire"
	"github.com/yolo-run/yolo-run/reports"
)

// running is a gateway in this process's own network namespace, as the runner sees it.
type running struct {
	t        testing.TB
	in       *io.PipeWriter
	messages chan wire.GatewayMessage
	exit     chan int
	models   []wire.GatewayMessage // what was said about models and the budget
}

func testGatewayConfig(allow ...string) wire.GatewayConfig {
	return wire.GatewayConfig{
		Wire: wire.Version, RunID: "test", AgentUID: agentID, AgentGID: agentID, HeartbeatTimeoutMs: 15_000, DeadlineMs: 60_000,
		Policy: policy.Spec{Egress: policy.Enforce, Allow: allow},
	}
}

func startGateway(t testing.TB, cfg wire.GatewayConfig) *running {
	t.Helper()
	return startGatewayServedBy(t, cfg, []string{"/proc/self/exe", ServeRole})
}

func startGatewayServedBy(t testing.TB, cfg wire.GatewayConfig, serving []string) *running {
	t.Helper()
	in, stdin := io.Pipe()
	stdout, out := io.Pipe()
	g := &running{t: t, in: stdin, messages: make(chan wire.GatewayMessage, 1024), exit: make(chan int, 1)}
	go func() {
		code := runWith(context.WithoutCancel(t.Context()), "test", serving, in, out)
		_ = out.Close()
		g.exit <- code
	}()
	go func() {
		defer close(g.messages)
		lines := wire.NewReader(stdout, wire.MaxMessageLine)
		for {
			var m wire.GatewayMessage
			if lines.Next(&m) != nil {
				return
			}
			g.messages <- m
		}
	}()
	g.say(wire.GatewayRequest{Type: wire.TypeConfig, Config: &cfg})
	return g
}

func (g *running) say(r wire.GatewayRequest) {
	g.t.Helper()
	if err := wire.NewWriter(g.in).Send(r); err != nil {
		g.t.Fatal(err)
	}
}

// next waits for the next message.
func (g *running) next() wire.GatewayMessage {
	g.t.Helper()
	select {
	case m, ok := <-g.messages:
		if !ok {
			g.t.Fatal("the gateway has ended")
		}
		return m
	case <-time.After(10 * time.Second):
		g.t.Fatal("no message")
	}
	return wire.GatewayMessage{}
}

func (g *running) ready() *wire.Ready {
	g.t.Helper()
	m := g.next()
	if m.Ready == nil {
		b, _ := json.Marshal(m)
		g.t.Fatalf("not ready: %s", b)
	}
	return m.Ready
}

// finish asks for the summary and returns it with all events, which must add up to it.
func (g *running) finish() ([]reports.Event, wire.Summary) {
	g.t.Helper()
	g.say(wire.GatewayRequest{Type: wire.TypeFinish})
	var events []reports.Event
	sums := map[reports.Verdict]int64{}
	for {
		m := g.next()
		if m.Usage != nil || m.Budget != nil {
			g.models = append(g.models, m)
			continue
		}
		if m.Summary == nil {
			if m.Event == nil {
				g.t.Fatalf("got %+v before the summary", m)
			}
			events = append(events, *m.Event)
			sums[m.Event.Verdict] += m.Event.Count
			continue
		}
		s := *m.Summary
		if last, ok := <-g.messages; ok {
			g.t.Errorf("%+v behind the summary", last)
		}
		if code := <-g.exit; code != 0 {
			g.t.Errorf("exit code %d", code)
		}
		if sums[reports.Deny] != s.Denied || sums[reports.Allow] != s.Allowed || s.Events != int64(len(events)) || !s.RulesIntact {
			g.t.Errorf("summary %+v; events add up to %v in %d lines", s, sums, len(events))
		}
		return events, s
	}
}

func TestARunOfTheGateway(t *testing.T) {
	if !firewalltest.Isolated(t) {
		return
	}
	outside := firewalltest.NewOutside(t)
	sniffer := outside.Sniff()
	const server = firewalltest.ServerAddr + ":8080"
	outside.Do(func() { echo(t, server) })

	start := time.Now()
	g := startGateway(t, testGatewayConfig(server))
	ready := g.ready()
	t.Logf("ready after %v: %d rules, %s", time.Since(start).Round(time.Millisecond), ready.Rules, ready.Backend)
	checkSelfTest(t, ready.SelfTest)
	if packets := sniffer.Packets(); len(packets) != 0 {
		t.Errorf("the self-test let out %+v", packets)
	}

	// The control comes first: its process is found in turn with the others, and finish would close its connection.
	h := startHelper(t, agentID)
	if answer := h.do(t, "dial tcp4 %s read", server); answer != "5 <nil>" {
		t.Errorf("control: an allowed connection: %s", answer)
	}
	h.do(t, "dial udp4 198.51.100.77:123")
	h.do(t, "dial udp4 198.51.100.77:123")
	if answer := h.do(t, "dial tcp4 198.51.100.77:443 read"); !strings.Contains(answer, "reset") {
		t.Errorf("a denied connection: %s", answer)
	}
	events, s := g.finish()
	if s.Denied != 3 || s.Allowed != 1 || s.Overflow != 0 {
		t.Errorf("summary %+v", s)
	}
	for _, want := range []reports.Event{
		{Verdict: reports.Deny, Layer: reports.LayerUDP, Addr: "198.51.100.77", Port: 123, Count: 2},
		{Verdict: reports.Deny, Layer: reports.LayerTCP, Addr: "198.51.100.77", Port: 443, Count: 1},
		{Verdict: reports.Allow, Layer: reports.LayerTCP, Addr: firewalltest.ServerAddr, Port: 8080, Count: 1},
	} {
		i := slices.IndexFunc(events, func(e reports.Event) bool {
			return e.Verdict == want.Verdict && e.Layer == want.Layer && e.Addr == want.Addr && e.Port == want.Port
		})
		if i < 0 {
			t.Errorf("no event like %+v in %+v", want, events)
			continue
		}
		if e := events[i]; e.Count != want.Count || e.Process == nil || e.Process.PID != h.cmd.Process.Pid || (e.Verdict == reports.Deny) != (e.Reason != "") {
			t.Errorf("event %+v of process %+v, want %d of process %d", e, e.Process, want.Count, h.cmd.Process.Pid)
		}
	}
	for _, p := range sniffer.Packets() {
		if p.Dst.String() != firewalltest.ServerAddr || p.DstPort != 8080 {
			t.Errorf("left: %+v", p)
		}
	}
}

// echo answers on a listener until the test ends.
func echo(t testing.TB, addr string) {
	l, err := net.Listen("tcp4", addr)
	if err != nil {
		t.Error(err)
		return
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(conn, conn)
				_ = conn.Close()
			}()
		}
	}()
}

func checkSelfTest(t *testing.T, checks []reports.Check) {
	t.Helper()
	want := map[string]string{
		"literal address": refused, "udp": refused, "foreign resolver": refused, "engine's resolver": refused, "loopback device": refused,
		"ipv6": unreachable, "icmp": "", "metadata": refused, "multicast": refused, "next hop": refused,
		"network device": refused,
	}
	for _, c := range checks {
		if result, known := want[c.Name]; !known || result != "" && result != c.Result {
			t.Errorf("%+v, want %q", c, result)
		}
		delete(want, c.Name)
	}
	if len(want) != 0 {
		t.Errorf("not tried: %v", want)
	}
}

func TestAFloodIsCountedToTheLastPacket(t *testing.T) {
	if !firewalltest.Isolated(t) {
		return
	}
	firewalltest.NewOutside(t)
	g := startGateway(t, testGatewayConfig())
	g.ready()
	const flood = 100_000
	conn, err := net.ListenPacket("udp4", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	for i := range flood {
		_, _ = conn.WriteTo([]byte("x"), &net.UDPAddr{IP: net.IPv4(198, 51, 100, 1), Port: 1 + i%60_000})
	}
	took := time.Since(start)
	_ = conn.Close()
	_, s := g.finish()
	t.Logf("%d packets in %v: %+v", flood, took, s)
	if s.Denied != flood {
		t.Errorf("denied %d of %d", s.Denied, flood)
	}
}

func TestTheGatewayNeverSaysReadyOverAHole(t *testing.T) {
	if !firewalltest.Isolated(t) {
		return
	}
	firewalltest.NewOutside(t)
	dir := brokenIPTables(t)
	tests := []struct {
		name, path string
		stage      string
	}{
		{"no iptables at all", t.TempDir(), "rules"},
		{"an iptables that says yes and does nothing", dir, "rules"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Setenv("PATH", test.path)
			g := startGateway(t, testGatewayConfig())
			m := g.next()
			if m.Fatal == nil || m.Fatal.Stage != test.stage || m.Fatal.Reason == "" {
				t.Errorf("got %+v", m)
			}
			if code := <-g.exit; code != 1 {
				t.Errorf("exit code %d", code)
			}
			if m, ok := <-g.messages; ok {
				t.Errorf("%+v behind the fatal message", m)
			}
		})
	}
}

func TestTheGatewayEndsWithItsRunner(t *testing.T) {
	if !firewalltest.Isolated(t) {
		return
	}
	firewalltest.NewOutside(t)
	g := startGateway(t, testGatewayConfig())
	g.ready()
	if err := g.in.Close(); err != nil {
		t.Fatal(err)
	}
	if m := g.next(); m.Fatal == nil || m.Fatal.Stage != "heartbeat" {
		t.Errorf("got %+v", m)
	}
	if code := <-g.exit; code != 1 {
		t.Errorf("exit code %d", code)
	}
}

func TestTheGatewayRefusesAHostsNamespace(t *testing.T) {
	if testing.Short() {
		t.Skip("looks at the machine's own network namespace")
	}
	// Nothing may be applied even if the check were broken: without programs, the rules cannot be.
	t.Setenv("PATH", t.TempDir())
	_, err := firewall.Open()
	if err == nil || !strings.Contains(err.Error(), firewall.ErrHostNamespace.Error()) {
		t.Errorf("got %v", err)
	}
}

// stuck is a runner that does not read.
type stuck struct{ block chan struct{} }

func (s stuck) Write([]byte) (int, error) { <-s.block; return 0, io.ErrClosedPipe }

func TestARunnerThatDoesNotReadKeepsNothingAlive(t *testing.T) {
	s := stuck{make(chan struct{})}
	defer close(s.block)
	start := time.Now()
	if code := Run(t.Context(), "test", strings.NewReader("{}\n"), s); code != 1 {
		t.Errorf("exit code %d", code)
	}
	if took := time.Since(start); took > 20*lastWordTime {
		t.Errorf("the gateway waited %v for its last word", took)
	}
	var out bytes.Buffer
	if Run(t.Context(), "test", strings.NewReader("{}\n"), &out); !strings.Contains(out.String(), `"stage":"config"`) {
		t.Errorf("control: a runner that reads gets %q", out.String())
	}
}
