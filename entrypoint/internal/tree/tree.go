// Package tree finds what differs between two trees of files, one of which somebody else wrote.
//
// With the upper folder of an overlay at hand it visits only folders that are in it. Upper is a hint where to look and never
// where contents come from: what differs is decided by the lower and the merged tree alone, and a folder is compared in part only if its inode number
// proves that the merged folder still lies over the lower one of the same path. Everything else (renamed, swapped, recreated folders)
// is compared in full: no overlay xattr is needed, which only CAP_SYS_ADMIN could read.
//
// Invariant: no symlink is followed, and nothing is opened but folders and regular files.
package tree

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/yolo-run/yolo-run/entrypoint/wire"
)

// Roots are the folders to compare. Without Upper both trees are walked in full.
type Roots struct {
	Lower, Upper, Merged string
}

// Stats say what a comparison did.
type Stats struct {
	Changes int64
	Folders int64
}

// The folder whose contents are git's own. Its changes are none of the workspace's, at any depth.
const gitDir = ".git"

// Compare calls emit for every difference, in the order of the paths' folders, until emit returns an error. Nothing may write to the merged
// tree meanwhile.
func Compare(ctx context.Context, roots Roots, emit func(wire.CollectChange) error) (Stats, error) {
	w := &walker{ctx: ctx, roots: roots, emit: emit}
	lower, err := lstat(roots.Lower)
	if err == nil && lower == nil {
		err = unix.ENOENT
	}
	if err != nil {
		return w.stats, fmt.Errorf("stat %s: %w", roots.Lower, err)
	}
	merged, err := lstat(roots.Merged)
	if err == nil && merged == nil {
		err = unix.ENOENT
	}
	if err != nil {
		return w.stats, fmt.Errorf("stat %s: %w", roots.Merged, err)
	}
	var upper *node
	if roots.Upper != "" {
		if upper, err = lstat(roots.Upper); err != nil {
			return w.stats, fmt.Errorf("stat %s: %w", roots.Upper, err)
		}
	}
	w.dev = lower.Dev
	// Inode numbers of folders are those of the layers only where all layers are on one file system (overlayfs.rst, "Inode properties").
	w.oneFS = upper != nil && upper.Dev == lower.Dev
	return w.stats, w.folder(versions{lower: lower, merged: merged, upper: upper})
}

// walker is one comparison.
type walker struct {
	ctx   context.Context //nolint:containedctx // lives for one call of Compare
	roots Roots
	emit  func(wire.CollectChange) error
	dev   uint64
	oneFS bool
	stats Stats
}

// versions are what the trees have at one path; nil is nothing.
type versions struct {
	rel                  string
	lower, merged, upper *node
	replaced             bool // the folder gave way to something else
}

// compare handles one path of any kind.
func (w *walker) compare(v versions) error {
	if path.Base(v.rel) == gitDir {
		return w.repository(v)
	}
	if v.lower.isDir() || v.merged.isDir() {
		folders := v
		folders.replaced = v.merged != nil && !v.merged.isDir()
		if !v.lower.isDir() {
			folders.lower = nil
		}
		if !v.merged.isDir() {
			folders.merged = nil
		}
		if err := w.folder(folders); err != nil {
			return err
		}
	}
	return w.leaf(v)
}

// folder compares what is in a folder; at least one version is one.
func (w *walker) folder(v versions) error {
	if err := w.ctx.Err(); err != nil {
		return err
	}
	same := w.sameFolder(v)
	if same && v.upper == nil {
		return nil // nothing below it was ever written
	}
	w.stats.Folders++
	list, err := w.list(v, same)
	if err != nil && v.rel == "" { // nothing could name it, and without it nothing would seem to have changed
		return fmt.Errorf("read the folder: %w", err)
	}
	if err != nil {
		return w.note(v, unreadable(err))
	}
	tooLong := 0
	for _, name := range list.names {
		next, err := w.child(v, name)
		if errors.Is(err, unix.ENAMETOOLONG) { // no message could name it either
			tooLong++
			continue
		}
		if err != nil {
			if err := w.note(versions{rel: path.Join(v.rel, name)}, unreadable(err)); err != nil {
				return err
			}
			continue
		}
		if err := w.compare(next); err != nil {
			return err
		}
	}
	if tooLong > 0 {
		if err := w.note(v, fmt.Sprintf("%d of its entries are not carried: their paths are too long", tooLong)); err != nil {
			return err
		}
	}
	return w.folderNotes(v, list)
}

// sameFolder reports whether the merged folder still lies over the lower one at the same path. Where the upper folder has the lower one's number
// (two file systems that look like one), the merged number proves nothing.
func (w *walker) sameFolder(v versions) bool {
	return w.oneFS && v.lower.isDir() && v.merged.isDir() &&
		v.lower.Dev == w.dev && v.lower.Ino == v.merged.Ino && (v.upper == nil || v.upper.Ino != v.merged.Ino)
}

// listing is which names of a folder must be compared, and how full it was and is.
type listing struct {
	names                []string
	lowerEmpty, nowEmpty bool
}

func (w *walker) list(v versions, upperOnly bool) (listing, error) {
	var l listing
	var err error
	if upperOnly {
		if l.names, err = readNames(join(w.roots.Upper, v.rel), -1); err != nil {
			return l, err
		}
		return l, w.emptiness(v, &l)
	}
	var old, now []string
	if v.lower != nil {
		if old, err = readNames(join(w.roots.Lower, v.rel), -1); err != nil {
			return l, err
		}
	}
	if v.merged != nil {
		if now, err = readNames(join(w.roots.Merged, v.rel), -1); err != nil {
			return l, err
		}
	}
	l.lowerEmpty, l.nowEmpty = len(old) == 0, len(now) == 0
	l.names = append(old, now...)
	slices.Sort(l.names)
	l.names = slices.Compact(l.names)
	return l, nil
}

// emptiness looks whether the two versions of a folder that is compared in part have anything in them.
func (w *walker) emptiness(v versions, l *listing) error {
	slices.Sort(l.names)
	old, err := readNames(join(w.roots.Lower, v.rel), 1)
	if err != nil {
		return err
	}
	now, err := readNames(join(w.roots.Merged, v.rel), 1)
	if err != nil {
		return err
	}
	l.lowerEmpty, l.nowEmpty = len(old) == 0, len(now) == 0
	return nil
}

// child looks at one name in the folders of v.
func (w *walker) child(v versions, name string) (versions, error) {
	next := versions{rel: path.Join(v.rel, name)}
	var err error
	if v.lower != nil {
		if next.lower, err = lstat(join(w.roots.Lower, next.rel)); err != nil {
			return next, err
		}
	}
	if v.merged != nil {
		if next.merged, err = lstat(join(w.roots.Merged, next.rel)); err != nil {
			return next, err
		}
	}
	if v.upper != nil {
		if next.upper, err = lstat(join(w.roots.Upper, next.rel)); err != nil {
			return next, err
		}
	}
	return next, nil
}

// repository handles a path that is called .git: its contents are never looked at, only that it came, went, or became another kind is told.
func (w *walker) repository(v versions) error {
	switch {
	case v.lower == nil && v.merged != nil:
		return w.note(v, "a new git repository: its files are carried, its history is not")
	case v.lower != nil && v.merged == nil:
		return w.note(v, "git's own folder was removed")
	case v.lower != nil && v.lower.kind() != v.merged.kind():
		return w.note(v, "git's own folder was replaced")
	}
	return nil
}

func (w *walker) note(v versions, notes ...string) error {
	return w.send(wire.CollectChange{Path: []byte(v.rel), Same: true, Notes: notes})
}

func (w *walker) send(c wire.CollectChange) error {
	if len(c.Path) == 0 { // of the root folder itself
		return nil
	}
	if w.stats.Changes == wire.MaxCollectChanges {
		return fmt.Errorf("more than %d changes", wire.MaxCollectChanges)
	}
	w.stats.Changes++
	return w.emit(c)
}
