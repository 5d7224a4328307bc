package runner

import (
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/term"
)

// screen is the stream that people read. The log, the agent's lines and the summary share it, one Write is one piece; on a terminal a status line
// may stand below them.
type screen struct {
	mu      sync.Mutex
	w       io.Writer
	columns func() int // of the terminal as it is now, 0 where there is none
	status  string
}

var _ io.Writer = (*screen)(nil)

// clearLine moves to the beginning of the terminal's line and empties it (ECMA-48: CR, EL).
const clearLine = "\r\x1b[2K"

func newScreen(w io.Writer) *screen {
	return &screen{w: w, columns: func() int { return Columns(w) }}
}

// Columns is the width of the terminal that w is, 0 where it is none.
func Columns(w io.Writer) int {
	file, ok := w.(*os.File)
	if !ok {
		return 0
	}
	width, _, err := term.GetSize(int(file.Fd()))
	if err != nil {
		return 0
	}
	return width
}

// canRedraw reports whether a line of the screen can be written over: on a terminal, and not in the log of a CI job that has one.
func (s *screen) canRedraw(getenv func(string) string) bool {
	return s.columns() > 0 && getenv("TERM") != "dumb" && getenv("CI") != "true"
}

// Write writes whole lines above the status line, and all of it at once, so that nothing flickers.
func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.status == "" {
		return s.w.Write(p)
	}
	if _, err := io.WriteString(s.w, clearLine+string(p)+s.status); err != nil {
		return 0, err
	}
	return len(p), nil
}

// setStatus replaces the status line, which is shorter than the terminal is wide; empty removes it.
func (s *screen) setStatus(line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if line == s.status {
		return
	}
	s.status = line
	_, _ = io.WriteString(s.w, clearLine+line) // the terminal may be gone; the run is not
}

// renewStatus replaces the status line where there is one, from the next Write on.
func (s *screen) renewStatus(line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.status != "" && line != "" {
		s.status = line
	}
}

// backlog shows things in a goroutine of its own: a screen that stands still (a paused terminal, a pipe that nobody reads) must not hold the agent.
type backlog struct {
	jobs    chan func()
	done    chan struct{}
	mu      sync.Mutex
	stalled bool
	missed  int64
	note    func(missed int64) // shows how many jobs were left out
}

const (
	backlogLength   = 1000
	backlogPatience = time.Second
)

func newBacklog(note func(missed int64)) *backlog {
	b := &backlog{jobs: make(chan func(), backlogLength), done: make(chan struct{}), note: note}
	go func() {
		defer close(b.done)
		for job := range b.jobs {
			job()
		}
	}()
	return b
}

// put queues a job. When the queue is full it waits once for a moment; after that jobs are left out until there is room again.
func (b *backlog) put(job func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.missed > 0 {
		missed, shown := b.missed, job
		job = func() { b.note(missed); shown() }
	}
	if b.offer(job) {
		b.stalled, b.missed = false, 0
		return
	}
	b.stalled = true
	b.missed++
}

func (b *backlog) offer(job func()) bool {
	select {
	case b.jobs <- job:
		return true
	default:
	}
	if b.stalled {
		return false
	}
	patience := time.NewTimer(backlogPatience)
	defer patience.Stop()
	select {
	case b.jobs <- job:
		return true
	case <-patience.C:
		return false
	}
}

// close waits until all of it is shown. Nothing may be put after it.
func (b *backlog) close() {
	b.mu.Lock()
	missed := b.missed
	b.mu.Unlock()
	close(b.jobs)
	<-b.done
	if missed > 0 {
		b.note(missed)
	}
}
