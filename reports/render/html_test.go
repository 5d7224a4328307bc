package render

import (
	"html"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/yolo-run/yolo-run/reports"
)

func TestPageKeepsToItsPolicy(t *testing.T) {
	page := render(t, HTML{}, whole())
	for tag, directive := range map[string]string{"style": "style-src", "script": "script-src"} {
		_, rest, _ := strings.Cut(page, "<"+tag+">")
		body, _, ok := strings.Cut(rest, "</"+tag+">")
		if want := directive + " '" + digest(body) + "'"; !ok || !strings.Contains(html.UnescapeString(page), want) {
			t.Errorf("the policy has no digest of this page's %s", tag)
		}
		if strings.Count(page, "<"+tag) != 1 {
			t.Errorf("more than one %s", tag)
		}
	}
	head, _, _ := strings.Cut(page, "<style>")
	if !strings.Contains(head, "Content-Security-Policy") {
		t.Error("the policy stands behind what it is for")
	}
}

// Nothing on the page leads out of it, whatever its policy says.
func TestPageAsksForNothing(t *testing.T) {
	for name, m := range map[string]Model{"whole": whole(), "hostile": fullPage(60, hostile)} {
		page := render(t, HTML{}, m)
		for _, attribute := range regexp.MustCompile(`\b(?:href|src|srcset|action|formaction|poster|data|background|style|ping)="([^"]*)"`).FindAllStringSubmatch(page, -1) {
			if v := attribute[1]; !strings.HasPrefix(v, "#") && v != "data:," {
				t.Errorf("%s: %s", name, attribute[0])
			}
		}
		if strings.Contains(page, "@import") || strings.Contains(page, "url(") {
			t.Errorf("%s: the style asks for something", name)
		}
	}
}

func TestPageStaysUnderItsLimit(t *testing.T) {
	for name, text := range map[string]string{
		"hostile": hostile, "plain": strings.Repeat("x", 4096), "references": strings.Repeat("&", 4096), "escapes": strings.Repeat("\U000e0041&", 4096),
		"folders": strings.Repeat("a/", 2000),
	} {
		t.Run(name, func(t *testing.T) {
			got := render(t, HTML{}, fullPage(3000, text))
			if len(got) > HTMLLimit {
				t.Errorf("%d bytes", len(got))
			}
			for _, title := range []string{">Errors<", ">Gate<", ">Network<", ">Denied<", ">Time<", ">Changes<", ">Policy<", ">Artifacts<"} {
				if !strings.Contains(got, title) {
					t.Errorf("%s was pushed out", title)
				}
			}
			if !strings.Contains(got, " more in report.json") {
				t.Error("rows were left out in silence")
			}
		})
	}
}

func TestPageOfManyFiles(t *testing.T) {
	got := render(t, HTML{}, manyFiles(t, 5000))
	if len(got) > HTMLLimit {
		t.Errorf("%d bytes", len(got))
	}
	if n := strings.Count(got, `class="leaf"`); n != 5000 {
		t.Errorf("%d files in the tree", n)
	}
	shown := strings.Count(got, `<details class="file"`)
	if shown < 1000 || !strings.Contains(got, "no room for the differences of "+count(int64(5000-shown))+" more files") {
		t.Errorf("%d files with their differences, and no word of the others", shown)
	}
}

// What the page says of the patch is what lies in the folder.
func TestPageShowsThePatch(t *testing.T) {
	page := render(t, HTML{}, whole())
	for what, text := range map[string]string{
		"an added line":       `<td>4</td><td>&#43;</td><td>	<span class="s">&#34;flag&#34;</span>`,
		"a removed line":      `<tr class="d"><td>11</td><td></td><td>-</td>`,
		"a rename":            `<span class="old">store.go → </span>internal/store/<b>store.go</b>`,
		"a mode":              "mode 100644 → 100755",
		"a binary file":       "Binary file",
		"a symbolic link":     "symbolic link",
		"a bidi control":      `\u202etrojan`,
		"markup":              "&lt;script&gt;alert(1)&lt;/script&gt;",
		"no newline":          "no newline at the end",
		"a line like a file":  "diff --git a/x b/x",
		"a name with a tab":   `<b>tab\tand &#34;quotes&#34;.txt</b>`,
		"an escape":           `\x1b[31mred`,
		"a head of a hunk":    "type Store struct {",
		"a denial's time":     "176 attempts: paste.example, …",
		"what the agent said": "I split the store from the command.\n\nThe tests pass",
	} {
		if !strings.Contains(page, text) {
			t.Errorf("%s is not there: %s", what, text)
		}
	}
	if strings.Contains(page, `class="warning"`) {
		t.Error("the page warns of something")
	}
}

func TestPageSaysWhatItCouldNotRead(t *testing.T) {
	read := func(name string) []byte {
		b, err := os.ReadFile(filepath.Join("testdata", "run", name))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	patch, events := read("changes.patch"), read("network.jsonl")
	cut := patch[:len(patch)/2]
	for name, tt := range map[string]struct {
		patch, events []byte
		want          string
	}{
		"nothing there":    {nil, events, "changes.patch could not be read."},
		"another patch":    {append([]byte(nil), append(patch, "diff --git a/z b/z\nnew file mode 100644\n"...)...), events, "is not the one that the report describes"},
		"half a patch":     {cut, events, "changes.patch"},
		"no patch at all":  {[]byte("<script>alert(1)</script>\n"), events, "line 1 of the patch: something stands before the first file"},
		"no events":        {patch, nil, "network.jsonl could not be read."},
		"events that lie":  {patch, []byte("{\"verdict\":\"fine\"}\n"), "where network.jsonl could not be read any further"},
		"an edited report": {patch, events, ""},
	} {
		t.Run(name, func(t *testing.T) {
			m := whole()
			m.Dir = t.TempDir()
			for file, b := range map[string][]byte{"changes.patch": tt.patch, "network.jsonl": tt.events} {
				if b == nil {
					continue
				}
				if err := os.WriteFile(filepath.Join(m.Dir, file), b, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			page := render(t, HTML{}, m)
			if !strings.Contains(page, tt.want) {
				t.Errorf("%q is not there", tt.want)
			}
			if tt.want == "" && (strings.Contains(page, `class="warning"`) || strings.Contains(page, "could not be read")) {
				t.Error("the page warns of something")
			}
		})
	}
}

// A folder from elsewhere cannot make the page read something else.
func TestPageReadsOnlyItsFolder(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("diff --git a/cmd/main.go b/cmd/main.go\n--- a/cmd/main.go\n+++ b/cmd/main.go\n@@ -0,0 +1 @@\n+tell-nobody\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	m := whole()
	m.Dir = t.TempDir()
	link := filepath.Join(m.Dir, "changes.patch")
	if err := os.Symlink(secret, link); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(render(t, HTML{}, m), "tell-nobody") {
		t.Error("a link was followed")
	}
	if err := os.Remove(link); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(secret, link); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(render(t, HTML{}, m), "tell-nobody") {
		t.Error("the control: a file of the folder was not read")
	}
}

func TestPageWithoutAFolder(t *testing.T) {
	m := whole()
	m.Dir = ""
	page := render(t, HTML{}, m)
	if !strings.Contains(page, "this page was made without it") || !strings.Contains(page, ">main.go<") {
		t.Error("the changed files are not there, or not a word of the patch")
	}
}

func TestAllowSnippets(t *testing.T) {
	action, err := os.ReadFile(filepath.Join("..", "..", "action.yml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, flag := range []string{"allowed-domain", "allowed-internal"} {
		if input := actionInput(flag); !strings.Contains(string(action), "\n  "+input+":\n") {
			t.Errorf("the action has no input %s", input)
		}
	}
	got := snippets([]string{"--allowed-domain paste.example", "--allowed-internal 10.0.0.7:80", "--allowed-domain github.com:22", "--allowed-domain 123"})
	want := []string{
		"--allowed-domain paste.example \\\n--allowed-internal 10.0.0.7:80 \\\n--allowed-domain github.com:22 \\\n--allowed-domain 123",
		"allowed-domain:\n  - paste.example\n  - \"github.com:22\"\n  - \"123\"\nallowed-internal:\n  - \"10.0.0.7:80\"",
		"allowed-domains: |\n  paste.example\n  github.com:22\n  123\nallowed-internal: |\n  10.0.0.7:80",
	}
	for i, s := range got {
		if s.Text != want[i] {
			t.Errorf("%s:\n%s\nwant\n%s", s.Title, s.Text, want[i])
		}
	}
}

// inertPage checks that text can be nothing but text: the page has the same tags, in the same order and with the same attributes, whatever it says.
func inertPage(t *testing.T, page, plain string) {
	t.Helper()
	for _, r := range page {
		if r != '\n' && r != '\t' && !reports.Printable(r) {
			t.Errorf("%U survived", r)
		}
	}
	if got, want := tags(page), tags(plain); got != want {
		at := 0
		for at < min(len(got), len(want)) && got[at] == want[at] {
			at++
		}
		t.Errorf("text became markup near %q", got[max(0, at-80):min(len(got), at+80)])
	}
}

// tags is the page without its texts, values and script.
func tags(page string) string {
	_, page, _ = strings.Cut(page, "<body>")
	page, _, _ = strings.Cut(page, "<script>")
	var b strings.Builder
	for _, tag := range regexp.MustCompile(`<[^>]*>`).FindAllString(page, -1) {
		b.WriteString(regexp.MustCompile(`"[^"]*"`).ReplaceAllString(tag, `""`) + "\n")
	}
	return b.String()
}

// fullPage is [full] with what only pages show.
func fullPage(rows int, text string) Model {
	r := full(rows, text)
	r.Usage = reports.Usage{Requests: 1, Models: []reports.ModelUsage{{API: text, Model: text, Requests: 1}}}
	r.Transcript = reports.Transcript{Format: text, Final: text, Error: text, Omitted: 1, Steps: []reports.Step{
		{Kind: reports.StepKind(text), Text: text, Cut: true}, {Kind: reports.StepTool, Tool: text, Input: text, Result: text, Failed: true},
	}}
	return Model{Report: r, Dir: text}
}

func TestHostileTextIsInertOnThePage(t *testing.T) {
	// Slashes make folders and newlines make steps longer; nothing else may make a difference.
	plain := strings.Map(func(r rune) rune {
		if r == '/' || r == '\n' {
			return r
		}
		return 'x'
	}, hostile)
	inertPage(t, render(t, HTML{}, fullPage(3, hostile)), render(t, HTML{}, fullPage(3, plain)))
}

func TestPageGoldens(t *testing.T) {
	for name, m := range map[string]Model{"whole": whole(), "hostile": fullPage(1, hostile), "broken": models()["broken"], "nothing": models()["nothing"]} {
		t.Run(name, func(t *testing.T) {
			_, body, _ := strings.Cut(render(t, HTML{}, m), "<body>") // style and script are files of their own
			body, _, _ = strings.Cut(body, "<script>")
			golden(t, name+".html", body)
		})
	}
}

func FuzzPage(f *testing.F) {
	f.Add(hostile)
	f.Add(`"><img src=x onerror=alert(1)>`)
	f.Add("{{.}}</title></style></script>")
	f.Fuzz(func(t *testing.T, s string) {
		page := render(t, HTML{}, fullPage(2, s))
		for _, r := range page {
			if r != '\n' && r != '\t' && !reports.Printable(r) {
				t.Errorf("%U survived", r)
			}
		}
		if n := strings.Count(page, "<script"); n != 1 {
			t.Errorf("%d scripts", n)
		}
	})
}

func BenchmarkPage(b *testing.B) {
	for name, m := range map[string]Model{"9 files": whole(), "5000 files": manyFiles(b, 5000)} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				page, err := renderHTML(m)
				if err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(float64(len(page)), "bytes")
			}
		})
	}
}

// Report and patch write a name that is not UTF-8 each in its own way.
func TestPageFindsAFileWithAnyName(t *testing.T) {
	m := whole()
	m.Dir = t.TempDir()
	patch := "diff --git \"a/caf\\351\" \"b/caf\\351\"\n--- \"a/caf\\351\"\n+++ \"b/caf\\351\"\n@@ -0,0 +1 @@\n+found\n"
	if err := os.WriteFile(filepath.Join(m.Dir, "changes.patch"), []byte(patch), 0o600); err != nil {
		t.Fatal(err)
	}
	m.Report.Changes = reports.Changes{Files: []reports.FileChange{{Path: `"caf\351"`, Status: "modified", Insertions: 1}}}
	if page := render(t, HTML{}, m); !strings.Contains(page, "<td>found</td>") {
		t.Error("its difference is not there")
	}
}

// A report that somebody edited may say anything of its time; the page is made all the same.
func TestTimesThatNoRunHasAreDrawnAtTheEdge(t *testing.T) {
	for _, total := range []int64{math.MinInt64, 0, 1 << 56, math.MaxInt64} {
		r := success()
		r.DurationMs = total
		r.Phases = []reports.Phase{{Name: "agent", DurationMs: total}, {Name: "collect", StartMs: math.MinInt64, DurationMs: math.MaxInt64}, {Name: "end", StartMs: math.MaxInt64, DurationMs: 1}}
		for _, at := range []int64{math.MinInt64, -1, (3 << 62) / 200, math.MaxInt64} {
			r.Transcript.Steps = append(r.Transcript.Steps, reports.Step{Kind: reports.StepTool, Tool: "Bash", AtMs: at})
		}
		page, err := renderHTML(Model{Report: r})
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(page), `class="tick"`) {
			t.Errorf("a run of %d ms has no marks", total)
		}
	}
}
