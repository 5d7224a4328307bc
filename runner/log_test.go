package runner_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"unicode"

	"github.com/yolo-run/yolo-run/runner"
)

func TestUntrustedTextIsShown(t *testing.T) {
	for _, tc := range []struct{ name, in, want string }{
		{"plain text stays", "example.com:443/größe日本", "example.com:443/größe日本"},
		{"escape sequence", "\x1b[31mred", "<U+001B>[31mred"},
		{"what tint takes for one", `a\x1b[31m`, `a<U+005C>x1b[31m`},
		{"8-bit CSI", "\u009b31m", "<U+009B>31m"},
		{"delete and backspace", "a\x7f\b", "a<U+007F><U+0008>"},
		{"carriage return hides a line", "denied\rallowed", "denied<U+000D>allowed"},
		{"newline is quoted", "a\nb", `"a\nb"`},
		{"right-to-left override", "a\u202egpj.exe", "a<U+202E>gpj.exe"},
		{"isolates", "\u2066x\u2069", "<U+2066>x<U+2069>"},
		{"zero width", "exam\u200bple", "exam<U+200B>ple"},
		{"line separator", "a\u2028b", "a<U+2028>b"},
		{"broken UTF-8", "a\xff\xc3", "a<FF><C3>"},
		{"command of the GitHub runner", "##[add-mask]b", "##<U+005B>add-mask]b"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var out bytes.Buffer
			runner.NewLogger(&out, runner.LogOptions{}).Info("m", "v", tc.in)
			_, got, _ := strings.Cut(strings.TrimSuffix(out.String(), "\n"), " v=")
			if got != tc.want {
				t.Errorf("%q is shown as %q, want %q", tc.in, got, tc.want)
			}
		})
	}
}

// hostile is what an agent could name a process or a host.
const hostile = "a \\x1b[31m \x1b]0;owned\x07\u202eb\n::set-output name=x::y ##[add-mask]z"

type hostileText struct{}

func (hostileText) String() string { return hostile }

func TestNoAttributeActsOnATerminal(t *testing.T) {
	values := map[string]any{
		"string":   hostile,
		"error":    errors.New(hostile),
		"stringer": hostileText{},
		"strings":  []string{"fine", hostile},
		"bytes":    []byte(hostile),
		"struct":   struct{ Name string }{hostile},
		"group":    slog.GroupValue(slog.String("inner", hostile)),
		"valuer":   slog.AnyValue(slog.StringValue(hostile)),
	}
	formats := map[string]runner.LogOptions{"text": {}, "colour": {Colour: true}, "json": {JSON: true}}
	for format, opts := range formats {
		for kind, value := range values {
			t.Run(format+" "+kind, func(t *testing.T) {
				var out bytes.Buffer
				runner.NewLogger(&out, opts).With("bound", value).Info("constant", "value", value)
				requireInert(t, out.String(), opts.Colour)
			})
		}
	}
}

// requireInert checks one line: no control character but the handler's own colours, no bidi, no second line, no command.
func requireInert(t *testing.T, line string, colour bool) {
	t.Helper()
	body, ok := strings.CutSuffix(line, "\n")
	if !ok || !strings.Contains(body, "owned") {
		t.Fatalf("not a whole line with the value: %q", line)
	}
	if colour {
		for _, own := range []string{"\x1b[2m", "\x1b[0m", "\x1b[92m", "\x1b[2;92m"} {
			body = strings.ReplaceAll(body, own, "")
		}
	}
	for _, r := range body {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) {
			t.Fatalf("%U survives in %q", r, line)
		}
	}
	if strings.Contains(body, "##[") {
		t.Fatalf("a runner command survives in %q", line)
	}
}

func TestLoggerFormats(t *testing.T) {
	var text, coloured, machine bytes.Buffer
	runner.NewLogger(&text, runner.LogOptions{}).Info("gateway ready", "rules", 30)
	runner.NewLogger(&coloured, runner.LogOptions{Colour: true}).Info("gateway ready", "rules", 30)
	runner.NewLogger(&machine, runner.LogOptions{JSON: true}).
		Info("gateway ready", "rules", 30, "addr", netip.MustParseAddr("192.0.2.1"))

	if got := text.String(); !strings.HasSuffix(got, " INF gateway ready rules=30\n") {
		t.Errorf("text: %q", got)
	}
	if !strings.Contains(coloured.String(), "\x1b[") || strings.Contains(text.String(), "\x1b") {
		t.Errorf("colours: %q, %q", coloured.String(), text.String())
	}
	var record map[string]any
	if err := json.Unmarshal(machine.Bytes(), &record); err != nil {
		t.Fatal(err)
	}
	if record["level"] != "INFO" || record["rules"] != 30.0 || record["addr"] != "192.0.2.1" || record["time"] == nil {
		t.Errorf("json: %v", record)
	}
}

func TestColour(t *testing.T) {
	for _, tc := range []struct {
		name string
		env  map[string]string
		want bool
	}{
		{"a pipe", nil, false},
		{"GitHub's log shows colours", map[string]string{"GITHUB_ACTIONS": "true"}, true},
		{"so do others", map[string]string{"CI": "true"}, true},
		{"the reader does not want any", map[string]string{"CI": "true", "NO_COLOR": "1"}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := runner.Colour(&bytes.Buffer{}, func(name string) string { return tc.env[name] }); got != tc.want {
				t.Errorf("got %v", got)
			}
		})
	}
}

func TestQuietLeavesWarnings(t *testing.T) {
	var out bytes.Buffer
	logger := runner.Config{Quiet: true, LogLevel: "info"}.Logger(&out)
	logger.Info("progress")
	logger.Warn("trouble")
	if got := out.String(); strings.Contains(got, "progress") || !strings.Contains(got, "trouble") {
		t.Errorf("got %q", got)
	}
}

func TestLogLevelFilters(t *testing.T) {
	var out bytes.Buffer
	logger := runner.NewLogger(&out, runner.LogOptions{Level: runner.ParseLogLevel("warn")})
	logger.Info("not shown")
	logger.Warn("shown")
	if got := out.String(); strings.Contains(got, "not shown") || !strings.Contains(got, "WRN shown") {
		t.Errorf("got %q", got)
	}
}
