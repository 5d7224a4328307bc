// Package ci speaks to the CI system that a run is a step of: today GitHub Actions, by workflow commands and command files.
//
// GitHub's runner obeys what it reads in a step's output, whoever wrote it. Invariant: nothing of the agent's or the network's choosing
// can become a command, an output, a mask or a variable: reports pass the escapes of package render, values travel between random
// delimiters, and the agent's own text stands between stop-commands with a random token.
//
// Format: https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands
package ci

import (
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/sethvargo/go-githubactions"

	"github.com/yolo-run/yolo-run/reports/render"
)

// GitHub is the workflow that this process is a step of. A nil *GitHub is a run outside of GitHub Actions: every method of it does nothing.
// The methods write whole lines and may not be called while a writer of [GitHub.Quiet] on the same stream is open: the runner would not
// obey them.
type GitHub struct {
	action *githubactions.Action
	out    *stickyWriter
	getenv func(string) string
}

// Detect returns the workflow that the environment tells of, nil when there is none. Commands go to out, which must be the step's standard output.
func Detect(getenv func(string) string, out io.Writer) *GitHub {
	if getenv("GITHUB_ACTIONS") != "true" {
		return nil
	}
	w := &stickyWriter{w: out}
	return &GitHub{
		action: githubactions.New(githubactions.WithWriter(w), githubactions.WithGetenv(getenv)),
		out:    w,
		getenv: getenv,
	}
}

// Quiet returns a writer that passes text of the agent on to w, one of the step's streams, and keeps the runner from obeying it. The log shows
// the text as one part that can be folded, under a title of ours. Closing it ends the line that the text left open and lets the runner obey
// again; it does not close w.
func (g *GitHub) Quiet(w io.Writer, title string) (io.WriteCloser, error) {
	if g == nil {
		return nopCloser{w}, nil
	}
	q := &quietWriter{w: w, token: rand.Text(), last: '\n'}
	if _, err := fmt.Fprintf(w, "::group::%s\n::stop-commands::%s\n", render.Log(title), q.token); err != nil {
		return nil, fmt.Errorf("stop-commands: %w", err)
	}
	return q, nil
}

// quietWriter remembers whether it is at the start of a line, where alone the closing token is a command.
type quietWriter struct {
	w     io.Writer
	token string
	last  byte
}

func (q *quietWriter) Write(b []byte) (int, error) {
	n, err := q.w.Write(b)
	if n > 0 {
		q.last = b[n-1]
	}
	return n, err
}

func (q *quietWriter) Close() error {
	end := "::" + q.token + "::\n::endgroup::\n"
	if q.last != '\n' {
		end = "\n" + end
	}
	if _, err := io.WriteString(q.w, end); err != nil {
		return fmt.Errorf("stop-commands: %w", err)
	}
	return nil
}

type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }

// stickyWriter keeps the first error for [GitHub.flush]: the library panics when a write fails, and a closed pipe is no reason to die.
type stickyWriter struct {
	w   io.Writer
	err error
}

func (s *stickyWriter) Write(b []byte) (int, error) {
	if s.err == nil {
		_, s.err = s.w.Write(b)
	}
	return len(b), nil
}

// flush returns the error of the commands since the last flush.
func (g *GitHub) flush() error {
	err := g.out.err
	g.out.err = nil
	if err != nil {
		return fmt.Errorf("workflow command: %w", err)
	}
	return nil
}

// appendTo adds text to one of the runner's command files, in one write.
func (g *GitHub) appendTo(variable, text string) error {
	f, err := g.open(variable)
	if err != nil {
		return err
	}
	_, err = io.WriteString(f, text)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("%s: %w", variable, err)
	}
	return nil
}

func (g *GitHub) open(variable string) (*os.File, error) {
	path := g.getenv(variable)
	if strings.TrimSpace(path) == "" {
		return nil, fmt.Errorf("%s is not set", variable)
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", variable, err)
	}
	return f, nil
}
