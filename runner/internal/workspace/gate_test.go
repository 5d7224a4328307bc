package workspace_test

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/url"
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
		{"protected files as other file systems see them", workspace.GateOptions{}, func(t *testing.T, d string) {
			for _, p := range []string{
				".g\u200cithub/workflows/x.yml", ".v\u017fcode/tasks.json", "Jenkins\ufb01le", "AGENTS.md ", "CLAUDE.md..", ".mcp.json:x", "sub/.gitkeep/Jenkinsfile", ".gitkeep/.gitattributes",
				"straight:on.txt", "agents.mdx", "dir/.gitkeep",
			} {
				write(t, d+"/"+p, "")
			}
		}, []string{
			"protected-path block .g\u200cithub/workflows/x.yml", "protected-path block .gitkeep/.gitattributes", "protected-path block sub/.gitkeep/Jenkinsfile",
			"protected-path block .mcp.json:x", "protected-path block .v\u017fcode/tasks.json", "protected-path block AGENTS.md ", "protected-path block CLAUDE.md..",
			"protected-path block Jenkins\ufb01le",
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
			for _, p := range []string{"a\nb", `a\b`, "a\x1b[2J", "ä", "CLAUDE~1.MD", "GITHUB~1/x", "backup.~1~", "some~thing~1"} {
				write(t, d+"/"+p, "x")
			}
		}, []string{"bad-name block a\nb", "bad-name block a\x1b[2J", `bad-name block a\b`, "bad-name block CLAUDE~1.MD", "bad-name block GITHUB~1/x"}},
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
		{"secrets in other writings", workspace.GateOptions{Secrets: []string{canary}}, func(t *testing.T, d string) {
			write(t, d+"/b0", base64.StdEncoding.EncodeToString([]byte(canary)))
			write(t, d+"/b1", base64.URLEncoding.EncodeToString([]byte("u:"+canary+"\n")))
			write(t, d+"/b2", base64.StdEncoding.EncodeToString([]byte("xy"+canary+"tail")))
			write(t, d+"/hex", hex.EncodeToString([]byte("x"+canary+"x")))
			write(t, d+"/url", "https://x:"+url.QueryEscape(canary)+"@example.com")
			write(t, d+"/harmless", base64.StdEncoding.EncodeToString([]byte("something else")))
		}, []string{"secret block b0", "secret block b1", "secret block b2", "secret block hex", "secret block url"}},
		{"tokens", workspace.GateOptions{}, func(t *testing.T, d string) {
			write(t, d+"/key", "-----BEGIN "+"OPENSSH PRIVATE KEY-----\n"+strings.Repeat("b3BlbnNzaC1rZXktdjEAAAAABG5vbmU", 4)+"\n")
			write(t, d+"/config", "token = ghp_"+"a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8\n")
			write(t, d+"/aws", "AKIA"+"Q3EGQWERTYUIOPAB")
			write(t, d+"/docs", "AKIA"+"IOSFODNN7EXAMPLE, ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx, -----BEGIN PRIVATE KEY-----")
		}, []string{"token block aws", "token block config", "token block key"}},
		{"a token after many examples", workspace.GateOptions{}, func(t *testing.T, d string) {
			write(t, d+"/config", strings.Repeat("AKIA"+"IOSFODNN7EXAMPLE\n", 200)+"AKIA"+"Q3EGQWERTYUIOPAB")
		}, []string{"token block config"}},
		{"files that build", workspace.GateOptions{}, func(t *testing.T, d string) {
			for _, p := range []string{"Makefile", "sub/Dockerfile.prod", "go.sum", "web/package-lock.json", "dir/Makefile.txt.go"} {
				write(t, d+"/"+p, "x\n")
			}
			write(t, d+"/web/package.json", `{"name": "x", "scripts": {"postinstall": "x"}}`)
			write(t, d+"/lib/package.json", `{"name": "x"}`)
			write(t, d+"/two/package.json", `{"scripts": {"postinstall": "x"}, "Scripts": null}`)
		}, []string{
			"build-file warn Makefile", "build-file warn dir/Makefile.txt.go", "build-file warn sub/Dockerfile.prod", "lock-file warn go.sum", "lock-file warn web/package-lock.json",
			"package-script warn two/package.json", "package-script warn web/package.json",
		}},
		{"other severities", workspace.GateOptions{
			Severity: map[string]reports.Severity{"protected-path": reports.Warn, "lock-file": reports.Block, "build-file": ""},
		}, func(t *testing.T, d string) {
			for _, p := range []string{"AGENTS.md", "go.sum", "Makefile"} {
				write(t, d+"/"+p, "x\n")
			}
		}, []string{"lock-file block go.sum", "protected-path warn AGENTS.md"}},
		{"taken back", workspace.GateOptions{Protect: []string{"!AGENTS.md"}}, func(t *testing.T, d string) {
			write(t, d+"/AGENTS.md", "x\n")
		}, nil},
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

// What the manuals of CI systems, editors and agents call their files is protected, at any depth and in any case.
func TestEveryUsualConfigurationIsProtected(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, func(dir string) { project(t, dir, false) })
	names := strings.Fields(`.github/workflows/ci.yml .github/actions/x/action.yml .github/CODEOWNERS .gitlab-ci.yml .gitlab-ci.yaml .gitlab/ci/x.yml .circleci/config.yml Jenkinsfile
Jenkinsfile.release deploy.jenkinsfile azure-pipelines.yml .azure-pipelines/x.yml .travis.yml .drone.yml .buildkite/pipeline.yml .woodpecker.yml .woodpecker/x.yaml bitbucket-pipelines.yml
.teamcity/settings.kts .tekton/pull.yaml appveyor.yml .appveyor.yml codemagic.yaml .semaphore/semaphore.yml buildspec.yml cloudbuild.yaml .cirrus.yml .forgejo/workflows/x.yml
.gitea/workflows/x.yml .builds/x.yml wercker.yml codefresh.yml bitrise.yml .screwdriver.yaml .harness/x.yaml ci_scripts/ci_post_clone.sh .gocd.yaml .prow.yaml .zuul.yaml netlify.toml
vercel.json renovate.json .renovaterc .mergify.yml .gitmodules .gitattributes .gitignore .gitconfig CODEOWNERS docs/CODEOWNERS .husky/pre-commit .githooks/x lefthook.yml
.pre-commit-config.yaml .lintstagedrc.json .vscode/tasks.json .idea/workspace.xml x.code-workspace .devcontainer/devcontainer.json .devcontainer.json .envrc mise.toml .gitpod.yml .nvimrc
.mcp.json .claude/settings.json CLAUDE.md AGENTS.md GEMINI.md .gemini/settings.json .codex/config.toml .cursor/mcp.json .cursorrules .windsurfrules .clinerules .aider.conf.yml opencode.json
.kiro/x .junie/guidelines.md .yolo-run.yml`)
	var want []string
	for _, name := range names {
		for _, p := range []string{name, "deep/er/" + strings.ToUpper(name)} {
			write(t, s.Merged+"/"+p, "x\n")
			want = append(want, p)
		}
	}
	var got []string
	for _, f := range s.collect().Gate(workspace.GateOptions{}).Findings {
		if f.Rule == workspace.RuleProtectedPath && f.Severity == reports.Block {
			got = append(got, f.Path)
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		for _, p := range want {
			if !slices.Contains(got, p) {
				t.Errorf("%s is not protected", p)
			}
		}
	}
}

// The user's own symlinks at protected paths protect what they lead to.
func TestWhatProtectedSymlinksLeadToIsProtected(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, func(dir string) {
		for name, target := range map[string]string{
			"CLAUDE.md": "docs/guide.md", ".claude": "tools/agent", "AGENTS.md": "docs/later.md", ".vscode": "/etc", ".cursor": ".", "pkg/GEMINI.md": "../chain", "chain": "docs/end.md",
			"plain": "docs/plain.md", "pkg/CLAUDE.md": "../step", "step": "docs/chained.md", ".windsurfrules": "by/through.md", "by": "docs", ".goosehints": "round", "round": ".goosehints",
		} {
			write(t, dir+"/"+name+".x", "x\n")
			must(t, os.Symlink(target, dir+"/"+name))
		}
		for _, name := range []string{"docs/guide.md", "docs/plain.md", "docs/end.md", "tools/agent/settings.json", "tools/x"} {
			write(t, dir+"/"+name, "x\n")
		}
	})
	for _, name := range []string{"docs/guide.md", "docs/plain.md", "docs/end.md", "docs/later.md", "docs/chained.md", "docs/through.md", "tools/agent/settings.json", "tools/agent/hooks/x", "tools/x"} {
		write(t, s.Merged+"/"+name, "y\n")
	}
	c := s.collect()
	for _, tc := range []struct {
		protect []string
		want    string
	}{
		{nil, "docs/chained.md docs/end.md docs/guide.md docs/later.md docs/through.md tools/agent/hooks/x tools/agent/settings.json"},
		{[]string{"!CLAUDE.md", "!.claude"}, "docs/end.md docs/later.md docs/through.md"},
	} {
		var got []string
		for _, f := range c.Gate(workspace.GateOptions{Protect: tc.protect}).Findings {
			got = append(got, f.Path)
		}
		if strings.Join(got, " ") != tc.want {
			t.Errorf("with %q: %q", tc.protect, got)
		}
	}
}

// A token that was in the file before is the user's business; a plain edit beside it is no reason to stop.
func TestGateTellsNewTokensFromOldOnes(t *testing.T) {
	t.Parallel()
	const a, b = "ghp_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8", "ghp_" + "Z1y2X3w4V5u6T7s8R9q0P1o2N3m4L5k6J7i8"
	s := newSandbox(t, func(dir string) {
		write(t, dir+"/old", "x = "+a+"\n")
		write(t, dir+"/replaced", "x = "+a+"\n")
		write(t, dir+"/joined", "x = "+a+"\n")
	})
	write(t, s.Merged+"/old", "y\nx = "+a+"\n")
	write(t, s.Merged+"/replaced", "x = "+b+"\n")
	write(t, s.Merged+"/joined", "x = "+a+"\ny = "+b+"\n")
	var paths []string
	for _, f := range s.collect().Gate(workspace.GateOptions{}).Findings {
		paths = append(paths, f.Path)
		if f.Rule != workspace.RuleToken || strings.Contains(f.Reason, "ghp_") {
			t.Errorf("finding %+v", f)
		}
	}
	if !slices.Equal(paths, []string{"joined", "replaced"}) {
		t.Errorf("findings of %q", paths)
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
