package wire

import (
	"errors"
	"fmt"
	"io"
)

// CollectRequests reads what the runner asks the collector for. It is not safe for concurrent use.
type CollectRequests struct{ lines *Reader }

// NewCollectRequests reads from r, ahead of what it returns.
func NewCollectRequests(r io.Reader) *CollectRequests {
	return &CollectRequests{lines: NewReader(r, MaxMessageLine)}
}

// Next returns the next request, which is valid, or [io.EOF] at the end.
func (c *CollectRequests) Next() (CollectRequest, error) {
	var req CollectRequest
	if err := c.lines.Next(&req); errors.Is(err, io.EOF) {
		return CollectRequest{}, io.EOF
	} else if err != nil {
		return CollectRequest{}, fmt.Errorf("collector request: %w", err)
	}
	if err := req.Validate(); err != nil {
		return CollectRequest{}, fmt.Errorf("collector request: %w", err)
	}
	return req, nil
}

// CollectReader reads what the collector says. It is not safe for concurrent use.
type CollectReader struct {
	lines *Reader
	body  io.LimitedReader
}

// NewCollectReader reads from r, ahead of what it returns.
func NewCollectReader(r io.Reader) *CollectReader {
	return &CollectReader{lines: NewReader(r, MaxMessageLine)}
}

// Next returns the next message, which is valid. Bytes of the content before it that were not read are skipped.
// A "fatal" message is returned as an error.
func (c *CollectReader) Next() (CollectMessage, error) {
	if _, err := io.Copy(io.Discard, c.Body()); err != nil {
		return CollectMessage{}, fmt.Errorf("collector message: %w", err)
	}
	var m CollectMessage
	if err := c.lines.Next(&m); err != nil {
		return CollectMessage{}, fmt.Errorf("collector message: %w", err)
	}
	if err := m.Validate(); err != nil {
		return CollectMessage{}, fmt.Errorf("collector message: %w", err)
	}
	switch {
	case m.Fatal != nil:
		return CollectMessage{}, fmt.Errorf("collector gave up: %q: %q", m.Fatal.Stage, m.Fatal.Reason)
	case m.Content != nil:
		c.body = io.LimitedReader{R: c.lines.buf, N: m.Content.Size}
	}
	return m, nil
}

// Body reads the bytes of the "content" that Next returned last. An end before its size is [io.ErrUnexpectedEOF].
func (c *CollectReader) Body() io.Reader { return (*contentBody)(c) }

type contentBody CollectReader

func (b *contentBody) Read(p []byte) (int, error) {
	if b.body.N <= 0 {
		return 0, io.EOF
	}
	n, err := b.body.Read(p)
	if errors.Is(err, io.EOF) && b.body.N > 0 {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}
