package workspace

import (
	"errors"
	"fmt"
	"math"
	"os"
	"runtime"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// Mapped is a read-only view of the workspace in which what belongs to its owner belongs to the agent's user: an idmapped mount (mount_setattr(2)) that is
// attached nowhere. It is gone when it is closed, or with the process, and nothing of it is ever left on the host. An overlay that was mounted over it stays.
type Mapped struct{ tree *os.File }

// mappedSince is the kernel from which an overlay takes a mount that is attached nowhere.
var mappedSince = [2]int{6, 15}

// Map makes the view. Only root can; and the engine must see this process in its /proc, which [Workspace.CheckProbe] finds out.
func (w *Workspace) Map(uid, gid int) (*Mapped, error) {
	switch {
	case os.Geteuid() != 0:
		return nil, errors.New("only root can show it as the agent's")
	case w.probe == "":
		return nil, errors.New("it is empty")
	case !kernelHas(mappedSince):
		return nil, fmt.Errorf("only a kernel from %d.%d on can show it as the agent's", mappedSince[0], mappedSince[1])
	}
	users, err := userNamespace(swap(w.uid, uid), swap(w.gid, gid))
	if err != nil {
		return nil, fmt.Errorf("map owners: %w", err)
	}
	defer users.Close()
	fd, err := unix.OpenTree(unix.AT_FDCWD, w.root, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("map owners: open_tree: %w", err)
	}
	tree := os.NewFile(uintptr(fd), w.root)
	err = unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH, &unix.MountAttr{
		Attr_set:  unix.MOUNT_ATTR_IDMAP | unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV,
		Userns_fd: uint64(users.Fd()),
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("map owners: mount_setattr: %w", err), tree.Close())
	}
	return &Mapped{tree: tree}, nil
}

// Path leads to the view for whoever sees this process in /proc. It has none of the characters that mount options cannot have.
func (m *Mapped) Path() string {
	return "/proc/" + strconv.Itoa(os.Getpid()) + "/fd/" + strconv.Itoa(int(m.tree.Fd()))
}

// Close gives the view up.
func (m *Mapped) Close() error { return m.tree.Close() }

// swap lets two users change places and everybody else be who they are, so that nobody's files are nobody's.
func swap(a, b int) []syscall.SysProcIDMap {
	low, high := min(a, b), max(a, b)
	if low == high {
		return []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: math.MaxUint32}}
	}
	var list []syscall.SysProcIDMap
	for _, m := range []syscall.SysProcIDMap{
		{ContainerID: 0, HostID: 0, Size: low},
		{ContainerID: low, HostID: high, Size: 1},
		{ContainerID: low + 1, HostID: low + 1, Size: high - low - 1},
		{ContainerID: high, HostID: low, Size: 1},
		{ContainerID: high + 1, HostID: high + 1, Size: math.MaxUint32 - high - 1},
	} {
		if m.Size > 0 {
			list = append(list, m)
		}
	}
	return list
}

// userNamespace makes one with these maps. It takes a process to make it: this one is stopped before its first instruction, and killed.
func userNamespace(uids, gids []syscall.SysProcIDMap) (_ *os.File, err error) {
	runtime.LockOSThread() // the process is traced by this thread, and dies with it
	defer runtime.UnlockOSThread()
	pid, err := syscall.ForkExec("/proc/self/exe", []string{"stopped"}, &syscall.ProcAttr{Sys: &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWUSER, UidMappings: uids, GidMappings: gids, Ptrace: true, Pdeathsig: syscall.SIGKILL,
	}})
	if err != nil {
		return nil, fmt.Errorf("user namespace: %w", err)
	}
	defer func() { err = errors.Join(err, end(pid)) }()
	return os.Open("/proc/" + strconv.Itoa(pid) + "/ns/user")
}

// end kills a stopped process and waits until it is gone: its stop is reported first.
func end(pid int) error {
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		return fmt.Errorf("user namespace: %w", err)
	}
	for {
		var status syscall.WaitStatus
		_, err := syscall.Wait4(pid, &status, 0, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
		case err != nil:
			return fmt.Errorf("user namespace: %w", err)
		case status.Exited() || status.Signaled():
			return nil
		}
	}
}

// kernelHas reports whether the kernel is of this version or a later one.
func kernelHas(least [2]int) bool {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return false
	}
	var major, minor int
	if n, err := fmt.Sscanf(unix.ByteSliceToString(u.Release[:]), "%d.%d", &major, &minor); err != nil || n != 2 {
		return false
	}
	return major > least[0] || major == least[0] && minor >= least[1]
}
