package ci

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// obeyed is what GitHub's runner would do on reading a step's output, as in ActionCommand.cs and ActionCommandManager.cs of
// actions/runner: "::name properties::data" at the start of a line, "##[name properties]data" anywhere in one, and nothing but the
// token after stop-commands.
func obeyed(log string) []string {
	var out []string
	stop := ""
	for line := range strings.Lines(log) {
		name, data, ok := command(strings.TrimRight(line, "\r\n"))
		switch {
		case !ok:
		case stop != "":
			if name == stop {
				stop = ""
			}
		case name == "stop-commands":
			stop = data
		default:
			word, _, _ := strings.Cut(name, " ")
			out = append(out, word)
		}
	}
	if stop != "" {
		out = append(out, "stop-commands") // the runner was left deaf
	}
	return out
}

func command(line string) (name, data string, ok bool) {
	if rest, found := strings.CutPrefix(strings.TrimLeft(line, " \t"), "::"); found {
		if name, data, ok = strings.Cut(rest, "::"); ok {
			return name, data, true
		}
	}
	if _, rest, found := strings.Cut(line, "##["); found {
		return strings.Cut(rest, "]")
	}
	return "", "", false
}

// commandFile reads a command file as FileCommandManager.cs does.
func commandFile(t *testing.T, path string) map[string]string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	lines := strings.Split(strings.ReplaceAll(string(b), "\r\n", "\n"), "\n")
	for i := 0; i < len(lines); i++ {
		if lines[i] == "" {
			continue
		}
		equals, heredoc := strings.Index(lines[i], "="), strings.Index(lines[i], "<<")
		switch {
		case equals >= 0 && (heredoc < 0 || equals < heredoc):
			out[lines[i][:equals]] = lines[i][equals+1:]
		case heredoc >= 0:
			name, end := lines[i][:heredoc], lines[i][heredoc+2:]
			n := slices.Index(lines[i+1:], end)
			if n < 0 {
				t.Fatalf("no end of %s", name)
			}
			out[name] = strings.Join(lines[i+1:i+1+n], "\n")
			i += n + 1
		default:
			t.Fatalf("invalid line %q", lines[i])
		}
	}
	return out
}

// workflow is a step's environment with its command files.
type workflow struct {
	log strings.Builder
	dir string
}

func newWorkflow(t *testing.T) *workflow {
	t.Helper()
	w := &workflow{dir: t.TempDir()}
	for _, name := range []string{"GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY", "GITHUB_ENV", "GITHUB_PATH", "GITHUB_STATE"} {
		if err := os.WriteFile(w.file(name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

func (w *workflow) file(name string) string { return filepath.Join(w.dir, name) }

func (w *workflow) getenv(name string) string {
	switch {
	case name == "GITHUB_ACTIONS":
		return "true"
	case strings.HasPrefix(name, "GITHUB_"):
		return w.file(name)
	default:
		return ""
	}
}

func (w *workflow) read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(w.file(name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
