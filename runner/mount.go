package runner

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/yolo-run/yolo-run/runner/internal/agent"
)

// The modes of a [Mount].
const (
	MountRO  = "ro"  // read only
	MountCOW = "cow" // writable, and thrown away at the end
	MountRW  = "rw"  // writes reach the host: reported as a hole
)

// agentHome is the agent's home folder, which ~ means in a mount's destination.
const agentHome = "/home/agent"

// Mount is one parsed entry of Config.Mounts.
type Mount struct {
	Source string `json:"source"` // absolute, symlinks resolved, exists
	Target string `json:"target"` // absolute and clean, in the agent's container
	Mode   string `json:"mode"`   // ro, cow, rw
	Dir    bool   `json:"dir"`    // Source is a folder
}

// MountList parses and checks Config.Mounts against this machine: what must not be shared is refused after symlinks are resolved.
// All faults are returned, joined.
func (c Config) MountList() ([]Mount, error) {
	machine := thisHost()
	workspace, err := c.workspaceRoot(machine)
	if err != nil {
		return nil, &UsageError{Option: "--workspace", Value: c.Workspace, Err: err}
	}
	return c.mountList(machine, workspace)
}

func (c Config) mountList(machine host, workspace string) ([]Mount, error) {
	var mounts []Mount
	var faults []error
	targets := map[string]bool{}
	for _, entry := range c.Mounts {
		m, err := parseMount(entry, machine, workspace)
		if err == nil && targets[m.Target] {
			err = fmt.Errorf("%s is the destination of another mount", m.Target)
		}
		if err != nil {
			faults = append(faults, &UsageError{Option: "--mount", Value: entry, Err: err, Hint: Hint(err)})
			continue
		}
		targets[m.Target] = true
		mounts = append(mounts, m)
	}
	return mounts, errors.Join(faults...)
}

func parseMount(entry string, machine host, workspace string) (Mount, error) {
	source, target, mode, err := splitMount(entry)
	if err != nil {
		return Mount{}, err
	}
	if target, err = mountTarget(target); err != nil {
		return Mount{}, err
	}
	resolved, err := machine.resolveInside(source, workspace)
	if err != nil {
		return Mount{}, fmt.Errorf("%s: %w", source, plainPathError(err))
	}
	if err := machine.mayShare(resolved); err != nil {
		return Mount{}, err
	}
	info, err := os.Stat(resolved)
	if err != nil {
		return Mount{}, err
	}
	if !info.IsDir() && !info.Mode().IsRegular() {
		return Mount{}, fmt.Errorf("%s is %s; only files and folders can be mounted", resolved, kindOf(info.Mode()))
	}
	if mode == MountCOW && !info.IsDir() {
		return Mount{}, fmt.Errorf("%s is a file; cow needs a folder", resolved)
	}
	return Mount{Source: resolved, Target: target, Mode: mode, Dir: info.IsDir()}, nil
}

// splitMount reads from the right, so that a source may hold a colon.
func splitMount(entry string) (source, target, mode string, err error) {
	rest, mode := entry, MountRO
	if i := strings.LastIndexByte(rest, ':'); i >= 0 {
		switch last := rest[i+1:]; last {
		case MountRO, MountCOW, MountRW:
			rest, mode = rest[:i], last
		}
	}
	i := strings.LastIndexByte(rest, ':')
	if i <= 0 || i == len(rest)-1 {
		return "", "", "", errors.New("not SRC:DST[:ro|cow|rw]")
	}
	source, target = rest[:i], rest[i+1:]
	if !strings.HasPrefix(target, "/") && !strings.HasPrefix(target, "~") {
		return "", "", "", fmt.Errorf("%q is neither an absolute destination nor one of ro, cow, rw", target)
	}
	return source, target, mode, nil
}

// mountTarget checks where a mount goes inside. What the runner itself puts into the container must stay what it is.
func mountTarget(target string) (string, error) {
	if target == "~" || strings.HasPrefix(target, "~/") {
		target = agentHome + target[1:]
	}
	if strings.ContainsAny(target, "\x00\n\r") || !path.IsAbs(target) {
		return "", errors.New("the destination is not a clean absolute path")
	}
	target = path.Clean(target)
	for _, taken := range []string{"/workspace", "/.yolo-run", agent.Root, "/proc", "/sys", "/dev"} {
		if within(taken, target) {
			return "", fmt.Errorf("%s belongs to the sandbox; mount it elsewhere", target)
		}
	}
	switch target {
	case "/", "/etc", "/etc/passwd", "/etc/group", "/home", agentHome:
		return "", fmt.Errorf("%s belongs to the sandbox; mount it elsewhere", target)
	}
	return target, nil
}

func kindOf(mode fs.FileMode) string {
	switch {
	case mode&fs.ModeSocket != 0:
		return "a socket"
	case mode&fs.ModeNamedPipe != 0:
		return "a pipe"
	case mode&fs.ModeDevice != 0:
		return "a device"
	}
	return "not a file"
}

// within reports whether p is folder or lies below it; both are clean and absolute.
func within(folder, p string) bool {
	if folder == "/" {
		return true
	}
	return p == folder || strings.HasPrefix(p, folder+string(filepath.Separator))
}
