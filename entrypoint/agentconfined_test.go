package entrypoint

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/yolo-run/yolo-run/entrypoint/wire"
)

const (
	omitEnv = "ROLE_OMIT" // what TestConfiningProcess leaves out
	testUID = 12345
	testGID = 12346
)

// TestConfiningProcess does to itself what the engine does to the agent's container, and becomes the role.
func TestConfiningProcess(t *testing.T) {
	omit, ok := os.LookupEnv(omitEnv)
	if !ok {
		return
	}
	runtime.LockOSThread() // credentials belong to threads; execve keeps those of the one that calls it
	must := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	if omit != "bounding set" {
		for c := range uintptr(unix.CAP_LAST_CAP + 1) {
			must("bounding set", unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0))
		}
	}
	groups := []int{testGID}
	if omit == "groups" {
		groups = []int{testGID, 0}
	}
	must("groups", syscall.Setgroups(groups))
	must("GID", syscall.Setresgid(testGID, testGID, testGID))
	if omit != "seccomp" && omit != "socket families" {
		must("no new privileges", unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		must("seccomp", filterSockets(unix.AF_VSOCK, unix.AF_PACKET))
	}
	if omit == "socket families" {
		must("no new privileges", unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		must("seccomp", filterSockets(unix.AF_APPLETALK, unix.AF_APPLETALK))
	}
	uid := testUID
	if omit == "user" {
		uid++
	}
	must("UID", syscall.Setresuid(uid, uid, uid))
	env := append(os.Environ(), roleCheckEnv+"=real")
	must("exec", syscall.Exec(os.Args[0], []string{os.Args[0], "-test.run=^TestAgentRoleProcess$"}, env))
}

// filterSockets installs a filter that refuses two socket families, and nothing else.
func filterSockets(a, b uint32) error {
	const load = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
	const equal = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
	program := []unix.SockFilter{
		{Code: load, K: 0}, // seccomp_data.nr
		{Code: equal, K: unix.SYS_SOCKET, Jf: 4},
		{Code: load, K: 16}, // seccomp_data.args[0], the low half on a little-endian machine
		{Code: equal, K: a, Jt: 1},
		{Code: equal, K: b, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	prog := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, uintptr(unsafe.Pointer(&prog)))
	if errno != 0 {
		return errno
	}
	return nil
}

// confinedRole is a role for the test's own user, in a place that it can reach.
func confinedRole(t *testing.T, argv ...string) (*role, *exec.Cmd) {
	t.Helper()
	if os.Getuid() != 0 {
		if testing.Short() {
			t.Skip("needs root to give up what root has")
		}
		t.Fatal("needs root to give up what root has: run the tests as root, or with -short to leave these out")
	}
	r := newRole(t, argv...)
	r.config.UID, r.config.GID = testUID, testGID
	if err := os.Chmod(filepath.Join(r.dir, "out"), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Dir(r.dir), 0o755); err != nil { // t.TempDir is the owner's alone
		t.Fatal(err)
	}
	binary := filepath.Join(r.dir, "test") // the go command's folder is closed to others
	copyFile(t, os.Args[0], binary)
	cmd := r.command(t)
	cmd.Path, cmd.Args = binary, []string{binary, "-test.run=^TestConfiningProcess$"}
	return r, cmd
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(out, in); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestOnlyAConfinedProcessBecomesTheAgent takes one wall away at a time.
func TestOnlyAConfinedProcessBecomesTheAgent(t *testing.T) {
	for omit, fault := range map[string]string{
		"":                "",
		"bounding set":    "CapBnd is ",
		"groups":          "groups are [0 12346]",
		"seccomp":         "Seccomp is 0",
		"socket families": "",
		"user":            "UIDs are [12346 12346 12346 12346], want 12345",
	} {
		t.Run("without "+omit, func(t *testing.T) {
			r, cmd := confinedRole(t, "cat", "/proc/self/status")
			cmd.Env = append(cmd.Env, omitEnv+"="+omit)
			if omit == "socket families" {
				fd, err := unix.Socket(unix.AF_VSOCK, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
				if err != nil {
					return // this kernel has no vsock that a filter could leave open
				}
				if err := unix.Close(fd); err != nil {
					t.Fatal(err)
				}
				fault = "vsock socket can be opened"
			}
			got := r.finish(t, cmd)
			if fault != "" {
				if got.code != wire.ExitRefused || !strings.Contains(got.exit.Refused, fault) || got.stdout != "" {
					t.Errorf("exit code %d, %+v, want %q; %s", got.code, got.exit, fault, got.stdout)
				}
				return
			}
			if got.code != 0 || got.exit.Refused != "" {
				t.Fatalf("exit code %d, %+v; %s", got.code, got.exit, got.stderr)
			}
			for _, line := range []string{"CapBnd:\t0000000000000000", "CapAmb:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2", "Uid:\t12345\t12345\t12345\t12345"} {
				if !strings.Contains(got.stdout, line+"\n") {
					t.Errorf("%q is not the agent's status:\n%s", line, got.stdout)
				}
			}
		})
	}
}

func TestTheRoleIsOutOfTheAgentsReach(t *testing.T) {
	for _, tc := range []struct {
		script string
		code   int
	}{
		{"cat /proc/self/environ >/dev/null", 0}, // the positive control
		{"cat /proc/$PPID/environ >/dev/null 2>&1", 1},
		{"ls /proc/$PPID/fd/ >/dev/null 2>&1", 2},
	} {
		r, cmd := confinedRole(t, "sh", "-c", tc.script)
		cmd.Env = append(cmd.Env, omitEnv+"=")
		if got := r.finish(t, cmd); got.code != tc.code {
			t.Errorf("%s: exit code %d, want %d; %s", tc.script, got.code, tc.code, got.stderr)
		}
	}
}

// What the agent has left running holds the output open, and an engine without cgroups waits for its end: so does this pipe.
func TestWhatTheAgentLeavesRunningEndsWithIt(t *testing.T) {
	for name, tc := range map[string]struct {
		end          string
		code, signal int
	}{
		"it ends":          {"exit 7", 7, 0},
		"it is to end now": {"kill -ALRM $PPID; sleep 600", 137, 9},
	} {
		t.Run(name, func(t *testing.T) {
			r, cmd := confinedRole(t, "sh", "-c", `trap '' TERM; setsid sleep 600 & (sleep 600; sleep 600) & kill -0 $! && echo left; `+tc.end)
			cmd.Env = append(cmd.Env, omitEnv+"=", roleLeftoversEnv+"=1")
			// PID 1 of the namespace is another's, as the gateway is.
			cmd.Args = append([]string{"sh", "-c", `"$@" | cat; echo gateway=alive`, "sh"}, cmd.Args...)
			cmd.Path = "/bin/sh"
			cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID}
			got := r.finish(t, cmd)
			if got.exit.ExitCode != tc.code || got.exit.Signal != tc.signal || got.stdout != "left\ngateway=alive\n" {
				t.Errorf("%+v; %q; %s", got.exit, got.stdout, got.stderr)
			}
		})
	}
}
