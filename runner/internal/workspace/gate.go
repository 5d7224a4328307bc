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
	RuleToken         = "token"
	RuleLockFile      = "lock-file"
	RuleBuildFile     = "build-file"
	RulePackageScript = "package-script"
)

// Rules are the names of all rules, in the order of the documentation.
func Rules() []string {
	return []string{
		RuleProtectedPath, RuleSymlink, RuleSubmodule, RuleExecutableBit, RuleBadName, RulePatchSize, RulePatchFiles, RuleSecret, RuleToken,
		RuleOutsideFolder, RuleLockFile, RuleBuildFile, RulePackageScript,
	}
}

// GateOptions are what the gate lets through.
type GateOptions struct {
	Protect       []string // globs beside [DefaultProtect]
	MaxPatchBytes int64    // 0: no bound
	MaxPatchFiles int      // 0: no bound
	Sub           string   // the folder that the agent was started in; "" and "." are the whole workspace
	Secrets       []string // values that must not leave; empty ones are ignored
	// Severity makes all findings of a rule block or warn; empty: the rule is off. Rules that are not in it have their own severities.
	Severity map[string]reports.Severity
}

// Gate judges the two trees. It reads no patch text.
func (c *Changes) Gate(o GateOptions) reports.Gate {
	g := gate{c: c, o: o}
	g.findings = append(g.findings, c.badNames...)
	g.limits()
	g.protected(append(DefaultProtect(), o.Protect...))
	g.listed(RuleLockFile, reports.Warn, lockFiles[:], "the file decides which code of others is brought in")
	g.listed(RuleBuildFile, reports.Warn, buildFiles[:], "the file runs when somebody builds, tests or installs")
	for _, d := range c.diff {
		g.name(d)
		g.place(d)
		g.mode(d)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	g.contents(ctx)
	g.weigh()
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

// weigh gives findings the severities that were asked for.
func (g *gate) weigh() {
	g.findings = slices.DeleteFunc(g.findings, func(f reports.Finding) bool {
		severity, given := g.o.Severity[f.Rule]
		return given && severity == ""
	})
	for i, f := range g.findings {
		if severity, given := g.o.Severity[f.Rule]; given {
			g.findings[i].Severity = severity
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

// contents looks into symlinks, for secrets, and at the scripts of packages. What cannot be read blocks.
func (g *gate) contents(ctx context.Context) {
	for _, look := range []struct {
		rule string
		at   func(context.Context) error
	}{{RuleSymlink, g.symlinks}, {RuleSecret, g.secrets}, {RulePackageScript, g.scripts}} {
		if err := look.at(ctx); err != nil {
			g.find(look.rule, reports.Block, "", "the contents cannot be read: "+err.Error())
		}
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

// mask keeps secrets out of the findings, which quote names and targets.
func (g *gate) mask() {
	for _, s := range secretForms(g.o.Secrets) {
		for i, f := range g.findings {
			g.findings[i].Path, g.findings[i].Reason = strings.ReplaceAll(f.Path, s.text, "***"), strings.ReplaceAll(f.Reason, s.text, "***")
		}
	}
}

func keys[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}
