package runner

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/yolo-run/yolo-run/reports"
	"github.com/yolo-run/yolo-run/runner/internal/agent"
)

func TestLinesAreWholeAndBounded(t *testing.T) {
	long := strings.Repeat("x", maxLogLine)
	for _, tc := range []struct {
		name   string
		writes []string
		want   []string // the last one is what flush brings
	}{
		{"several at once", []string{"a\n\nb\n"}, []string{"a", "", "b"}},
		{"one in pieces", []string{"a", "b", "c\nd", "\n"}, []string{"abc", "d"}},
		{"no end", []string{"a\nb"}, []string{"a", "b"}},
		{"as long as may be", []string{long, "\n"}, []string{long}},
		{"longer", []string{long + "y\n"}, []string{long, "y"}},
		{"much longer, in pieces", []string{long, long, "z"}, []string{long, long, "z"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var got []string
			l := &lines{each: func(line []byte) { got = append(got, string(line)) }}
			for _, s := range tc.writes {
				if n, err := l.Write([]byte(s)); n != len(s) || err != nil {
					t.Fatalf("%d, %v", n, err)
				}
			}
			l.flush()
			if !slices.Equal(got, tc.want) {
				t.Errorf("%d lines %.200q", len(got), got)
			}
		})
	}
}

func TestRecordsAreWholeOrLeftOut(t *testing.T) {
	const most = 10
	long := strings.Repeat("x", most)
	for _, tc := range []struct {
		name    string
		writes  []string
		want    []string
		skipped int64
		bytes   int64
	}{
		{"several at once", []string{"a\n\nb\nc"}, []string{"a", "b", "c"}, 0, 0},
		{"one in pieces", []string{"a", "b", "c\nd", "\n"}, []string{"abc", "d"}, 0, 0},
		{"as long as may be", []string{long + "\n", long}, []string{long, long}, 0, 0},
		{"longer", []string{"a\n" + long + "y\nb\n"}, []string{"a", "b"}, 1, most + 1},
		{"much longer, in pieces", []string{long, long, "z", "\nb\n"}, []string{"b"}, 1, 2*most + 1},
		{"longer, without an end", []string{"a\n", long, "y"}, []string{"a"}, 1, most + 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var got []string
			r := &records{most: most, each: func(line []byte) { got = append(got, string(line)) }}
			for _, s := range tc.writes {
				if n, err := r.Write([]byte(s)); n != len(s) || err != nil {
					t.Fatalf("%d, %v", n, err)
				}
			}
			r.flush()
			if !slices.Equal(got, tc.want) || r.skipped != tc.skipped || r.skippedBytes != tc.bytes {
				t.Errorf("%q, skipped %d of %d bytes", got, r.skipped, r.skippedBytes)
			}
		})
	}
}

// The agent waits while its output is read.
func BenchmarkTranscript(b *testing.B) {
	for _, name := range []string{"claude", "codex", "gemini"} {
		b.Run(name, func(b *testing.B) {
			text := []byte(stream(b, name))
			t := agent.NewTranscript(name, time.Now(), discard{})
			file, err := os.Create(b.TempDir() + "/x")
			if err != nil {
				b.Fatal(err)
			}
			f := &recordFile{file: file, left: 1 << 40}
			r := &records{most: maxRecord, each: func(line []byte) {
				if t.Line(line, time.Now()) {
					f.add(line)
				}
			}}
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				if _, err := r.Write(text); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

type discard struct{}

func (discard) Began(reports.Step) {}
func (discard) Ended(reports.Step) {}
