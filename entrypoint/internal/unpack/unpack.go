// Package unpack writes an archive into folders that nobody else writes to, as fast as the disk takes it.
//
// Invariant: nothing is written outside of the folders, through a symlink, or in place of something that is there; nothing but folders, regular
// files and symlinks is made; and no more than the limits say.
package unpack

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// Limits bound an archive.
type Limits struct {
	Entries int64
	Bytes   int64 // of contents
}

// Stats say what was written.
type Stats struct {
	Entries int64 // folders, the top one too, files and symlinks
	Bytes   int64
}

// Files up to this size are read whole and written by whoever is free; larger ones pass through a small buffer.
const (
	smallFile = 256 << 10
	buffers   = 64
)

// umask has the bits that the process may not give to a new file, as [Tar] expects it: each call that a file needs less counts.
const umask = 0o022

// Tar writes the same archive into every folder, which must be empty. Names are relative, parents come before children, "./" is the folder itself: its mode
// counts. Owners are whoever we are; the umask must be 022. That the archive is complete is the caller's to check: a stream that ends between two entries looks like the end.
func Tar(ctx context.Context, in io.Reader, dirs []string, limits Limits) (Stats, error) {
	u := &unpacker{in: tar.NewReader(in), limits: limits, free: make(chan []byte, buffers)}
	for range buffers {
		u.free <- nil
	}
	for _, dir := range dirs {
		root, err := os.OpenRoot(dir)
		if err != nil {
			return Stats{}, fmt.Errorf("unpack: %w", err)
		}
		defer root.Close()
		u.roots = append(u.roots, root)
	}
	group, ctx := errgroup.WithContext(ctx)
	u.jobs = make(chan job, buffers)
	for range max(2, runtime.NumCPU()) {
		group.Go(func() error { return u.work(ctx) })
	}
	group.Go(func() error {
		defer close(u.jobs)
		return u.read(ctx)
	})
	if err := group.Wait(); err != nil {
		return u.stats, fmt.Errorf("unpack: %w", err)
	}
	if err := u.finishFolders(); err != nil {
		return u.stats, fmt.Errorf("unpack: %w", err)
	}
	return u.stats, nil
}

type unpacker struct {
	in      *tar.Reader
	limits  Limits
	roots   []*os.Root
	jobs    chan job
	free    chan []byte // contents of files wait in these
	folders []folder
	stats   Stats
}

// job is a small file to write.
type job struct {
	name    string
	mode    fs.FileMode
	modTime time.Time
	content []byte
}

// folder is one that gets its mode when all is in it: it may be one that nobody can write to.
type folder struct {
	name    string
	mode    fs.FileMode
	modTime time.Time
}

// read takes the archive apart.
func (u *unpacker) read(ctx context.Context) error {
	for {
		h, err := u.in.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		u.stats.Entries++
		u.stats.Bytes += h.Size
		switch {
		case u.stats.Entries > u.limits.Entries:
			return fmt.Errorf("more than %d entries", u.limits.Entries)
		case h.Size < 0 || h.Size > u.limits.Bytes || u.stats.Bytes > u.limits.Bytes:
			return fmt.Errorf("more than %d bytes", u.limits.Bytes)
		}
		if err := u.entry(ctx, h); err != nil {
			return err
		}
	}
}

func (u *unpacker) entry(ctx context.Context, h *tar.Header) error {
	name, err := clean(h.Name)
	if err != nil {
		return err
	}
	mode := fs.FileMode(h.Mode).Perm() //nolint:gosec // the permission bits are what is taken of it
	switch {
	case h.Typeflag == tar.TypeDir:
		u.folders = append(u.folders, folder{name, mode, h.ModTime})
		if name == "." {
			return nil
		}
		return u.each(func(r *os.Root) error { return r.Mkdir(name, 0o700) })
	case name == ".":
		return fmt.Errorf("%q is no folder", h.Name)
	case h.Typeflag == tar.TypeSymlink:
		return u.each(func(r *os.Root) error { return r.Symlink(h.Linkname, name) })
	case h.Typeflag != tar.TypeReg:
		return fmt.Errorf("%q has type %q", name, h.Typeflag)
	case h.Size > smallFile:
		return u.large(name, mode, h.ModTime)
	}
	var buf []byte
	select {
	case buf = <-u.free:
	case <-ctx.Done():
		return ctx.Err()
	}
	if int64(cap(buf)) < h.Size {
		buf = make([]byte, h.Size, max(h.Size, 16<<10))
	}
	buf = buf[:h.Size]
	if _, err := io.ReadFull(u.in, buf); err != nil {
		return fmt.Errorf("read %q: %w", name, err)
	}
	select {
	case u.jobs <- job{name, mode, h.ModTime, buf}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// clean refuses what leads elsewhere. What a symlink on the way would do is the root's to refuse.
func clean(name string) (string, error) {
	rel := strings.TrimSuffix(strings.TrimPrefix(name, "./"), "/")
	if rel == "" && name == "./" {
		return ".", nil
	}
	if !fs.ValidPath(strings.ToValidUTF8(rel, "?")) || strings.ContainsRune(rel, 0) || rel == "." || path.IsAbs(rel) {
		return "", fmt.Errorf("bad name %q", name)
	}
	return rel, nil
}

func (u *unpacker) each(do func(*os.Root) error) error {
	for _, root := range u.roots {
		if err := do(root); err != nil {
			return err
		}
	}
	return nil
}

func (u *unpacker) work(ctx context.Context) error {
	for j := range u.jobs {
		if err := ctx.Err(); err != nil {
			return err
		}
		err := u.each(func(r *os.Root) error {
			return create(r, j.name, j.mode, j.modTime, func(f *os.File) error {
				_, err := f.Write(j.content)
				return err
			})
		})
		if err != nil {
			return err
		}
		u.free <- j.content
	}
	return nil
}

// create makes a file that was not there.
func create(r *os.Root, name string, mode fs.FileMode, modTime time.Time, fill func(*os.File) error) error {
	f, err := r.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	err = fill(f)
	if err == nil && mode&umask != 0 {
		err = f.Chmod(mode)
	}
	if err == nil {
		err = touch(r, f, name, modTime)
	}
	return errors.Join(err, f.Close())
}

// touch sets the time of an open file by its descriptor, which spares the way to it. A kernel before 5.8 wants the name. (os has no such call; /proc, by which
// others do it, is closed to a binary that its user cannot read.)
func touch(r *os.Root, f *os.File, name string, modTime time.Time) error {
	at, err := unix.TimeToTimespec(modTime)
	if err != nil {
		return err
	}
	if err := unix.UtimesNanoAt(int(f.Fd()), "", []unix.Timespec{at, at}, unix.AT_EMPTY_PATH); !errors.Is(err, unix.EINVAL) {
		return err
	}
	return r.Chtimes(name, modTime, modTime)
}

// large writes a file while it is read.
func (u *unpacker) large(name string, mode fs.FileMode, modTime time.Time) error {
	files := make([]io.Writer, 0, len(u.roots))
	return u.largeIn(u.roots, files, name, mode, modTime)
}

func (u *unpacker) largeIn(roots []*os.Root, files []io.Writer, name string, mode fs.FileMode, modTime time.Time) error {
	if len(roots) == 0 {
		_, err := io.Copy(io.MultiWriter(files...), u.in)
		return err
	}
	return create(roots[0], name, mode, modTime, func(f *os.File) error {
		return u.largeIn(roots[1:], append(files, f), name, mode, modTime)
	})
}

// finishFolders gives the folders their modes and times, the innermost first.
func (u *unpacker) finishFolders() error {
	for _, f := range slices.Backward(u.folders) {
		err := u.each(func(r *os.Root) error {
			dir, err := r.Open(f.name) // Root.Chmod would go by /proc too
			if err != nil {
				return err
			}
			return errors.Join(r.Chtimes(f.name, f.modTime, f.modTime), dir.Chmod(f.mode), dir.Close())
		})
		if err != nil {
			return err
		}
	}
	return nil
}
