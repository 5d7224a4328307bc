package workspace

import (
	"regexp"
	"strings"
	"unicode/utf8"
)

// badName says why git refuses a path, or why nobody should accept it: forms of .git that other file systems take for the real one (CVE-2014-9390,
// CVE-2019-1352, git's path.c), control characters, backslashes, which are separators on Windows. Empty: nothing is wrong.
func badName(path string) string {
	for part := range strings.SplitSeq(path, "/") {
		if isDotGit(part) {
			return "a form of .git"
		}
	}
	return ""
}

// suspectName says why a path that git accepts should not be accepted by people.
func suspectName(path string) string {
	switch {
	case strings.ContainsFunc(path, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return "a control character in the name"
	case strings.Contains(path, `\`):
		return "a backslash in the name, which Windows takes for a separator"
	case shortName.MatchString(path):
		return "a form of name that Windows gives to other files"
	case !utf8.ValidString(path):
		return "a name that is not UTF-8"
	}
	return ""
}

// shortName finds what may be the 8.3 name of another file: GITHUB~1 is .github.
var shortName = regexp.MustCompile(`(?:^|/)[^/.~]{1,6}~[0-9]{1,5}(?:\.[^/.]{0,3})?(?:/|$)`)

// isDotGit reports whether some file system takes a name for .git.
func isDotGit(name string) bool {
	folded := strings.ToLower(strings.Map(dropIgnorable, name)) // HFS+
	if folded == ".git" {
		return true
	}
	// NTFS: the short name, trailing spaces and dots, and streams; a backslash ends a component there.
	folded = strings.ToLower(name)
	for part := range strings.SplitSeq(folded, `\`) {
		part, _, _ = strings.Cut(part, ":")
		part = strings.TrimRight(part, " .")
		if part == ".git" || part == "git~1" {
			return true
		}
	}
	return false
}

// dropIgnorable drops the code points that HFS+ ignores (git's utf8.c, next_hfs_char).
func dropIgnorable(r rune) rune {
	switch {
	case r >= 0x200c && r <= 0x200f, r >= 0x202a && r <= 0x202e, r >= 0x206a && r <= 0x206f, r == 0xfeff:
		return -1
	}
	return r
}
