package gateway

import (
	"context"
	"net"
	"strings"
	"testing"
	"testing/synctest"

	"golang.org/x/sys/unix"

	"github.com/yolo-run/yolo-run/reports"
)

// local is a probe at a loopback socket that nobody reads: the call succeeds, as it would through a hole.
func local(t *testing.T, name string) probe {
	t.Helper()
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	addr := conn.LocalAddr().String()
	return probe{name: name, network: "udp4", addr: addr, payload: []byte("x"), denied: deniedAt("udp", addr)}
}

func recordOf(p probe) reports.Event {
	at := localOf(stringAddr(p.addr))
	return reports.Event{Verdict: reports.Deny, Layer: reports.LayerUDP, Proto: "udp", Addr: at.Addr().String(), Port: int(at.Port()), Reason: "UDP is closed"}
}

type stringAddr string

func (a stringAddr) Network() string { return "udp" }
func (a stringAddr) String() string  { return string(a) }

func TestSelfTestBelievesRecordsOnly(t *testing.T) {
	first, second := local(t, "first"), local(t, "second")
	noRoute := probe{name: "no route", network: "udp", addr: "[2001:db8::1]:9", denied: deniedAt("udp", "[2001:db8::1]:9"), control: func(int) error { return unix.ENETUNREACH }}
	forbidden := local(t, "forbidden")
	forbidden.control = func(int) error { return unix.EPERM }
	allowed := recordOf(second)
	allowed.Verdict = reports.Allow

	tests := map[string]struct {
		probes  []probe
		records []reports.Event
		results string
		fault   string
	}{
		"both are refused":             {[]probe{first, second}, []reports.Event{recordOf(second), recordOf(first)}, "refused refused", ""},
		"one meets a rule, one cannot": {[]probe{first, noRoute}, []reports.Event{recordOf(first)}, "refused unreachable", ""},
		"one gets through":             {[]probe{first, second}, []reports.Event{recordOf(first)}, "refused failed", "second"},
		"one is allowed":               {[]probe{first, second}, []reports.Event{recordOf(first), allowed}, "refused failed", "second"},
		"an error without a record":    {[]probe{first, forbidden}, []reports.Event{recordOf(first)}, "refused failed", "forbidden"},
		"one record is not two":        {[]probe{first, first}, []reports.Event{recordOf(first)}, "refused failed", "first"},
		"nothing can be attempted":     {[]probe{noRoute}, nil, "unreachable", "no attempt met a rule"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := newSelfTest()
			for _, e := range test.records {
				s.take(e)
			}
			ctx, cancel := context.WithTimeout(t.Context(), selfTestTime/20)
			defer cancel()
			checks, err := s.run(ctx, test.probes)
			var results []string
			for _, c := range checks {
				results = append(results, c.Result)
			}
			if got := strings.Join(results, " "); got != test.results {
				t.Errorf("got %s, want %s: %+v", got, test.results, checks)
			}
			if (err == nil) != (test.fault == "") || err != nil && !strings.Contains(err.Error(), test.fault) {
				t.Errorf("got %v, want %q", err, test.fault)
			}
		})
	}
}

func TestSelfTestNeverBlocksWhoRecords(t *testing.T) {
	synctest.Test(t, func(*testing.T) {
		s := newSelfTest()
		for range 2 * cap(s.records) {
			s.take(reports.Event{})
		}
	})
}

func TestParseRoutes(t *testing.T) {
	const heading = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n"
	const network = "eth0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n"
	tests := map[string]struct{ text, want string }{
		"default route":      {heading + "eth0\t00000000\t010011AC\t0003\t0\t0\t0\t00000000\t0\t0\t0\n" + network, "172.17.0.1"},
		"an internal one":    {heading + network, ""},
		"without next hop":   {heading + "tun0\t00000000\t00000000\t0001\t0\t0\t0\t00000000\t0\t0\t0\n", ""},
		"half of everything": {heading + "eth0\t00000000\t00000000\t0003\t0\t0\t0\t00000080\t0\t0\t0\n", ""},
		"nothing":            {"", ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := ""
			if hop := parseRoutes(strings.NewReader(test.text)).nextHop; hop.IsValid() {
				got = hop.String()
			}
			if got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestParseResolvConf(t *testing.T) {
	const text = "# nameserver 9.9.9.9\nsearch .\nnameserver 2001:db8::53\nnameserver 127.0.0.11\nnameserver\t10.0.0.2 \nnameserver nonsense\noptions ndots:0\n"
	got := parseResolvConf(strings.NewReader(text))
	want := []string{"127.0.0.11:53", "10.0.0.2:53", "[2001:db8::53]:53"}
	if len(got) != len(want) {
		t.Fatalf("got %v", got)
	}
	for i := range want {
		if got[i].String() != want[i] {
			t.Errorf("got %v, want %v", got[i], want[i])
		}
	}
}

func TestEngineResolverPort(t *testing.T) {
	const text = "   sl  local_address rem_address   st\n  10: 00000000:0044 00000000:0000 07\n  11: 0B00007F:9C40 00000000:0000 07\n"
	if got := engineResolverPort(strings.NewReader(text)); got != 40000 {
		t.Errorf("got %d, want 40000", got)
	}
	if got := engineResolverPort(strings.NewReader("")); got == 0 {
		t.Error("no port to try where the engine has no resolver")
	}
}
