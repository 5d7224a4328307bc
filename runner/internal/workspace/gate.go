package workspace

import (
	"cmp"
	"context"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/yolo-run/yolo-run/reports"
)

// The rules of the gate, as they stand in reports and in docs/workspace.md.
const (
	RuleProtectedPath = "protected-path"
	RuleSymlink       = "symlink"
	RuleSubmodule     = "submodule"
	RuleExecutableBit = "executable-bit"
	RuleBadName       = "bad-name"
	RulePatchSize     = "patch-size"
	RulePatchFiles    = "patch-files"
	RuleSecret        = "secret"
	RuleOutsideFolder = "outside-folder"
)

// GateOptions are what the gate lets through.
type GateOptions struct {
	Protect       []string // globs beside [DefaultProtect]
	MaxPatchBytes int64    // 0: no bound
	MaxPatchFiles int      // 0: no bound
	Sub           string   // the folder that the agent was started in; "" and "." are the whole workspace
	Secrets       []string // values that must not leave; empty ones are ignored
}

// DefaultProtect are the globs of files that decide what runs on other machines, or what other agents and editors do: nobody
// should merge a change of them unread.
func DefaultProtect() []string {
	return []string{
		// CI systems
		".gitlab-ci.yml", "Jenkinsfile*", ".circleci", "azure-pipelines*.y*ml", ".azure-pipelines", "bitbucket-pipelines.yml", ".travis.yml",
		"appveyor.yml", ".appveyor.yml", ".drone.y*ml", ".woodpecker", ".woodpecker.y*ml", ".buildkite", "buildspec.y*ml", "cloudbuild.y*ml", ".cirrus.yml", ".cirrus.star",
		".semaphore", ".teamcity", ".forgejo", ".gitea", ".builds", ".build.yml", "wercker.yml", ".ci",
		// git: configuration, attributes, ignore rules, submodules, and .github with its workflows
		".git*", "!.gitkeep",
		// hooks
		".husky", ".githooks", ".hooks", "lefthook*.y*ml", ".lefthook*", ".pre-commit-config.y*ml", ".pre-commit-hooks.y*ml",
		// editors, environments, agents
		".vscode", ".idea", ".fleet", ".zed", "*.code-workspace", ".devcontainer", ".devcontainer.json", ".envrc",
		".mcp.json", ".claude", "AGENTS.md", "CLAUDE.md", "CLAUDE.local.md", "GEMINI.md", ".gemini", ".codex", ".cursor", ".cursorrules",
		".windsurfrules", ".aider*", "CODEOWNERS", ".yolo-run*",
	}
}

// Gate judges the two trees. It reads no patch text.
func (c *Changes) Gate(o GateOptions) reports.Gate {
	g := gate{c: c, o: o}
	g.findings = append(g.findings, c.badNames...)
	g.limits()
	g.protected()
	for _, d := range c.diff {
		g.name(d)
		g.place(d)
		g.mode(d)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	g.contents(ctx)
	g.mask()
	slices.SortStableFunc(g.findings, func(a, b reports.Finding) int { return cmp.Compare(a.Path, b.Path) })
	passed := !slices.ContainsFunc(g.findings, func(f reports.Finding) bool { return f.Severity == reports.Block })
	return reports.Gate{Passed: passed, Findings: append([]reports.Finding{}, g.findings...)}
}

// gate is one judgement.
type gate struct {
	c        *Changes
	o        GateOptions
	findings []reports.Finding
}

func (g *gate) find(rule string, severity reports.Severity, path, reason string) {
	if path != "" {
		path = quotePath(path)
	}
	g.findings = append(g.findings, reports.Finding{Rule: rule, Severity: severity, Path: path, Reason: reason})
}

func (g *gate) limits() {
	if limit := g.o.MaxPatchBytes; limit > 0 && g.c.patchSize > limit {
		g.find(RulePatchSize, reports.Block, "", fmt.Sprintf("the patch has %d bytes, more than %d", g.c.patchSize, limit))
	}
	if limit := g.o.MaxPatchFiles; limit > 0 && len(g.c.diff) > limit {
		g.find(RulePatchFiles, reports.Block, "", fmt.Sprintf("the patch changes %d files, more than %d", len(g.c.diff), limit))
	}
}

// protected compares without regard to case, as half of the file systems do.
func (g *gate) protected() {
	patterns := append(DefaultProtect(), g.o.Protect...)
	for i := range patterns {
		patterns[i] = strings.ToLower(patterns[i])
	}
	globs, err := parseGlobs(patterns)
	if err != nil {
		g.find(RuleProtectedPath, reports.Block, "", err.Error())
		return
	}
	for _, d := range g.c.diff {
		for _, p := range d.paths() {
			if globs.hidden(strings.ToLower(p)) {
				g.find(RuleProtectedPath, reports.Block, p, "the file decides what runs elsewhere, or what other tools do")
			}
		}
	}
}

// paths are the one or two that a change touches.
func (c treeChange) paths() []string {
	if c.oldPath != "" {
		return []string{c.oldPath, c.path}
	}
	return []string{c.path}
}

func (g *gate) name(d treeChange) {
	if d.mode == nothing {
		return // a bad name that goes away
	}
	if why := suspectName(d.path); why != "" {
		g.find(RuleBadName, reports.Block, d.path, why)
	}
}

func (g *gate) place(d treeChange) {
	for _, p := range d.paths() {
		if g.o.Sub != "" && !within(p, path.Clean(g.o.Sub)) {
			g.find(RuleOutsideFolder, reports.Block, p, fmt.Sprintf("the agent was started in %q", g.o.Sub))
		}
		for _, link := range g.c.gitlinks {
			if within(p, link) {
				g.find(RuleSubmodule, reports.Block, p, fmt.Sprintf("the file belongs to the submodule %q", link))
			}
		}
	}
}

func (g *gate) mode(d treeChange) {
	switch {
	case d.mode == modeGitlink || d.oldMode == modeGitlink:
		g.find(RuleSubmodule, reports.Block, d.path, "a submodule changes")
	case d.mode == modeExecutable && d.oldMode != modeExecutable:
		g.find(RuleExecutableBit, reports.Warn, d.path, "the file becomes executable")
	}
}

// contents looks into symlinks and for secrets.
func (g *gate) contents(ctx context.Context) {
	secrets := slices.DeleteFunc(slices.Clone(g.o.Secrets), func(s string) bool { return s == "" })
	if err := g.symlinks(ctx); err != nil {
		g.find(RuleSymlink, reports.Block, "", "the targets cannot be read: "+err.Error())
	}
	if len(secrets) == 0 {
		return
	}
	if err := g.secrets(ctx, secrets); err != nil {
		g.find(RuleSecret, reports.Block, "", "the contents cannot be read: "+err.Error())
	}
}

func (g *gate) symlinks(ctx context.Context) error {
	links := map[string][]treeChange{}
	for _, d := range g.c.diff {
		if d.mode == modeSymlink {
			links[d.id] = append(links[d.id], d)
		}
	}
	return g.c.blobs(ctx, keys(links), func(id string, content []byte) {
		for _, d := range links[id] {
			switch why := badTarget(d.path, string(content)); {
			case why != "":
				g.find(RuleSymlink, reports.Block, d.path, fmt.Sprintf("points to %q: %s", content, why))
			case d.oldMode != modeSymlink:
				g.find(RuleSymlink, reports.Warn, d.path, fmt.Sprintf("a new symlink to %q", content))
			}
		}
	})
}

// badTarget says why a symlink may lead out of the workspace. Only leading ".." are counted: one that follows a name may go up from
// wherever another symlink leads.
func badTarget(link, target string) string {
	if path.IsAbs(target) {
		return "an absolute path"
	}
	up, names := 0, false
	for part := range strings.SplitSeq(target, "/") {
		switch {
		case part == "" || part == ".":
		case part == ".." && names:
			return `".." after a name`
		case part == "..":
			up++
		case isDotGit(part):
			return "git's own folder"
		default:
			names = true
		}
	}
	if up > strings.Count(link, "/") {
		return "a path out of the workspace"
	}
	return ""
}

// secrets searches names and both versions of every file: the patch has lines of both.
func (g *gate) secrets(ctx context.Context, secrets []string) error {
	const reason = "a secret that was given to the run"
	holders := map[string][]string{}
	for _, d := range g.c.diff {
		for _, p := range d.paths() {
			if containsAny(p, secrets) {
				g.find(RuleSecret, reports.Block, "", reason+" is in the name of a file")
			}
		}
		if d.mode != nothing {
			holders[d.id] = append(holders[d.id], d.path)
		}
		if d.oldMode != nothing && d.oldID != d.id {
			holders[d.oldID] = append(holders[d.oldID], cmp.Or(d.oldPath, d.path))
		}
	}
	return g.c.blobs(ctx, keys(holders), func(id string, content []byte) {
		if containsAny(string(content), secrets) {
			for _, p := range holders[id] {
				g.find(RuleSecret, reports.Block, p, reason+" is in the file")
			}
		}
	})
}

// mask keeps secrets out of the findings, which quote names and targets.
func (g *gate) mask() {
	for _, s := range g.o.Secrets {
		if s == "" {
			continue
		}
		for i, f := range g.findings {
			g.findings[i].Path, g.findings[i].Reason = strings.ReplaceAll(f.Path, s, "***"), strings.ReplaceAll(f.Reason, s, "***")
		}
	}
}

func containsAny(s string, values []string) bool {
	return slices.ContainsFunc(values, func(v string) bool { return strings.Contains(s, v) })
}

func keys[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}
