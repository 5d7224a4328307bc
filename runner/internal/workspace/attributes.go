package workspace

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// aclName is the extended attribute that has a file's access control list (acl(5)).
const aclName = "system.posix_acl_access"

// keepAttributes gives a staged file the user's extended attributes and the access control list of the version that it replaces. Those of the kernel
// (capabilities, signatures) are about the old contents. A list that the staged file has from its folder goes. File systems without any have nothing to keep.
func (a *applier) keepAttributes(d treeChange, name string) error {
	if d.oldMode != modeFile && d.oldMode != modeExecutable {
		return nil
	}
	old, err := a.root.OpenFile(d.source(), os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer old.Close()
	staged, err := a.root.OpenFile(name, os.O_RDONLY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer staged.Close()
	had, err := attributes(old)
	if err != nil {
		return fmt.Errorf("attributes of %q: %w", d.source(), err)
	}
	has, err := attributes(staged)
	if err != nil {
		return fmt.Errorf("attributes of %q: %w", name, err)
	}
	if _, stays := had[aclName]; !stays && has[aclName] != "" {
		if err := unix.Fremovexattr(int(staged.Fd()), aclName); err != nil {
			return fmt.Errorf("remove %s of %q: %w", aclName, name, err)
		}
	}
	for key, value := range had {
		if err := unix.Fsetxattr(int(staged.Fd()), key, []byte(value), 0); err != nil {
			return fmt.Errorf("keep %s of %q: %w", key, d.source(), err)
		}
	}
	return nil
}

// maxAttributes bounds the names and each value, as the kernel does.
const maxAttributes = 64 << 10

// attributes are those of an open file that belong to its name, not to its contents.
func attributes(f *os.File) (map[string]string, error) {
	names := make([]byte, maxAttributes)
	n, err := unix.Flistxattr(int(f.Fd()), names)
	if errors.Is(err, unix.ENOTSUP) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	found := map[string]string{}
	value := make([]byte, maxAttributes)
	for name := range strings.SplitSeq(string(names[:n]), "\x00") {
		if name != aclName && !strings.HasPrefix(name, "user.") {
			continue
		}
		n, err := unix.Fgetxattr(int(f.Fd()), name, value)
		if err != nil {
			return nil, err
		}
		found[name] = string(value[:n])
	}
	return found, nil
}

// HardLinked lists changed files that have other names in root, or elsewhere. To write to those too could reach out of the workspace: the other names keep
// the old version.
func (c *Changes) HardLinked(root string) ([]string, error) {
	r, err := os.OpenRoot(root)
	if err != nil {
		return nil, fmt.Errorf("find hard links: %w", err)
	}
	defer r.Close()
	var list []string
	for _, d := range c.diff {
		if d.oldMode == nothing || d.mode == nothing {
			continue
		}
		info, err := r.Lstat(d.source())
		if err != nil {
			continue // Apply says so
		}
		if st, ok := info.Sys().(*syscall.Stat_t); ok && info.Mode().IsRegular() && st.Nlink > 1 {
			list = append(list, d.source())
		}
	}
	return list, nil
}
