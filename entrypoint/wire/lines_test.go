package wire

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"unicode/utf8"

	"github.com/yolo-run/yolo-run/entrypoint/policy"
	"github.com/yolo-run/yolo-run/reports"
)

type word struct {
	Word string `json:"word"`
}

func TestReaderTakesExactlyOneObjectALine(t *testing.T) {
	full := `{"word":"` + strings.Repeat("x", 9) + `"}` // 20 bytes
	for _, tc := range []struct {
		name, in string
		words    []string
		end      error  // nil: any error
		endText  string // part of its text
	}{
		{"nothing", "", nil, io.EOF, ""},
		{"two lines", "{\"word\":\"a\"}\n{\"word\":\"b\"}\n", []string{"a", "b"}, io.EOF, ""},
		{"an unknown field", "{\"word\":\"a\",\"m\":1}\n", []string{"a"}, io.EOF, ""},
		{"a line at the bound", full + "\n", []string{"xxxxxxxxx"}, io.EOF, ""},
		{"a line over the bound", " " + full + "\n", nil, ErrLineTooLong, ""},
		{"a line over the bound without end", full + " ", nil, ErrLineTooLong, ""},
		{"an end inside a line", "{\"word\":\"a\"}\n{\"word\"", []string{"a"}, io.ErrUnexpectedEOF, ""},
		{"an object without newline", "{\"word\":\"a\"}", nil, io.ErrUnexpectedEOF, ""},
		{"an empty line", "\n", nil, nil, "not a JSON object"},
		{"null", "null\n", nil, nil, "not a JSON object"},
		{"an array", "[1]\n", nil, nil, "not a JSON object"},
		{"two objects", "{} {}\n", nil, nil, "decode line"},
		{"another type", "{\"word\":1}\n", nil, nil, "decode line"},
		{"broken JSON", "{\"word\n", nil, nil, "decode line"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := NewReader(iotest.OneByteReader(strings.NewReader(tc.in)), 20)
			for _, want := range tc.words {
				var got word
				if err := r.Next(&got); err != nil || got.Word != want {
					t.Fatalf("Next = %q, %v, want %q", got.Word, err, want)
				}
			}
			for range 2 { // an error is final
				err := r.Next(new(word))
				if tc.end != nil && !errors.Is(err, tc.end) || err == nil || !strings.Contains(err.Error(), tc.endText) {
					t.Fatalf("Next at the end: %v, want %v %q", err, tc.end, tc.endText)
				}
			}
		})
	}
}

func TestReaderReturnsTheErrorOfTheStream(t *testing.T) {
	broken := errors.New("cable cut")
	r := NewReader(iotest.ErrReader(broken), 20)
	if err := r.Next(new(word)); !errors.Is(err, broken) {
		t.Fatalf("Next = %v, want %v", err, broken)
	}
}

func TestReaderStopsReadingAtTheBound(t *testing.T) {
	in := &counter{r: endless{}}
	if err := NewReader(in, 100_000).Next(new(word)); !errors.Is(err, ErrLineTooLong) {
		t.Fatalf("Next = %v, want %v", err, ErrLineTooLong)
	}
	if in.n > 110_000 {
		t.Errorf("read %d bytes for a bound of 100000", in.n)
	}
}

func TestLinesOfManyWritersDoNotMix(t *testing.T) {
	var out bytes.Buffer
	w := NewWriter(&out)
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			for range 50 {
				if err := w.Send(word{fmt.Sprintf("%d\n%s", i, strings.Repeat("x", 100*i))}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	r := NewReader(&out, MaxMessageLine)
	for range 20 * 50 {
		if err := r.Next(new(word)); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.Next(new(word)); !errors.Is(err, io.EOF) {
		t.Fatalf("after the last line: %v, want %v", err, io.EOF)
	}
}

func TestSendIsOneWriteAndReportsItsError(t *testing.T) {
	out := &writes{}
	if err := NewWriter(out).Send(word{"a"}); err != nil || len(out.lines) != 1 || out.lines[0] != "{\"word\":\"a\"}\n" {
		t.Fatalf("Send wrote %q, %v", out.lines, err)
	}
	out.err = io.ErrClosedPipe
	if err := NewWriter(out).Send(word{"a"}); !errors.Is(err, io.ErrClosedPipe) {
		t.Fatalf("Send = %v, want %v", err, io.ErrClosedPipe)
	}
	if err := NewWriter(io.Discard).Send(make(chan int)); err == nil {
		t.Fatal("Send took a channel")
	}
}

func FuzzReader(f *testing.F) {
	f.Add([]byte("{\"type\":\"heartbeat\"}\n{\"type\":\"finish\"}\n"))
	f.Add([]byte("{\"type\":\"config\",\"config\":{\"wire\":1,\"policy\":{\"egress\":\"enforce\",\"allow\":[\"example.com\"]}}}\n"))
	f.Add([]byte("{\"type\":\"event\",\"event\":{\"verdict\":\"deny\",\"name\":\"a\\nb\",\"count\":1}}\n"))
	f.Add([]byte("null\n[]\n{}"))
	f.Add([]byte("\xff\xfe{\n\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		const bound = 512
		for _, v := range []any{new(GatewayRequest), new(GatewayMessage)} {
			r := NewReader(bytes.NewReader(in), bound)
			lines := 0
			var err error
			for err == nil {
				if err = r.Next(v); err == nil {
					lines++
				}
			}
			if lines > bytes.Count(in, []byte("\n")) {
				t.Fatalf("%d objects from %d lines", lines, bytes.Count(in, []byte("\n")))
			}
		}
	})
}

// FuzzRoundTrip says that text of the agent in an event can neither end its line nor become another field.
func FuzzRoundTrip(f *testing.F) {
	f.Add("example.com", "/usr/bin/curl")
	f.Add("a\nb\r\x00\u2028", "\"},\"type\":\"summary\"")
	f.Add("\xff\xfe", "")
	f.Fuzz(func(t *testing.T, name, exe string) {
		var out bytes.Buffer
		sent := GatewayMessage{Type: TypeEvent, Event: &reports.Event{Name: name, Count: 1, Process: &reports.Process{Exe: exe}}}
		if err := NewWriter(&out).Send(sent); err != nil {
			t.Fatal(err)
		}
		if bytes.Count(out.Bytes(), []byte("\n")) != 1 {
			t.Fatalf("%q is not one line", out.Bytes())
		}
		var got GatewayMessage
		if err := NewReader(&out, 1<<20).Next(&got); err != nil {
			t.Fatal(err)
		}
		if got.Type != TypeEvent || got.Event == nil || got.Summary != nil || got.Event.Count != 1 {
			t.Fatalf("sent %+v, got %+v", sent, got)
		}
		if utf8.ValidString(name) && got.Event.Name != name {
			t.Fatalf("sent the name %q, got %q", name, got.Event.Name)
		}
	})
}

func TestTheLargestConfigurationFits(t *testing.T) {
	var allow []string
	for i := range 100_000 {
		allow = append(allow, fmt.Sprintf("host-%d.example.com:8443", i))
	}
	var out bytes.Buffer
	if err := NewWriter(&out).Send(GatewayRequest{Type: TypeConfig, Config: &GatewayConfig{Policy: policy.Spec{Allow: allow}}}); err != nil {
		t.Fatal(err)
	}
	var got GatewayRequest
	if err := NewReader(&out, MaxConfigLine).Next(&got); err != nil || len(got.Config.Policy.Allow) != len(allow) {
		t.Fatalf("a policy of %d entries: %v", len(allow), err)
	}
}

// endless is a line that never ends.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

type counter struct {
	r io.Reader
	n int
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += n
	return n, err
}

type writes struct {
	lines []string
	err   error
}

func (w *writes) Write(p []byte) (int, error) {
	w.lines = append(w.lines, string(p))
	return len(p), w.err
}
