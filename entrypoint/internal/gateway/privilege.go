package gateway

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/yolo-run/yolo-run/entrypoint/internal/confine"
)

// capabilities are what PID 1 works with: rules, NFLOG and marks (NET_ADMIN), the serving process's user and, while it looks for a process, the agent's
// (SETUID, SETGID), and the sockets of other processes (SYS_PTRACE).
const capabilities = 1<<unix.CAP_NET_ADMIN | 1<<unix.CAP_SETUID | 1<<unix.CAP_SETGID | 1<<unix.CAP_SYS_PTRACE

// limitPrivilege gives up all capabilities but those, for good and in every thread, and reads every set back. The container has two more, which are
// known to be unnecessary only here: CAP_NET_RAW, which programs of the legacy back end need at the end once more (raw), and CAP_SETPCAP, without which
// no process can make its bounding set smaller.
func limitPrivilege(raw bool) error {
	if os.Getpid() != 1 {
		return nil // a test's process, which is not ours to limit
	}
	keep := uint64(capabilities)
	if raw {
		keep |= 1 << unix.CAP_NET_RAW
	}
	if err := dropBounding(keep); err != nil {
		return err
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	low, high := uint32(keep&0xffffffff), uint32(keep>>32)
	sets := [2]unix.CapUserData{{Effective: low, Permitted: low}, {Effective: high, Permitted: high}}
	//nolint:gosec // the system call takes two pointers
	_, _, errno := syscall.AllThreadsSyscall(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&header)), uintptr(unsafe.Pointer(&sets)), 0)
	if errno != 0 {
		return fmt.Errorf("set capabilities: %w", errno)
	}
	return confine.CheckCapabilities(keep)
}

// dropBounding takes what is not to be kept out of the bounding set: no program that is executed later gets it back.
func dropBounding(keep uint64) error {
	for number := range uintptr(64) {
		has, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, number, 0, 0, 0)
		switch {
		case errors.Is(err, unix.EINVAL): // the kernel knows no more
			return nil
		case err != nil:
			return fmt.Errorf("read capability %d of the bounding set: %w", number, err)
		case has == 0 || keep>>number&1 == 1:
			continue
		}
		if _, _, errno := syscall.AllThreadsSyscall(unix.SYS_PRCTL, unix.PR_CAPBSET_DROP, number, 0); errno != 0 {
			return fmt.Errorf("drop capability %d from the bounding set: %w", number, errno)
		}
	}
	return nil
}
