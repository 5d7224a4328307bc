package reports

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// Bounds of what the readers take, in bytes. A report folds what would make it longer; an event's strings are bounded by the gateway.
const (
	MaxReport    = 64 << 20
	MaxEventLine = 256 << 10
)

// ErrTooLong is returned for a report over [MaxReport] or a line over [MaxEventLine].
var ErrTooLong = errors.New("too long")

// ReadReport reads one report.json. It is strict: another schema, a field that it does not know, a second value and a report over
// [MaxReport] are errors, because what is not understood must not be shown as if it were.
func ReadReport(r io.Reader) (*Report, error) {
	b, err := io.ReadAll(io.LimitReader(r, MaxReport+1))
	if err != nil {
		return nil, fmt.Errorf("report: %w", err)
	}
	if len(b) > MaxReport {
		return nil, fmt.Errorf("report: %w (limit %d bytes)", ErrTooLong, MaxReport)
	}
	// The schema first and by itself: "unknown field" would be a poor way to say that the file is of another version.
	var head struct {
		Schema string `json:"schema"`
	}
	if err := json.Unmarshal(b, &head); err != nil {
		return nil, fmt.Errorf("report: %w", err)
	}
	if head.Schema != Schema {
		return nil, fmt.Errorf("report: schema is %q, not %q", clip(head.Schema, 64), Schema)
	}
	rep := new(Report)
	if err := decode(b, rep); err != nil {
		return nil, fmt.Errorf("report: %w", err)
	}
	return rep, nil
}

// ReadEvents reads a network.jsonl and calls fn for every event, in order, until fn returns an error, which is returned as it is.
// Faults name the line. A last line without its newline was cut by a crash and is an error that wraps [io.ErrUnexpectedEOF], after
// every whole line before it was handed over.
func ReadEvents(r io.Reader, fn func(Event) error) error {
	br := bufio.NewReaderSize(r, MaxEventLine+1)
	for n := 1; ; n++ {
		line, err := br.ReadSlice('\n')
		switch {
		case errors.Is(err, io.EOF) && len(line) == 0:
			return nil
		case errors.Is(err, io.EOF):
			return fmt.Errorf("event log, line %d: %w", n, io.ErrUnexpectedEOF)
		case errors.Is(err, bufio.ErrBufferFull):
			return fmt.Errorf("event log, line %d: %w (limit %d bytes)", n, ErrTooLong, MaxEventLine)
		case err != nil:
			return fmt.Errorf("event log, line %d: %w", n, err)
		}
		e, err := parseEvent(line)
		if err != nil {
			return fmt.Errorf("event log, line %d: %w", n, err)
		}
		if err := fn(e); err != nil {
			return err
		}
	}
}

func parseEvent(line []byte) (Event, error) {
	var e Event
	if err := decode(line, &e); err != nil {
		return Event{}, err
	}
	switch e.Verdict {
	case Allow, Deny, WouldDeny:
	default:
		return Event{}, fmt.Errorf("verdict %q is unknown", clip(string(e.Verdict), 64))
	}
	if e.Count < 1 {
		return Event{}, fmt.Errorf("count is %d", e.Count)
	}
	return e, nil
}

// decode reads exactly one JSON value into v and knows every field of it.
func decode(b []byte, v any) error {
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the value")
	}
	return nil
}
