package render

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/yolo-run/yolo-run/reports"
)

var update = flag.Bool("update", false, "write the golden files instead of comparing them")

func TestGoldens(t *testing.T) {
	for name, m := range models() {
		for ext, r := range map[string]Renderer{
			".md": Markdown{}, ".xml": JUnit{}, ".txt": Terminal{}, ".ansi": Terminal{Color: true, Width: 72},
		} {
			t.Run(name+ext, func(t *testing.T) {
				golden(t, name+ext, render(t, r, m))
			})
		}
	}
}

// golden compares got with a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs (go test ./reports/render -update, then look at it):\n%s", file, got)
	}
}

func TestMarkdownStaysUnderItsLimit(t *testing.T) {
	for name, text := range map[string]string{
		"hostile": hostile, "plain": strings.Repeat("x", 4096), "references": strings.Repeat("|", 4096), "escapes": strings.Repeat("\U000e0041|", 4096),
	} {
		t.Run(name, func(t *testing.T) {
			got := render(t, Markdown{}, Model{Report: full(3000, text)})
			if len(got) > MarkdownLimit {
				t.Errorf("%d bytes", len(got))
			}
			for _, title := range []string{"## Errors", "## Denied", "## Would be denied", "## Gate", "## Changes", "## What the agent did", "steps</summary>", "Phases", "Policy", "Artifacts"} {
				if !strings.Contains(got, title) {
					t.Errorf("%s was pushed out", title)
				}
			}
			if !strings.Contains(got, " more in `report.json`") {
				t.Error("rows were left out in silence")
			}
		})
	}
}

func TestMarkdownCountsWhatItLeavesOut(t *testing.T) {
	r := success()
	r.Changes.Files = nil
	for range 20_000 {
		r.Changes.Files = append(r.Changes.Files, reports.FileChange{Path: strings.Repeat("p", 200), Status: "added"})
	}
	got := render(t, Markdown{}, Model{Report: r})
	shown := strings.Count(got, "| added |")
	if shown < 100 || shown > 19_999 {
		t.Fatalf("%d rows", shown)
	}
	if want := "… and " + count(int64(20_000-shown)) + " more in"; !strings.Contains(got, want) {
		t.Errorf("%d rows and no %q", shown, want)
	}
}

func TestHostileTextIsInert(t *testing.T) {
	m := Model{Report: full(60, hostile), Dir: hostile}
	t.Run("markdown", func(t *testing.T) { inertMarkdown(t, render(t, Markdown{}, m)) })
	t.Run("terminal", func(t *testing.T) { inertLog(t, render(t, Terminal{}, m)) })
	t.Run("junit", func(t *testing.T) { inertXML(t, render(t, JUnit{}, m)) })
}

func TestTerminalKeepsToItsWidth(t *testing.T) {
	for name, m := range models() {
		label := ""
		for line := range strings.Lines(render(t, Terminal{Width: 80}, m)) {
			n := len([]rune(strings.TrimSuffix(line, "\n")))
			if s := strings.TrimSpace(string([]rune(line + strings.Repeat(" ", indent))[:indent])); s != "" {
				label = s
			}
			// What is there to be copied or is the only clue is shown whole.
			whole := strings.Contains(line, "to allow it") || label == "error" || label == "artifacts"
			if n > 80 && !whole {
				t.Errorf("%s: %d columns: %s", name, n, line)
			}
		}
	}
}

func TestColourOnlyPaints(t *testing.T) {
	for name, m := range models() {
		painted := render(t, Terminal{Color: true}, m)
		for _, c := range []string{"0", bold, dim, red, green, yellow} {
			painted = strings.ReplaceAll(painted, "\x1b["+c+"m", "")
		}
		if painted != render(t, Terminal{}, m) {
			t.Errorf("%s: the colours change the text", name)
		}
	}
}

func FuzzRender(f *testing.F) {
	f.Add(hostile)
	f.Add("plain.example")
	f.Add("\\|`\\` | a")
	f.Add(" :: ###[x]##vso[y]")
	f.Add(strings.Repeat("x", 60) + " ::set-env name=x::" + strings.Repeat("y", 84) + "::set-env")
	f.Fuzz(func(t *testing.T, s string) {
		m := Model{Report: full(2, s), Dir: s}
		inertMarkdown(t, render(t, Markdown{}, m))
		inertLog(t, render(t, Terminal{}, m))
		inertXML(t, render(t, JUnit{}, m))
	})
}

func render(t *testing.T, r Renderer, m Model) string {
	t.Helper()
	var buf bytes.Buffer
	if err := r.Render(&buf, m); err != nil {
		t.Fatal(err)
	}
	return buf.String()
}

// quoted is how we begin the line of a quotation.
var quoted = regexp.MustCompile(`(?m)^>( |$)`)

// inertMarkdown checks that the page has only our own structure: our tags, and as many cells in a row as its table has columns.
func inertMarkdown(t *testing.T, page string) {
	t.Helper()
	inertLog(t, page)
	bare := quoted.ReplaceAllString(page, "")
	for _, tag := range []string{"<details>", "</details>", "<summary>", "</summary>", "<code>", "</code>"} {
		bare = strings.ReplaceAll(bare, tag, "")
	}
	if i := strings.IndexAny(bare, "<>"); i >= 0 {
		t.Errorf("markup survived: %q", bare[i:min(i+60, len(bare))])
	}
	columns := 0
	for line := range strings.Lines(page) {
		bars := strings.Count(line, "|")
		switch {
		case bars == 0:
			columns = 0
		case columns == 0:
			columns = bars
		case bars != columns:
			t.Errorf("%d bars in a table with %d: %s", bars, columns, line)
		}
		if strings.Count(line, "`")%2 != 0 {
			t.Errorf("an open code span: %s", line)
		}
	}
}

// inertLog checks what no output may have.
func inertLog(t *testing.T, text string) {
	t.Helper()
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		for _, r := range line {
			if !reports.Printable(r) {
				t.Errorf("%U survived in %q", r, line)
			}
		}
		if strings.HasPrefix(strings.TrimLeft(line, " "), "::") || strings.Contains(line, "##[") || strings.Contains(line, "##vso[") {
			t.Errorf("a workflow command survived: %q", line)
		}
	}
}

func TestWhatToPasteIsBoundedAndCounted(t *testing.T) {
	r := success()
	r.Network.Destinations = nil
	for i := range allowFlags + 7 {
		r.Network.Destinations = append(r.Network.Destinations, reports.Destination{
			Name: fmt.Sprintf("h%d.example", i), Layer: reports.LayerDNS, Verdict: reports.Deny, Count: 1,
		})
	}
	page := render(t, Markdown{}, Model{Report: r})
	_, block, _ := strings.Cut(page, "GitHub Action:\n\n```\n")
	block, rest, _ := strings.Cut(block, "\n```\n")
	if got := strings.Count(block, ".example"); got != allowFlags {
		t.Errorf("%d names to paste, want %d", got, allowFlags)
	}
	if !strings.HasPrefix(strings.TrimSpace(rest), "… and 7 more") {
		t.Errorf("what is missing is not counted: %.80q", rest)
	}
}
