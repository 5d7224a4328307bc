// Package confine checks, from inside the agent's container, that the process about to become the agent has nothing to lose:
// no capability, no way to gain one, a filter on its system calls, the user that the runner chose and the workspace that it mounted.
//
// The engine was asked for all of this and the runner inspected what it made of it; an engine can still answer one thing and do
// another (an old runtime, an option that a rootless engine drops). The kernel's own words are the last check.
// Invariant: what cannot be read or understood is a fault, never a pass.
package confine

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/yolo-run/yolo-run/entrypoint/wire"
)

// Workspace is where the agent's container has the workspace.
const Workspace = "/workspace"

// Want is what the runner promised.
type Want struct {
	UID, GID int
	// Layers are those of the overlay at [Workspace]; nil when it is not an overlay.
	Layers *wire.Layers
	// Placeholders must stand in [Workspace].
	Placeholders []wire.Placeholder
}

// Check returns every difference between the calling process and w, joined.
func Check(w Want) error {
	return errors.Join(checkStatus(w), checkPID(os.Getpid()), checkSockets(), checkWorkspace(w.Layers),
		checkPlaceholders(Workspace, w.Placeholders))
}

// Undumpable takes the process out of reach of others of the same user: no ptrace, no /proc/PID/mem, environ or fd. It lasts until execve.
func Undumpable() error {
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("set undumpable: %w", err)
	}
	got, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0)
	if err != nil {
		return fmt.Errorf("read back undumpable: %w", err)
	}
	if got != 0 {
		return fmt.Errorf("read back undumpable: %d, want 0", got)
	}
	return nil
}

// CheckStripped checks a process that was root and gave everything up: as [Check] does, but for the bounding set, which is that of the process that
// started it. With no_new_privs nothing comes out of it.
func CheckStripped(uid, gid int) error {
	s, err := ownStatus()
	if err != nil {
		return err
	}
	s.caps = slices.DeleteFunc(s.caps, func(set capSet) bool { return set.name == "CapBnd" })
	return s.check(Want{UID: uid, GID: gid})
}

// CheckCapabilities checks that every thread of the process has these capabilities to use, can be given no other, and hands none on.
func CheckCapabilities(want uint64) error {
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return fmt.Errorf("own threads: %w", err)
	}
	if len(threads) == 0 {
		return errors.New("own threads: none")
	}
	var faults []error
	for _, thread := range threads {
		s, err := readStatus("/proc/self/task/" + thread.Name() + "/status")
		switch {
		case errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ESRCH): // it has ended
		case err != nil:
			faults = append(faults, err)
		default:
			faults = append(faults, s.checkCapabilities(want))
		}
	}
	return errors.Join(faults...)
}

func (s status) checkCapabilities(want uint64) error {
	var faults []error
	for _, set := range s.caps {
		expected := want
		if set.name == "CapInh" || set.name == "CapAmb" {
			expected = 0
		}
		if set.bits != expected {
			faults = append(faults, fmt.Errorf("%s is %016x, want %016x", set.name, set.bits, expected))
		}
	}
	return errors.Join(faults...)
}

func checkStatus(w Want) error {
	s, err := ownStatus()
	if err != nil {
		return err
	}
	return s.check(w)
}

func ownStatus() (status, error) { return readStatus("/proc/self/status") }

func readStatus(path string) (status, error) {
	text, err := os.ReadFile(path) //nolint:gosec // of this process
	if err != nil {
		return status{}, fmt.Errorf("own status: %w", err)
	}
	s, err := parseStatus(text)
	if err != nil {
		return status{}, fmt.Errorf("own status: %w", err)
	}
	return s, nil
}

// check compares with the promise. Root is refused even if it was promised.
func (s status) check(w Want) error {
	var faults []error
	if w.UID <= 0 || w.GID <= 0 {
		faults = append(faults, fmt.Errorf("user %d:%d: neither may be 0", w.UID, w.GID))
	}
	for _, set := range s.caps {
		if set.bits != 0 {
			faults = append(faults, fmt.Errorf("%s is %016x, want no capability", set.name, set.bits))
		}
	}
	if s.noNewPrivs != 1 {
		faults = append(faults, fmt.Errorf("field NoNewPrivs is %d, want 1", s.noNewPrivs))
	}
	if s.seccomp != 2 {
		faults = append(faults, fmt.Errorf("field Seccomp is %d, want 2 (filter)", s.seccomp))
	}
	// Of the four, a saved 0 is as good as an effective one.
	if slices.ContainsFunc(s.uids, func(id int) bool { return id != w.UID }) {
		faults = append(faults, fmt.Errorf("UIDs are %v, want %d", s.uids, w.UID))
	}
	if slices.ContainsFunc(s.gids, func(id int) bool { return id != w.GID }) {
		faults = append(faults, fmt.Errorf("GIDs are %v, want %d", s.gids, w.GID))
	}
	if slices.ContainsFunc(s.groups, func(id int) bool { return id != w.GID }) {
		faults = append(faults, fmt.Errorf("groups are %v, want none but %d", s.groups, w.GID))
	}
	return errors.Join(faults...)
}

// checkPID: the gateway is PID 1. Otherwise nothing would kill what the agent leaves behind, and the gateway could not name processes.
func checkPID(pid int) error {
	if pid == 1 {
		return errors.New("this process is PID 1: the gateway's PID namespace was not joined")
	}
	return nil
}

// checkSockets proves that the filter is the hardened one: the engines' own profiles let vsock through, which leads to the host of a
// virtual machine past every rule of the firewall.
func checkSockets() error {
	var faults []error
	for _, s := range []struct {
		name         string
		family, kind int
	}{
		{"vsock", unix.AF_VSOCK, unix.SOCK_STREAM},
		{"packet", unix.AF_PACKET, unix.SOCK_DGRAM},
	} {
		fd, err := unix.Socket(s.family, s.kind|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			continue
		}
		faults = append(faults, fmt.Errorf("a %s socket can be opened", s.name), unix.Close(fd))
	}
	return errors.Join(faults...)
}

func checkWorkspace(want *wire.Layers) error {
	if want == nil {
		return nil
	}
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return fmt.Errorf("own mounts: %w", err)
	}
	mounts, err := ParseMounts(text)
	if err != nil {
		return fmt.Errorf("own mounts: %w", err)
	}
	return checkLayers(mounts, *want)
}

// checkLayers insists on a single mount: a second one would hide the first.
func checkLayers(mounts []Mount, want wire.Layers) error {
	mounts = slices.DeleteFunc(slices.Clone(mounts), func(m Mount) bool { return m.Point != Workspace })
	switch {
	case len(mounts) != 1:
		return fmt.Errorf("%d mounts at %s, want 1", len(mounts), Workspace)
	case mounts[0].Type != "overlay":
		return fmt.Errorf("%s is of type %q, want overlay", Workspace, mounts[0].Type)
	}
	var faults []error
	for _, o := range []struct{ name, want string }{
		{"lowerdir", want.Lower},
		{"upperdir", want.Upper},
		{"workdir", want.Work},
	} {
		if got := mounts[0].Values(o.name); len(got) != 1 || got[0] != o.want {
			faults = append(faults, fmt.Errorf("%s of %s is %q, want %q", o.name, Workspace, got, o.want))
		}
	}
	return errors.Join(faults...)
}
