package entrypoint

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/yolo-run/yolo-run/entrypoint/internal/confine"
)

// limitEvents returns how often the container's limits on processes and memory were met. The counters explain an end and decide
// nothing: where the kernel does not have them, they are 0.
func limitEvents() (pidsMax, oomKills int64) {
	membership, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return 0, 0
	}
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return 0, 0
	}
	mounts, err := confine.ParseMounts(text)
	if err != nil {
		return 0, 0
	}
	if dir, _ := cgroupDir("pids", string(membership), mounts); dir != "" {
		pidsMax = readCounter(filepath.Join(dir, "pids.events"), "max")
	}
	if dir, unified := cgroupDir("memory", string(membership), mounts); dir != "" {
		file := "memory.oom_control"
		if unified {
			file = "memory.events"
		}
		oomKills = readCounter(filepath.Join(dir, file), "oom_kill")
	}
	return pidsMax, oomKills
}

// cgroupDir returns the folder of the calling process's cgroup for a controller, and whether it is of version 2 (cgroups(7)).
// membership is /proc/self/cgroup: a hybrid system has lines of both versions, and a controller is in one of them.
func cgroupDir(controller, membership string, mounts []confine.Mount) (dir string, unified bool) {
	for line := range strings.Lines(membership) {
		fields := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		if len(fields) != 3 {
			continue
		}
		v2 := fields[1] == ""
		if !v2 && !slices.Contains(strings.Split(fields[1], ","), controller) {
			continue
		}
		for _, m := range mounts {
			if v2 && m.Type == "cgroup2" || !v2 && m.Type == "cgroup" && slices.Contains(m.Options, controller) {
				return below(m, fields[2]), v2
			}
		}
	}
	return "", false
}

// below finds a cgroup in a mount. Without a cgroup namespace, paths are the host's while the mount shows the container's part only.
func below(m confine.Mount, path string) string {
	rel, err := filepath.Rel(m.Root, path)
	if err != nil || !filepath.IsLocal(rel) {
		return m.Point
	}
	return filepath.Join(m.Point, rel)
}

// readCounter reads one line of a file of "key number" lines, 0 when there is none.
func readCounter(file, key string) int64 {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), " "); ok && name == key {
			if n, err := strconv.ParseInt(value, 10, 64); err == nil {
				return n
			}
		}
	}
	return 0
}
