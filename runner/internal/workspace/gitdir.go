package workspace

import (
	"archive/tar"
	"bytes"
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

	"github.com/yolo-run/yolo-run/entrypoint/wire"
)

// needsPrivateGit reports whether the root's .git is a file or a symlink: of a work tree or a submodule, whose repository lies elsewhere. The agent
// then gets a git directory of its own that looks the same and shares nothing that can be written.
func (w *Workspace) needsPrivateGit() bool {
	if w.gitDir == "" || w.notLent != nil {
		return false
	}
	info, err := os.Lstat(filepath.Join(w.root, ".git"))
	return err == nil && !info.IsDir()
}

// ObjectsDir is the host's folder that must be mounted read-only at [wire.GitObjects] in overlay mode; empty when the repository is in the workspace.
func (w *Workspace) ObjectsDir() string {
	if !w.needsPrivateGit() {
		return ""
	}
	return filepath.Join(commonDir(w.gitDir), "objects")
}

// Borrows lists the folders outside of the workspace from which its repository takes objects (git clone --reference, --shared). The agent does not see
// them unless they are mounted. They are not mounted by themselves: what names them is a file, and it could name any folder.
func (w *Workspace) Borrows() []string {
	if w.gitDir == "" {
		return nil
	}
	objects := filepath.Join(commonDir(w.gitDir), "objects")
	content, err := readSmall(filepath.Join(objects, "info", "alternates"))
	if err != nil {
		return nil
	}
	var outside []string
	for line := range strings.Lines(string(content)) {
		dir := strings.TrimRight(line, "\r\n")
		if dir == "" || strings.HasPrefix(dir, "#") {
			continue
		}
		if !filepath.IsAbs(dir) {
			dir = filepath.Join(objects, dir)
		}
		if rel, err := filepath.Rel(w.root, dir); err != nil || !filepath.IsLocal(rel) {
			outside = append(outside, filepath.Clean(dir))
		}
	}
	return outside
}

// commonDir is where a work tree's git directory keeps what all work trees share (gitrepository-layout(5)).
func commonDir(gitDir string) string {
	content, err := readSmall(filepath.Join(gitDir, "commondir"))
	if err != nil {
		return gitDir
	}
	dir := strings.TrimRight(string(content), "\r\n")
	if !filepath.IsAbs(dir) {
		dir = filepath.Join(gitDir, dir)
	}
	return filepath.Clean(dir)
}

// writePrivateGit writes the git directory where the agent needs one: HEAD, index, refs, and no more of the configuration than anywhere else.
func (w *Workspace) writePrivateGit(ctx context.Context, out *archive) error {
	if !w.needsPrivateGit() {
		return nil
	}
	if err := w.privateGit(ctx, out); err != nil {
		return fmt.Errorf("private git directory: %w", err)
	}
	return nil
}

func (w *Workspace) privateGit(ctx context.Context, out *archive) error {
	common := commonDir(w.gitDir)
	for _, dir := range []string{".git", ".git/refs", ".git/refs/heads", ".git/info", ".git/objects", ".git/objects/info", ".git/objects/pack"} {
		if err := out.folder(dir, 0o755, time.Now()); err != nil {
			return err
		}
	}
	config, err := w.privateConfig(ctx, common)
	if err != nil {
		return err
	}
	refs, err := run(git(ctx, w.gitDir, "for-each-ref", "--format=%(objectname) %(refname)"), nil)
	if err != nil {
		return err
	}
	files := []replacement{{rel: ".git/config", content: config}, {rel: ".git/packed-refs", content: refs}}
	for rel, from := range map[string]string{
		"HEAD": w.gitDir, "index": w.gitDir, "info/sparse-checkout": w.gitDir, "info/exclude": common, "shallow": common,
	} {
		content, err := readInside(from, rel)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		files = append(files, replacement{rel: ".git/" + rel, content: content})
	}
	if strings.HasPrefix(out.prefix, "workspace/") {
		files = append(files, replacement{rel: ".git/objects/info/alternates", content: []byte(wire.GitObjects + "\n")})
	} else if err := copyObjects(ctx, filepath.Join(common, "objects"), out); err != nil {
		return err
	}
	for _, f := range files {
		f.mode = 0o644
		if err := out.file(f); err != nil {
			return err
		}
	}
	return nil
}

// privateConfig is the sanitised configuration of the repository and of the work tree, in one file.
func (w *Workspace) privateConfig(ctx context.Context, common string) ([]byte, error) {
	var config bytes.Buffer
	for _, path := range []string{filepath.Join(common, "config"), filepath.Join(w.gitDir, "config.worktree")} {
		settings, err := readSettings(ctx, path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, s := range settings {
			if kept, ok := s.sanitize(); ok && !s.ofLayout() {
				kept.write(&config)
			}
		}
	}
	return config.Bytes(), nil
}

// ofLayout reports whether a setting says where a repository keeps what: the private one keeps it in the plain way.
func (s setting) ofLayout() bool {
	switch s.section + "." + s.key {
	case "core.bare", "core.worktree", "extensions.worktreeconfig", "extensions.refstorage":
		return true
	}
	return false
}

// copyObjects carries the objects of a repository that cannot be mounted.
func copyObjects(ctx context.Context, objects string, out *archive) error {
	return filepath.WalkDir(objects, func(path string, e fs.DirEntry, err error) error {
		if err = errors.Join(err, ctx.Err()); err != nil {
			return err
		}
		rel, err := filepath.Rel(objects, path)
		switch {
		case err != nil:
			return err
		case rel == "." || rel == "info" || rel == "pack":
			return nil
		case rel == filepath.Join("info", "alternates"):
			return errors.New("the repository borrows objects from another one; clone it without --shared")
		case e.IsDir():
			return out.folder(".git/objects/"+rel, 0o755, time.Now())
		case !e.Type().IsRegular():
			return nil
		}
		return copyObject(path, ".git/objects/"+rel, out)
	})
}

func copyObject(path, rel string, out *archive) error {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	h := out.header(rel, 0o444, info.ModTime())
	h.Typeflag, h.Size = tar.TypeReg, info.Size()
	if err := out.put(h); err != nil {
		return err
	}
	_, err = io.CopyN(out.tw, f, info.Size())
	return err
}
