package workspace

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/yolo-run/yolo-run/reports"
)

// ErrTooLarge means that the workspace is over a limit of copy mode.
var ErrTooLarge = errors.New("the workspace is too large to be copied")

// Sent is how much an archive holds.
type Sent struct {
	Entries int64 // folders, files, symlinks
	Bytes   int64 // of files
}

// WriteCopy writes the whole tree, in bounded memory, with everything belonging to uid and gid, hidden files empty and git configurations sanitised.
// Names have no prefix; "./" is the root. Hard links become files of their own. What a workspace cannot carry (sockets, FIFOs, devices, files that
// cannot be read) is left out and listed by [Workspace.Skipped]. progress may be nil; it is called for every file with what is done so far.
// What was sent is returned, for a comparison with what arrived.
func (w *Workspace) WriteCopy(ctx context.Context, tw *tar.Writer, uid, gid int, progress func(files, bytes int64)) (Sent, error) {
	replaced, err := w.replacements(ctx)
	if err != nil {
		return Sent{}, err
	}
	c := &copier{
		w: w, ctx: ctx, progress: progress, replaced: make(map[string]replacement, len(replaced)),
		archive: archive{tw: tw, uid: uid, gid: gid, prefix: "./"},
	}
	for _, r := range replaced {
		c.replaced[r.rel] = r
	}
	if err := filepath.WalkDir(w.root, c.visit); err != nil {
		return c.archive.sent, fmt.Errorf("copy workspace: %w", err)
	}
	if err := w.writePrivateGit(ctx, &c.archive); err != nil {
		return c.archive.sent, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.skipped, w.copied = c.skipped, true
	return c.archive.sent, nil
}

// isCopied reports whether the agent's tree is what [Workspace.WriteCopy] wrote.
func (w *Workspace) isCopied() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.copied
}

// copier is one walk of WriteCopy.
type copier struct {
	w            *Workspace
	ctx          context.Context //nolint:containedctx // lives for one call of WriteCopy
	archive      archive
	replaced     map[string]replacement
	progress     func(files, bytes int64)
	files, bytes int64
	skipped      []reports.NotCarried
}

func (c *copier) visit(path string, e fs.DirEntry, err error) error {
	rel := strings.TrimPrefix(strings.TrimPrefix(path, c.w.root), "/")
	switch {
	case c.ctx.Err() != nil:
		return c.ctx.Err()
	case errors.Is(err, fs.ErrNotExist): // gone since its folder was read
		return nil
	case errors.Is(err, fs.ErrPermission):
		c.skip(rel, "cannot be read")
		return nil
	case err != nil:
		return err
	case rel == ".git" && c.w.needsPrivateGit():
		return skipEntry(e)
	}
	if r, ok := c.replaced[rel]; ok {
		return c.count(c.archive.file(r), 0)
	}
	info, err := e.Info()
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return c.entry(rel, path, info)
}

func skipEntry(e fs.DirEntry) error {
	if e.IsDir() {
		return fs.SkipDir
	}
	return nil
}

// entry writes one file, folder or symlink.
func (c *copier) entry(rel, path string, info fs.FileInfo) error {
	switch mode := info.Mode(); {
	case mode.IsDir():
		return c.archive.folder(rel, mode, info.ModTime())
	case mode&fs.ModeSymlink != 0:
		target, err := os.Readlink(path)
		if err != nil {
			return err
		}
		return c.count(c.archive.symlink(rel, target, info.ModTime()), 0)
	case mode.IsRegular():
		return c.regular(rel, path)
	default:
		c.skip(rel, "neither a file, nor a folder, nor a symlink")
		return nil
	}
}

// regular streams one file with the size that it has when it is opened. A file that shrinks meanwhile is an error of the archive.
func (c *copier) regular(rel, path string) error {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrNotExist) {
		c.skip(rel, "cannot be read")
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		c.skip(rel, "neither a file, nor a folder, nor a symlink")
		return nil
	case c.bytes+info.Size() > c.w.maxBytes:
		return fmt.Errorf("%w: over %d bytes at %q", ErrTooLarge, c.w.maxBytes, rel)
	}
	h := c.archive.header(rel, info.Mode(), info.ModTime())
	h.Typeflag, h.Size = tar.TypeReg, info.Size()
	if err := c.archive.put(h); err != nil {
		return err
	}
	if _, err := io.CopyN(c.archive.tw, f, info.Size()); err != nil {
		return fmt.Errorf("archive %q: %w", rel, err)
	}
	return c.count(nil, info.Size())
}

// count keeps the limits and tells the progress.
func (c *copier) count(err error, size int64) error {
	if err != nil {
		return err
	}
	c.files++
	c.bytes += size
	if c.files > c.w.maxFiles {
		return fmt.Errorf("%w: over %d files", ErrTooLarge, c.w.maxFiles)
	}
	if c.progress != nil {
		c.progress(c.files, c.bytes)
	}
	return nil
}

func (c *copier) skip(rel, why string) {
	c.skipped = append(c.skipped, reports.NotCarried{Path: quotePath(rel), Reason: "not in the agent's copy: " + why})
}
