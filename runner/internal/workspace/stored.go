package workspace

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/bluekeyes/go-gitdiff/gitdiff"

	"github.com/yolo-run/yolo-run/entrypoint/wire"
)

// ReadPatch makes the two trees of a stored patch anew: the old one from the workspace as it is now, the new one by applying the patch to
// it in an index of our own. The result can be gated and applied like what was just collected, and must be closed. A patch that does not
// fit is [ErrConflict].
func (w *Workspace) ReadPatch(ctx context.Context, patch io.Reader) (*Changes, error) {
	dir, err := os.MkdirTemp("", "yolo-run-patch-")
	if err != nil {
		return nil, fmt.Errorf("read patch: %w", err)
	}
	c := &Changes{w: w, scratch: dir}
	if err := w.readPatch(ctx, c, patch); err != nil {
		return nil, errors.Join(fmt.Errorf("read patch: %w", err), c.Close())
	}
	return c, nil
}

func (w *Workspace) readPatch(ctx context.Context, c *Changes, patch io.Reader) error {
	text, err := io.ReadAll(io.LimitReader(patch, maxPatchText+1))
	switch {
	case err != nil:
		return err
	case int64(len(text)) > maxPatchText:
		return fmt.Errorf("the patch has more than %d bytes", int64(maxPatchText))
	}
	paths, err := oldPaths(text)
	if err != nil {
		return err
	}
	gitDir := filepath.Join(c.scratch, "repository")
	if err := initRepository(ctx, gitDir); err != nil {
		return err
	}
	if err := w.lendObjects(gitDir); err != nil {
		return err
	}
	w.lendBase(ctx, gitDir)
	if err := w.storePresent(ctx, gitDir, paths); err != nil {
		return err
	}
	if err := applyInIndex(ctx, gitDir, filepath.Join(c.scratch, "index"), text); err != nil {
		return err
	}
	rules, err := w.ignoreRules(ctx, c.scratch, paths)
	if err != nil {
		return err
	}
	c.gitlinks = rules.gitlinks
	return c.compute(ctx, gitDir)
}

// oldPaths lists the files that a patch needs to have. Which they are decides only what is looked at: what the patch does is seen in the trees.
func oldPaths(patch []byte) ([]string, error) {
	files, _, err := gitdiff.Parse(bytes.NewReader(patch))
	if err != nil {
		return nil, err
	}
	if err := checkContents(files); err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	var paths []string
	for _, f := range files {
		for _, name := range []string{f.OldName, f.NewName} {
			if name == "" || seen[name] {
				continue
			}
			if !wire.ValidPath([]byte(name)) || isGitPath(name) || badName(name) != "" {
				return nil, fmt.Errorf("%q: git refuses the name", name)
			}
			seen[name] = true
			paths = append(paths, name)
		}
	}
	return paths, nil
}

// storePresent stores what the workspace has at the paths now as the old tree.
func (w *Workspace) storePresent(ctx context.Context, gitDir string, paths []string) error {
	im, err := startImport(ctx, gitDir)
	if err != nil {
		return err
	}
	var entries []entry
	for _, p := range paths {
		e, err := w.present(im, p)
		if err != nil {
			return errors.Join(err, im.abort())
		}
		if e != nil {
			entries = append(entries, *e)
		}
	}
	if err := im.commit(refOld, entries); err != nil {
		return errors.Join(err, im.abort())
	}
	return im.close()
}

// present stores one file, nil where there is none or one that git does not store.
func (w *Workspace) present(im *importer, p string) (*entry, error) {
	if dir := filepath.Dir(p); !realFolder(w.root, dir) {
		return nil, nil
	}
	name := filepath.Join(w.root, p)
	info, err := os.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, err
	case info.Mode()&fs.ModeSymlink != 0:
		target, err := os.Readlink(name)
		if err != nil {
			return nil, err
		}
		mark, err := im.blob(strings.NewReader(target), int64(len(target)))
		return &entry{path: p, mode: modeSymlink, mark: mark}, err
	case !info.Mode().IsRegular():
		return nil, nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	mode := modeFile
	if info.Mode()&0o100 != 0 {
		mode = modeExecutable
	}
	mark, err := im.blob(f, info.Size())
	return &entry{path: p, mode: mode, mark: mark}, err
}

// applyInIndex makes the new tree. No file of a work tree is touched: there is none.
func applyInIndex(ctx context.Context, gitDir, index string, patch []byte) error {
	step := func(stdin []byte, args ...string) ([]byte, error) {
		cmd := privateGit(ctx, gitDir, args...)
		// No single allocation of git's needs more than the text of the patch, while it grows, or a file.
		cmd.Env = append(cmd.Env, "GIT_INDEX_FILE="+index, "GIT_ALLOC_LIMIT="+strconv.Itoa(2*len(patch)+maxPatchFile))
		return run(cmd, bytes.NewReader(stdin))
	}
	if _, err := step(nil, "read-tree", refOld); err != nil {
		return err
	}
	if len(patch) == 0 { // git takes it for a mistake
		_, err := step(nil, "update-ref", refNew, refOld)
		return err
	}
	apply := []string{"apply", "--cached", "--binary", "--whitespace=nowarn"}
	if _, err := step(patch, apply...); err != nil {
		if _, err3 := step(patch, append(apply, "--3way")...); err3 != nil {
			return conflict(step, err)
		}
	}
	tree, err := step(nil, "write-tree")
	if err != nil {
		return err
	}
	_, err = step(nil, "update-ref", refNew, strings.TrimSpace(string(tree)))
	return err
}

// lendObjects lets git find what the user has committed: the versions that a patch was made from, for a merge with what became of them.
func (w *Workspace) lendObjects(gitDir string) error {
	if w.gitDir == "" {
		return nil
	}
	objects := filepath.Join(commonDir(w.gitDir), "objects")
	if strings.ContainsAny(objects, "\n\"") { // which would be read as something else; a merge is a convenience
		return nil
	}
	if err := os.WriteFile(filepath.Join(gitDir, "objects", "info", "alternates"), []byte(objects+"\n"), 0o600); err != nil {
		return fmt.Errorf("lend objects: %w", err)
	}
	return nil
}

// ConflictError is a patch that does not fit, with the files that were changed on both sides where that much is known.
type ConflictError struct {
	Paths []string
	Err   error
}

func (e *ConflictError) Error() string {
	if len(e.Paths) == 0 {
		return fmt.Sprintf("%v: %v", ErrConflict, e.Err)
	}
	shown := make([]string, 0, len(e.Paths))
	for _, p := range e.Paths[:min(len(e.Paths), 20)] {
		shown = append(shown, strconv.Quote(p))
	}
	if more := len(e.Paths) - len(shown); more > 0 {
		shown = append(shown, fmt.Sprintf("%d more", more))
	}
	return fmt.Sprintf("%v: changed on both sides: %s", ErrConflict, strings.Join(shown, ", "))
}

func (e *ConflictError) Unwrap() []error { return []error{ErrConflict, e.Err} }

// conflict asks the index which files a merge could not settle.
func conflict(step func([]byte, ...string) ([]byte, error), cause error) error {
	fault := &ConflictError{Err: cause}
	out, err := step(nil, "ls-files", "-z", "--unmerged")
	if err != nil {
		return fault
	}
	for record := range strings.SplitSeq(string(out), "\x00") {
		if _, p, ok := strings.Cut(record, "\t"); ok && !slices.Contains(fault.Paths, p) {
			fault.Paths = append(fault.Paths, p)
		}
	}
	return fault
}
