package tree

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/yolo-run/yolo-run/entrypoint/wire"
)

// node is what lstat(2) says about one path.
type node struct{ unix.Stat_t }

// lstat returns nil without an error where there is nothing.
func lstat(name string) (*node, error) {
	var n node
	for {
		switch err := unix.Lstat(name, &n.Stat_t); {
		case err == nil:
			return &n, nil
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR):
			return nil, nil
		default:
			return nil, err
		}
	}
}

// Stat identifies the inode at name, nil where there is none. A symlink is not followed.
func Stat(name string) (*wire.CollectStat, error) {
	n, err := lstat(name)
	if n == nil || err != nil {
		return nil, err
	}
	return &wire.CollectStat{Dev: n.Dev, Ino: n.Ino, CtimeNs: n.Ctim.Nano()}, nil
}

func (n *node) isDir() bool  { return n != nil && n.Mode&unix.S_IFMT == unix.S_IFDIR }
func (n *node) isFile() bool { return n != nil && n.Mode&unix.S_IFMT == unix.S_IFREG }
func (n *node) isLink() bool { return n != nil && n.Mode&unix.S_IFMT == unix.S_IFLNK }

func (n *node) perm() uint32 { return n.Mode & 0o7777 }

// executable is git's idea of it: the owner's bit.
func (n *node) executable() bool { return n.Mode&0o100 != 0 }

func (n *node) kind() wire.Kind {
	switch n.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		return wire.KindFile
	case unix.S_IFLNK:
		return wire.KindSymlink
	case unix.S_IFDIR:
		return wire.KindDir
	case unix.S_IFIFO:
		return wire.KindFIFO
	case unix.S_IFSOCK:
		return wire.KindSocket
	default:
		return wire.KindDevice
	}
}

// ident names an inode of the lower layer in one state. The time of the last change cannot be set by anybody, so two states never share a name.
func (n *node) ident() string {
	return fmt.Sprintf("%x-%x-%x-%x", n.Ino, n.Ctim.Nano(), n.Mtim.Nano(), n.Size)
}

// join is for paths that are clean; the root itself is "".
func join(root, rel string) string {
	if rel == "" {
		return root
	}
	return root + "/" + rel
}

// readNames lists a folder in no order, up to limit names (all of them if it is negative). It does not follow a symlink.
func readNames(dir string, limit int) ([]string, error) {
	f, err := open(dir, unix.O_DIRECTORY)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if limit < 0 {
		return f.Readdirnames(-1)
	}
	names, err := f.Readdirnames(limit)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return names, err
}

// open opens a file or folder for reading without following a symlink at its end and without waiting for anybody, which opening a FIFO does.
func open(name string, flags int) (*os.File, error) {
	for {
		fd, err := unix.Open(name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC|flags, 0)
		switch {
		case err == nil:
			return os.NewFile(uintptr(fd), filepath.Base(name)), nil
		case errors.Is(err, unix.EINTR):
		default:
			return nil, err
		}
	}
}

// OpenFile opens a regular file below root and returns its size. Everything else is refused before it is opened, and looked at
// again after: opening a device can have effects.
func OpenFile(root, rel string) (*os.File, int64, error) {
	if !wire.ValidPath([]byte(rel)) {
		return nil, 0, errors.New("bad path")
	}
	name := join(root, rel)
	n, err := lstat(name)
	switch {
	case err != nil:
		return nil, 0, err
	case !n.isFile():
		return nil, 0, errNotRegular
	}
	f, err := open(name, 0)
	if err != nil {
		return nil, 0, err
	}
	var opened node
	if err := unix.Fstat(int(f.Fd()), &opened.Stat_t); err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	if !opened.isFile() {
		return nil, 0, errors.Join(errNotRegular, f.Close())
	}
	return f, opened.Size, nil
}

var errNotRegular = errors.New("not a regular file")
