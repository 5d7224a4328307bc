package runner

import (
	"bytes"
	"log/slog"
)

// maxLogLine bounds a line of untrusted output, in bytes; a longer one is cut there.
const maxLogLine = 8 << 10

// logWriter logs what is written to it, a record a line, at debug.
type logWriter struct {
	log  *slog.Logger
	from string
	rest []byte
}

func (w *logWriter) Write(p []byte) (int, error) {
	w.rest = append(w.rest, p...)
	for {
		end := bytes.IndexByte(w.rest, '\n')
		if end < 0 && len(w.rest) < maxLogLine {
			return len(p), nil
		}
		line := w.rest
		if end >= 0 {
			line = w.rest[:end]
			w.rest = w.rest[end+1:]
		} else {
			w.rest = nil
		}
		w.log.Debug("container", "from", w.from, "line", string(line))
	}
}
