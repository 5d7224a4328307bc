package runner

import (
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/lmittmann/tint"
)

// LogOptions say how [NewLogger] writes.
type LogOptions struct {
	Level  slog.Level
	JSON   bool // one object a line, for machines
	Colour bool // ANSI colours, where the reader shows them
}

// NewLogger returns the logger of a run. Messages are constants; whatever came from the agent, the network or a file name is an attribute, and
// no attribute can act on the terminal, forge a line or give a command to a CI runner.
func NewLogger(w io.Writer, opts LogOptions) *slog.Logger {
	if opts.JSON {
		return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: opts.Level, ReplaceAttr: escapeAttr}))
	}
	return slog.New(tint.NewTextHandler(w, &tint.Options{
		Level: opts.Level, ReplaceAttr: escapeAttr, TimeFormat: time.TimeOnly, NoColor: !opts.Colour,
	}))
}

// ParseLogLevel reads debug, info, warn or error; everything else is info.
func ParseLogLevel(s string) slog.Level {
	switch s {
	case "debug":
		return slog.LevelDebug
	case "warn":
		return slog.LevelWarn
	case "error":
		return slog.LevelError
	}
	return slog.LevelInfo
}

// escapeAttr passes every text of a record through [EscapeText]. Values that are not plain become text first, because handlers would
// otherwise print what their fields hold.
func escapeAttr(groups []string, a slog.Attr) slog.Attr {
	builtIn := len(groups) == 0 && (a.Key == slog.TimeKey || a.Key == slog.LevelKey)
	if builtIn {
		if _, isText := a.Value.Any().(string); !isText {
			return a
		}
	}
	switch a.Value.Kind() {
	case slog.KindString:
		a.Value = slog.StringValue(EscapeText(a.Value.String()))
	case slog.KindAny:
		a.Value = escapeAny(a.Value.Any())
	}
	return a
}

func escapeAny(v any) slog.Value {
	switch v := v.(type) {
	case nil:
		return slog.AnyValue(nil)
	case error:
		return slog.StringValue(EscapeText(v.Error()))
	case fmt.Stringer:
		return slog.StringValue(EscapeText(v.String()))
	case []string:
		escaped := make([]string, len(v))
		for i, s := range v {
			escaped[i] = EscapeText(s)
		}
		return slog.AnyValue(escaped)
	case []byte:
		return slog.StringValue(EscapeText(string(v)))
	}
	return slog.StringValue(EscapeText(fmt.Sprintf("%+v", v)))
}

// EscapeText makes untrusted text safe for a log line: control characters, bidirectional and invisible format characters and broken UTF-8
// become visible as <U+202E>, and "##[", which a GitHub runner obeys anywhere in a line, is taken apart. Newlines and tabs stay: the
// handlers quote them.
func EscapeText(s string) string {
	if !strings.ContainsFunc(s, mustEscape) && utf8.ValidString(s) && !strings.Contains(s, "##[") {
		return s
	}
	var b strings.Builder
	for i, r := range s {
		switch {
		case r == utf8.RuneError && s[i] != "\uFFFD"[0]:
			fmt.Fprintf(&b, "<%02X>", s[i])
		case mustEscape(r):
			fmt.Fprintf(&b, "<U+%04X>", r)
		default:
			b.WriteRune(r)
		}
	}
	return strings.ReplaceAll(b.String(), "##[", "##<U+005B>")
}

func mustEscape(r rune) bool {
	if r == '\n' || r == '\t' {
		return false
	}
	// Cf holds the bidirectional controls, zero-width characters and tags; Zl and Zp are line breaks to some readers.
	return unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Co)
}
