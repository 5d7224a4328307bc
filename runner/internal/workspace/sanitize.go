package workspace

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/yolo-run/yolo-run/entrypoint/wire"
)

// replacement is a file that the agent sees in place of the host's.
type replacement struct {
	rel     string
	mode    fs.FileMode // permission bits
	content []byte
}

// Placeholders are what the agent must find in place of what it must not see.
func (w *Workspace) Placeholders(ctx context.Context) ([]wire.Placeholder, error) {
	replaced, err := w.replacements(ctx)
	if err != nil {
		return nil, err
	}
	if w.needsPrivateGit() {
		config, err := w.privateConfig(ctx, commonDir(w.gitDir))
		if err != nil {
			return nil, fmt.Errorf("private git directory: %w", err)
		}
		replaced = append(slices.Clone(replaced), replacement{rel: ".git/config", content: config})
	}
	list := make([]wire.Placeholder, 0, len(replaced))
	for _, r := range replaced {
		p := wire.Placeholder{Path: []byte(r.rel), Size: int64(len(r.content))}
		if p.Size > 0 {
			sum := sha256.Sum256(r.content)
			p.SHA256 = hex.EncodeToString(sum[:])
		}
		list = append(list, p)
	}
	return list, nil
}

// replacements are the hidden files, empty, and the sanitised git configurations. They are made once: a file that changes meanwhile is the same for all who ask.
func (w *Workspace) replacements(ctx context.Context) ([]replacement, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.instead != nil {
		return w.instead, nil
	}
	made, err := w.makeReplacements(ctx)
	if err != nil {
		return nil, err
	}
	w.instead = made
	return made, nil
}

func (w *Workspace) makeReplacements(ctx context.Context) ([]replacement, error) {
	s, err := w.scanOnce(ctx)
	if err != nil {
		return nil, err
	}
	out := []replacement{}
	for _, rel := range s.hidden {
		out = append(out, replacement{rel: rel, mode: w.permOf(rel)})
	}
	gitDirs := slices.Clone(s.bare)
	for _, repo := range s.repos {
		if repo.mode.IsDir() {
			gitDirs = append(gitDirs, repo.rel)
		}
	}
	seen := map[string]bool{}
	for _, dir := range gitDirs {
		configs, err := w.configs(ctx, dir)
		if err != nil {
			return nil, err
		}
		for _, c := range configs {
			if !seen[c.rel] { // one repository may lie in another's folder
				seen[c.rel] = true
				out = append(out, c)
			}
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
		case e.IsDir() && (skipForConfigs(path) || besideRepository(filepath.Join(w.root, gitRel), path)):
			return fs.SkipDir
		case e.IsDir() || e.Name() != "config" && e.Name() != "config.worktree":
			return nil
		}
		rel, err := filepath.Rel(w.root, path)
		if err != nil {
			return err
		}
		if !realFile(w.root, path, e.Type()) {
			if e.Type() == fs.ModeSymlink {
				out = append(out, replacement{rel: rel, mode: 0o644}) // what it leads to is not of the workspace
			}
			return nil
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

// skipForConfigs: the large folders of a git directory. Below refs a branch may be called config, which is no configuration. A folder of that name
// elsewhere, as below modules, is a submodule's.
func skipForConfigs(path string) bool {
	switch name := filepath.Base(path); {
	case slices.Contains([]string{"objects", "refs", "logs", "hooks", "info", "lfs"}, name), strings.HasPrefix(name, "rebase-"):
		_, err := os.Lstat(filepath.Join(filepath.Dir(path), "HEAD"))
		return err == nil
	}
	return false
}

// besideRepository reports whether a folder lies in a repository's own one, which is not called .git, and may be anything: work trees too.
func besideRepository(gitDir, path string) bool {
	name := filepath.Base(path)
	return filepath.Base(gitDir) != ".git" && filepath.Dir(path) == gitDir && name != "modules" && name != "worktrees"
}
