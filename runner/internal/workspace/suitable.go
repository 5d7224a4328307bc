package workspace

import (
	"fmt"
	"os"
	"strings"
	"unicode/utf8"
)

// NeedsMap says why an overlay needs [Workspace.Map]; empty: it does not.
func (w *Workspace) NeedsMap(agentUID, agentGID int) string {
	if why := unsuitablePath(w.root); why != "" {
		return why
	}
	return w.unsuitableOwner(agentUID, agentGID)
}

// Unsuitable says why an overlay cannot be used, as far as the host can tell; empty: nothing speaks against it.
func (w *Workspace) Unsuitable() string {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return fmt.Sprintf("the mounts below the workspace are not known: %v", err)
	}
	if below := mountBelow(string(mounts), w.root); below != "" {
		return fmt.Sprintf("%q is a mount of its own, which an overlay would show empty", below)
	}
	return ""
}

// unsuitablePath: the path becomes an option of mount(2), in which these characters end or separate something.
func unsuitablePath(path string) string {
	switch {
	case strings.ContainsAny(path, ":,\\'\"\n\r"):
		return "the workspace's path has a character that mount options cannot have (: , \\ quotes, newline)"
	case !utf8.ValidString(path):
		return "the workspace's path is not UTF-8"
	}
	return ""
}

// unsuitableOwner: files keep their owners in an overlay, and the agent must be able to write to them.
func (w *Workspace) unsuitableOwner(uid, gid int) string {
	switch w.uid {
	case uid:
		return ""
	case 0:
		return fmt.Sprintf("the workspace belongs to root, and the agent runs as %d:%d", uid, gid)
	default:
		return fmt.Sprintf("the workspace belongs to %d:%d, and the agent runs as %d:%d", w.uid, w.gid, uid, gid)
	}
}

// mountBelow returns a mount point below root, empty if there is none.
func mountBelow(mountinfo, root string) string {
	for line := range strings.Lines(mountinfo) {
		fields := strings.Fields(line)
		if len(fields) < 5 {
			continue
		}
		if point := unescapeMount(fields[4]); strings.HasPrefix(point, strings.TrimSuffix(root, "/")+"/") {
			return point
		}
	}
	return ""
}

// unescapeMount undoes the kernel's octal escapes of space, tab, newline and backslash (proc(5)).
func unescapeMount(s string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(s)
}
