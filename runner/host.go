package runner

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/user"
	"path/filepath"
	"strings"
)

// host is what checking a path needs to know about this machine. Tests make their own.
type host struct {
	lookupEnv func(string) (string, bool)
	homes     []string // of the user, by environment and by passwd: under sudo they differ
}

func thisHost() host {
	h := host{lookupEnv: os.LookupEnv}
	if home, err := os.UserHomeDir(); err == nil {
		h.homes = append(h.homes, home)
	}
	if u, err := user.Current(); err == nil && u.HomeDir != "" {
		h.homes = append(h.homes, u.HomeDir)
	}
	return h
}

func (h host) getenv(name string) string {
	value, _ := h.lookupEnv(name)
	return value
}

// expand makes a path absolute and clean; ~ is the user's home.
func (h host) expand(p string) (string, error) {
	if p == "" {
		return "", errors.New("the path is empty")
	}
	if strings.ContainsRune(p, 0) {
		return "", errors.New("the path holds a NUL")
	}
	if p == "~" || strings.HasPrefix(p, "~/") {
		if len(h.homes) == 0 {
			return "", errors.New("~ cannot be expanded: $HOME is not set")
		}
		p = h.homes[0] + p[1:]
	}
	return filepath.Abs(p)
}

// resolve expands p and follows every symlink in it. What it returns exists.
func (h host) resolve(p string) (string, error) {
	abs, err := h.expand(p)
	if err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(abs)
}

// resolveInside is resolve for a path that may have been named by whoever wrote the workspace: one that stands inside the workspace must
// stay there, or a symlink in a checkout would choose which of the user's files the agent is shown.
func (h host) resolveInside(p, workspace string) (string, error) {
	abs, err := h.expand(p)
	if err != nil {
		return "", err
	}
	resolved, err := filepath.EvalSymlinks(abs)
	if err != nil {
		return "", err
	}
	if workspace == "" || within(workspace, resolved) {
		return resolved, nil
	}
	// The folder that holds p is resolved for itself: the workspace may be reached through a symlink of the user's own.
	parent, err := filepath.EvalSymlinks(filepath.Dir(abs))
	if err != nil {
		return "", err
	}
	if within(workspace, parent) || within(workspace, abs) {
		return "", fmt.Errorf("a symlink in the workspace leads out of it, to %s", resolved)
	}
	return resolved, nil
}

// bannedExactly are folders too broad to share; what lies below them may be fine.
func bannedExactly() []string {
	return []string{
		"/bin", "/sbin", "/lib", "/lib32", "/lib64", "/usr", "/usr/bin", "/usr/sbin", "/usr/lib", "/usr/local", "/usr/share",
		"/home", "/root", "/opt", "/srv", "/mnt", "/media", "/tmp", "/var", "/var/cache", "/var/lib", "/var/log", "/var/spool", "/var/tmp",
	}
}

// bannedBelow are folders that are banned with all that is in them: the system's own, and the engines' sockets and data.
func bannedBelow() []string {
	return []string{
		"/boot", "/dev", "/etc", "/proc", "/run", "/sys", "/var/run",
		"/var/lib/docker", "/var/lib/containerd", "/var/lib/containers",
	}
}

// mayShare refuses what must not be in reach of an agent. p is resolved.
func (h host) mayShare(p string) error {
	if p == "/" {
		return errors.New("/ is the whole machine; name the folder that the agent needs")
	}
	for _, folder := range bannedExactly() {
		if p == folder && !h.isBelowHome(p) {
			return fmt.Errorf("%s is a system folder; name the folder below it that the agent needs", p)
		}
	}
	for _, folder := range bannedBelow() {
		switch {
		case p == folder:
			return fmt.Errorf("%s is a system folder", p)
		case within(folder, p):
			return fmt.Errorf("%s is in a system folder (%s)", p, folder)
		case within(p, folder):
			return fmt.Errorf("%s holds a system folder (%s)", p, folder)
		}
	}
	for _, home := range h.homes {
		if within(p, realPath(home)) {
			return fmt.Errorf("%s is or holds your home folder, with its keys and tokens; name the folder below it that the agent needs", p)
		}
	}
	return h.mayShareByEnvironment(p)
}

// isBelowHome is true in the odd set-up whose home folders lie in a system folder, such as a build user's below /var/lib.
func (h host) isBelowHome(p string) bool {
	for _, home := range h.homes {
		if home != "/" && p != home && within(home, p) {
			return true
		}
	}
	return false
}

// mayShareByEnvironment refuses what this session's environment points to: engine sockets, the session's runtime folder, and the
// files by which later steps of a CI job are told what to do.
func (h host) mayShareByEnvironment(p string) error {
	if dir := h.getenv("XDG_RUNTIME_DIR"); dir != "" && (within(realPath(dir), p) || within(p, realPath(dir))) {
		return fmt.Errorf("%s is or holds XDG_RUNTIME_DIR, with your session's sockets", p)
	}
	if socket := socketOf(h.getenv("DOCKER_HOST")); socket != "" && within(p, realPath(socket)) {
		return fmt.Errorf("%s is or holds the engine's socket", p)
	}
	for _, name := range []string{
		"RUNNER_TEMP", "GITHUB_ENV", "GITHUB_PATH", "GITHUB_OUTPUT", "GITHUB_STATE", "GITHUB_STEP_SUMMARY", "GITHUB_EVENT_PATH",
	} {
		if value := h.getenv(name); value != "" && within(p, realPath(value)) {
			return fmt.Errorf("%s is or holds %s, which steers the CI job", p, name)
		}
	}
	return nil
}

func socketOf(dockerHost string) string {
	u, err := url.Parse(dockerHost)
	if err != nil || u.Scheme != "unix" {
		return ""
	}
	return u.Path
}

// realPath resolves symlinks where it can; a path that does not exist is compared as it is written.
func realPath(p string) string {
	if resolved, err := filepath.EvalSymlinks(p); err == nil {
		return resolved
	}
	return filepath.Clean(p)
}
