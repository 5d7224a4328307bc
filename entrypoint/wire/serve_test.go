package wire

import (
	"encoding/json"
	"errors"
	"io"
	"math"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/yolo-run/yolo-run/reports"
)

func TestMessagesOfTheServingProcessAreChecked(t *testing.T) {
	event := func(change func(*reports.Event)) ServeMessage {
		e := reports.Event{Verdict: reports.Deny, Layer: reports.LayerTLS, Proto: "tcp", Name: "a.example", Port: 443, Count: 1}
		change(&e)
		return ServeMessage{Type: TypeEvent, Event: &e}
	}
	usage := func(u reports.Usage) ServeMessage { return ServeMessage{Type: TypeUsage, Usage: &u} }
	tests := map[string]struct {
		message ServeMessage
		fault   string // none: it passes
	}{
		"ready":                {ServeMessage{Type: TypeReady}, ""},
		"done":                 {ServeMessage{Type: TypeDone}, ""},
		"a denial":             {event(func(*reports.Event) {}), ""},
		"the largest":          {event(func(e *reports.Event) { e.Count, e.BytesIn, e.Port = maxServeCount, maxServeBytes, math.MaxUint16 }), ""},
		"a question":           {ServeMessage{Type: TypeOwner, Owner: &ServeOwner{Network: "udp"}}, ""},
		"lost ones":            {ServeMessage{Type: TypeLost, Lost: &ServeLost{Denied: 7}}, ""},
		"usage":                {usage(reports.Usage{Requests: 1, CostUSD: 0.5, Models: []reports.ModelUsage{{Model: "m", Requests: 1}}}), ""},
		"a budget":             {ServeMessage{Type: TypeBudget, Budget: &BudgetSpent{}}, ""},
		"its last word":        {ServeMessage{Type: TypeFatal, Fatal: &Fatal{}}, ""},
		"no type":              {ServeMessage{}, "not a message"},
		"a type of PID 1":      {ServeMessage{Type: TypeSummary}, "not a message"},
		"an event without one": {ServeMessage{Type: TypeEvent}, "not a message"},
		"two at once":          {ServeMessage{Type: TypeBudget, Budget: &BudgetSpent{}, Lost: &ServeLost{}}, "not a message"},
		"ready with something": {ServeMessage{Type: TypeReady, Lost: &ServeLost{}}, "not a message"},
		"a refused packet":     {event(func(e *reports.Event) { e.Layer = reports.LayerUDP }), "layer"},
		"an unknown layer":     {event(func(e *reports.Event) { e.Layer = "x" }), "layer"},
		"an unknown verdict":   {event(func(e *reports.Event) { e.Verdict = "" }), "verdict"},
		"another protocol":     {event(func(e *reports.Event) { e.Proto = "icmp" }), "protocol"},
		"another time":         {event(func(e *reports.Event) { e.Time = time.Unix(1, 0) }), "a time"},
		"a negative count":     {event(func(e *reports.Event) { e.Count = -1 }), "count -1"},
		"a count that wraps":   {event(func(e *reports.Event) { e.Count = math.MaxInt64 }), "count 9223372036854775807"},
		"negative octets":      {event(func(e *reports.Event) { e.BytesOut = -1 }), "bytes -1"},
		"port 65536":           {event(func(e *reports.Event) { e.Port = 65536 }), "port"},
		"a negative process":   {event(func(e *reports.Event) { e.Process = &reports.Process{PID: -1} }), "process"},
		"another network":      {ServeMessage{Type: TypeOwner, Owner: &ServeOwner{Network: "../tcp"}}, "network"},
		"fewer than none lost": {ServeMessage{Type: TypeLost, Lost: &ServeLost{Denied: -1}}, "count -1"},
		"negative tokens":      {usage(reports.Usage{InputTokens: -1}), "tokens -1"},
		"of a model":           {usage(reports.Usage{Models: []reports.ModelUsage{{OutputTokens: -1}}}), "tokens -1"},
		"no number":            {usage(reports.Usage{CostUSD: math.NaN()}), "cost NaN"},
		"a gift":               {usage(reports.Usage{CostUSD: -1}), "cost -1"},
		"too many models":      {usage(reports.Usage{Models: make([]reports.ModelUsage, maxServeModels+1)}), "models"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			err := test.message.Check()
			if test.fault == "" && err != nil || test.fault != "" && (err == nil || !strings.Contains(err.Error(), test.fault)) {
				t.Errorf("got %v, want %q", err, test.fault)
			}
		})
	}
}

func TestAServeConfigSurvivesTheLine(t *testing.T) {
	want := ServeConfig{
		GatewayConfig: GatewayConfig{Wire: Version, RunID: "r", CAPEM: "pem"},
		Resolvers:     []netip.AddrPort{netip.MustParseAddrPort("198.51.100.1:53")}, Own: []netip.Addr{netip.MustParseAddr("198.51.100.2")},
	}
	var b strings.Builder
	if err := NewWriter(&b).Send(ServeRequest{Type: TypeConfig, Config: &want}); err != nil {
		t.Fatal(err)
	}
	var got ServeRequest
	if err := NewReader(strings.NewReader(b.String()), MaxServeConfigLine).Next(&got); err != nil {
		t.Fatal(err)
	}
	first, _ := json.Marshal(want)
	second, _ := json.Marshal(got.Config)
	if string(first) != string(second) || got.Config.InternalResolver.IsValid() {
		t.Errorf("sent %s, got %s", first, second)
	}
}

func FuzzServeMessage(f *testing.F) {
	f.Add([]byte(`{"type":"event","event":{"verdict":"deny","layer":"dns","proto":"udp","count":1,"process":{"pid":7,"parents":["a"]}}}` + "\n"))
	f.Add([]byte(`{"type":"owner","owner":{"id":1,"network":"tcp","local":"127.0.0.1:1","remote":"[::1]:2"}}` + "\n"))
	f.Add([]byte(`{"type":"usage","usage":{"requests":1,"costUsd":1e300,"models":[{"model":"m"}]}}` + "\n" + `{"type":"done"}` + "\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		lines := NewReader(strings.NewReader(string(data)), MaxMessageLine)
		for {
			var m ServeMessage
			if err := lines.Next(&m); err != nil {
				if errors.Is(err, io.EOF) && len(data) > 0 && data[len(data)-1] != '\n' && !errors.Is(err, io.ErrUnexpectedEOF) {
					t.Errorf("a line without its end was taken for the end: %v", err)
				}
				return
			}
			if m.Check() != nil {
				continue
			}
			if e := m.Event; e != nil && (e.Count < 0 || e.BytesIn < 0 || e.BytesOut < 0 || !e.Time.IsZero() || e.Layer == reports.LayerUDP) {
				t.Errorf("passed: %+v", e)
			}
			if u := m.Usage; u != nil && !(u.CostUSD >= 0 && u.Requests >= 0) {
				t.Errorf("passed: %+v", u)
			}
		}
	})
}
