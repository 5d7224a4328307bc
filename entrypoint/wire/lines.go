package wire

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
)

// ErrLineTooLong is a line over a [Reader]'s bound. The rest of the stream cannot be trusted after it.
var ErrLineTooLong = errors.New("line too long")

// Reader reads one JSON object a line from a peer that is not trusted to keep to it.
type Reader struct {
	buf *bufio.Reader
	max int
	err error
}

// NewReader returns a Reader of lines of at most maxLine bytes, the newline not counted.
// It takes memory as lines need it, not maxLine at once.
func NewReader(r io.Reader, maxLine int) *Reader {
	return &Reader{buf: bufio.NewReader(r), max: maxLine}
}

// Next reads one line into v. It returns [io.EOF] at the end of the stream, [io.ErrUnexpectedEOF] when the stream ends inside a line,
// [ErrLineTooLong] when the bound is broken, and an error for a line that is not exactly one JSON object. Unknown
// fields are ignored. Every error is final: Next returns it again. It is not safe for concurrent use.
func (r *Reader) Next(v any) error {
	if r.err != nil {
		return r.err
	}
	line, err := r.line()
	if err == nil {
		err = decode(line, v)
	}
	r.err = err
	return err
}

// line returns the next line without its newline.
func (r *Reader) line() ([]byte, error) {
	var line []byte
	for {
		chunk, err := r.buf.ReadSlice('\n')
		if n := len(line) + len(chunk); n > r.max+1 || n == r.max+1 && err != nil {
			return nil, fmt.Errorf("%w: over %d bytes", ErrLineTooLong, r.max)
		}
		line = append(line, chunk...)
		switch {
		case err == nil:
			return line[:len(line)-1], nil
		case errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF) && len(line) > 0:
			return nil, io.ErrUnexpectedEOF
		default:
			return nil, err
		}
	}
}

// decode insists on an object: to encoding/json, null is a value that changes nothing, and a peer that says nothing is broken.
func decode(line []byte, v any) error {
	if len(line) == 0 || line[0] != '{' {
		return errors.New("line is not a JSON object")
	}
	if err := json.Unmarshal(line, v); err != nil {
		return fmt.Errorf("decode line: %w", err)
	}
	return nil
}

// Writer writes one JSON object a line. It is safe for concurrent use: lines never mix.
type Writer struct {
	mu sync.Mutex
	w  io.Writer
}

// NewWriter returns a Writer on w.
func NewWriter(w io.Writer) *Writer { return &Writer{w: w} }

// Send writes v as one line, by one call of Write. encoding/json escapes every newline inside.
func (w *Writer) Send(v any) error {
	line, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode line: %w", err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, err := w.w.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("write line: %w", err)
	}
	return nil
}
