package runner

import (
	"bytes"
	"io"
	"log/slog"
)

// maxLogLine bounds a line of untrusted output, in bytes; a longer one is cut there.
const maxLogLine = 8 << 10

// lines hands on what is written to it line by line, without their ends.
type lines struct {
	each func(line []byte) // must not keep the line
	rest []byte
}

var _ io.Writer = (*lines)(nil)

func (l *lines) Write(p []byte) (int, error) {
	l.rest = append(l.rest, p...)
	for {
		line, rest, found := bytes.Cut(l.rest, []byte("\n"))
		if len(line) > maxLogLine {
			line, rest = l.rest[:maxLogLine], l.rest[maxLogLine:]
		} else if !found {
			return len(p), nil
		}
		l.each(line)
		l.rest = rest
	}
}

// flush hands on a last line that has no end.
func (l *lines) flush() {
	if len(l.rest) > 0 {
		l.each(l.rest)
		l.rest = nil
	}
}

// logLines logs what a container says beside its messages, a record a line.
func logLines(log *slog.Logger, from string) *lines {
	return &lines{each: func(line []byte) { log.Debug("container", "from", from, "line", string(line)) }}
}
