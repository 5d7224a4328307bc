package workspace

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/text/unicode/norm"

	"github.com/yolo-run/yolo-run/reports"
)

// names are patterns that some file system may take a path for.
type names struct{ globs globs }

func parseNames(patterns []string) (names, error) {
	folded := make([]string, 0, len(patterns))
	for _, p := range patterns {
		folded = append(folded, strings.ToLower(p))
	}
	globs, err := parseGlobs(folded)
	return names{globs}, err
}

// match compares without regard to case, as half of the file systems do, and to what else some do not see.
func (n names) match(p string) bool {
	lower := strings.ToLower(p)
	if n.globs.hidden(lower) {
		return true
	}
	folded := foldPath(p)
	return folded != lower && n.globs.hidden(folded)
}

// mayMatch reports whether some pattern could be about the path: it is many times faster than match, for paths by the hundred thousand.
func (n names) mayMatch(p string, known map[string]bool) bool {
	for part := range strings.SplitSeq(p, "/") {
		may, ok := known[part]
		if !ok {
			lower, folded := strings.ToLower(part), foldPath(part)
			may = n.mayHave(lower) || folded != lower && n.mayHave(folded)
			known[part] = may
		}
		if may {
			return true
		}
	}
	return false
}

// mayHave reports whether a path with a component of this name could match: whether the first name of some pattern does.
func (n names) mayHave(name string) bool {
	return slices.ContainsFunc(n.globs, func(g glob) bool {
		i := slices.IndexFunc(g.parts, func(part string) bool { return part != "**" })
		return i < 0 || glob{parts: g.parts[i : i+1]}.mayEnd(name)
	})
}

// foldPath is a path as the least particular file systems see it: compatible forms are one (the long s is an s, a ligature its letters), HFS+ ignores some
// code points, Windows dots and spaces at the end of a name and what follows a colon.
func foldPath(p string) string {
	parts := strings.Split(strings.ToLower(norm.NFKC.String(strings.Map(dropIgnorable, p))), "/")
	for i, part := range parts {
		part, _, _ = strings.Cut(part, ":")
		parts[i] = strings.TrimRight(part, " .")
	}
	return strings.Join(parts, "/")
}

// listed finds paths by name.
func (g *gate) listed(rule string, severity reports.Severity, patterns []string, reason string) {
	listed, err := parseNames(patterns)
	if err != nil {
		g.find(rule, reports.Block, "", err.Error())
		return
	}
	for _, d := range g.c.diff {
		for _, p := range d.paths() {
			if listed.match(p) {
				g.find(rule, severity, p, reason)
			}
		}
	}
}

// protected finds protected paths, and what the user's own symlinks at protected paths lead to: CLAUDE.md is often one to another file.
func (g *gate) protected(patterns []string) {
	g.listed(RuleProtectedPath, reports.Block, patterns, "the file decides what runs elsewhere, or what other tools do")
	listed, err := parseNames(patterns)
	if err != nil {
		return // and found
	}
	links, err := g.c.w.linked(listed)
	if err != nil {
		g.find(RuleProtectedPath, reports.Block, "", "the symlinks of the workspace cannot be read: "+err.Error())
		return
	}
	for _, d := range g.c.diff {
		for _, p := range d.paths() {
			if link := above(links, p); link != "" && !listed.match(p) {
				g.find(RuleProtectedPath, reports.Block, p, "the protected "+quotePath(link)+" is a symlink to it")
			}
		}
	}
}

// above returns what is noted about a path or a folder above it.
func above(noted map[string]string, p string) string {
	for ; p != "."; p = path.Dir(p) {
		if note := noted[p]; note != "" {
			return note
		}
	}
	return ""
}

// linked returns where in the workspace those of its symlinks lead whose paths are listed: targets to symlinks. The agent's own are found as changes.
func (w *Workspace) linked(listed names) (map[string]string, error) {
	s, err := w.scanned()
	if err != nil {
		return nil, err
	}
	targets, known := map[string]string{}, map[string]bool{}
	for _, link := range s.links {
		if !listed.mayMatch(link, known) || !listed.match(link) {
			continue
		}
		name := filepath.Join(w.root, link)
		target, err := leadsTo(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if rel, err := filepath.Rel(w.root, target); err == nil && filepath.IsLocal(rel) {
			targets[rel] = link
		}
	}
	return targets, nil
}

// leadsTo returns where a symlink leads, also if nothing is there yet: then as far as there is something.
func leadsTo(link string) (string, error) {
	const most = 40 // as the kernel has it
	at := link
	for range most {
		if target, err := filepath.EvalSymlinks(at); err == nil {
			return target, nil
		}
		target, err := os.Readlink(at)
		if at != link && err != nil {
			return at, nil // the end of the chain
		}
		if err != nil {
			return "", err
		}
		if !filepath.IsAbs(target) {
			target = filepath.Join(filepath.Dir(at), target)
		}
		if dir, err := filepath.EvalSymlinks(filepath.Dir(target)); err == nil {
			target = filepath.Join(dir, filepath.Base(target))
		}
		at = target
	}
	return at, nil
}
