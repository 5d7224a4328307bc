package ci

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/yolo-run/yolo-run/reports"
	"github.com/yolo-run/yolo-run/reports/render"
)

// hostile is what an agent may put into every string that it controls.
const hostile = "x\n::set-output name=outcome::success\n ::add-mask::a\n##[set-env name=PATH]/evil\n::stop-commands::deaf\n" +
	"outcome<<EOF\nsuccess\nEOF\n_GitHubActionsFileCommandDelimeter_\noutcome=success\n%0A::error::x\r\n::warning::y"

func hostileReport() *reports.Report {
	p := reports.Process{PID: 1, Exe: hostile, Cmdline: hostile, Parents: []string{hostile}}
	return &reports.Report{
		ID: hostile, Outcome: reports.AgentFailed, ExitCode: 1, Errors: []string{hostile},
		Agent:     reports.Agent{Name: hostile, Signal: hostile},
		Workspace: reports.Workspace{Git: &reports.Git{Head: hostile, Branch: hostile}},
		Changes:   reports.Changes{Files: []reports.FileChange{{Path: hostile}}, Patch: &reports.Patch{File: hostile}},
		Gate: reports.Gate{Findings: []reports.Finding{
			{Rule: hostile, Severity: reports.Block, Path: hostile, Reason: hostile}, {Rule: hostile, Severity: reports.Warn, Path: hostile, Reason: hostile},
		}},
		Network: reports.Network{Denied: 1, WouldDeny: 1, Destinations: []reports.Destination{
			{Name: hostile, Port: 443, Layer: reports.LayerTLS, Verdict: reports.Deny, Reason: hostile, Count: 1, Processes: []reports.Process{p}},
			{Addr: hostile, Port: 443, Layer: reports.LayerTLS, Verdict: reports.WouldDeny, Reason: hostile, Count: 1, Processes: []reports.Process{p}},
		}},
	}
}

func TestHostileTextSetsNothing(t *testing.T) {
	w := newWorkflow(t)
	g := Detect(w.getenv, &w.log)
	r := hostileReport()

	quiet, err := g.Quiet(&w.log, "The agent")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{hostile, "::x", "\n", hostile} {
		if _, err := io.WriteString(quiet, s); err != nil {
			t.Fatal(err)
		}
	}
	var page bytes.Buffer
	for _, err := range []error{
		quiet.Close(), g.Annotate(r), g.Outputs(r, "/out"), render.Markdown{}.Render(&page, render.Model{Report: r}), g.Summary(page.Bytes()),
		render.Terminal{}.Render(&w.log, render.Model{Report: r, Dir: hostile}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	w.log.WriteString(w.read(t, "GITHUB_STEP_SUMMARY")) // somebody prints it

	want := []string{"group", "endgroup", "error", "error", "warning", "warning", "notice"}
	if got := obeyed(w.log.String()); !slices.Equal(got, want) {
		t.Errorf("the runner obeyed %q, want %q", got, want)
	}
	got := commandFile(t, w.file("GITHUB_OUTPUT"))
	if got["outcome"] != "agent-failed" || len(got) != len(outputs(r, "/out")) {
		t.Errorf("outputs %q", got)
	}
	for _, name := range []string{"GITHUB_ENV", "GITHUB_PATH", "GITHUB_STATE"} {
		if s := w.read(t, name); s != "" {
			t.Errorf("%s has %q", name, s)
		}
	}
}

// The control of the test above: without our care the emulated runner does obey such text.
func TestTheEmulatedRunnerObeys(t *testing.T) {
	want := []string{"set-output", "add-mask", "set-env", "stop-commands"}
	if got := obeyed(hostile); !slices.Equal(got, want) {
		t.Errorf("obeyed %q, want %q", got, want)
	}
	file := newWorkflow(t).file("GITHUB_OUTPUT")
	injected := "a<<_GitHubActionsFileCommandDelimeter_\nx\n_GitHubActionsFileCommandDelimeter_\noutcome=success\n"
	if err := os.WriteFile(file, []byte(injected), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := commandFile(t, file); got["outcome"] != "success" {
		t.Errorf("outputs %q", got)
	}
}

func TestQuietLetsTheRunnerObeyAgain(t *testing.T) {
	for _, text := range []string{"", "x", "x\n", "::error::no", "::error::no\n"} {
		var log strings.Builder
		g := Detect(newWorkflow(t).getenv, &log)
		q, err := g.Quiet(&log, "The agent")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(q, text); err != nil {
			t.Fatal(err)
		}
		if err := q.Close(); err != nil {
			t.Fatal(err)
		}
		log.WriteString("::notice::yes\n")
		if got := obeyed(log.String()); !slices.Equal(got, []string{"group", "endgroup", "notice"}) {
			t.Errorf("%q: obeyed %q", text, got)
		}
		if !strings.Contains(log.String(), text) {
			t.Errorf("%q was changed: %q", text, log.String())
		}
	}
}

func TestOutputs(t *testing.T) {
	code := 7
	r := &reports.Report{
		Outcome: reports.Success, Agent: reports.Agent{ExitCode: &code}, Workspace: reports.Workspace{Git: &reports.Git{Head: "abc"}},
		Changes: reports.Changes{
			Files: make([]reports.FileChange, 2), Insertions: 10, Deletions: 3, Patch: &reports.Patch{File: "changes.patch"},
		},
		Network: reports.Network{Denied: 4}, Usage: reports.Usage{InputTokens: 5, OutputTokens: 6, CostUSD: 0.25},
	}
	w := newWorkflow(t)
	if err := Detect(w.getenv, &w.log).Outputs(r, "/out"); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"outcome": "success", "exit-code": "0", "agent-exit-code": "7", "changed": "true", "patch-file": "/out/changes.patch",
		"report-file": "/out/report.json", "artifact-dir": "/out", "base-sha": "abc", "denials": "4", "files-changed": "2",
		"insertions": "10", "deletions": "3", "input-tokens": "5", "output-tokens": "6", "cost-usd": "0.25",
	}
	if got := commandFile(t, w.file("GITHUB_OUTPUT")); !maps.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestOutputsOfARunThatNeverBegan(t *testing.T) {
	w := newWorkflow(t)
	if err := Detect(w.getenv, &w.log).Outputs(&reports.Report{Outcome: reports.Infrastructure, ExitCode: 125}, "/out"); err != nil {
		t.Fatal(err)
	}
	got := commandFile(t, w.file("GITHUB_OUTPUT"))
	for name, want := range map[string]string{"agent-exit-code": "", "patch-file": "", "base-sha": "", "changed": "false", "exit-code": "125"} {
		if v, ok := got[name]; !ok || v != want {
			t.Errorf("%s is %q, want %q", name, v, want)
		}
	}
}

func TestSummary(t *testing.T) {
	long := []byte("# The agent finished\n\nfacts\n\n## Denied\n\n" + strings.Repeat("x", 900<<10))
	tests := []struct {
		name       string
		there      int
		page       []byte
		whole, err bool
	}{
		{"fits", 0, long, true, false},
		{"fits beside another", 100 << 10, long, true, false},
		{"does not fit beside another", 200 << 10, long, false, false},
		{"nothing fits", maxSummary - 10, long, false, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorkflow(t)
			if err := os.WriteFile(w.file("GITHUB_STEP_SUMMARY"), bytes.Repeat([]byte("y"), tt.there), 0o600); err != nil {
				t.Fatal(err)
			}
			err := Detect(w.getenv, &w.log).Summary(tt.page)
			if (err != nil) != tt.err {
				t.Fatal(err)
			}
			got := w.read(t, "GITHUB_STEP_SUMMARY")
			if len(got) > maxSummary || !strings.HasPrefix(got, strings.Repeat("y", tt.there)) {
				t.Errorf("%d bytes", len(got))
			}
			if strings.Contains(got, "## Denied") != tt.whole {
				t.Error("the wrong form was written")
			}
			if !tt.err && !strings.Contains(got, "\n# The agent finished\n") {
				t.Error("the outcome is missing")
			}
		})
	}
}

func TestAnnotationsAreCounted(t *testing.T) {
	tests := []struct{ denied, commands int }{{0, 0}, {9, 9}, {10, 10}, {500, 10}}
	for _, tt := range tests {
		r := &reports.Report{Outcome: reports.Success}
		for i := range tt.denied {
			r.Network.Destinations = append(r.Network.Destinations, reports.Destination{
				Name: fmt.Sprintf("%d.test", i), Layer: reports.LayerDNS, Verdict: reports.Deny, Count: 1,
			})
		}
		w := newWorkflow(t)
		if err := Detect(w.getenv, &w.log).Annotate(r); err != nil {
			t.Fatal(err)
		}
		if got := len(obeyed(w.log.String())); got != tt.commands {
			t.Errorf("%d denied: %d annotations, want %d", tt.denied, got, tt.commands)
		}
		if more := fmt.Sprintf("and %d more", tt.denied-9); tt.denied > 9 && !strings.Contains(w.log.String(), more) {
			t.Errorf("%d denied and no %q", tt.denied, more)
		}
	}
}

func TestAnnotationSaysWhatToDo(t *testing.T) {
	r := &reports.Report{
		Outcome: reports.PolicyFailed, Policy: reports.Policy{Egress: "enforce"},
		Gate: reports.Gate{Findings: []reports.Finding{
			{Rule: "symlink", Severity: reports.Block, Path: "a,b:c", Reason: "points outside"},
			{Rule: "bad-name", Severity: reports.Block, Path: "b\n##", Reason: "a control character"},
		}},
		Network: reports.Network{Destinations: []reports.Destination{{
			Name: "evil.test", Port: 8443, Layer: reports.LayerTLS, Verdict: reports.Deny, Count: 2, Reason: "no rule",
			Processes: []reports.Process{{PID: 3, Exe: "/bin/curl"}},
		}}},
	}
	w := newWorkflow(t)
	if err := Detect(w.getenv, &w.log).Annotate(r); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(w.log.String(), "file=b") {
		t.Errorf("a name that GitHub cannot find is a file:\n%s", w.log.String())
	}
	for _, want := range []string{
		"::error title=Gate%3A bad-name::b\\n#\\#: a control character\n",
		"::error title=yolo-run%3A policy::The patch did not pass the gate",
		"::error file=a%2Cb%3Ac,title=Gate%3A symlink::a,b:c: points outside\n",
		"::warning title=Denied::evil.test:8443: 2×, no rule, by /bin/curl, to allow it: --allowed-domain evil.test:8443\n",
	} {
		if !strings.Contains(w.log.String(), want) {
			t.Errorf("no %q in\n%s", want, w.log.String())
		}
	}
}

func TestAnErrorIsAnAnnotation(t *testing.T) {
	w := newWorkflow(t)
	var faults []string
	for range 12 {
		faults = append(faults, hostile)
	}
	if err := Detect(w.getenv, &w.log).Errors(append([]string{"--memory \"1\": too little"}, faults...)); err != nil {
		t.Fatal(err)
	}
	got := obeyed(w.log.String())
	if len(got) != maxAnnotations+1 || slices.ContainsFunc(got, func(s string) bool { return s != "error" }) {
		t.Errorf("obeyed %q", got)
	}
	for _, want := range []string{"::error title=yolo-run::--memory \"1\": too little\n", "::error title=yolo-run::and 4 more, see the log\n"} {
		if !strings.Contains(w.log.String(), want) {
			t.Errorf("no %q in\n%s", want, w.log.String())
		}
	}
}

func TestMask(t *testing.T) {
	const pem = "-----BEGIN KEY-----\r\nMIIB+/aa?==\r\n}\r\n-----END KEY-----\r\n"
	tests := []struct {
		name, secret string
		hidden       []string
		not          []string
	}{
		{"a token", "s3cr&t/+?", []string{"s3cr&t/+?", base64.RawStdEncoding.EncodeToString([]byte("s3cr&t/+?")), url.QueryEscape("s3cr&t/+?")}, nil},
		{"a newline at its end", "token\n", []string{"token"}, []string{"token\n"}},
		{"several lines", pem, []string{"MIIB+/aa?==", "-----END KEY-----", base64.RawURLEncoding.EncodeToString([]byte("MIIB+/aa?=="))}, []string{"}", ""}},
		{"quotes", `pass"word<1>`, []string{`pass\"word<1>`, `pass\"word\u003c1\u003e`, "7061737322776f72643c313e"}, nil},
		{"percent signs", "100%25", []string{"100%25"}, nil},
		{"nothing", " \n", nil, []string{"", " "}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorkflow(t)
			if err := Detect(w.getenv, &w.log).Mask(tt.secret); err != nil {
				t.Fatal(err)
			}
			masked := map[string]bool{}
			unescape := strings.NewReplacer("%25", "%", "%0D", "\r", "%0A", "\n") // as the runner does with a command's data
			for line := range strings.Lines(w.log.String()) {
				v, ok := strings.CutPrefix(line, "::add-mask::")
				if !ok {
					t.Errorf("%q is no mask", line)
				}
				masked[unescape.Replace(strings.TrimSuffix(v, "\n"))] = true
			}
			for _, v := range tt.hidden {
				if !masked[v] {
					t.Errorf("%q is not masked: %q", v, w.log.String())
				}
			}
			for _, v := range tt.not {
				if masked[v] {
					t.Errorf("%q is masked", v)
				}
			}
		})
	}
}

// Wherever a secret stands in what a program encodes, and whatever stands beside it, some mask covers all but the characters that it shares
// with its neighbours.
func TestAPartOfWhatIsEncodedIsMasked(t *testing.T) {
	const secret = "sk-ant-0123456789"
	for before := range 7 {
		for after := range 4 {
			text := strings.Repeat("u", before) + secret + strings.Repeat("z", after)
			for _, e := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding} {
				encoded := e.EncodeToString([]byte(text))
				if !slices.ContainsFunc(masks(secret), func(m string) bool { return len(m) > 20 && strings.Contains(encoded, m) }) {
					t.Errorf("%s: nothing of %q is masked", text, encoded)
				}
			}
		}
	}
	if slices.ContainsFunc(masks("abc"), func(m string) bool { return len(m) < minMaskedPart && strings.Contains("616263", m) }) {
		t.Error("a short secret masks what turns up by chance")
	}
}

func TestOutsideOfGitHubNothingHappens(t *testing.T) {
	var log strings.Builder
	for _, value := range []string{"", "false", "1"} {
		if g := Detect(func(string) string { return value }, &log); g != nil {
			t.Errorf("GITHUB_ACTIONS=%q was taken for GitHub Actions", value)
		}
	}
	var g *GitHub
	q, err := g.Quiet(&log, "The agent")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(q, "text"); err != nil {
		t.Fatal(err)
	}
	r := hostileReport()
	for _, err := range []error{q.Close(), g.Mask("s"), g.Annotate(r), g.Errors([]string{"x"}), g.Outputs(r, "/out"), g.Summary([]byte("x"))} {
		if err != nil {
			t.Error(err)
		}
	}
	if log.String() != "text" {
		t.Errorf("wrote %q", log.String())
	}
}

func TestFaultsAreErrors(t *testing.T) {
	broken := errors.New("broken pipe")
	env := map[string]string{"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": "/nonexistent/summary"}
	g := Detect(func(name string) string { return env[name] }, failingWriter{broken})
	if err := g.Mask("secret"); !errors.Is(err, broken) {
		t.Errorf("mask: %v", err)
	}
	if err := g.Annotate(hostileReport()); !errors.Is(err, broken) {
		t.Errorf("annotate: %v", err)
	}
	if _, err := g.Quiet(failingWriter{broken}, "The agent"); !errors.Is(err, broken) {
		t.Errorf("quiet: %v", err)
	}
	if err := g.Outputs(&reports.Report{}, ""); err == nil || !strings.Contains(err.Error(), "GITHUB_OUTPUT is not set") {
		t.Errorf("outputs: %v", err)
	}
	if err := g.Summary(nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("summary: %v", err)
	}
}

type failingWriter struct{ err error }

func (w failingWriter) Write([]byte) (int, error) { return 0, w.err }
