package render

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const noLimit = 1 << 30

func TestReadPatch(t *testing.T) {
	in, err := os.Open(filepath.Join("testdata", "run", "changes.patch"))
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	files, err := readPatch(in, noLimit, noLimit)
	if err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	for _, f := range files {
		fmt.Fprintf(&got, "%q %q binary=%v:", f.name, f.oldName, f.binary)
		for _, h := range f.hunks {
			plus, minus := 0, 0
			for _, l := range h.lines {
				switch l.op {
				case '+':
					plus++
				case '-':
					minus++
				}
			}
			fmt.Fprintf(&got, " +%d-%d of %d", plus, minus, len(h.lines))
		}
		got.WriteString("\n")
	}
	want := `".github.yml" "" binary=false: +7-0 of 7
"cmd/main.go" "cmd/main.go" binary=false: +14-3 of 27
"docs/notes.md" "docs/notes.md" binary=false: +0-3 of 3
"internal/store/store.go" "store.go" binary=false: +1-1 of 8
"logo.png" "" binary=true:
"run.sh" "run.sh" binary=false:
"scripts/greet.py" "scripts/greet.py" binary=false: +4-2 of 9
"scripts/link" "" binary=false: +1-0 of 1
"scripts/tab\tand \"quotes\".txt" "scripts/tab\tand \"quotes\".txt" binary=false: +6-1 of 7
`
	if got.String() != want {
		t.Errorf("%s\nwant\n%s", got.String(), want)
	}
}

// A bomb is counted, not inflated, and a line without an end is cut.
func TestReadPatchIsBounded(t *testing.T) {
	header := "diff --git a/x b/x\nnew file mode 100644\nindex 0000000..84ae5b9\n"
	long := strings.Repeat("y", 1<<20)
	for name, patch := range map[string]string{
		"binary": header + "GIT binary patch\nliteral 99999999999\n" + strings.Repeat("zcmV"+strings.Repeat("0", 60)+"\n", 10_000),
		"lines":  header + "--- /dev/null\n+++ b/x\n@@ -0,0 +1,100000 @@\n" + strings.Repeat("+x\n", 100_000),
		"hunks":  header + "--- /dev/null\n+++ b/x\n" + strings.Repeat("@@ -0,0 +1 @@\n+x\n", 50_000),
		"a line": header + "--- /dev/null\n+++ b/x\n@@ -0,0 +1,2 @@\n+" + long + "\n+z\n",
	} {
		t.Run(name, func(t *testing.T) {
			files, err := readPatch(strings.NewReader(patch), 10_000, 20_000)
			if err != nil || len(files) != 1 {
				t.Fatalf("%d files, %v", len(files), err)
			}
			weight := 0
			for _, h := range files[0].hunks {
				for _, l := range h.lines {
					weight += len(l.text)
				}
			}
			if weight > 2*patchLineMax || len(files[0].hunks) > 200 || files[0].kept()+files[0].hidden != map[string]int{"binary": 0, "lines": 100_000, "hunks": 50_000, "a line": 2}[name] {
				t.Errorf("%d bytes, %d lines and %d hidden", weight, files[0].kept(), files[0].hidden)
			}
		})
	}
}

func TestReadPatchStopsAtAFault(t *testing.T) {
	for name, tail := range map[string]string{
		"a hunk that is short":   "--- a/x\n+++ b/x\n@@ -1,9 +1,9 @@\n x\ndiff --git a/y b/y\n",
		"a hunk without numbers": "--- a/x\n+++ b/x\n@@ -a +b @@\n",
		"a hunk of too much":     "--- a/x\n+++ b/x\n@@ -1,99999999999 +1 @@\n",
		"text between hunks":     "--- a/x\n+++ b/x\n@@ -1 +1 @@\n-x\n+y\nsomething\n",
	} {
		files, err := readPatch(strings.NewReader("diff --git a/w b/w\nold mode 100644\nnew mode 100755\ndiff --git a/x b/x\n"+tail), noLimit, noLimit)
		if err == nil || len(files) == 0 || files[0].name != "w" {
			t.Errorf("%s: %d files, %v", name, len(files), err)
		}
	}
}

func FuzzReadPatch(f *testing.F) {
	if b, err := os.ReadFile(filepath.Join("testdata", "run", "changes.patch")); err == nil {
		f.Add(string(b))
	}
	f.Add("diff --git a/x b/x\n@@ -1 +1 @@\n\\ No newline\n")
	f.Fuzz(func(t *testing.T, patch string) {
		files, err := readPatch(strings.NewReader(patch), 4096, 16384)
		kept := 0
		for _, file := range files {
			kept += file.kept()
		}
		if kept*lineWeight > 16384 {
			t.Errorf("%d lines were kept (%v)", kept, err)
		}
	})
}

// FuzzPaint: colours change no character of what is shown.
func FuzzPaint(f *testing.F) {
	f.Add("x.go", "package x // \u202e\n\tfmt.Print(`a`)\r\n\xff")
	f.Add("x.php", "<?php echo \"</p>\"; ?><p>")
	f.Fuzz(func(t *testing.T, name, code string) {
		var lines []patchLine
		for i, line := range strings.Split(code, "\n") {
			lines = append(lines, patchLine{op: " +-"[i%3], text: line})
		}
		paint := newPainter(1 << 20)
		paint.until = time.Now().Add(20 * time.Millisecond)
		for i, spans := range paint.paint(name, lines) {
			var text strings.Builder
			for _, s := range spans {
				text.WriteString(s.Text)
			}
			if got := text.String(); got != shownText(lines[i].text) {
				t.Errorf("%q is shown as %q", lines[i].text, got)
			}
		}
	})
}

// Code that was made to be slow to read costs its colours, not the run.
func TestColoursEnd(t *testing.T) {
	for name, line := range map[string]string{
		"x.go": "/*" + strings.Repeat("*", 900), "x.md": strings.Repeat("[", 900), "x.php": "<?php " + strings.Repeat("`$(", 300),
		"x.js": strings.Repeat("`${", 300), "x.pl": strings.Repeat("s{", 450),
	} {
		t.Run(name, func(t *testing.T) {
			lines := make([]patchLine, 2000)
			for i := range lines {
				lines[i] = patchLine{op: '+', new: i + 1, text: line}
			}
			const limit = 100 * time.Millisecond
			begun := time.Now()
			paint := newPainter(1 << 20)
			paint.until = begun.Add(limit)
			for range 20 {
				if got := paint.paint(name, lines); len(got) != len(lines) {
					t.Fatal("lines were lost")
				}
			}
			// One token may take some expressions at a quarter of a second each.
			if took := time.Since(begun); took > limit+10*time.Second {
				t.Errorf("%v", took)
			}
		})
	}
}
