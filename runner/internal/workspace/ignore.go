package workspace

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// ignoreRules are what git's rules, as they stand in the host's tree, say about changed paths.
type ignoreRules struct {
	ignored  map[string]bool
	gitlinks []string // submodules, relative to the root
}

// ignoreRules asks git about paths. git is shown a tree that holds copies of the host's .gitignore files and nothing else: it
// never follows a path of the agent's, and symlinks and submodules on the way cannot make it fail. Tracked files are not ignored.
func (w *Workspace) ignoreRules(ctx context.Context, scratch string, paths []string) (ignoreRules, error) {
	rules := ignoreRules{ignored: map[string]bool{}}
	s, err := w.scanOnce(ctx)
	if err != nil {
		return rules, err
	}
	var repos []string // folders, the innermost first
	for _, r := range s.repos {
		// One that git would not take for a repository, such as a .git file that leads nowhere, leaves its files to the one around it.
		if dir := path.Dir(r.rel); gitDirOf(filepath.Join(w.root, dir)) != "" {
			repos = append(repos, dir)
		}
	}
	slices.SortFunc(repos, func(a, b string) int { return depth(b) - depth(a) })
	groups := map[string][]string{}
	for _, p := range paths {
		if i := slices.IndexFunc(repos, func(repo string) bool { return repo == "." || strings.HasPrefix(p, repo+"/") }); i >= 0 {
			groups[repos[i]] = append(groups[repos[i]], p)
		}
	}
	for i, repo := range repos {
		r := repository{w: w, rel: repo, gitDir: gitDirOf(filepath.Join(w.root, repo)), scratch: filepath.Join(scratch, fmt.Sprintf("ignore-%d", i))}
		if len(groups[repo]) == 0 {
			continue
		}
		if err := r.ask(ctx, groups[repo], &rules); err != nil {
			return rules, fmt.Errorf("ignore rules: %w", err)
		}
	}
	return rules, nil
}

// depth is how deep a folder lies; the root's is 0.
func depth(dir string) int {
	if dir == "." {
		return 0
	}
	return strings.Count(dir, "/") + 1
}

// repository is one git work tree within the workspace, the root's or a nested one.
type repository struct {
	w       *Workspace
	rel     string // "." is the root
	gitDir  string
	scratch string
}

// below returns a path of the workspace relative to the repository.
func (r *repository) below(p string) string {
	if r.rel == "." {
		return p
	}
	return strings.TrimPrefix(p, r.rel+"/")
}

func (r *repository) ask(ctx context.Context, paths []string, rules *ignoreRules) error {
	local := make(map[string]string, len(paths)) // relative to the repository: to the workspace
	for _, p := range paths {
		local[r.below(p)] = p
	}
	links, err := r.dropTracked(ctx, local)
	if err != nil {
		return err
	}
	for _, link := range links {
		rules.gitlinks = append(rules.gitlinks, path.Join(r.rel, link))
	}
	if len(local) == 0 {
		return nil
	}
	if err := r.copyRules(local); err != nil {
		return err
	}
	out, err := r.check(ctx, local)
	if err != nil {
		return err
	}
	for p := range strings.SplitSeq(string(out), "\x00") {
		if full, ok := local[strings.TrimPrefix(p, "./")]; ok {
			rules.ignored[full] = true
		}
	}
	return nil
}

// dropTracked removes what the index knows, and returns the submodules in it.
func (r *repository) dropTracked(ctx context.Context, local map[string]string) (gitlinks []string, err error) {
	ctx, cancel := context.WithTimeout(ctx, gitPatience)
	defer cancel()
	cmd := git(ctx, r.gitDir, "--work-tree="+filepath.Join(r.w.root, r.rel), "ls-files", "-z", "--stage")
	cmd.Dir = filepath.Join(r.w.root, r.rel)
	out, err := run(cmd, nil)
	if err != nil {
		return nil, err
	}
	for record := range bytes.SplitSeq(out, []byte{0}) {
		meta, name, ok := bytes.Cut(record, []byte{'\t'})
		if !ok {
			continue
		}
		if bytes.HasPrefix(meta, []byte("160000 ")) {
			gitlinks = append(gitlinks, string(name))
		}
		delete(local, string(name))
	}
	return gitlinks, nil
}

// copyRules makes the tree that git is shown: the .gitignore of each folder above a path, as far as the host has real folders there.
func (r *repository) copyRules(local map[string]string) error {
	tree := filepath.Join(r.scratch, "tree")
	if err := errors.Join(os.MkdirAll(tree, 0o700), os.MkdirAll(filepath.Join(r.scratch, "git", "info"), 0o700)); err != nil {
		return err
	}
	seen := map[string]bool{}
	for p := range local {
		for dir := path.Dir(p); !seen[dir]; dir = path.Dir(dir) {
			seen[dir] = true
			if err := r.copyRule(tree, dir); err != nil {
				return err
			}
		}
	}
	exclude, err := readSmall(filepath.Join(commonDir(r.gitDir), "info", "exclude"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(r.scratch, "git", "info", "exclude"), exclude, 0o600)
}

func (r *repository) copyRule(tree, dir string) error {
	host := filepath.Join(r.w.root, r.rel)
	if !realFolder(host, dir) {
		return nil
	}
	name := filepath.Join(host, dir, ".gitignore")
	info, err := os.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !info.Mode().IsRegular() {
		return nil // git does not read a symlink there either
	}
	if err != nil {
		return err
	}
	content, err := readSmall(name)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(tree, dir), 0o700); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(tree, dir, ".gitignore"), content, 0o600)
}

// realFolder reports whether every component of a relative path is a folder and none a symlink.
func realFolder(root, rel string) bool {
	if rel == "." {
		return true
	}
	at := root
	for part := range strings.SplitSeq(rel, "/") {
		at = filepath.Join(at, part)
		if info, err := os.Lstat(at); err != nil || !info.IsDir() {
			return false
		}
	}
	return true
}

// check runs git check-ignore.
func (r *repository) check(ctx context.Context, local map[string]string) ([]byte, error) {
	gitDir := filepath.Join(r.scratch, "git")
	if err := initRepository(ctx, gitDir); err != nil {
		return nil, err
	}
	excludes, err := r.copyExcludes(ctx)
	if err != nil {
		return nil, err
	}
	cmd := privateGit(ctx, gitDir, "-c", "core.bare=false", "-c", "core.excludesFile="+excludes,
		"--work-tree="+filepath.Join(r.scratch, "tree"), "check-ignore", "-z", "--stdin", "--no-index")
	cmd.Dir = filepath.Join(r.scratch, "tree")
	var stdin bytes.Buffer
	for p := range local {
		stdin.WriteString("./" + p) // or a colon in front would be pathspec magic
		stdin.WriteByte(0)
	}
	out, err := run(cmd, &stdin)
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() == 1 {
		return nil, nil // none is ignored
	}
	return out, err
}

// copyExcludes copies the user's own list of ignored files (gitignore(5)) for git to read, and returns where it is. The repository may name it, and could
// name anything.
func (r *repository) copyExcludes(ctx context.Context) (string, error) {
	name, err := r.excludesFile(ctx)
	if err != nil {
		return "", err
	}
	content, err := readSmall(name)
	if err != nil {
		return os.DevNull, nil // as git, which does not mind that there is none
	}
	excludes := filepath.Join(r.scratch, "excludes")
	return excludes, os.WriteFile(excludes, content, 0o600)
}

func (r *repository) excludesFile(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, gitPatience)
	defer cancel()
	out, err := run(git(ctx, r.gitDir, "config", "--type=path", "--get", "core.excludesFile"), nil)
	if name := strings.TrimSuffix(string(out), "\n"); err == nil && filepath.IsAbs(name) {
		return name, nil
	}
	if ctx.Err() != nil {
		return "", err
	}
	config, err := os.UserConfigDir()
	if err != nil {
		return os.DevNull, nil
	}
	return filepath.Join(config, "git", "ignore"), nil
}
