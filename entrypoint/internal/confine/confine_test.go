package confine

import (
	"os"
	"reflect"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/yolo-run/yolo-run/entrypoint/wire"
)

// confined is what the kernel says of a process as the engine should start it.
const confined = `Name:	entrypoint
Umask:	0022
State:	R (running)
Tgid:	7
Pid:	7
Uid:	1000	1000	1000	1000
Gid:	100	100	100	100
FDSize:	64
Groups:	100
CapInh:	0000000000000000
CapPrm:	0000000000000000
CapEff:	0000000000000000
CapBnd:	0000000000000000
CapAmb:	0000000000000000
NoNewPrivs:	1
Seccomp:	2
Seccomp_filters:	1
Speculation_Store_Bypass:	thread vulnerable
`

func TestStatusOfAConfinedProcessPasses(t *testing.T) {
	for _, groups := range []string{"Groups:\t100\n", "Groups:\t \n"} {
		s, err := parseStatus([]byte(strings.Replace(confined, "Groups:\t100\n", groups, 1)))
		if err != nil {
			t.Fatal(err)
		}
		if err := s.check(Want{UID: 1000, GID: 100}); err != nil {
			t.Errorf("with %q: %v", groups, err)
		}
	}
}

func TestPrivilegeIsExactlyWhatIsWanted(t *testing.T) {
	const want = 0x810c0
	kept := strings.NewReplacer("CapPrm:\t0000000000000000", "CapPrm:\t00000000000810c0", "CapEff:\t0000000000000000", "CapEff:\t00000000000810c0",
		"CapBnd:\t0000000000000000", "CapBnd:\t00000000000810c0").Replace(confined)
	for _, tc := range []struct{ old, changed, fault string }{
		{"", "", ""},
		{"CapPrm:\t00000000000810c0", "CapPrm:\t00000000000830c0", "CapPrm is 00000000000830c0, want 00000000000810c0"},
		{"CapEff:\t00000000000810c0", "CapEff:\t00000000000810c1", "CapEff"},
		{"CapEff:\t00000000000810c0", "CapEff:\t0000000000000000", "CapEff"},
		{"CapBnd:\t00000000000810c0", "CapBnd:\t00000000000811c0", "CapBnd"},
		{"CapInh:\t0000000000000000", "CapInh:\t00000000000810c0", "CapInh is 00000000000810c0, want 0000000000000000"},
		{"CapAmb:\t0000000000000000", "CapAmb:\t0000000000000040", "CapAmb"},
	} {
		s, err := parseStatus([]byte(strings.Replace(kept, tc.old, tc.changed, 1)))
		if err != nil {
			t.Fatal(err)
		}
		err = s.checkCapabilities(want)
		if (err == nil) != (tc.fault == "") || err != nil && !strings.Contains(err.Error(), tc.fault) {
			t.Errorf("%q: %v, want %q", tc.changed, err, tc.fault)
		}
	}
	if err := CheckCapabilities(1 << 63); err == nil { // no kernel has so many
		t.Error("this process passes with what it has not")
	}
}

func TestEveryDifferenceIsAFault(t *testing.T) {
	for _, tc := range []struct{ old, changed, fault string }{
		{"CapInh:\t0000000000000000", "CapInh:\t0000000000000400", "CapInh is 0000000000000400"},
		{"CapPrm:\t0000000000000000", "CapPrm:\t0000000000001000", "CapPrm"},
		{"CapEff:\t0000000000000000", "CapEff:\t0000000000000001", "CapEff"},
		{"CapBnd:\t0000000000000000", "CapBnd:\t00000000a80425fb", "CapBnd is 00000000a80425fb"},
		{"CapAmb:\t0000000000000000", "CapAmb:\t8000000000000000", "CapAmb"},
		{"NoNewPrivs:\t1", "NoNewPrivs:\t0", "NoNewPrivs is 0"},
		{"Seccomp:\t2", "Seccomp:\t0", "Seccomp is 0"},
		{"Seccomp:\t2", "Seccomp:\t1", "Seccomp is 1"},
		{"Uid:\t1000\t1000\t1000\t1000", "Uid:\t0\t1000\t1000\t1000", "UIDs are [0 1000 1000 1000]"},
		{"Uid:\t1000\t1000\t1000\t1000", "Uid:\t1000\t1000\t0\t1000", "UIDs"},
		{"Uid:\t1000\t1000\t1000\t1000", "Uid:\t1001\t1001\t1001\t1001", "UIDs"},
		{"Gid:\t100\t100\t100\t100", "Gid:\t100\t100\t100\t0", "GIDs"},
		{"Groups:\t100", "Groups:\t0", "groups are [0]"},
		{"Groups:\t100", "Groups:\t100 999", "groups are [100 999]"},
		// What cannot be understood is a fault as well.
		{"Seccomp:\t2\n", "", "no field Seccomp"},
		{"CapBnd:\t0000000000000000\n", "", "no field CapBnd"},
		{"Groups:\t100\n", "", "no field Groups"},
		{"CapBnd:\t0000000000000000", "CapBnd:\tnone", "field CapBnd"},
		{"CapBnd:\t0000000000000000", "CapBnd:\t0\nCapBnd:\t0", "line"},
		{"Uid:\t1000\t1000\t1000\t1000", "Uid:\t1000\t1000\t1000", "has 3 numbers"},
		{"Gid:\t100\t100\t100\t100", "Gid:\t100\t100\t100\t100\t100", "has 5 numbers"},
		{"Uid:\t1000\t1000\t1000\t1000", "Uid:\t1000\t1000\t1000\t-1", "field Uid"},
		{"NoNewPrivs:\t1", "NoNewPrivs:\t1 1", "has 2 numbers"},
		{"NoNewPrivs:\t1", "NoNewPrivs:", "has 0 numbers"},
		{"Umask:\t0022", "Umask", "line"},
	} {
		t.Run(tc.changed, func(t *testing.T) {
			s, err := parseStatus([]byte(strings.Replace(confined, tc.old, tc.changed, 1)))
			if err == nil {
				err = s.check(Want{UID: 1000, GID: 100})
			}
			if err == nil || !strings.Contains(err.Error(), tc.fault) {
				t.Errorf("got %v, want %s", err, tc.fault)
			}
		})
	}
}

func TestRootIsRefusedEvenWhenPromised(t *testing.T) {
	for _, want := range []Want{{UID: 0, GID: 100}, {UID: 1000, GID: 0}, {UID: -1, GID: 100}} {
		text := strings.NewReplacer("1000", itoa(want.UID), "\t100", "\t"+itoa(want.GID)).Replace(confined)
		s, err := parseStatus([]byte(text))
		if err == nil {
			err = s.check(want)
		}
		if err == nil {
			t.Errorf("%+v passes", want)
		}
	}
}

func itoa(n int) string { return map[int]string{0: "0", 100: "100", 1000: "1000", -1: "-1"}[n] }

func TestTheOwnStatusAndMountsAreUnderstood(t *testing.T) {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	s, err := parseStatus(text)
	if err != nil {
		t.Fatal(err)
	}
	if s.uids[1] != os.Geteuid() || s.gids[0] != os.Getgid() {
		t.Errorf("status says %v %v, the system calls %d %d", s.uids, s.gids, os.Geteuid(), os.Getgid())
	}
	if text, err = os.ReadFile("/proc/self/mountinfo"); err != nil {
		t.Fatal(err)
	}
	mounts, err := ParseMounts(text)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range mounts {
		if m.Point == "/proc" && m.Type == "proc" {
			return
		}
	}
	t.Errorf("no /proc among %d mounts", len(mounts))
}

func TestAnUnconfinedProcessIsRefused(t *testing.T) {
	err := Check(Want{UID: os.Getuid(), GID: os.Getgid()})
	if err == nil || !strings.Contains(err.Error(), "NoNewPrivs is 0") {
		t.Fatalf("Check of the test itself: %v", err)
	}
	if err := checkPID(1); err == nil {
		t.Error("PID 1 passes")
	}
}

func TestUndumpable(t *testing.T) {
	if err := Undumpable(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Prctl(unix.PR_SET_DUMPABLE, 1, 0, 0, 0); err != nil {
			t.Error(err)
		}
	})
	if got, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0); err != nil || got != 0 {
		t.Fatalf("PR_GET_DUMPABLE = %d, %v, want 0", got, err)
	}
}

const overlay = "300 250 0:60 / /workspace rw,nosuid,nodev,relatime master:1 shared:2 - overlay overlay " +
	`rw,lowerdir=/home/u/my\040repo,upperdir=/var/lib/docker/volumes/u/_data,workdir=/var/lib/docker/volumes/w/_data,redirect_dir=on` + "\n"

func TestLayersOfTheWorkspace(t *testing.T) {
	const root = "250 1 0:50 / / ro,relatime - overlay overlay rw,lowerdir=/a:/b,upperdir=/c,workdir=/d\n"
	layers := wire.Layers{Lower: "/home/u/my repo", Upper: "/var/lib/docker/volumes/u/_data", Work: "/var/lib/docker/volumes/w/_data"}
	for _, tc := range []struct {
		name, text, fault string
	}{
		{"as promised", root + overlay, ""},
		{"nothing mounted", root, "0 mounts"},
		{"hidden by a second mount", root + overlay + overlay, "2 mounts"},
		{"another file system", strings.Replace(overlay, "- overlay", "- ext4", 1), `type "ext4"`},
		{"another lower", strings.Replace(overlay, "repo", "repos", 1), "lowerdir"},
		{"a further lower", strings.Replace(overlay, "repo", "repo:/etc", 1), "lowerdir"},
		{"lower twice", strings.Replace(overlay, "upperdir", "lowerdir=/x,upperdir", 1), "lowerdir"},
		{"another upper", strings.Replace(overlay, "volumes/u", "volumes/v", 1), "upperdir"},
		{"no upper", strings.Replace(overlay, "upperdir=/var/lib/docker/volumes/u/_data,", "", 1), "upperdir"},
		{"another work", strings.Replace(overlay, "volumes/w", "volumes/v", 1), "workdir"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			mounts, err := ParseMounts([]byte(tc.text))
			if err != nil {
				t.Fatal(err)
			}
			err = checkLayers(mounts, layers)
			if tc.fault == "" && err != nil || tc.fault != "" && (err == nil || !strings.Contains(err.Error(), tc.fault)) {
				t.Errorf("got %v, want %q", err, tc.fault)
			}
		})
	}
}

func TestMountLines(t *testing.T) {
	for _, tc := range []struct {
		line string
		want *Mount // nil: an error
	}{
		{"36 35 98:0 /mnt1 /mnt2 rw,noatime - ext3 /dev/root rw,errors=continue", &Mount{"/mnt1", "/mnt2", "ext3", []string{"rw", "errors=continue"}}},
		{"36 35 98:0 / /a rw master:1 propagate_from:2 unbindable - tmpfs tmpfs rw", &Mount{"/", "/a", "tmpfs", []string{"rw"}}},
		{"36 35 98:0 / /a rw - tmpfs  rw", &Mount{"/", "/a", "tmpfs", []string{"rw"}}}, // no source
		{`36 35 98:0 / /a\040b\011c\012d\134e\043 rw - tmpfs t rw,x=a\054b`, &Mount{"/", "/a b\tc\nd\\e#", "tmpfs", []string{"rw", "x=a,b"}}},
		{`36 35 98:0 / /\134040 rw - tmpfs t rw`, &Mount{"/", `/\040`, "tmpfs", []string{"rw"}}}, // unescaped once
		{`36 35 98:0 / /\4 rw - tmpfs t rw,\08,\777`, &Mount{"/", `/\4`, "tmpfs", []string{"rw", `\08`, `\777`}}},
		{"36 35 98:0 / - rw - tmpfs t rw", &Mount{"/", "-", "tmpfs", []string{"rw"}}},
		{"", nil},
		{"36 35 98:0 / /a", nil},
		{"36 35 98:0 / /a rw tmpfs t rw", nil},
		{"36 35 98:0 / /a rw - tmpfs t", nil},
		{"36 35 98:0 / /a rw - tmpfs t rw more", nil},
	} {
		got, err := parseMount(tc.line)
		switch {
		case tc.want == nil && err == nil:
			t.Errorf("parseMount(%q) = %+v, want an error", tc.line, got)
		case tc.want != nil && (err != nil || !reflect.DeepEqual(got, *tc.want)):
			t.Errorf("parseMount(%q) = %+v, %v, want %+v", tc.line, got, err, *tc.want)
		}
	}
}

func FuzzStatus(f *testing.F) {
	f.Add([]byte(confined))
	f.Add([]byte(strings.Replace(confined, "Groups:\t100", "Groups:\t", 1)))
	f.Add([]byte(strings.Replace(confined, "CapBnd:\t0000000000000000", "CapBnd:\tffffffffffffffff", 1)))
	f.Add([]byte("Name:\t\nName:\t\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := parseStatus(text)
		if err != nil || s.check(Want{UID: 1000, GID: 100}) != nil {
			return
		}
		for _, must := range []string{"\nNoNewPrivs:", "\nSeccomp:", "\nCapBnd:", "\nUid:", "\nGid:", "\nGroups:"} {
			if !strings.Contains("\n"+string(text), must) {
				t.Fatalf("passes without %q:\n%s", must, text)
			}
		}
	})
}

func FuzzMounts(f *testing.F) {
	f.Add([]byte(overlay))
	f.Add([]byte("36 35 98:0 / /a rw - tmpfs  rw\n36 35 98:0 /\\040 /b rw master:1 - ext4 /dev/x rw,a=b\\054c"))
	f.Add([]byte("- - - - - - - - -"))
	f.Fuzz(func(t *testing.T, text []byte) {
		mounts, err := ParseMounts(text)
		if err != nil {
			return
		}
		if lines := strings.Count(strings.TrimSuffix(string(text), "\n"), "\n") + 1; len(text) > 0 && len(mounts) != lines {
			t.Fatalf("%d mounts in %d lines", len(mounts), lines)
		}
	})
}
