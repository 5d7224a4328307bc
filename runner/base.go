package runner

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
)

// maxBases is how many runs' old versions are kept.
const maxBases = 20

// basePath is where the old versions of a patch's files are kept for a merge: with the user's own state, not with the run's results, which CI hands on. They
// may have more of uncommitted work than the patch shows.
func basePath(patchSHA256 string) string {
	return filepath.Join(stateRoot(), "bases", patchSHA256+".pack")
}

// keepBase keeps the old versions for a later apply, and forgets those of the oldest runs.
func (r *run) keepBase(ctx context.Context) error {
	if r.rep.Changes.Patch == nil {
		return nil
	}
	pack, err := r.changes.Base(ctx)
	if err != nil || pack == "" {
		return err
	}
	content, err := os.ReadFile(pack)
	if err != nil {
		return err
	}
	path := basePath(r.rep.Changes.Patch.SHA256)
	folder := filepath.Dir(path)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	if err := ownFolder(folder); err != nil {
		return err
	}
	return errors.Join(os.WriteFile(path, content, 0o600), forgetBases(folder)) //nolint:gosec // its name is a digest
}

func forgetBases(folder string) error {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return err
	}
	var packs []os.FileInfo
	for _, e := range entries {
		if info, err := e.Info(); err == nil {
			packs = append(packs, info)
		}
	}
	slices.SortFunc(packs, func(a, b os.FileInfo) int { return cmp.Compare(b.ModTime().UnixNano(), a.ModTime().UnixNano()) })
	var errs []error
	for _, old := range packs[min(len(packs), maxBases):] {
		errs = append(errs, os.Remove(filepath.Join(folder, old.Name())))
	}
	return errors.Join(errs...)
}

// maxDigested bounds how much of a patch is read for its name, in bytes: one of that size is refused when it is read. A file of any size with nothing in it costs
// nothing to make.
const maxDigested = 4 << 30

// baseOf returns where the old versions of an opened patch are, if they were kept on this machine, and goes back to its beginning.
func baseOf(patch io.ReadSeeker) (string, error) {
	digest := sha256.New()
	if _, err := io.Copy(digest, io.LimitReader(patch, maxDigested)); err != nil {
		return "", err
	}
	_, err := patch.Seek(0, io.SeekStart)
	return basePath(hex.EncodeToString(digest.Sum(nil))), err
}
