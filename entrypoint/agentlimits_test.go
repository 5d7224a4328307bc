package entrypoint

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/yolo-run/yolo-run/entrypoint/internal/confine"
)

func TestCgroupFolders(t *testing.T) {
	v1 := func(controller, root string) string {
		return "40 30 0:30 " + root + " /sys/fs/cgroup/" + controller + " ro,nosuid - cgroup cgroup rw," + controller + "\n"
	}
	const v2 = "30 23 0:26 / /sys/fs/cgroup ro,nosuid - cgroup2 cgroup rw,nsdelegate\n"
	for _, tc := range []struct {
		name, membership, mounts string
		pids, memory             string
		unified                  bool
	}{
		{"version 2", "0::/\n", v2, "/sys/fs/cgroup", "/sys/fs/cgroup", true},
		{
			"version 1, the host's paths", "8:pids:/docker/abc\n4:cpu,memory:/docker/abc\n0::/\n", v1("pids", "/docker/abc") + v1("memory", "/docker/abc"),
			"/sys/fs/cgroup/pids", "/sys/fs/cgroup/memory", false,
		},
		{
			"version 1, a cgroup namespace", "8:pids:/\n4:memory:/\n", v1("pids", "/") + v1("memory", "/"),
			"/sys/fs/cgroup/pids", "/sys/fs/cgroup/memory", false,
		},
		{
			"version 1, all of it mounted", "8:pids:/docker/abc\n4:memory:/docker/abc\n", v1("pids", "/") + v1("memory", "/"),
			"/sys/fs/cgroup/pids/docker/abc", "/sys/fs/cgroup/memory/docker/abc", false,
		},
		{
			"outside of what is mounted", "8:pids:/other\n4:memory:/../other\n", v1("pids", "/docker/abc") + v1("memory", "/docker/abc"),
			"/sys/fs/cgroup/pids", "/sys/fs/cgroup/memory", false,
		},
		{"hybrid", "8:pids:/\n4:memory:/\n0::/\n", v2 + v1("pids", "/") + v1("memory", "/"), "/sys/fs/cgroup/pids", "/sys/fs/cgroup/memory", false},
		{"not mounted", "8:pids:/\n4:memory:/\n", "", "", "", false},
		{"not understood", "nonsense\n\n", v2, "", "", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			mounts, err := confine.ParseMounts([]byte(tc.mounts))
			if err != nil {
				t.Fatal(err)
			}
			pids, _ := cgroupDir("pids", tc.membership, mounts)
			memory, unified := cgroupDir("memory", tc.membership, mounts)
			if pids != tc.pids || memory != tc.memory || unified != tc.unified {
				t.Errorf("%q, %q, unified %t, want %q, %q, %t", pids, memory, unified, tc.pids, tc.memory, tc.unified)
			}
		})
	}
}

func TestCounters(t *testing.T) {
	file := filepath.Join(t.TempDir(), "memory.events")
	if err := os.WriteFile(file, []byte("low 1\nmax 2\noom 3\noom_kill 4\nbroken x\nempty\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]int64{"max": 2, "oom": 3, "oom_kill": 4, "broken": 0, "empty": 0, "missing": 0} {
		if got := readCounter(file, key); got != want {
			t.Errorf("%s = %d, want %d", key, got, want)
		}
	}
	if got := readCounter(file+".missing", "max"); got != 0 {
		t.Errorf("of a missing file: %d", got)
	}
}
