package workspace

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// replacement is a file that the agent sees in place of the host's.
type replacement struct {
	rel     string
	mode    fs.FileMode // permission bits
	content []byte
}

// replacements are the hidden files, empty, and the sanitised git configurations, in the order of their paths.
func (w *Workspace) replacements(ctx context.Context) ([]replacement, error) {
	s, err := w.scanOnce(ctx)
	if err != nil {
		return nil, err
	}
	var out []replacement
	for _, rel := range s.hidden {
		out = append(out, replacement{rel: rel, mode: w.permOf(rel)})
	}
	for _, repo := range s.repos {
		if repo.mode.IsDir() {
			configs, err := w.configs(ctx, repo.rel)
			if err != nil {
				return nil, err
			}
			out = append(out, configs...)
		}
	}
	return out, nil
}

// permOf is the mode that a replacement keeps; of a symlink, an ordinary one.
func (w *Workspace) permOf(rel string) fs.FileMode {
	info, err := os.Lstat(filepath.Join(w.root, rel))
	if err != nil || !info.Mode().IsRegular() {
		return 0o644
	}
	return info.Mode().Perm()
}

// configs sanitises the configurations below a git directory: its own, those of work trees, and those of submodules (modules/**).
func (w *Workspace) configs(ctx context.Context, gitRel string) ([]replacement, error) {
	var out []replacement
	err := filepath.WalkDir(filepath.Join(w.root, gitRel), func(path string, e fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrPermission), errors.Is(err, fs.ErrNotExist):
			return nil
		case err != nil:
			return err
		case e.IsDir() && skipForConfigs(e.Name()):
			return fs.SkipDir
		case e.IsDir() || e.Name() != "config" && e.Name() != "config.worktree":
			return nil
		}
		rel, err := filepath.Rel(w.root, path)
		if err != nil {
			return err
		}
		clean, changed, err := sanitizeConfig(ctx, path)
		if err != nil {
			// Not what git can read: the agent's git could not either. It may still hold anything.
			w.log.Warn("A git configuration cannot be read and is hidden", "path", rel, "error", err)
			clean, changed = nil, true
		}
		if changed {
			out = append(out, replacement{rel: rel, mode: w.permOf(rel), content: clean})
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("sanitise git configuration: %w", err)
	}
	return out, nil
}

// skipForConfigs: the large folders of a git directory. Below refs a branch may be called config, which is no configuration.
func skipForConfigs(name string) bool {
	switch name {
	case "objects", "refs", "logs", "hooks", "info", "lfs":
		return true
	}
	return strings.HasPrefix(name, "rebase-")
}
