package gateway

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/yolo-run/yolo-run/entrypoint/wire"
)

func TestWatchdog(t *testing.T) {
	const beat = `{"type":"heartbeat"}` + "\n"
	type line struct {
		after time.Duration
		text  string // empty closes the stream
	}
	tests := map[string]struct {
		deadline time.Duration
		lines    []line
		stage    string // empty: finish
		after    time.Duration
	}{
		"finish":                     {0, []line{{time.Second, `{"type":"finish"}` + "\n"}}, "", time.Second},
		"heartbeats keep it going":   {0, []line{{10 * time.Second, beat}, {20 * time.Second, beat}, {30 * time.Second, `{"type":"finish"}` + "\n"}}, "", 30 * time.Second},
		"silence":                    {0, nil, "heartbeat", 15 * time.Second},
		"silence after a heartbeat":  {0, []line{{10 * time.Second, beat}}, "heartbeat", 25 * time.Second},
		"end of file":                {0, []line{{time.Second, ""}}, "heartbeat", time.Second},
		"half a line":                {0, []line{{time.Second, `{"type":`}, {2 * time.Second, ""}}, "heartbeat", 2 * time.Second},
		"not a request":              {0, []line{{time.Second, "[]\n"}}, "heartbeat", time.Second},
		"a second configuration":     {0, []line{{time.Second, `{"type":"config"}` + "\n"}}, "heartbeat", time.Second},
		"deadline despite heartbeat": {12 * time.Second, []line{{10 * time.Second, beat}}, "deadline", 12 * time.Second},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, w := io.Pipe()
				start := time.Now()
				go func() {
					for _, l := range test.lines {
						time.Sleep(l.after - time.Since(start)) // synctest's clock
						if l.text == "" {
							_ = w.Close()
							return
						}
						if _, err := io.WriteString(w, l.text); err != nil {
							return
						}
					}
				}()
				err := watchdog{timeout: 15 * time.Second, deadline: test.deadline}.watch(wire.NewReader(r, wire.MaxConfigLine))
				_ = r.Close()
				if took := time.Since(start); took != test.after {
					t.Errorf("ended after %v, want %v", took, test.after)
				}
				staged := (*stageError)(nil)
				switch {
				case test.stage == "" && err != nil:
					t.Errorf("got %v, want finish", err)
				case test.stage != "" && (!errors.As(err, &staged) || staged.stage != test.stage):
					t.Errorf("got %v, want stage %s", err, test.stage)
				}
			})
		})
	}
}

func TestConfigurationIsRefused(t *testing.T) {
	const good = `{"type":"config","config":{"wire":1,"agentUid":1,"agentGid":1,"heartbeatTimeoutMs":15000}}`
	tests := map[string]struct {
		line string
		ok   bool
	}{
		"good":                {good, true},
		"nothing":             {"", false},
		"a heartbeat first":   {`{"type":"heartbeat"}`, false},
		"no configuration":    {`{"type":"config"}`, false},
		"another version":     {strings.Replace(good, `"wire":1`, `"wire":2`, 1), false},
		"agent is root":       {strings.Replace(good, `"agentUid":1`, `"agentUid":0`, 1), false},
		"agent's group is 0":  {strings.Replace(good, `"agentGid":1`, `"agentGid":0`, 1), false},
		"no heartbeat at all": {strings.Replace(good, `15000`, `0`, 1), false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := readConfig(wire.NewReader(strings.NewReader(test.line+"\n"), wire.MaxConfigLine))
			if (err == nil) != test.ok {
				t.Errorf("got %v", err)
			}
		})
	}
}
