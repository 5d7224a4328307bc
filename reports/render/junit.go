package render

import (
	"encoding/xml"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/yolo-run/yolo-run/reports"
)

// JUnit is junit.xml, for the test views of CI systems: the run, the gate's findings and the denied destinations as test cases. A case
// fails only if it made the run fail; what is merely worth a look is skipped, and what was allowed is not there. The form is what Jenkins'
// and GitLab's readers have in common.
type JUnit struct{}

var _ Renderer = JUnit{}

// junitCases bounds the findings and the destinations, each; the rest is one case that counts them.
const junitCases = 300

type junitSuites struct {
	XMLName xml.Name `xml:"testsuites"`
	junitCounts
	Suite junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	junitCounts
	Timestamp  string          `xml:"timestamp,attr,omitempty"`
	Properties []junitProperty `xml:"properties>property"`
	Cases      []junitCase     `xml:"testcase"`
}

type junitCounts struct {
	Name     string `xml:"name,attr"`
	Tests    int    `xml:"tests,attr"`
	Failures int    `xml:"failures,attr"`
	Errors   int    `xml:"errors,attr"`
	Skipped  int    `xml:"skipped,attr"`
	Time     string `xml:"time,attr"`
}

type junitProperty struct {
	Name  string `xml:"name,attr"`
	Value string `xml:"value,attr"`
}

type junitCase struct {
	Class   string       `xml:"classname,attr"`
	Name    string       `xml:"name,attr"`
	File    string       `xml:"file,attr,omitempty"`
	Time    string       `xml:"time,attr"`
	Failure *junitResult `xml:"failure"`
	Error   *junitResult `xml:"error"`
	Skipped *junitResult `xml:"skipped"`
	Out     string       `xml:"system-out,omitempty"`
}

type junitResult struct {
	Message string `xml:"message,attr"`
	Type    string `xml:"type,attr,omitempty"`
	Text    string `xml:",chardata"`
}

// Render writes the file in one Write. Every text goes through [Visible], so that nothing is left which XML 1.0 could not hold.
func (JUnit) Render(w io.Writer, m Model) error {
	r := m.Report
	cases := slices.Concat(runCase(r), gateCases(r), denialCases(m))
	counts := junitCounts{Name: "yolo-run", Tests: len(cases), Time: seconds(r.DurationMs)}
	for _, c := range cases {
		switch {
		case c.Failure != nil:
			counts.Failures++
		case c.Error != nil:
			counts.Errors++
		case c.Skipped != nil:
			counts.Skipped++
		}
	}
	suite := junitSuite{junitCounts: counts, Properties: properties(r), Cases: cases}
	if !r.StartedAt.IsZero() {
		suite.Timestamp = r.StartedAt.UTC().Format(time.RFC3339)
	}
	out, err := xml.MarshalIndent(junitSuites{junitCounts: counts, Suite: suite}, "", "  ")
	if err != nil {
		return fmt.Errorf("junit: %w", err)
	}
	if _, err := io.WriteString(w, xml.Header+string(out)+"\n"); err != nil {
		return fmt.Errorf("junit: %w", err)
	}
	return nil
}

// runCase is the run itself. A run that its gate or a denial made fail has the failure there.
func runCase(r *reports.Report) []junitCase {
	c := junitCase{Class: "yolo-run.run", Name: "run", Time: seconds(r.DurationMs)}
	details := []string{show(Headline(r))}
	for _, e := range r.Errors[:min(len(r.Errors), junitCases)] {
		details = append(details, Visible(clip(e, paragraph)))
	}
	result := &junitResult{Message: details[0], Type: show(string(r.Outcome)), Text: strings.Join(details, "\n")}
	switch {
	case r.Outcome == reports.Infrastructure || r.Outcome == reports.Cancelled:
		c.Error = result
	case r.ExitCode != 0 && !shownElsewhere(r):
		c.Failure = result
	default:
		c.Out = result.Text
	}
	return []junitCase{c}
}

// shownElsewhere reports whether another case says why the run failed.
func shownElsewhere(r *reports.Report) bool {
	return r.Outcome == reports.PolicyFailed &&
		(failed(r, "gate") && !r.Gate.Passed || failed(r, "denied") && listed(r, reports.Deny) || failed(r, "would-deny") && listed(r, reports.WouldDeny))
}

// failed reports whether the run may have failed by this rule of --fail-on.
func failed(r *reports.Report, rule string) bool {
	return r.Outcome == reports.PolicyFailed && slices.Contains(r.FailOn, rule)
}

func listed(r *reports.Report, v reports.Verdict) bool {
	return slices.ContainsFunc(r.Network.Destinations, func(d reports.Destination) bool { return d.Verdict == v })
}

func gateCases(r *reports.Report) []junitCase {
	findings := r.Gate.Findings
	if len(findings) == 0 && r.Gate.Passed {
		return []junitCase{{Class: "yolo-run.gate", Name: "gate", Time: "0", Out: "nothing was found"}}
	}
	var cases []junitCase
	for _, f := range findings[:min(len(findings), junitCases)] {
		text := show(f.Rule)
		if f.Path != "" {
			text += ": " + show(f.Path)
		}
		c := junitCase{Class: "yolo-run.gate", Name: text, Time: "0", File: show(f.Path)}
		result := &junitResult{Message: show(f.Reason), Type: show(f.Rule), Text: text + ": " + show(f.Reason)}
		if f.Severity == reports.Block && failed(r, "gate") {
			c.Failure = result
		} else {
			c.Skipped = noted(result)
			c.Out = result.Text
		}
		cases = append(cases, c)
	}
	return append(cases, more("yolo-run.gate", len(findings)-len(cases))...)
}

func denialCases(m Model) []junitCase {
	advice := newAdviser(m.Report.Policy)
	var cases []junitCase
	for _, v := range []struct {
		verdict reports.Verdict
		rule    string
	}{{reports.Deny, "denied"}, {reports.WouldDeny, "would-deny"}} {
		dests := m.verdict(v.verdict)
		n := min(len(dests), junitCases)
		for _, d := range dests[:n] {
			cases = append(cases, denialCase(d, advice.flag(d), failed(m.Report, v.rule)))
		}
		cases = append(cases, more("yolo-run.network", len(dests)-n)...)
	}
	return cases
}

func denialCase(d reports.Destination, flag string, failed bool) junitCase {
	target := show(Target(d))
	c := junitCase{Class: "yolo-run.network", Name: show(string(d.Verdict)) + " " + target + " (" + show(string(d.Layer)) + ")", Time: "0"}
	// Two destinations may differ in the reason only, and readers tell cases apart by their names.
	if d.Reason != "" {
		c.Name += ": " + show(d.Reason)
	}
	text := []string{plural(d.Count, "attempt") + " to reach " + target}
	for _, q := range d.Processes {
		text = append(text, "by "+show(Command(q))+" (process "+strconv.Itoa(q.PID)+")")
	}
	if flag != "" {
		text = append(text, "to allow it: "+show(flag))
	}
	result := &junitResult{Message: text[0], Type: show(string(d.Verdict)), Text: strings.Join(text, "\n")}
	if failed {
		c.Failure = result
	} else {
		c.Skipped = noted(result)
		c.Out = result.Text
	}
	return c
}

// noted is the result of what did not make the run fail. Readers want no text in it.
func noted(r *junitResult) *junitResult { return &junitResult{Message: r.Message} }

func more(class string, n int) []junitCase {
	if n <= 0 {
		return nil
	}
	text := "… and " + count(int64(n)) + " more in report.json"
	return []junitCase{{Class: class, Name: text, Time: "0", Skipped: &junitResult{Message: text}}}
}

// properties are what one wants to know of a run without opening it.
func properties(r *reports.Report) []junitProperty {
	list := []junitProperty{
		{"run", show(r.ID)},
		{"version", show(r.Version)},
		{"outcome", show(string(r.Outcome))},
		{"exit-code", strconv.Itoa(r.ExitCode)},
		{"agent", show(r.Agent.Name)},
		{"image", show(r.Agent.Image)},
		{"files-changed", strconv.Itoa(len(r.Changes.Files))},
		{"insertions", strconv.FormatInt(r.Changes.Insertions, 10)},
		{"deletions", strconv.FormatInt(r.Changes.Deletions, 10)},
		{"allowed", strconv.FormatInt(r.Network.Allowed, 10)},
		{"denied", strconv.FormatInt(r.Network.Denied, 10)},
		{"would-deny", strconv.FormatInt(r.Network.WouldDeny, 10)},
	}
	if u := r.Usage; u.Requests > 0 {
		list = append(list,
			junitProperty{"input-tokens", strconv.FormatInt(u.InputTokens, 10)},
			junitProperty{"output-tokens", strconv.FormatInt(u.OutputTokens, 10)},
			junitProperty{"cost-usd", strconv.FormatFloat(u.CostUSD, 'f', -1, 64)})
	}
	for _, p := range r.Phases[:min(len(r.Phases), 50)] {
		list = append(list, junitProperty{"phase." + show(p.Name), seconds(p.DurationMs)})
	}
	return list
}

func seconds(ms int64) string { return strconv.FormatFloat(float64(ms)/1000, 'f', 3, 64) }
