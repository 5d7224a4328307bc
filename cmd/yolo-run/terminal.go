package main

import (
	"bufio"
	"errors"
	"io"
	"log/slog"
	"os"
	"strings"

	"golang.org/x/term"

	"github.com/yolo-run/yolo-run/runner"
)

// logger is for the subcommands that have no configuration of their own.
func (a *app) logger() *slog.Logger { return runner.Defaults().Logger(a.streams.Err) }

func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// eachLine calls fn for every line, without its newline; for one of more than maxLine bytes, more than once.
func eachLine(r io.Reader, fn func(string) error) error {
	in := bufio.NewReaderSize(r, maxLine)
	for {
		line, err := in.ReadSlice('\n')
		if len(line) > 0 {
			if err := fn(strings.TrimSuffix(string(line), "\n")); err != nil {
				return err
			}
		}
		switch {
		case err == nil, errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF):
			return nil
		default:
			return err
		}
	}
}

// maxLine is the longest line that is handed over whole, in bytes: who wrote the text may have written no newline at all.
const maxLine = 1 << 20
