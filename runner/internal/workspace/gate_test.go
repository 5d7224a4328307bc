package workspace_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/yolo-run/yolo-run/reports"
	"github.com/yolo-run/yolo-run/runner/internal/workspace"
)

func TestGate(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name  string
		o     workspace.GateOptions
		agent func(t *testing.T, d string)
		want  []string // rule, severity, path
	}{
		{"an honest change", workspace.GateOptions{MaxPatchBytes: 4 << 20, MaxPatchFiles: 100, Secrets: []string{canary, ""}}, func(t *testing.T, d string) {
			write(t, d+"/dir/one", "changed\n")
			write(t, d+"/.gitkeep", "")
		}, nil},
		{"protected files", workspace.GateOptions{Protect: []string{"/deploy"}}, func(t *testing.T, d string) {
			for _, p := range []string{
				".github/workflows/ci.yml", ".gitlab-ci.yml", "sub/.gitattributes", ".VSCode/tasks.json", "pkg/AGENTS.md", ".claude/settings.json", "deploy/x", "other/deploy",
			} {
				write(t, d+"/"+p, "x")
			}
		}, []string{
			"protected-path block .VSCode/tasks.json", "protected-path block .claude/settings.json", "protected-path block .github/workflows/ci.yml",
			"protected-path block .gitlab-ci.yml", "protected-path block deploy/x", "protected-path block pkg/AGENTS.md", "protected-path block sub/.gitattributes",
		}},
		{"renamed away", workspace.GateOptions{Protect: []string{"run.sh"}}, func(t *testing.T, d string) {
			must(t, os.Rename(d+"/run.sh", d+"/harmless"))
		}, []string{"protected-path block run.sh"}},
		{"symlinks", workspace.GateOptions{}, func(t *testing.T, d string) {
			for name, target := range map[string]string{
				"in": "dir/one", "dir/up": "../README.md", "abs": "/etc/passwd", "out": "../x", "dir/sub/out": "../../../x", "tricky": "dir/../../x", "git": ".git/config",
			} {
				must(t, os.Symlink(target, d+"/"+name))
			}
			must(t, os.Remove(d+"/link"))
			must(t, os.Symlink("dir", d+"/link"))
		}, []string{
			"symlink block abs", "symlink block dir/sub/out", "symlink block git", "symlink block out", "symlink block tricky", "symlink warn dir/up", "symlink warn in",
		}},
		{"executable", workspace.GateOptions{}, func(t *testing.T, d string) {
			must(t, os.Chmod(d+"/run.sh", 0o755))
			write(t, d+"/new.sh", "x")
			must(t, os.Chmod(d+"/new.sh", 0o755))
		}, []string{"executable-bit warn new.sh", "executable-bit warn run.sh"}},
		{"names", workspace.GateOptions{}, func(t *testing.T, d string) {
			for _, p := range []string{"a\nb", `a\b`, "a\x1b[2J", "ä"} {
				write(t, d+"/"+p, "x")
			}
		}, []string{"bad-name block a\nb", "bad-name block a\x1b[2J", `bad-name block a\b`}},
		{"size", workspace.GateOptions{MaxPatchBytes: 1000, MaxPatchFiles: 2}, func(t *testing.T, d string) {
			for i := range 3 {
				write(t, fmt.Sprintf("%s/%d", d, i), strings.Repeat("x\n", 500))
			}
		}, []string{"patch-files block ", "patch-size block "}},
		{"secrets", workspace.GateOptions{Secrets: []string{canary}}, func(t *testing.T, d string) {
			write(t, d+"/a", "x"+canary+"x")
			write(t, d+"/bin", "\x00"+canary)
			write(t, d+"/has-"+canary, "x")
			must(t, os.Symlink(canary, d+"/to"))
		}, []string{"secret block ", "secret block a", "secret block bin", "secret block to", "symlink warn to"}},
		{"outside of the folder", workspace.GateOptions{Sub: "dir"}, func(t *testing.T, d string) {
			write(t, d+"/dir/one", "x")
			write(t, d+"/dirty", "x")
			must(t, os.Rename(d+"/other/one", d+"/dir/two"))
		}, []string{"outside-folder block dirty", "outside-folder block other/one"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := newSandbox(t, func(dir string) { project(t, dir, false) })
			tc.agent(t, s.Merged)
			g := s.collect().Gate(tc.o)
			var got []string
			block := false
			for _, f := range g.Findings {
				got = append(got, fmt.Sprintf("%s %s %s", f.Rule, f.Severity, f.Path))
				block = block || f.Severity == reports.Block
				if f.Reason == "" || strings.Contains(f.Path+f.Reason, canary) {
					t.Errorf("finding %+v", f)
				}
			}
			slices.Sort(got)
			want := slices.Sorted(slices.Values(tc.want))
			if !slices.Equal(got, want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
			if g.Passed == block {
				t.Errorf("passed is %v", g.Passed)
			}
		})
	}
}

func TestGateFindsSubmodules(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, func(dir string) {
		project(t, dir, true)
		write(t, dir+"/lib/file", "x\n")
		command(t, "git", "-C", dir+"/lib", "init", "-q")
		command(t, "git", "-C", dir+"/lib", "add", ".")
		command(t, "git", "-C", dir+"/lib", "commit", "-q", "-m", "x")
		command(t, "git", "-C", dir, "-c", "advice.addEmbeddedRepo=false", "add", "lib")
	})
	s.open(workspace.Options{})
	write(t, s.Merged+"/lib/file", "y\n")
	write(t, s.Merged+"/library", "y\n")
	g := s.collect().Gate(workspace.GateOptions{})
	if len(g.Findings) != 1 || g.Findings[0].Rule != workspace.RuleSubmodule || g.Findings[0].Path != "lib/file" {
		t.Errorf("findings %+v", g.Findings)
	}
}
