package reports

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestReportRoundTrip(t *testing.T) {
	want := sample()
	var buf bytes.Buffer
	if err := want.Write(&buf); err != nil {
		t.Fatal(err)
	}
	got, err := ReadReport(&buf)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestReportHasNoNullForAList(t *testing.T) {
	r := &Report{Schema: Schema, Network: Network{Destinations: []Destination{{Layer: LayerDNS}}}}
	var buf bytes.Buffer
	if err := r.Write(&buf); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(buf.String()) {
		if strings.Contains(line, "null") && !strings.Contains(line, `"exitCode": null`) {
			t.Errorf("null in %s", line)
		}
	}
	if r.Network.Destinations[0].Processes != nil || r.Errors != nil {
		t.Error("writing changed the report")
	}
}

func TestJSONShowsNoControlCharacters(t *testing.T) {
	hostile := "a\x1b[31m\u202eb\u200bc\u2028d\x7f\u0085\U000e0041\xffé😀|<"
	r := sample()
	r.Errors = []string{hostile}
	var buf bytes.Buffer
	if err := r.Write(&buf); err != nil {
		t.Fatal(err)
	}
	line, err := Event{Verdict: Deny, Name: hostile, Count: 1}.Line()
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{buf.String(), string(line)} {
		for _, c := range text {
			if c != '\n' && !Printable(c) {
				t.Errorf("%U survived in %q", c, text)
			}
		}
		if !strings.Contains(text, "é😀|<") {
			t.Errorf("printable text was changed: %s", text)
		}
	}
	got, err := ReadReport(&buf)
	if err != nil {
		t.Fatal(err)
	}
	if want := strings.ToValidUTF8(hostile, string(utf8.RuneError)); got.Errors[0] != want {
		t.Errorf("read back %q, want %q", got.Errors[0], want)
	}
}

func TestReadReportIsStrict(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"empty", "", "unexpected end"},
		{"no schema", `{}`, `schema is ""`},
		{"another version", `{"schema":"yolo-run/report/v2","new":1}`, "report/v2"},
		{"an unknown field", `{"schema":"yolo-run/report/v1","rm":"-rf"}`, "rm"},
		{"a second value", `{"schema":"yolo-run/report/v1"} {}`, "after top-level value"},
		{"a wrong type", `{"schema":"yolo-run/report/v1","exitCode":"0"}`, "exitCode"},
		{"cut off", `{"schema":"yolo-run/report/v1",`, "unexpected end"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := ReadReport(strings.NewReader(tt.in))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
		})
	}
	if _, err := ReadReport(strings.NewReader(`{"schema":"yolo-run/report/v1"}`)); err != nil {
		t.Errorf("the smallest report: %v", err)
	}
}

func TestReadReportIsBounded(t *testing.T) {
	endless := io.MultiReader(strings.NewReader(`{"schema":"`), zeros{})
	if _, err := ReadReport(endless); !errors.Is(err, ErrTooLong) {
		t.Errorf("error %v", err)
	}
}

func TestReadEvents(t *testing.T) {
	const ok = `{"time":"2026-05-04T12:00:00Z","verdict":"deny","layer":"dns","name":"a.test","count":1}` + "\n"
	long := `{"name":"` + strings.Repeat("x", MaxEventLine) + `"}` + "\n"
	tests := []struct {
		name, in string
		events   int
		want     string
		is       error
	}{
		{name: "nothing", in: ""},
		{name: "two", in: ok + ok, events: 2},
		{name: "the last line was cut", in: ok + ok[:20], events: 1, want: "line 2", is: io.ErrUnexpectedEOF},
		{name: "no newline at the end", in: ok + ok[:len(ok)-1], events: 1, want: "line 2", is: io.ErrUnexpectedEOF},
		{name: "a long line", in: ok + long, events: 1, want: "line 2", is: ErrTooLong},
		{name: "an empty line", in: ok + "\n", events: 1, want: "line 2"},
		{name: "an unknown verdict", in: strings.Replace(ok, "deny", "perhaps", 1), want: `"perhaps"`},
		{name: "an unknown field", in: strings.Replace(ok, "name", "nom", 1), want: "nom"},
		{name: "no count", in: strings.Replace(ok, `"count":1`, `"count":0`, 1), want: "count is 0"},
		{name: "two on a line", in: ok[:len(ok)-1] + ok, want: "follows"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := 0
			err := ReadEvents(strings.NewReader(tt.in), func(Event) error { n++; return nil })
			if n != tt.events {
				t.Errorf("%d events, want %d", n, tt.events)
			}
			switch {
			case tt.want == "" && tt.is == nil:
				if err != nil {
					t.Error(err)
				}
			case err == nil || !strings.Contains(err.Error(), tt.want) || tt.is != nil && !errors.Is(err, tt.is):
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}

func TestReadEventsStopsWhenTold(t *testing.T) {
	enough := errors.New("enough")
	line, _ := Event{Verdict: Allow, Count: 1}.Line()
	n := 0
	err := ReadEvents(bytes.NewReader(bytes.Repeat(line, 3)), func(Event) error { n++; return enough })
	if !errors.Is(err, enough) || n != 1 {
		t.Errorf("%v after %d events", err, n)
	}
}

func TestPolicyDigest(t *testing.T) {
	p := sample().Policy
	want := digest(t, p)
	if len(want) != 64 {
		t.Fatalf("digest %q", want)
	}
	p.SHA256 = "something"
	if got := digest(t, p); got != want {
		t.Error("the digest depends on itself")
	}
	empty := Policy{Egress: "enforce"}
	lists := Policy{Egress: "enforce", AllowedDomains: []string{}, DeniedDomains: []string{}, AllowedInternal: []string{}}
	if digest(t, empty) != digest(t, lists) {
		t.Error("no list and an empty list differ")
	}
	// The digest that anybody gets by: jq -cj '.policy | .sha256=""' report.json | sha256sum
	if got := digest(t, empty); got != "1816dedb74148fd4d81871d7f1cbcb26ec34fb67d7e31242aaa2b9305de6f87b" {
		t.Errorf("the digest of the empty policy changed: %s", got)
	}
	p.AllowedDomains = append(p.AllowedDomains, "more.test")
	if digest(t, p) == want {
		t.Error("another policy has the same digest")
	}
}

func digest(t *testing.T, p Policy) string {
	t.Helper()
	d, err := p.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func FuzzReadEvents(f *testing.F) {
	f.Add([]byte(`{"verdict":"deny","count":1}` + "\n"))
	f.Add([]byte(`{"verdict":"allow","count":9223372036854775807,"process":{"pid":1,"parents":["a"]}}` + "\n"))
	f.Add([]byte(`{"verDICT":"allow","count":1,"process":{"parents":[]}}` + "\n"))
	f.Add([]byte("\xff\n\x00"))
	f.Fuzz(func(t *testing.T, in []byte) {
		_ = ReadEvents(bytes.NewReader(in), func(e Event) error {
			line, err := e.Line()
			if err != nil {
				t.Fatalf("%+v was read and cannot be written: %v", e, err)
			}
			for _, c := range string(line[:len(line)-1]) {
				if !Printable(c) {
					t.Fatalf("%U in %q", c, line)
				}
			}
			again, err := parseEvent(line)
			if err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			if twice, err := again.Line(); err != nil || !bytes.Equal(twice, line) {
				t.Fatalf("%s became %s, %v", line, twice, err)
			}
			return nil
		})
	})
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = '0'
	}
	return len(b), nil
}

func FuzzInertJSON(f *testing.F) {
	f.Add([]byte("{\"a\u202e\":\t[\"\u009b31m\x7f\xff\", 1e3, null]\r\n}"))
	f.Fuzz(func(t *testing.T, value []byte) {
		got, err := InertJSON(value)
		if err != nil {
			if json.Valid(value) {
				t.Errorf("%q: %v", value, err)
			}
			return
		}
		for _, c := range string(got) {
			if !Printable(c) {
				t.Errorf("%U survived in %q", c, got)
			}
		}
		var before, after any
		if err := json.Unmarshal(value, &before); err != nil {
			return // a number that Go has no type for
		}
		if err := json.Unmarshal(got, &after); err != nil || !reflect.DeepEqual(before, after) {
			t.Errorf("%q became %q: %v", value, got, err)
		}
	})
}
