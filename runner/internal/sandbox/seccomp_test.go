package sandbox

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"slices"
	"testing"

	"github.com/moby/profiles/seccomp"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

var update = flag.Bool("update", false, "rewrite the generated files")

// The embedded profile is moby's current default, hardened; a new version of the module shows up here.
func TestSeccompProfileIsMobysDefaultHardened(t *testing.T) {
	profile := seccomp.DefaultProfile()
	for i := range profile.ArchMap {
		// socketcall(2) hides the address family behind a pointer: int 0x80 would open vsock under any filter.
		profile.ArchMap[i].SubArches = nil
	}
	profile.Syscalls = slices.DeleteFunc(profile.Syscalls, func(s *seccomp.Syscall) bool {
		s.Names = slices.DeleteFunc(s.Names, func(n string) bool { return n == "socket" || n == "socketcall" })
		return len(s.Names) == 0
	})
	for _, family := range []uint64{unix.AF_UNIX, unix.AF_INET, unix.AF_INET6, unix.AF_NETLINK} {
		profile.Syscalls = append(profile.Syscalls, &seccomp.Syscall{LinuxSyscall: specs.LinuxSyscall{
			Names: []string{"socket"}, Action: specs.ActAllow,
			Args: []specs.LinuxSeccompArg{{Index: 0, Value: family, Op: specs.OpEqualTo}},
		}})
	}
	want, err := json.MarshalIndent(profile, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	want = append(want, '\n')
	if *update {
		if err := os.WriteFile("seccomp.json", want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile("seccomp.json")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Fatal("seccomp.json is not what moby's default profile becomes: run go test ./runner/internal/sandbox -run Seccomp -update and read the difference")
	}
}
