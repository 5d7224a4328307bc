package confine

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"syscall"

	"github.com/yolo-run/yolo-run/entrypoint/wire"
)

// checkPlaceholders insists that every file of the workspace whose contents the agent must not see shows what was put in its place. An engine that puts
// archives below a volume instead of into it says that all went well.
func checkPlaceholders(workspace string, list []wire.Placeholder) error {
	if len(list) == 0 {
		return nil
	}
	root, err := os.OpenRoot(workspace)
	if err != nil {
		return fmt.Errorf("hidden files: %w", err)
	}
	defer root.Close()
	for _, p := range list { // the first fault is enough, there may be thousands
		if err := checkPlaceholder(root, p); err != nil {
			return fmt.Errorf("hidden file %q: %w", p.Path, err)
		}
	}
	return nil
}

var errShown = errors.New("its contents can be seen")

// checkPlaceholder passes what is not there, and what lies in a folder that is closed to this user and not its own to open.
func checkPlaceholder(root *os.Root, p wire.Placeholder) error {
	name := string(p.Path)
	info, err := root.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case errors.Is(err, fs.ErrPermission) && closedFolder(root, name):
		return nil
	case err != nil:
		return err
	case !info.Mode().IsRegular() || info.Size() != p.Size:
		return errShown
	case p.Size == 0:
		return nil
	}
	sum, err := digest(root, name)
	if err != nil {
		return err
	}
	if sum != p.SHA256 {
		return errShown
	}
	return nil
}

// closedFolder reports whether the innermost folder above a path that can be looked at belongs to another user.
func closedFolder(root *os.Root, name string) bool {
	for dir := path.Dir(name); ; dir = path.Dir(dir) {
		info, err := root.Lstat(dir)
		if err == nil {
			st, ok := info.Sys().(*syscall.Stat_t)
			return ok && int(st.Uid) != os.Geteuid()
		}
		if dir == "." {
			return false
		}
	}
}

func digest(root *os.Root, name string) (string, error) {
	f, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
