package model

import (
	"bytes"
	"encoding/json"
	"mime"
	"net/http"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/yolo-run/yolo-run/entrypoint/wire"
)

const (
	// maxMetered bounds what is kept of one response: an event of a stream, or a response that is none.
	maxMetered = 16 << 20
	// maxAllMetered bounds what is kept of all of them at once. What does not fit is charged by estimate.
	maxAllMetered = 48 << 20
	// maxCount bounds a number that an upstream says.
	maxCount = 1 << 40
	// fastest is how many tokens a second a model is taken to make. A client that leaves before the usage was said may have had more made for it
	// than it was shown.
	fastest = 100
)

// counts are the tokens of one request.
type counts struct {
	input   int64 // all of the prompt
	cached  int64 // of input: read from a cache
	write   int64 // of input: written to a cache, for five minutes
	write1h int64 // of input: for an hour
	output  int64
}

// bounded makes sense of what an upstream said: nothing is negative, no part is more than the whole.
func (c counts) bounded() counts {
	within := func(n, most int64) int64 { return min(max(n, 0), most) }
	c.input, c.output = within(c.input, maxCount), within(c.output, maxCount)
	c.cached = within(c.cached, c.input)
	c.write1h = within(c.write1h, c.input-c.cached)
	c.write = within(c.write, c.input-c.cached-c.write1h)
	return c
}

// meter reads a response as it passes and finds out what it cost. It changes nothing and holds nothing back.
type meter struct {
	tally  tally
	stream bool
	room   *semaphore.Weighted
	held   int64
	start  time.Time

	line, event bytes.Buffer // of a stream; line is all of what is none
	passed      int64
	lost        bool // something was too large to be read
}

// newMeter begins to count with the request; open tells what its response looks like.
func newMeter(d wire.Dialect, k kind, room *semaphore.Weighted) *meter {
	return &meter{tally: newTally(d, k), room: room, start: time.Now()}
}

func (m *meter) open(h http.Header) {
	kind, _, _ := mime.ParseMediaType(h.Get("Content-Type"))
	m.stream = kind == "text/event-stream"
}

// newTally reads what this dialect says about usage.
func newTally(d wire.Dialect, k kind) tally {
	switch {
	case d == wire.Anthropic:
		return new(anthropicTally)
	case d == wire.Gemini:
		return new(geminiTally)
	case k == kindChat:
		return new(chatTally)
	default:
		return new(responsesTally)
	}
}

// tally is what a dialect's messages said so far.
type tally interface {
	// take reads one event of a stream, or a whole response.
	take(message []byte)
	// sum is what was said, and whether it is the last word.
	sum() (counts, bool)
	// shown is how many bytes of an answer came.
	shown() int64
}

// add takes the next piece of a response.
func (m *meter) add(p []byte) {
	m.passed += int64(len(p))
	if !m.stream {
		m.keep(&m.line, p)
		return
	}
	for len(p) > 0 {
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			m.keep(&m.line, p)
			return
		}
		m.keep(&m.line, p[:i])
		p = p[i+1:]
		m.endLine()
	}
}

// endLine reads one line of a stream of events (WHATWG HTML, 9.2): data lines are joined until an empty one.
func (m *meter) endLine() {
	line := bytes.TrimSuffix(m.line.Bytes(), []byte("\r"))
	if len(line) == 0 {
		m.endEvent()
	} else if data, ok := bytes.CutPrefix(line, []byte("data:")); ok {
		m.keep(&m.event, bytes.TrimPrefix(data, []byte(" ")))
		m.keep(&m.event, []byte("\n"))
	}
	m.line.Reset()
}

func (m *meter) endEvent() {
	if m.event.Len() > 0 {
		m.tally.take(m.event.Bytes())
	}
	m.event.Reset()
}

// keep holds on to bytes while there is room for them.
func (m *meter) keep(to *bytes.Buffer, p []byte) {
	need := int64(m.line.Len() + m.event.Len() + len(p))
	if m.lost || need > maxMetered || need > m.held && !m.grow(need) {
		m.lost = true
		return
	}
	to.Write(p)
}

// meterStep is how much room is asked for at once.
const meterStep = 64 << 10

func (m *meter) grow(need int64) bool {
	more := max(need-m.held, meterStep, m.held) // twice as much, as buffers grow
	if !m.room.TryAcquire(more) {
		return false
	}
	m.held += more
	return true
}

// close reads what is left and returns what the response cost. whole says that it came to its end; tokens and output are the estimate of the prompt
// and the most that the answer could be. estimated says that the upstream did not say all.
func (m *meter) close(whole bool, tokens, output int64) (c counts, estimated bool) {
	if m.stream {
		if m.line.Len() > 0 {
			m.endLine()
		}
		m.endEvent()
	} else if m.line.Len() > 0 && !m.lost {
		m.tally.take(m.line.Bytes())
	}
	m.room.Release(m.held)
	m.held = 0
	c, final := m.tally.sum()
	if final {
		return c.bounded(), false
	}
	if c.input == 0 {
		c.input = tokens
	}
	shown := m.tally.shown()
	if m.lost || shown == 0 { // nothing was understood: an answer of another kind than its header says, or than the vendor sends
		shown = m.passed
	}
	guess := estimateText(shown)
	if !whole {
		guess = max(guess, int64(time.Since(m.start).Seconds()*fastest))
	}
	c.output = max(c.output, min(guess, output))
	return c.bounded(), true
}

// maxElements bounds the elements of a message: each becomes a hundred bytes where lists are read, and 16 MB have room for millions.
const maxElements = 1 << 18

// decode reads a message as far as it is what is looked for; another one, or a broken one, says nothing.
func decode(message []byte, v any) bool {
	return bytes.Count(message, []byte(",")) < maxElements && json.Unmarshal(message, v) == nil
}
