package workspace

import (
	"bytes"
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// setting is one variable of a git configuration; a valueless one is true.
type setting struct {
	section, subsection, key string
	value                    string
	valueless                bool
}

// sanitizeConfig returns a configuration without what the agent must not have, and whether anything had to go. git itself reads the
// file; what stays is written anew, so that nothing can hide in comments or odd syntax.
//
// Kept is what git needs to work with the repository. Sections that nobody here knows may hold tokens of tools and go; includes go because
// the files they name are credentials (actions/checkout) or do not exist inside.
func sanitizeConfig(ctx context.Context, path string) (clean []byte, changed bool, err error) {
	settings, err := readSettings(ctx, path)
	if err != nil {
		return nil, false, err
	}
	var buf bytes.Buffer
	for _, s := range settings {
		kept, ok := s.sanitize()
		if !ok || kept != s {
			changed = true
		}
		if ok {
			kept.write(&buf)
		}
	}
	return buf.Bytes(), changed, nil
}

// readSettings lists a configuration file, without what it includes.
func readSettings(ctx context.Context, path string) ([]setting, error) {
	if _, err := readSmall(path); err != nil {
		return nil, err
	}
	out, err := run(privateGit(ctx, os.DevNull, "config", "--file="+path, "--no-includes", "--null", "--list"), nil)
	if err != nil {
		return nil, fmt.Errorf("read %q: %w", path, err)
	}
	var settings []setting
	for record := range strings.SplitSeq(string(out), "\x00") {
		if record != "" {
			settings = append(settings, parseSetting(record))
		}
	}
	return settings, nil
}

// parseSetting reads one record of `git config --list --null`: section[.subsection].key LF value.
func parseSetting(record string) setting {
	name, value, hasValue := strings.Cut(record, "\n")
	first, last := strings.IndexByte(name, '.'), strings.LastIndexByte(name, '.')
	s := setting{section: name, value: value, valueless: !hasValue}
	if first < 0 {
		return s
	}
	s.section, s.key = name[:first], name[last+1:]
	if first < last {
		s.subsection = name[first+1 : last]
	}
	return s
}

// Sections that only change how git works, and never hold a credential.
var harmlessSections = [...]string{
	"apply", "blame", "branch", "checkout", "clean", "clone", "color", "column", "commit", "diff", "extensions", "feature", "fetch", "filter", "format",
	"gc", "grep", "i18n", "index", "init", "log", "lfs", "merge", "notes", "pack", "pull", "push", "rebase", "receive", "remote", "rerere", "revert",
	"showbranch", "stash", "status", "submodule", "tag", "transfer", "user", "worktree",
}

// Keys of core that name programs or folders of the host.
var hostKeys = [...]string{"sshcommand", "askpass", "gitproxy", "fsmonitor", "hookspath", "excludesfile", "attributesfile", "alternaterefscommand"}

// sanitize returns what of a setting may stay.
func (s setting) sanitize() (setting, bool) {
	switch {
	case s.section == "core" && s.key == "worktree":
		return s, !filepath.IsAbs(s.value) // submodules' are relative
	case s.section == "core":
		return s, !slices.Contains(hostKeys[:], s.key)
	case s.section == "remote" && strings.HasPrefix(s.key, "proxy"):
		return s, false
	case !slices.Contains(harmlessSections[:], s.section):
		return s, false
	}
	s.value, s.subsection = withoutUserinfo(s.value), withoutUserinfo(s.subsection)
	return s, true
}

// withoutUserinfo removes user and password from a URL; anything else stays. scp-like addresses (git@host:path) have no password.
func withoutUserinfo(value string) string {
	scheme, rest, ok := strings.Cut(value, "://")
	if !ok {
		return value
	}
	authority, path := rest, ""
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		authority, path = rest[:i], rest[i:]
	}
	at := strings.LastIndexByte(authority, '@')
	if at < 0 {
		return value
	}
	if u, err := url.Parse(value); err == nil && scheme == "ssh" {
		if _, password := u.User.Password(); !password {
			return value // the user of SSH is a name, not a secret
		}
	}
	return scheme + "://" + authority[at+1:] + path
}

// write writes a setting in git's syntax, quoted throughout.
func (s setting) write(buf *bytes.Buffer) {
	quote := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\t", `\t`, "\b", `\b`)
	buf.WriteString("[" + s.section)
	if s.subsection != "" {
		buf.WriteString(` "` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s.subsection) + `"`)
	}
	buf.WriteString("]\n\t" + s.key)
	if !s.valueless {
		buf.WriteString(` = "` + quote.Replace(s.value) + `"`)
	}
	buf.WriteByte('\n')
}
