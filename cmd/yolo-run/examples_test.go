package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Every command line of the program in a code block of the documentation is one that the program takes: settings are read and checked, and the
// plan is printed. What is left out of an example with … is a prompt.
func TestExamplesOfTheDocumentation(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the program")
	}
	program := filepath.Join(t.TempDir(), "yolo-run.real")
	if out, err := exec.Command("go", "build", "-buildvcs=false", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	files, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, file := range append(files, "../../README.md") {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range commandLines(string(text)) {
			found++
			t.Run(filepath.Base(file)+" "+line, func(t *testing.T) { dryRun(t, program, line) })
		}
	}
	if found < 10 {
		t.Errorf("%d examples found", found)
	}
}

// commandLines are the lines of code blocks that call the program.
func commandLines(markdown string) []string {
	call := regexp.MustCompile(`^(?: {4}|\t)?(?:\$ )?((?:[A-Z_]+=\S+ )*yolo-run [^|\[]*)$`)
	var list []string
	fenced := false
	markdown = regexp.MustCompile(`\\\n +`).ReplaceAllString(markdown, "") // lines that go on
	for line := range strings.Lines(markdown) {
		line = strings.TrimRight(line, "\n")
		if strings.HasPrefix(strings.TrimSpace(line), "```") {
			fenced = !fenced
		}
		m := call.FindStringSubmatch(line)
		if m == nil || !fenced && !strings.HasPrefix(line, "    ") {
			continue
		}
		if words := strings.Fields(m[1]); strings.Contains(m[1], "FILE") || strings.HasSuffix(words[len(words)-1], ":") {
			continue // the grammar, not an example
		}
		list = append(list, m[1])
	}
	return list
}

// dryRun runs a line of the documentation in a workspace that has the files which such lines name.
func dryRun(t *testing.T, program, line string) {
	dir, bin := t.TempDir(), t.TempDir()
	for name, text := range map[string]string{
		"task.sh": "true\n", "task.md": "do it\n", "key.txt": "a-key\n", "ci/yolo.yaml": "timeout: 5m\n", "services/shop/x": "", "ca.pem": "",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	// A run becomes a plan; of the other commands only the words are checked.
	wrapper := `#!/bin/bash
case ${1:-} in
apply | diff | report | policy | doctor | clean | version | completion | help) exec ` + program + ` "$@" --help ;;
*) exec ` + program + ` --dry-run "$@" ;;
esac
`
	if err := os.WriteFile(filepath.Join(bin, "yolo-run"), []byte(wrapper), 0o755); err != nil {
		t.Fatal(err)
	}
	comment := regexp.MustCompile(`\s+# .*$`)
	line = comment.ReplaceAllString(line, "")
	prompt := "--prompt x "
	if strings.Contains(line, " -- ") {
		prompt = ""
	}
	line = strings.ReplaceAll(strings.ReplaceAll(line, "-- …", "-- true"), "…", prompt)
	cmd := exec.Command("bash", "-c", line)
	cmd.Dir = dir
	home := t.TempDir()
	cmd.Env = []string{"PATH=" + bin + ":" + os.Getenv("PATH"), "HOME=" + home, "ANTHROPIC_API_KEY=a-key", "OPENAI_API_KEY=a-key", "MYCORP_API_KEY=a-key"}
	for _, folder := range []string{".cache/go-build", ".claude", ".codex", ".gemini"} {
		if err := os.MkdirAll(filepath.Join(home, folder), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%s\n%v\n%s", line, err, out)
	}
}
