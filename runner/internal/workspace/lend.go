package workspace

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Why a repository that lies outside of the workspace is not lent to the agent. Its .git is a file or a symlink, and who made the workspace chose where
// it leads: to another repository, or to files of the host's that are called like a repository's.
var (
	errNotOurs  = errors.New("the repository does not name this folder as its work tree")
	errLeadsOut = errors.New("its objects lie elsewhere")
)

// NotLent is why the agent does not get the repository that the workspace's .git file or symlink leads to, an [*Error]; nil where it gets it, or where
// there is none.
func (w *Workspace) NotLent() error {
	if w.notLent == nil {
		return nil
	}
	return &Error{
		Path: w.gitDir, Err: w.notLent,
		Hint: "if it is yours, say so in it (git config core.worktree " + w.root + ", or git worktree repair), or show it to the agent by --mount",
	}
}

// checkLent insists that a repository which lies elsewhere belongs to this work tree, by a word that stands in the repository itself: nobody who only
// wrote the workspace can have put it there.
func (w *Workspace) checkLent(ctx context.Context) error {
	info, err := os.Lstat(filepath.Join(w.root, ".git"))
	if w.gitDir == "" || err != nil || info.IsDir() {
		return nil
	}
	gitDir, err := filepath.EvalSymlinks(w.gitDir)
	if err != nil {
		return err
	}
	common, err := filepath.EvalSymlinks(commonDir(gitDir))
	if err != nil {
		return err
	}
	objects, err := filepath.EvalSymlinks(filepath.Join(common, "objects"))
	switch {
	case err != nil:
		return err
	case inFolder(w.root, gitDir) && inFolder(w.root, common) && inFolder(w.root, objects):
		return nil // the agent sees all of it anyway
	case !inFolder(common, objects):
		return errLeadsOut
	case common != gitDir && w.isLinked(gitDir, common), common == gitDir && w.isWorktreeOf(ctx, gitDir):
		return nil
	}
	return errNotOurs
}

// isLinked reports whether a repository has registered the workspace as one of its work trees (git-worktree(1)).
func (w *Workspace) isLinked(gitDir, common string) bool {
	content, err := readSmall(filepath.Join(gitDir, "gitdir"))
	if err != nil || filepath.Dir(gitDir) != filepath.Join(common, "worktrees") {
		return false
	}
	back := strings.TrimRight(string(content), "\r\n")
	if !filepath.IsAbs(back) {
		back = filepath.Join(gitDir, back)
	}
	dir, err := filepath.EvalSymlinks(filepath.Dir(back))
	return err == nil && dir == w.root && filepath.Base(back) == ".git"
}

// isWorktreeOf reports whether core.worktree of a repository is the workspace, as in submodules.
func (w *Workspace) isWorktreeOf(ctx context.Context, gitDir string) bool {
	settings, err := readSettings(ctx, filepath.Join(gitDir, "config"))
	if err != nil {
		return false
	}
	worktree := ""
	for _, s := range settings {
		if s.section == "core" && s.subsection == "" && s.key == "worktree" {
			worktree = s.value
		}
	}
	if worktree == "" {
		return false
	}
	if !filepath.IsAbs(worktree) {
		worktree = filepath.Join(gitDir, worktree)
	}
	dir, err := filepath.EvalSymlinks(worktree)
	return err == nil && dir == w.root
}

// inFolder reports whether an absolute path is a folder or below it.
func inFolder(folder, path string) bool {
	rel, err := filepath.Rel(folder, path)
	return err == nil && filepath.IsLocal(rel)
}

// maxIndex bounds the largest file of a git directory beside its objects, in bytes: an index of ten million files.
const maxIndex = 1 << 30

// readInside reads a regular file of a folder. No symlink leads out of it, and nothing is waited for.
func readInside(dir, rel string) ([]byte, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	f, err := root.OpenFile(rel, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("read %q: not a regular file", rel)
	case info.Size() > maxIndex:
		return nil, fmt.Errorf("read %q: %w", rel, errTooLarge)
	}
	return io.ReadAll(io.LimitReader(f, maxIndex))
}

// realFile reports whether path is a regular file, or a symlink to one that does not leave root.
func realFile(root, path string, kind fs.FileMode) bool {
	if kind.IsRegular() {
		return true
	}
	target, err := filepath.EvalSymlinks(path)
	return kind == fs.ModeSymlink && err == nil && inFolder(root, target)
}

// gitPatience bounds each look that git takes at a repository of the user's: a pipe in it would be waited for.
const gitPatience = time.Minute
