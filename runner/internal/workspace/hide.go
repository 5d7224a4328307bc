package workspace

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// DefaultHide are the globs of files that the agent sees empty when the user names none.
func DefaultHide() []string {
	return []string{
		".env", ".env.*", "!.env.example", "!.env.sample", "!.env.template", "!.env.dist", "!.env.defaults",
		".netrc", ".git-credentials", "*.pem", ".git/logs",
	}
}

// globs decide which files are hidden. The last one that matches wins.
type globs []glob

// glob is one pattern, in the manner of gitignore: without a slash inside it is for the name at any depth, ** is for any number of folders, a leading
// "!" takes back, and what matches a folder is for everything below. A pattern about .git is for nested repositories too.
type glob struct {
	parts []string
	keep  bool
}

// CheckGlob reports why a text is no pattern for --hide or --protect.
func CheckGlob(pattern string) error {
	_, err := parseGlob(pattern)
	return err
}

func parseGlobs(patterns []string) (globs, error) {
	out := make(globs, 0, len(patterns))
	for _, p := range patterns {
		g, err := parseGlob(p)
		if err != nil {
			return nil, fmt.Errorf("pattern %q: %w", p, err)
		}
		out = append(out, g)
	}
	return out, nil
}

func parseGlob(pattern string) (glob, error) {
	rest, keep := strings.CutPrefix(pattern, "!")
	anchored := strings.Contains(strings.TrimSuffix(rest, "/"), "/")
	rest = strings.Trim(strings.TrimPrefix(rest, "./"), "/")
	if rest == "" {
		return glob{}, fmt.Errorf("empty pattern: %w", path.ErrBadPattern)
	}
	g := glob{parts: strings.Split(rest, "/"), keep: keep}
	for _, part := range g.parts {
		if _, err := path.Match(part, ""); err != nil || part == "" || part == ".." {
			return glob{}, path.ErrBadPattern
		}
	}
	if !anchored || g.parts[0] == ".git" {
		g.parts = append([]string{"**"}, g.parts...)
	}
	return g, nil
}

// hidden reports whether a relative path is hidden.
func (g globs) hidden(rel string) bool {
	parts := strings.Split(rel, "/")
	for _, glob := range slices.Backward(g) {
		if matchParts(glob.parts, parts) {
			return !glob.keep
		}
	}
	return false
}

// matchFolder reports whether some pattern is about everything in a folder.
func (g globs) matchFolder(rel string) bool {
	parts := strings.Split(rel, "/")
	return slices.ContainsFunc(g, func(glob glob) bool { return matchParts(glob.parts, parts) })
}

// mayMatch reports whether some pattern could be about a file of this name in a folder that no pattern is about. It spares most
// files of a large tree the whole comparison.
func (g globs) mayMatch(name string) bool {
	return slices.ContainsFunc(g, func(glob glob) bool { return glob.mayEnd(name) })
}

func (g glob) mayEnd(name string) bool {
	switch last := g.parts[len(g.parts)-1]; {
	case last == "**":
		return true
	case !strings.ContainsAny(last, `*?[\`):
		return last == name
	default:
		ok, err := path.Match(last, name)
		return err == nil && ok
	}
}

// matchParts matches a pattern to a path or to one of the folders above it.
func matchParts(pattern, parts []string) bool {
	if len(pattern) == 0 {
		return true // the path or a folder above it
	}
	if pattern[0] == "**" {
		for skip := range len(parts) + 1 {
			if matchParts(pattern[1:], parts[skip:]) {
				return len(pattern) > 1 || len(parts) > 0
			}
		}
		return false
	}
	if len(parts) == 0 {
		return false
	}
	ok, err := path.Match(pattern[0], parts[0]) // patterns were checked when they were parsed
	return err == nil && ok && matchParts(pattern[1:], parts[1:])
}
