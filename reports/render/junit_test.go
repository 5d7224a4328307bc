package render

import (
	"encoding/xml"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/yolo-run/yolo-run/reports"
)

// What CI systems count: each outcome has its failures where the cause is, and only there.
func TestJUnitFailsWhatMadeTheRunFail(t *testing.T) {
	blocked := reports.Finding{Rule: "symlink", Severity: reports.Block, Path: "l", Reason: "points outside"}
	tests := []struct {
		name   string
		change func(*reports.Report)
		want   []string // "failure yolo-run.gate"
	}{
		{"a success with denials", func(*reports.Report) {}, nil},
		{"a run of nothing", func(r *reports.Report) { r.Outcome = reports.NoChanges }, nil},
		{"an agent that failed", func(r *reports.Report) { r.Outcome, r.ExitCode = reports.AgentFailed, 1 }, []string{"failure yolo-run.run"}},
		{"a timeout", func(r *reports.Report) { r.Outcome, r.ExitCode = reports.Timeout, 124 }, []string{"failure yolo-run.run"}},
		{"a budget", func(r *reports.Report) { r.Outcome, r.ExitCode = reports.Budget, 4 }, []string{"failure yolo-run.run"}},
		{"a broken sandbox", func(r *reports.Report) { r.Outcome, r.ExitCode = reports.Infrastructure, 125 }, []string{"error yolo-run.run"}},
		{"a cancelled run", func(r *reports.Report) { r.Outcome, r.ExitCode = reports.Cancelled, 130 }, []string{"error yolo-run.run"}},
		{"the gate", func(r *reports.Report) {
			r.Outcome, r.ExitCode, r.Gate = reports.PolicyFailed, 3, reports.Gate{Findings: []reports.Finding{blocked}}
		}, []string{"failure yolo-run.gate"}},
		{"a gate that nobody asked", func(r *reports.Report) {
			r.FailOn, r.Gate = []string{"none"}, reports.Gate{Findings: []reports.Finding{blocked}}
		}, nil},
		{"denials that fail the run", func(r *reports.Report) {
			r.Outcome, r.ExitCode, r.FailOn = reports.PolicyFailed, 3, []string{"denied"}
		}, slices.Repeat([]string{"failure yolo-run.network"}, 4)},
		{"no changes that fail the run", func(r *reports.Report) {
			r.Outcome, r.ExitCode, r.FailOn = reports.PolicyFailed, 3, []string{"no-changes"}
		}, []string{"failure yolo-run.run"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := success()
			tt.change(r)
			doc := readJUnit(t, render(t, JUnit{}, Model{Report: r}))
			var got []string
			for _, c := range doc.Suite.Cases {
				if c.Failure != nil {
					got = append(got, "failure "+c.Class)
				}
				if c.Error != nil {
					got = append(got, "error "+c.Class)
				}
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("%q, want %q", got, tt.want)
			}
			if failed := len(got) > 0; failed != (r.ExitCode != 0) {
				t.Errorf("exit code %d and %q", r.ExitCode, got)
			}
		})
	}
}

func TestJUnitCounts(t *testing.T) {
	for name, m := range models() {
		doc := readJUnit(t, render(t, JUnit{}, m))
		var want junitCounts
		names := map[string]bool{}
		for _, c := range doc.Suite.Cases {
			want.Tests++
			want.Failures += set(c.Failure)
			want.Errors += set(c.Error)
			want.Skipped += set(c.Skipped)
			if names[c.Class+c.Name] {
				t.Errorf("%s: two cases are called %s", name, c.Name)
			}
			names[c.Class+c.Name] = true
		}
		for _, got := range []junitCounts{doc.junitCounts, doc.Suite.junitCounts} {
			if got.Tests != want.Tests || got.Failures != want.Failures || got.Errors != want.Errors || got.Skipped != want.Skipped {
				t.Errorf("%s: %+v, want %+v", name, got, want)
			}
		}
	}
}

func TestJUnitIsBounded(t *testing.T) {
	got := render(t, JUnit{}, Model{Report: full(3000, strings.Repeat("\U000e0041&", 4096))})
	if len(got) > 30<<20 {
		t.Errorf("%d bytes: GitLab reads no more than 30 MiB", len(got))
	}
	doc := readJUnit(t, got)
	if n := len(doc.Suite.Cases); n != 1+3*(junitCases+1) {
		t.Errorf("%d cases", n)
	}
	if !strings.Contains(got, "… and 2,700 more in report.json") {
		t.Error("cases were left out in silence")
	}
}

func set(r *junitResult) int {
	if r == nil {
		return 0
	}
	return 1
}

func readJUnit(t *testing.T, text string) junitSuites {
	t.Helper()
	var doc junitSuites
	if err := xml.Unmarshal([]byte(text), &doc); err != nil {
		t.Fatal(err)
	}
	return doc
}

// inertXML checks that the file has our elements only, and no character that XML 1.0 or a terminal could stumble over.
func inertXML(t *testing.T, text string) {
	t.Helper()
	dec := xml.NewDecoder(strings.NewReader(text))
	ours := []string{"testsuites", "testsuite", "properties", "property", "testcase", "failure", "error", "skipped", "system-out"}
	for {
		token, err := dec.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		switch token := token.(type) {
		case xml.StartElement:
			if !slices.Contains(ours, token.Name.Local) {
				t.Errorf("an element %s", token.Name.Local)
			}
			for _, a := range token.Attr {
				inertValue(t, a.Value)
			}
		case xml.CharData:
			inertValue(t, strings.ReplaceAll(string(token), "\n", ""))
		case xml.Comment, xml.Directive:
			t.Errorf("%T", token)
		}
	}
}

func inertValue(t *testing.T, s string) {
	t.Helper()
	for _, r := range s {
		if !reports.Printable(r) {
			t.Errorf("%U survived in %q", r, s)
		}
	}
}
