package workspace

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// writePatch writes the difference of the two trees to a file.
func writePatch(ctx context.Context, gitDir, name string) error {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("write patch: %w", err)
	}
	defer f.Close()
	args := diffArgs("-p", "--binary", "--full-index", "--src-prefix=a/", "--dst-prefix=b/")
	err = streamGit(ctx, gitDir, nil, args, func(out io.Reader) error { return quoteHeaders(f, out) })
	if err != nil {
		return fmt.Errorf("write patch: %w", err)
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("write patch: %w", err)
	}
	return nil
}

const patchHeader = "diff --git "

// quoteHeaders copies a patch and quotes names in its headers that git writes plainly and cannot read again: of a file without lines (binary, empty, mode
// only) in a folder whose name ends in a space, where apply takes that space for the one between the names (git's apply.c, git_header_name). A line that
// begins like a header is one: in hunks there is a sign in front, and base85 has no space.
func quoteHeaders(w io.Writer, patch io.Reader) error {
	in, out := bufio.NewReaderSize(patch, 64<<10), bufio.NewWriterSize(w, 64<<10)
	start := true // of a line, which may be longer than the buffer
	for {
		line, err := in.ReadSlice('\n')
		if start && err == nil && strings.HasPrefix(string(line[:min(len(line), len(patchHeader))]), patchHeader) {
			line = []byte(quoteHeader(string(line)))
		}
		if _, err := out.Write(line); err != nil {
			return err
		}
		switch {
		case err == nil:
			start = true
		case errors.Is(err, bufio.ErrBufferFull):
			start = false
		case errors.Is(err, io.EOF):
			return out.Flush()
		default:
			return err
		}
	}
}

// quoteHeader returns the header of a file that keeps its name with both names quoted, if it needs that. Renames have lines of their own for the names.
func quoteHeader(line string) string {
	names := strings.TrimSuffix(strings.TrimPrefix(line, patchHeader), "\n")
	half := len(names) / 2
	if !strings.Contains(names, " /") || len(names)%2 == 0 || names[half] != ' ' {
		return line
	}
	from, to := names[:half], names[half+1:]
	if !strings.HasPrefix(from, "a/") || !strings.HasPrefix(to, "b/") || from[2:] != to[2:] {
		return line
	}
	return patchHeader + cQuote(from) + " " + cQuote(to) + "\n"
}
