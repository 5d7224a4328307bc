package entrypoint

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/yolo-run/yolo-run/entrypoint/internal/tree"
	"github.com/yolo-run/yolo-run/entrypoint/wire"
)

// fetch streams the contents that are wanted, in their order. What cannot be read is told and is no failure.
func (s *collectSession) fetch(ctx context.Context, want []wire.CollectWant) error {
	for _, w := range want {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := s.content(w); err != nil {
			return fmt.Errorf("send contents: %w", err)
		}
	}
	return nil
}

// content sends one file. The error it returns is of the stream; those of the file are sent.
func (s *collectSession) content(want wire.CollectWant) error {
	head := wire.CollectContent{Index: want.Index, Side: want.Side}
	f, size, err := s.open(want)
	if err != nil {
		head.Error = reason(err)
		return s.lines.Send(wire.CollectMessage{Type: wire.TypeContent, Content: &head})
	}
	defer f.Close()
	head.Size = size
	if err := s.lines.Send(wire.CollectMessage{Type: wire.TypeContent, Content: &head}); err != nil {
		return err
	}
	var end wire.CollectContentEnd
	n, err := io.CopyN(s.out, f, size)
	switch {
	case n == size && !atEnd(f):
		end.Error = "grew while it was read"
	case n < size:
		// The size is promised: the rest is filled up, and the end says that none of it counts. When it is the stream that broke, so does this.
		end.Error = "shrank while it was read"
		if err != nil && !errors.Is(err, io.EOF) {
			end.Error = reason(err)
		}
		if _, err := io.CopyN(s.out, zeros{}, size-n); err != nil {
			return err
		}
	}
	return s.lines.Send(wire.CollectMessage{Type: wire.TypeContentEnd, ContentEnd: &end})
}

// open finds the file that a request means. The path comes from the list that was sent, never from the request.
func (s *collectSession) open(want wire.CollectWant) (*os.File, int64, error) {
	if want.Index < 0 || want.Index >= len(s.changes) {
		return nil, 0, errors.New("no such change")
	}
	c := s.changes[want.Index]
	switch {
	case want.Side == wire.SideOld && c.old:
		return tree.OpenFile(s.collector.Lower, c.path)
	case want.Side == wire.SideNew && c.now:
		return tree.OpenFile(s.collector.Merged, c.path)
	}
	return nil, 0, errors.New("no regular file on this side")
}

// reason is an error without the path, which may hold anything.
func reason(err error) string {
	if path, ok := errors.AsType[*os.PathError](err); ok {
		return path.Err.Error()
	}
	return err.Error()
}

func atEnd(f *os.File) bool {
	n, err := f.Read(make([]byte, 1))
	return n == 0 && errors.Is(err, io.EOF)
}

// zeros fills.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
