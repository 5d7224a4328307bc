package runner_test

import (
	"context"
	"strings"
	"testing"

	"github.com/moby/moby/client"

	"github.com/yolo-run/yolo-run/reports"
	"github.com/yolo-run/yolo-run/runner"
)

// Attack 14: what the agent is, as the kernel says. The tests run as root and as an ordinary user; here both are the agent's own view.
func TestAttack14NoPrivilegeInAnySet(t *testing.T) {
	t.Parallel()
	for _, user := range []string{"", "1234:2345"} {
		r := try(t, `
sed -n 's/^\(Cap[A-Z][a-z]*\|NoNewPrivs\|Seccomp\|Uid\|Gid\|Groups\):\s*/\1=/p' /proc/self/status
id -u | sed 's/^/uid=/'`, func(cfg *runner.Config) { cfg.User = user })
		r.want(t, reports.NoChanges)
		for _, set := range []string{"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"} {
			if got := r.says(t, set); got != "0000000000000000" {
				t.Errorf("user %q: %s is %s, want empty", user, set, got)
			}
		}
		if r.says(t, "NoNewPrivs") != "1" || r.says(t, "Seccomp") != "2" {
			t.Errorf("user %q: NoNewPrivs %s, Seccomp %s, want 1 and 2", user, r.says(t, "NoNewPrivs"), r.says(t, "Seccomp"))
		}
		for _, ids := range []string{"Uid", "Gid"} {
			for id := range strings.FieldsSeq(r.says(t, ids)) {
				if id == "0" {
					t.Errorf("user %q: %s has 0: %s", user, ids, r.says(t, ids))
				}
			}
		}
		if groups := strings.TrimSpace(r.says(t, "Groups")); groups != "" && groups != strings.Fields(r.says(t, "Gid"))[0] {
			t.Errorf("user %q: supplementary groups %q", user, groups)
		}
		if r.Sandbox.UID == 0 || r.Sandbox.GID == 0 {
			t.Errorf("report says %d:%d", r.Sandbox.UID, r.Sandbox.GID)
		}
	}
}

// Attack 15: every way up. Each command must fail; the controls show that the tools themselves work.
func TestAttack15NoWayUp(t *testing.T) {
	t.Parallel()
	script := `try() { name=$1; shift; if "$@" >/dev/null 2>&1; then echo $name=worked; else echo $name=failed; fi; }
try ip-route ip route add 192.0.2.0/24 dev lo
try ip-link ip link set lo down
try unshare-user unshare -Urn true
try unshare-net unshare -n true
try mount mount -t tmpfs none /mnt
try nsenter nsenter -t 1 -m true
try chroot chroot / true
try su su -c true
try kill-gateway kill -9 1
try kill-term kill 1
try environ cat /proc/1/environ
try mem dd if=/proc/1/mem of=/dev/null bs=1 count=1 skip=4194304
try root ls /proc/1/root/
try fd ls /proc/1/fd
try entrypoint-write sh -c 'echo x > /.yolo-run/entrypoint'
try resolv-write sh -c 'echo x > /etc/resolv.conf'
cp /bin/bash /tmp/suid; chmod 4755 /tmp/suid; try setuid-other sh -c '[ "$(/tmp/suid -p -c "id -u")" = 0 ]'
serving=$(for p in /proc/[0-9]*; do tr '\0' ' ' <$p/cmdline 2>/dev/null | grep -q '^/entrypoint gateway-serve $' && echo ${p#/proc/}; done)
sed -n 's/^\(Cap[IPEA][a-z]*\|NoNewPrivs\|Seccomp\|Uid\|Gid\|Groups\):[[:space:]]*/serving \1: /p' /proc/$serving/status
sed -n 's/^\(Cap[A-Z][a-z]*\):[[:space:]]*/gateway \1: /p' /proc/1/task/*/status | sort -u
try kill-serving kill -9 $serving
try stop-serving kill -STOP $serving
for f in environ maps mem io syscall stack; do try serving-$f sh -c "head -c 1 /proc/$serving/$f | grep -q ."; done
for f in fd map_files root cwd task/$serving/fd; do try serving-$f ls /proc/$serving/$f/; done
try control-true true
try control-proc cat /proc/self/environ
try control-serving cat /proc/$serving/cmdline
try control-maps sh -c 'head -c 1 /proc/self/maps | grep -q .'
sleep 100 & try control-kill kill -9 $!
SERVING=$serving python3 - <<'PY'
import ctypes, errno, os
serving = int(os.environ["SERVING"])
libc = ctypes.CDLL(None, use_errno=True)
def call(name, nr, *args):
    ctypes.set_errno(0)
    result = libc.syscall(nr, *args)
    # Only a refusal counts: a call that failed for its arguments has passed the filter.
    refused = result < 0 and ctypes.get_errno() in (errno.EPERM, errno.EACCES, errno.ENOSYS)
    print(f"{name}={'failed' if refused else 'worked'}")
def read_memory(name, pid, address):
    local, remote = ctypes.create_string_buffer(1), (ctypes.c_size_t * 2)(address, 1)
    call(name, 310, pid, (ctypes.c_size_t * 2)(ctypes.addressof(local), 1), 1, remote, 1, 0)
call("bpf", 321, 0, ctypes.create_string_buffer(128), 128)
call("perf", 298, ctypes.create_string_buffer(128), 0, -1, -1, 0)
call("userfaultfd", 323, 0)
call("io_uring", 425, 8, ctypes.create_string_buffer(256))
call("keyctl", 250, 0, -3, 0)
call("ptrace-gateway", 101, 16, 1, 0, 0)
call("ptrace-serving", 101, 16, serving, 0, 0)
call("pidfd-getfd-serving", 438, libc.syscall(434, serving, 0), 3, 0)
own = ctypes.create_string_buffer(1)
read_memory("memory-gateway", 1, 0x400000)
read_memory("memory-serving", serving, 0x400000)
read_memory("control-memory", os.getpid(), ctypes.addressof(own))
call("control-getpid", 39)
PY
`
	r := try(t, script)
	r.want(t, reports.NoChanges)
	for line := range strings.Lines(r.agent) {
		name, result, found := strings.Cut(strings.TrimSpace(line), "=")
		if !found {
			continue
		}
		if want := map[bool]string{true: "worked", false: "failed"}[strings.HasPrefix(name, "control")]; result != want {
			t.Errorf("%s %s, want %s", name, result, want)
		}
	}
	if got := strings.Count(r.agent, "="); got < 47 {
		t.Errorf("only %d attempts were made", got)
	}
	// The process that holds the keys, as the kernel shows it to everybody.
	for _, line := range []string{
		"Uid: 64999\t64999\t64999\t64999", "Gid: 64999\t64999\t64999\t64999", "NoNewPrivs: 1", "Seccomp: 2",
		"CapInh: 0000000000000000", "CapPrm: 0000000000000000", "CapEff: 0000000000000000", "CapAmb: 0000000000000000",
	} {
		if !strings.Contains(r.agent, "serving "+line+"\n") {
			t.Errorf("the gateway's serving process has no %q", line)
		}
	}
	// And every thread of the one that has the rules: what it works with, and neither CAP_NET_RAW nor CAP_SETPCAP, with which it began.
	for set, bits := range map[string]string{
		"CapInh": "0000000000000000", "CapPrm": "00000000000810c0", "CapEff": "00000000000810c0", "CapBnd": "00000000000810c0", "CapAmb": "0000000000000000",
	} {
		if n := strings.Count(r.agent, "gateway "+set+": "); n != 1 || !strings.Contains(r.agent, "gateway "+set+": "+bits+"\n") {
			t.Errorf("%s of the gateway's PID 1: not %s in every thread", set, bits)
		}
	}
}

// Attack 15, the image's part: its health check, user, entrypoint, environment and volumes are the attacker's.
func TestAttack15HostileImage(t *testing.T) {
	t.Parallel()
	image := buildImage(t, `FROM `+baseImage()+`
RUN useradd -u 4321 -m mallory && ln -sf /workspace/evil /etc/group && rm -rf /home && ln -s /workspace /home && echo 'root::0:0::/:/bin/sh' > /etc/passwd
ENV HTTP_PROXY=http://attacker.test:80 https_proxy=http://attacker.test:80 HOME=/workspace KEPT=yes
USER root
WORKDIR /root
VOLUME /data
HEALTHCHECK --interval=1s CMD touch /workspace/health
ENTRYPOINT ["touch", "/workspace/entrypoint"]
CMD ["evil"]
`)
	r := try(t, `id -u | sed 's/^/uid=/'; echo home=$HOME; echo kept=$KEPT; echo "proxies=$(env | grep -ic _proxy)"; id -un | sed 's/^/name=/'; touch $HOME/mine && echo own-home=yes; sleep 3`,
		func(cfg *runner.Config) { cfg.Image = image })
	r.want(t, reports.NoChanges)
	for name, want := range map[string]string{"home": "/home/agent", "kept": "yes", "proxies": "0", "name": "agent", "own-home": "yes"} {
		if got := r.says(t, name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if r.says(t, "uid") == "0" {
		t.Error("the image's user was used")
	}
}

// A VOLUME of the image below the workspace would swallow the agent's changes: refused before the start.
func TestAttack15ImageVolumeInWorkspaceIsRefused(t *testing.T) {
	t.Parallel()
	image := buildImage(t, "FROM "+baseImage()+"\nVOLUME /workspace/src\n")
	r := try(t, `touch /workspace/src/x`, func(cfg *runner.Config) { cfg.Image = image })
	if r.Outcome != reports.Infrastructure || !strings.Contains(strings.Join(r.Errors, "\n"), "VOLUME") {
		t.Fatalf("outcome %s, errors %q", r.Outcome, r.Errors)
	}
}

// buildImage builds an image for one test and removes it after.
func buildImage(t *testing.T, dockerfile string) string {
	t.Helper()
	engine := needEngine(t)
	ref := "yolo-run-test/" + strings.ToLower(t.Name()) + ":dev"
	archive := tarOf(t, map[string]string{"Dockerfile": dockerfile})
	res, err := engine.ImageBuild(t.Context(), archive, client.ImageBuildOptions{Tags: []string{ref}, Remove: true, ForceRemove: true})
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	out := readAll(t, res.Body)
	if strings.Contains(out, `"error"`) {
		t.Fatalf("build:\n%s", out)
	}
	t.Cleanup(func() {
		_, err := engine.ImageRemove(context.WithoutCancel(t.Context()), ref, client.ImageRemoveOptions{Force: true})
		if err != nil {
			t.Error(err)
		}
	})
	return ref
}
