package ci

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/yolo-run/yolo-run/reports"
)

// maxSummary is GitHub's bound for all summaries of one step, in bytes. One that is longer is not shown at all.
const maxSummary = 1 << 20

// Outputs sets the step's outputs from a report. dir is the absolute path of the output folder.
func (g *GitHub) Outputs(r *reports.Report, dir string) error {
	if g == nil {
		return nil
	}
	var b strings.Builder
	for _, o := range outputs(r, dir) {
		// The delimiter is new for each value: text of the agent in a value cannot end it and begin another output.
		end := "yolo-run-" + rand.Text()
		fmt.Fprintf(&b, "%s<<%s\n%s\n%s\n", o.name, end, o.value, end)
	}
	return g.appendTo("GITHUB_OUTPUT", b.String())
}

type output struct{ name, value string }

func outputs(r *reports.Report, dir string) []output {
	var agentExit, patch, base string
	if r.Agent.ExitCode != nil {
		agentExit = strconv.Itoa(*r.Agent.ExitCode)
	}
	if p := r.Changes.Patch; p != nil {
		patch = filepath.Join(dir, p.File)
	}
	if r.Workspace.Git != nil {
		base = r.Workspace.Git.Head
	}
	number := func(n int64) string { return strconv.FormatInt(n, 10) }
	return []output{
		{"outcome", string(r.Outcome)},
		{"exit-code", strconv.Itoa(r.ExitCode)},
		{"agent-exit-code", agentExit},
		{"changed", strconv.FormatBool(len(r.Changes.Files) > 0)},
		{"patch-file", patch},
		{"report-file", filepath.Join(dir, "report.json")},
		{"artifact-dir", dir},
		{"base-sha", base},
		{"denials", number(r.Network.Denied)},
		{"files-changed", strconv.Itoa(len(r.Changes.Files))},
		{"insertions", number(r.Changes.Insertions)},
		{"deletions", number(r.Changes.Deletions)},
		{"input-tokens", number(r.Usage.InputTokens)},
		{"output-tokens", number(r.Usage.OutputTokens)},
		{"cost-usd", strconv.FormatFloat(r.Usage.CostUSD, 'f', -1, 64)},
	}
}

// Summary adds report.md to the step's summary. What is there already counts against GitHub's bound: when both do not fit, only the
// report's first paragraphs are added and say so.
func (g *GitHub) Summary(markdown []byte) error {
	if g == nil {
		return nil
	}
	var there int64
	if info, err := os.Stat(g.getenv("GITHUB_STEP_SUMMARY")); err == nil {
		there = info.Size()
	}
	// A page that somebody wrote before may have no newline at its end, and ours may not either.
	text := "\n" + string(markdown) + "\n"
	if there+int64(len(text)) > maxSummary {
		head, _, _ := bytes.Cut(markdown, []byte("\n## "))
		text = "\n" + string(head) + "\n\nThe whole report is in `report.md` of the artifacts: with it this summary would be over GitHub's limit.\n"
	}
	if there+int64(len(text)) > maxSummary {
		return fmt.Errorf("GITHUB_STEP_SUMMARY: %d bytes are there already and %d are the limit", there, maxSummary)
	}
	return g.appendTo("GITHUB_STEP_SUMMARY", text)
}
