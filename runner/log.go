package runner

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/lmittmann/tint"
	"golang.org/x/term"

	"github.com/yolo-run/yolo-run/reports"
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

// Logger returns the logger that the configuration asks for, writing to w.
func (c Config) Logger(w io.Writer) *slog.Logger { return NewLogger(w, c.logOptions(w)) }

func (c Config) logOptions(w io.Writer) LogOptions {
	level := ParseLogLevel(c.LogLevel)
	if c.Quiet {
		level = max(level, slog.LevelWarn)
	}
	return LogOptions{Level: level, JSON: c.LogFormat == "json", Colour: Colour(w, os.Getenv)}
}

// Colour reports whether text written to w may be coloured: on a terminal and in the log of a CI job, which shows colours too, unless
// NO_COLOR (no-color.org) is set. getenv is usually [os.Getenv].
func Colour(w io.Writer, getenv func(string) string) bool {
	if getenv("NO_COLOR") != "" {
		return false
	}
	if getenv("GITHUB_ACTIONS") == "true" || getenv("CI") == "true" {
		return true
	}
	file, ok := w.(*os.File)
	return ok && getenv("TERM") != "dumb" && term.IsTerminal(int(file.Fd()))
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

// escapeAttr passes every text of a record through inert. Values that are not plain become text first, because handlers would
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
		a.Value = slog.StringValue(inert(a.Value.String()))
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
		// The parts of a joined error are apart by newlines, which would be shown as \n.
		return slog.StringValue(inert(strings.ReplaceAll(v.Error(), "\n", "; ")))
	case fmt.Stringer:
		return slog.StringValue(inert(v.String()))
	case []string:
		escaped := make([]string, len(v))
		for i, s := range v {
			escaped[i] = inert(s)
		}
		return slog.AnyValue(escaped)
	case []byte:
		return slog.StringValue(inert(string(v)))
	}
	return slog.StringValue(inert(fmt.Sprintf("%+v", v)))
}

// inert makes untrusted text safe for an attribute of a log line. What is not [reports.Printable] becomes <U+202E>, a byte that is not UTF-8
// becomes <FF>. Newlines and tabs stay: the handlers quote them. The form with a backslash would not do: tint, when it colours, turns
// the four characters \x1b of a quoted value back into an escape character, so that these are taken apart as well. So is "##[", which a
// GitHub runner obeys anywhere in a line.
func inert(s string) string {
	var b strings.Builder
	for i, r := range s {
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(s[i:], string(utf8.RuneError)):
			fmt.Fprintf(&b, "<%02X>", s[i])
		case r == '\n', r == '\t', reports.Printable(r), r == utf8.RuneError:
			b.WriteRune(r)
		default:
			fmt.Fprintf(&b, "<U+%04X>", r)
		}
	}
	return strings.NewReplacer(`\x1b`, `<U+005C>x1b`, "##[", "##<U+005B>").Replace(b.String())
}
