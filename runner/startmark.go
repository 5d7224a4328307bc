package runner

import (
	"bytes"

	"github.com/yolo-run/yolo-run/entrypoint/wire"
)

// startMark takes the first line off the standard error of the agent's container, which is [wire.StartMark] if an agent was started: it was written before
// there was anybody who could forge it, or write before it.
type startMark struct {
	seen bool
	done bool
	held []byte // what may be the beginning of the mark
}

// strip returns what of the next bytes is not the mark.
func (m *startMark) strip(p []byte) []byte {
	if m.done {
		return p
	}
	m.held = append(m.held, p...)
	if len(m.held) < len(wire.StartMark) && bytes.HasPrefix([]byte(wire.StartMark), m.held) {
		return nil
	}
	rest, found := bytes.CutPrefix(m.held, []byte(wire.StartMark))
	m.seen, m.done, m.held = found, true, nil
	return rest
}

// rest returns what strip holds back, once nothing follows.
func (m *startMark) rest() []byte {
	held := m.held
	m.done, m.held = true, nil
	return held
}
