package workspace

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// makeStage makes the folder where new versions are written and old ones are kept until all is done.
func (a *applier) makeStage() error {
	a.stage = ".yolo-run-apply-" + rand.Text()
	return a.root.Mkdir(a.stage, 0o700)
}

func (a *applier) staged(i int) string { return path.Join(a.stage, "new-"+strconv.Itoa(i)) }

// prepare writes every new version into the stage, with the owner and mode that it will have.
func (a *applier) prepare(ctx context.Context) error {
	wanted := map[string][]int{}
	for i, d := range a.c.diff {
		if d.mode != nothing {
			wanted[d.id] = append(wanted[d.id], i)
		}
	}
	var faults []error
	err := a.c.blobs(ctx, keys(wanted), func(id string, content []byte) {
		for _, i := range wanted[id] {
			faults = append(faults, a.write(i, content))
		}
	})
	return errors.Join(append(faults, err)...)
}

func (a *applier) write(i int, content []byte) error {
	d, name := a.c.diff[i], a.staged(i)
	if d.mode == modeSymlink {
		if err := a.root.Symlink(string(content), name); err != nil {
			return err
		}
		return a.own(d, name)
	}
	if err := a.root.WriteFile(name, content, 0o666); err != nil { // the user's umask says the rest
		return err
	}
	if err := a.own(d, name); err != nil {
		return err
	}
	if err := a.keepAttributes(d, name); err != nil {
		return err
	}
	perm, err := a.perm(d, name)
	if err != nil {
		return err
	}
	return a.root.Chmod(name, perm)
}

// perm is the old mode, or what the umask made of the new file, with git's executable bit for everybody who may read.
func (a *applier) perm(d treeChange, name string) (fs.FileMode, error) {
	if d.oldMode == modeFile || d.oldMode == modeExecutable {
		name = d.source()
	}
	info, err := a.root.Lstat(name)
	if err != nil {
		return 0, err
	}
	perm := info.Mode().Perm()
	switch d.mode {
	case d.oldMode:
		return perm, nil
	case modeExecutable:
		return perm | (perm&0o444)>>2, nil
	}
	return perm &^ 0o111, nil
}

// own gives a staged file the owner of its old version, or of the folder that it will be in. Only root may; anybody else's files are their own.
func (a *applier) own(d treeChange, name string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	model := d.source()
	if d.oldMode == nothing {
		model = path.Dir(d.path)
	}
	for {
		info, err := a.root.Lstat(model)
		if err == nil {
			st, ok := info.Sys().(*syscall.Stat_t)
			if !ok {
				return fmt.Errorf("owner of %q is not known", model)
			}
			return a.root.Lchown(name, int(st.Uid), int(st.Gid))
		}
		if model == "." {
			return err
		}
		model = path.Dir(model)
	}
}

// commit moves all old versions away, then all new ones to their places. Every step can be undone.
func (a *applier) commit() error {
	for i, d := range a.c.diff {
		if d.oldMode != nothing {
			if err := a.move(d.source(), path.Join(a.stage, "old-"+strconv.Itoa(i))); err != nil {
				return err
			}
		}
	}
	for i, d := range a.c.diff {
		if d.mode == nothing {
			continue
		}
		if err := errors.Join(a.removeFolders(d.path), a.makeFolders(path.Dir(d.path))); err != nil {
			return err
		}
		if err := a.place(a.staged(i), d.path); err != nil {
			return err
		}
	}
	a.removeEmptied()
	return nil
}

func (a *applier) move(from, to string) error {
	if err := a.root.Rename(from, to); err != nil {
		return err
	}
	a.undo = append(a.undo, func() error { return a.root.Rename(to, from) })
	return nil
}

// place moves a new version to where nothing is. What comes there all the same was made by somebody else meanwhile, or by this patch under a name that the
// file system takes for the same one.
func (a *applier) place(from, to string) error {
	switch _, err := a.root.Lstat(to); {
	case err == nil:
		return fmt.Errorf("%w: %q exists already", ErrConflict, to)
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	return a.move(from, to)
}

// makeFolders makes what is missing above a new file, with the owner of what it is made in. What is there must be real folders, all the way up: a symlink
// may have come since the check, also from this patch where the file system takes "A" for "a".
func (a *applier) makeFolders(dir string) error {
	if dir == "." {
		return nil
	}
	if err := a.makeFolders(path.Dir(dir)); err != nil {
		return err
	}
	switch info, err := a.root.Lstat(dir); {
	case err == nil && !info.IsDir():
		return fmt.Errorf("%w: %q is not a folder", ErrConflict, dir)
	case err == nil:
		return nil
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	if err := a.root.Mkdir(dir, 0o777); err != nil {
		return err
	}
	a.undo = append(a.undo, func() error { return a.root.Remove(dir) })
	return a.own(treeChange{path: dir, oldMode: nothing}, dir)
}

// removeFolders removes the empty folders that stand where a file comes.
func (a *applier) removeFolders(p string) error {
	info, err := a.root.Lstat(p)
	if err != nil || !info.IsDir() {
		return nil // nothing there
	}
	var dirs []string
	err = fs.WalkDir(a.root.FS(), p, func(dir string, _ fs.DirEntry, err error) error {
		dirs = append(dirs, dir)
		return err
	})
	if err != nil {
		return err
	}
	for _, dir := range slices.Backward(dirs) {
		if err := a.root.Remove(dir); err != nil {
			return err
		}
		a.undo = append(a.undo, func() error { return a.root.Mkdir(dir, info.Mode().Perm()) })
	}
	return nil
}

// removeEmptied removes folders that lost their last file, as git does. What is not empty stays.
func (a *applier) removeEmptied() {
	var dirs []string
	for p := range a.goes {
		for dir := path.Dir(p); dir != "."; dir = path.Dir(dir) {
			dirs = append(dirs, dir)
		}
	}
	slices.SortFunc(dirs, func(x, y string) int {
		return cmp.Or(strings.Count(y, "/")-strings.Count(x, "/"), strings.Compare(x, y))
	})
	for _, dir := range slices.Compact(dirs) {
		if info, err := a.root.Lstat(dir); err == nil && info.IsDir() {
			_ = a.root.Remove(dir) // refused by the kernel unless it is empty
		}
	}
}

func (a *applier) rollback() error {
	var faults []error
	for _, step := range slices.Backward(a.undo) {
		faults = append(faults, step())
	}
	return errors.Join(faults...)
}
