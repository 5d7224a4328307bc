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

// eachLine calls fn for every line, without its newline. Lines may be of any length.
func eachLine(r io.Reader, fn func(string) error) error {
	in := bufio.NewReader(r)
	for {
		line, err := in.ReadString('\n')
		if line != "" {
			if err := fn(strings.TrimSuffix(line, "\n")); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
