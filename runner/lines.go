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

// records hands on what is written to it line by line, each whole: a line of JSON that was cut says nothing. One over its bound, in bytes, is
// left out and counted.
type records struct {
	most    int
	each    func(line []byte) // must not keep the line
	rest    []byte
	tooLong bool // what rest was the beginning of is passed over up to its end
	skipped int64
	// skippedBytes are those of the lines that were skipped.
	skippedBytes int64
}

var _ io.Writer = (*records)(nil)

func (r *records) Write(p []byte) (int, error) {
	n := len(p)
	for {
		part, after, found := bytes.Cut(p, []byte("\n"))
		r.add(part)
		if !found {
			return n, nil
		}
		r.flush()
		p = after
	}
}

func (r *records) add(part []byte) {
	if r.tooLong || len(r.rest)+len(part) > r.most {
		r.skippedBytes += int64(len(r.rest) + len(part))
		r.tooLong, r.rest = true, nil
		return
	}
	r.rest = append(r.rest, part...)
}

// flush hands on the line that was read so far.
func (r *records) flush() {
	if r.tooLong {
		r.skipped++
	} else if len(r.rest) > 0 {
		r.each(r.rest)
	}
	r.tooLong, r.rest = false, r.rest[:0]
	if cap(r.rest) > keptRecord {
		r.rest = nil
	}
}

// keptRecord is how much memory is kept for the next line, in bytes.
const keptRecord = 1 << 20
