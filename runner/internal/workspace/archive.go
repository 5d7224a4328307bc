package workspace

import (
	"archive/tar"
	"context"
	"fmt"
	"io/fs"
	"strings"
	"time"
)

// WriteUpper writes what stands in the overlay before the agent starts: the root's owner, and the replacements of files that the agent must not
// see. Names are below workspace/, for an archive that is put at the agent container's root: an entry of the folder itself is the only way to set
// the owner of a mount point.
func (w *Workspace) WriteUpper(ctx context.Context, tw *tar.Writer, uid, gid int) error {
	out := archive{tw: tw, uid: uid, gid: gid, prefix: "workspace/"}
	if err := out.folder("", w.perm, time.Now()); err != nil {
		return err
	}
	if w.isCopied() {
		return nil // the copy below has the replacements already, and the objects that a private git directory would borrow
	}
	replaced, err := w.replacements(ctx)
	if err != nil {
		return err
	}
	for _, r := range replaced {
		if err := out.file(r); err != nil {
			return err
		}
	}
	return w.writePrivateGit(ctx, &out)
}

// archive writes entries that all belong to one user.
type archive struct {
	tw       *tar.Writer
	uid, gid int
	prefix   string // ends in a slash
	sent     Sent
}

func (a *archive) header(rel string, mode fs.FileMode, modTime time.Time) *tar.Header {
	return &tar.Header{
		Format: tar.FormatPAX, Name: a.prefix + rel, Mode: int64(mode.Perm()), ModTime: modTime.Truncate(time.Second),
		Uid: a.uid, Gid: a.gid,
	}
}

func (a *archive) folder(rel string, mode fs.FileMode, modTime time.Time) error {
	h := a.header(rel, mode, modTime)
	h.Typeflag = tar.TypeDir
	if !strings.HasSuffix(h.Name, "/") {
		h.Name += "/"
	}
	return a.put(h)
}

func (a *archive) symlink(rel, target string, modTime time.Time) error {
	h := a.header(rel, 0o777, modTime)
	h.Typeflag, h.Linkname = tar.TypeSymlink, target
	return a.put(h)
}

// file writes a replacement whole.
func (a *archive) file(r replacement) error {
	h := a.header(r.rel, r.mode, time.Now())
	h.Typeflag, h.Size = tar.TypeReg, int64(len(r.content))
	if err := a.put(h); err != nil {
		return err
	}
	if _, err := a.tw.Write(r.content); err != nil {
		return fmt.Errorf("archive %q: %w", r.rel, err)
	}
	return nil
}

func (a *archive) put(h *tar.Header) error {
	if err := a.tw.WriteHeader(h); err != nil {
		return fmt.Errorf("archive %q: %w", h.Name, err)
	}
	a.sent.Entries++
	a.sent.Bytes += h.Size
	return nil
}
