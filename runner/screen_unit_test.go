package runner

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

// terminal shows what a terminal of endless height would after these bytes: rows, without colours.
func terminal(t *testing.T, out string) []string {
	t.Helper()
	rows := []string{""}
	for out != "" {
		last := len(rows) - 1
		switch {
		case strings.HasPrefix(out, "\r"):
			out = out[1:]
			if !strings.HasPrefix(out, "\x1b[2K") {
				t.Fatalf("a line is written over without being cleared: %q", out)
			}
		case strings.HasPrefix(out, "\x1b[2K"):
			rows[last], out = "", out[4:]
		case out[0] == '\n':
			rows, out = append(rows, ""), out[1:]
		case out[0] == '\x1b':
			end := strings.IndexByte(out, 'm')
			if end < 0 || !colours.MatchString(out[:end+1]) {
				t.Fatalf("not a colour: %q", out)
			}
			out = out[end+1:]
		default:
			rows[last], out = rows[last]+out[:1], out[1:]
		}
	}
	return rows
}

func TestTheStatusLineStaysBelowTheLines(t *testing.T) {
	var out bytes.Buffer
	s := &screen{w: &out, columns: func() int { return 80 }}
	write := func(text string) {
		if n, err := s.Write([]byte(text)); n != len(text) || err != nil {
			t.Fatalf("%d, %v", n, err)
		}
	}
	write("one\n")
	if out.String() != "one\n" {
		t.Errorf("without a status: %q", out.String())
	}
	s.setStatus("at work")
	s.setStatus("at work")
	write("two\n")
	s.setStatus("still at work")
	if got := terminal(t, out.String()); fmt.Sprint(got) != "[one two still at work]" {
		t.Errorf("%q", got)
	}
	s.renewStatus("at something else")
	if got := terminal(t, out.String()); got[2] != "still at work" {
		t.Errorf("%q", got)
	}
	write("between\n")
	if got := terminal(t, out.String()); fmt.Sprint(got) != "[one two between at something else]" {
		t.Errorf("%q", got)
	}
	s.setStatus("")
	s.renewStatus("not when there is none")
	write("three\n")
	if got := terminal(t, out.String()); fmt.Sprint(got) != "[one two between three ]" {
		t.Errorf("%q", got)
	}
	if n := strings.Count(out.String(), "at work"); n != 3 {
		t.Errorf("drawn %d times", n)
	}
}

func TestAStatusLineNeedsATerminal(t *testing.T) {
	none, wide := func() int { return 0 }, func() int { return 80 }
	for _, tt := range []struct {
		columns func() int
		env     map[string]string
		want    bool
	}{
		{wide, nil, true},
		{wide, map[string]string{"TERM": "dumb"}, false},
		{wide, map[string]string{"CI": "true"}, false},
		{none, nil, false},
	} {
		if got := (&screen{columns: tt.columns}).canRedraw(func(name string) string { return tt.env[name] }); got != tt.want {
			t.Errorf("%d columns, %v: %v", tt.columns(), tt.env, got)
		}
	}
}

func TestAScreenThatStandsStillHoldsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var seen []string
		release := make(chan struct{})
		b := newBacklog(func(missed int64) { seen = append(seen, fmt.Sprint("missed ", missed)) })
		show := func(s string) func() {
			return func() {
				<-release
				mu.Lock()
				defer mu.Unlock()
				seen = append(seen, s)
			}
		}
		begun := time.Now()
		const more = 500
		for i := range backlogLength + more {
			b.put(show(fmt.Sprint(i)))
			if i == 0 {
				synctest.Wait() // it is being shown, and the queue is empty again
			}
		}
		if took := time.Since(begun); took != backlogPatience {
			t.Errorf("held for %s", took)
		}
		close(release)
		synctest.Wait()
		b.put(show("after"))
		b.close()
		want := []string{"0", fmt.Sprint(backlogLength), fmt.Sprint("missed ", more-1), "after"}
		got := []string{seen[0], seen[backlogLength], seen[backlogLength+1], seen[len(seen)-1]}
		if fmt.Sprint(got) != fmt.Sprint(want) || len(seen) != backlogLength+3 {
			t.Errorf("%d: %q, want %q", len(seen), got, want)
		}
	})
}

func TestWhatWasMissedAtTheEndIsSaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release, missed := make(chan struct{}), int64(0)
		b := newBacklog(func(n int64) { missed = n })
		for range backlogLength + 3 {
			b.put(func() { <-release })
		}
		close(release)
		b.close()
		if missed == 0 {
			t.Error("nothing was said")
		}
	})
}

func TestTheScreenIsAsWideAsItsTerminal(t *testing.T) {
	ours, theirs := openTerminal(t)
	s := newScreen(theirs)
	for _, columns := range []uint16{87, 40} {
		if err := unix.IoctlSetWinsize(int(ours.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: columns}); err != nil {
			t.Fatal(err)
		}
		if got := s.columns(); got != int(columns) {
			t.Errorf("%d columns, want %d", got, columns)
		}
	}
	if !s.canRedraw(func(string) string { return "" }) {
		t.Error("a terminal that has no status line")
	}
	file, err := os.Create(t.TempDir() + "/file")
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range []io.Writer{&bytes.Buffer{}, file} {
		if n := newScreen(w).columns(); n != 0 {
			t.Errorf("%T has %d columns", w, n)
		}
	}
}

// openTerminal returns both ends of a pseudoterminal (pty(7)).
func openTerminal(t *testing.T) (ours, theirs *os.File) {
	t.Helper()
	ours, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ours.Close() })
	if err := unix.IoctlSetPointerInt(int(ours.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(ours.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if theirs, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = theirs.Close() })
	return ours, theirs
}
