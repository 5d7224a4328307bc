package workspace

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/yolo-run/yolo-run/reports"
)

// Every git that is started here is told these, so that no configuration can make it start something else.
var inert = [...]string{
	"-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "-c", "core.untrackedCache=false",
	"-c", "core.attributesFile=/dev/null", "-c", "core.pager=cat", "-c", "gc.auto=0", "-c", "maintenance.auto=false", "-c", "protocol.allow=never",
	"-c", "status.submoduleSummary=false", "-c", "submodule.recurse=false",
}

// gitGrace is how long output is waited for once git was ended: something that it started could hold it open.
const gitGrace = 5 * time.Second

// privateGit prepares git on a repository that belongs to us: without any configuration of the user or the system.
func privateGit(ctx context.Context, gitDir string, args ...string) *exec.Cmd {
	cmd := git(ctx, gitDir, args...)
	cmd.Env = append(cmd.Env, "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_ATTR_NOSYSTEM=1", "XDG_CONFIG_HOME=/dev/null")
	return cmd
}

// git prepares git on the user's own repository, with the configuration of the user and the system. The directory is named, so that git does not
// search one and does not care whom it belongs to.
func git(ctx context.Context, gitDir string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "git", append(append([]string{"--git-dir=" + gitDir}, inert[:]...), args...)...)
	cmd.Env = gitEnv()
	cmd.WaitDelay = gitGrace
	if gitDir != os.DevNull {
		cmd.Dir = gitDir
	}
	return cmd
}

// gitEnv is the environment without what would point git elsewhere or add configuration.
func gitEnv() []string {
	env := make([]string, 0, len(os.Environ())+4)
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "GIT_") {
			env = append(env, v)
		}
	}
	return append(env, "LC_ALL=C", "GIT_TERMINAL_PROMPT=0", "GIT_OPTIONAL_LOCKS=0", "GIT_NO_REPLACE_OBJECTS=1",
		// An object that a partial clone lacks is not fetched, which may start anything: the first is for git from 2.45 (and 2.39.4), the
		// second, a list of protocols in which none is, for those before.
		"GIT_NO_LAZY_FETCH=1", "GIT_ALLOW_PROTOCOL=none")
}

// disarm returns the options that take the filters away which a configuration names: they run for files that look changed, and there is no way to
// switch off all of them without their names. A repository that is somebody else's may have brought them.
func disarm(ctx context.Context, root, gitDir string) ([]string, error) {
	cmd := git(ctx, gitDir, "--work-tree="+root, "config", "--list", "--name-only", "--null")
	out, err := run(cmd, nil)
	if err != nil {
		return nil, err
	}
	var options []string
	seen := map[string]bool{}
	for name := range strings.SplitSeq(string(out), "\x00") {
		rest, isFilter := strings.CutPrefix(name, "filter.")
		dot := strings.LastIndexByte(rest, '.')
		if !isFilter || dot < 0 || seen[rest[:dot]] {
			continue
		}
		driver := rest[:dot]
		seen[driver] = true
		if strings.ContainsRune(driver, '=') { // which is where an option of git's ends its name
			return nil, fmt.Errorf("filter %q cannot be switched off", driver)
		}
		prefix := "filter." + driver + "."
		options = append(options, "-c", prefix+"clean=", "-c", prefix+"smudge=", "-c", prefix+"process=", "-c", prefix+"required=false")
	}
	return options, nil
}

// run runs a prepared git and returns what it printed. What it says on standard error becomes part of the error.
func run(cmd *exec.Cmd, stdin io.Reader) ([]byte, error) {
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, &out, &errs
	if err := cmd.Run(); err != nil {
		return out.Bytes(), gitError(cmd, err, errs.Bytes())
	}
	return out.Bytes(), nil
}

func gitError(cmd *exec.Cmd, err error, stderr []byte) error {
	said := strings.TrimSpace(string(stderr[:min(len(stderr), 2000)]))
	if said == "" {
		return fmt.Errorf("git %s: %w", verb(cmd), err)
	}
	return fmt.Errorf("git %s: %w: %q", verb(cmd), err, said)
}

// verb is the subcommand, for errors.
func verb(cmd *exec.Cmd) string {
	for i := 1; i < len(cmd.Args); i++ {
		switch arg := cmd.Args[i]; {
		case arg == "-c":
			i++
		case !strings.HasPrefix(arg, "-"):
			return arg
		}
	}
	return ""
}

// gitDirOf returns the git directory of a work tree whose top is dir, empty where dir is none.
func gitDirOf(dir string) string {
	path := filepath.Join(dir, ".git")
	info, err := os.Stat(path)
	if err != nil {
		return ""
	}
	if info.Mode().IsRegular() {
		path = readGitFile(path)
	}
	if path == "" {
		return ""
	}
	if _, err := os.Lstat(filepath.Join(path, "HEAD")); err != nil {
		return "" // an empty folder with the name
	}
	return path
}

// readGitFile returns where a .git file points, as in gitrepository-layout(5), empty if it does not.
func readGitFile(path string) string {
	content, err := readSmall(path)
	if err != nil {
		return ""
	}
	target, ok := strings.CutPrefix(string(content), "gitdir: ")
	if !ok {
		return ""
	}
	target = strings.TrimRight(target, "\r\n")
	if !filepath.IsAbs(target) {
		target = filepath.Join(filepath.Dir(path), target)
	}
	return filepath.Clean(target)
}

// maxSmall bounds the files of git's own that are read whole.
const maxSmall = 4 << 20

var errTooLarge = errors.New("file is too large")

// readSmall reads a regular file of at most maxSmall bytes.
func readSmall(path string) ([]byte, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("read %q: not a regular file", path)
	case info.Size() > maxSmall:
		return nil, fmt.Errorf("read %q: %w", path, errTooLarge)
	}
	return os.ReadFile(path)
}

// gitState asks git for the commit, the branch, and whether there is uncommitted work. The index is not refreshed, and contents are compared as they are:
// what a filter would make of a file that looks changed is not known.
func gitState(ctx context.Context, root, gitDir string, log *slog.Logger) *reports.Git {
	if gitDir == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, gitPatience)
	defer cancel()
	out, err := status(ctx, root, gitDir)
	if err != nil {
		log.Warn("The state of the repository is not known", "error", err)
		return &reports.Git{}
	}
	return parseStatus(out)
}

func status(ctx context.Context, root, gitDir string) ([]byte, error) {
	options, err := disarm(ctx, root, gitDir)
	if err != nil {
		return nil, err
	}
	args := append([]string{"--work-tree=" + root}, options...)
	cmd := git(ctx, gitDir, append(args, "status", "--porcelain=v2", "--branch", "--no-ahead-behind", "-z", "--ignore-submodules=dirty", "--no-renames")...)
	cmd.Dir = root
	return run(cmd, nil)
}

// parseStatus reads `git status --porcelain=v2 --branch -z`.
func parseStatus(out []byte) *reports.Git {
	var g reports.Git
	for line := range strings.SplitSeq(string(out), "\x00") {
		header, isHeader := strings.CutPrefix(line, "# ")
		switch key, value, _ := strings.Cut(header, " "); {
		case line == "":
		case !isHeader:
			g.Dirty = true
		case key == "branch.oid" && value != "(initial)":
			g.Head = value
		case key == "branch.head" && value != "(detached)":
			g.Branch = value
		}
	}
	return &g
}
