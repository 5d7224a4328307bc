package workspace

import (
	"context"
	"crypto/sha1" //nolint:gosec // git's name for contents, not a signature
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"
)

// ErrConflict means that the tree is not what the patch is for.
var ErrConflict = errors.New("the patch does not fit")

// Apply writes the changes to a tree that has the old versions, all or nothing. git is not asked: no filter, no hook, no attribute
// has a say. Nothing is written through a symlink, outside of root, or into .git. Changed files keep their owner and mode but for the executable bit;
// new ones get the owner of their folder if we may give it.
func (c *Changes) Apply(ctx context.Context, root string) error {
	if c.Empty() {
		return nil
	}
	r, err := os.OpenRoot(root)
	if err != nil {
		return fmt.Errorf("apply patch: %w", err)
	}
	defer r.Close()
	a := &applier{c: c, root: r, goes: map[string]bool{}}
	if err := a.apply(ctx); err != nil {
		return fmt.Errorf("apply patch: %w", err)
	}
	return nil
}

// applier is one application.
type applier struct {
	c     *Changes
	root  *os.Root
	goes  map[string]bool // paths whose old version is taken away
	stage string          // a folder of ours in root, on whose file system everything is prepared
	undo  []func() error
}

func (a *applier) apply(ctx context.Context) error {
	for _, d := range a.c.diff {
		if d.oldMode != nothing {
			a.goes[d.source()] = true
		}
	}
	var faults []error
	for _, d := range a.c.diff {
		faults = append(faults, a.check(d))
	}
	if err := errors.Join(faults...); err != nil {
		return err
	}
	if err := a.makeStage(); err != nil {
		return err
	}
	err := a.prepare(ctx)
	if err == nil {
		err = a.commit()
	}
	return a.finish(err)
}

// finish takes everything back after an error, and removes the stage.
func (a *applier) finish(err error) error {
	if err == nil {
		return a.root.RemoveAll(a.stage)
	}
	if fault := a.rollback(); fault != nil { // the stage has the only copy of what could not be put back
		return errors.Join(err, fmt.Errorf("not all was taken back, the old versions are in %q: %w", a.stage, fault))
	}
	return errors.Join(err, a.root.RemoveAll(a.stage))
}

// source is the path of the old version.
func (c treeChange) source() string {
	if c.oldPath != "" {
		return c.oldPath
	}
	return c.path
}

// check reports why a change cannot be made.
func (a *applier) check(d treeChange) error {
	for _, p := range d.paths() {
		if badName(p) != "" || isGitPath(p) {
			return fmt.Errorf("%q: git refuses the name", p)
		}
	}
	if d.oldMode != nothing {
		if err := a.checkOld(d); err != nil {
			return err
		}
	}
	if d.mode == nothing {
		return nil
	}
	if err := a.checkParents(d.path); err != nil {
		return err
	}
	info, err := a.root.Lstat(d.path)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR), err == nil && a.goes[d.path]:
		return nil
	case err != nil:
		return err
	case info.IsDir():
		return a.checkEmptied(d.path)
	}
	return fmt.Errorf("%w: %q exists already", ErrConflict, d.path)
}

// checkOld compares the old version with what is there.
func (a *applier) checkOld(d treeChange) error {
	p := d.source()
	if err := a.checkFolders(p); err != nil {
		return err
	}
	mode, id, err := a.fingerprint(p)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: %q is not there", ErrConflict, p)
	case err != nil:
		return err
	case mode != d.oldMode || id != d.oldID:
		return fmt.Errorf("%w: %q has changed since", ErrConflict, p)
	}
	return nil
}

// checkFolders insists that everything above a path is a real folder.
func (a *applier) checkFolders(p string) error {
	for dir := path.Dir(p); dir != "."; dir = path.Dir(dir) {
		info, err := a.root.Lstat(dir)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrConflict, err)
		}
		if !info.IsDir() {
			return fmt.Errorf("%w: %q is not a folder", ErrConflict, dir)
		}
	}
	return nil
}

// checkParents insists that everything above a new path is a real folder, is not there, or goes.
func (a *applier) checkParents(p string) error {
	parts := strings.Split(p, "/")
	for i := 1; i < len(parts); i++ {
		dir := path.Join(parts[:i]...)
		info, err := a.root.Lstat(dir)
		switch {
		case errors.Is(err, fs.ErrNotExist), a.goes[dir]:
			return nil
		case err != nil:
			return err
		case !info.IsDir():
			return fmt.Errorf("%w: %q is not a folder", ErrConflict, dir)
		}
	}
	return nil
}

// checkEmptied insists that nothing stays in a folder that a file replaces.
func (a *applier) checkEmptied(dir string) error {
	return fs.WalkDir(a.root.FS(), dir, func(p string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() && !a.goes[p] {
			return fmt.Errorf("%w: %q is in the way", ErrConflict, p)
		}
		return err
	})
}

// fingerprint returns git's mode and name for what is at a path.
func (a *applier) fingerprint(p string) (mode, id string, err error) {
	info, err := a.root.Lstat(p)
	if err != nil {
		return "", "", err
	}
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		target, err := a.root.Readlink(p)
		return modeSymlink, blobID(strings.NewReader(target), int64(len(target))), err
	case !info.Mode().IsRegular():
		return "", "", fmt.Errorf("%w: %q is no file", ErrConflict, p)
	}
	mode = modeFile
	if info.Mode()&0o100 != 0 {
		mode = modeExecutable
	}
	f, err := a.root.Open(p)
	if err != nil {
		return "", "", err
	}
	defer f.Close()
	return mode, blobID(f, info.Size()), nil
}

// blobID is git's name for contents; no name at all if there are not as many as announced.
func blobID(content io.Reader, size int64) string {
	h := sha1.New() //nolint:gosec // see the import
	fmt.Fprintf(h, "blob %d\x00", size)
	if n, err := io.Copy(h, content); err != nil || n != size {
		return ""
	}
	return hex.EncodeToString(h.Sum(nil))
}
