package agent

import (
	"bytes"
	"encoding/json"
	"errors"
	"time"

	"github.com/yolo-run/yolo-run/reports"
)

// Transcript reads an agent's own stream of JSON, line by line as it comes, into the form that reports have. Every byte of it is the agent's to
// choose: a line that is not understood is passed over, and memory is bounded whatever comes. It is used by one goroutine at a time.
type Transcript struct {
	format  string
	dialect dialect
	story   *story
}

// dialect knows one vendor's stream.
type dialect interface {
	// read tells the story what an object of the stream says; what it does not know is nothing.
	read(line []byte, s *story)
}

// Watcher follows the steps of a [Transcript]. It must not call the transcript.
type Watcher interface {
	// Began is told of a call of a tool when it begins.
	Began(step reports.Step)
	// Ended is told of every step when it is over; what is said is over when it was said.
	Ended(step reports.Step)
}

// NewTranscript returns the reader of a format (claude, codex, gemini), nil for one that it does not know. Times count from start.
func NewTranscript(format string, start time.Time, w Watcher) *Transcript {
	var d dialect
	switch format {
	case "claude":
		d = &claude{}
	case "codex":
		d = &codex{}
	case "gemini":
		d = &gemini{}
	default:
		return nil
	}
	return &Transcript{format: format, dialect: d, story: newStory(start, w)}
}

// Line takes one line, which came now, and reports whether it is an object of JSON. It does not keep the line.
func (t *Transcript) Line(line []byte, now time.Time) bool {
	line = bytes.TrimSpace(line)
	if len(line) == 0 || line[0] != '{' || !json.Valid(line) {
		return false
	}
	t.story.now = now
	if !crowded(line) {
		t.dialect.read(line, t.story)
	}
	return true
}

// maxElements bounds the elements and fields of a line that is read. Each becomes up to 300 bytes, and a line has room for millions.
const maxElements = 1 << 16

// crowded reports whether valid JSON has more of them.
func crowded(line []byte) bool {
	if len(line) < maxElements {
		return false
	}
	n, inString := 0, false
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case c == '"':
			inString = !inString
		case c == '\\': // only in strings
			i++
		case c == ',' && !inString:
			n++
		}
	}
	return n >= maxElements
}

// Close ends the steps that are still open: the agent is gone.
func (t *Transcript) Close(now time.Time) {
	t.story.now = now
	t.story.close()
}

// Report returns what was read so far.
func (t *Transcript) Report() reports.Transcript {
	r := t.story.report()
	r.Format = t.format
	return r
}

// unmarshal fills in what fits: a field of another type than expected is left out, not the whole line.
func unmarshal(data []byte, into any) bool {
	err := json.Unmarshal(data, into)
	return err == nil || errors.As(err, new(*json.UnmarshalTypeError))
}
