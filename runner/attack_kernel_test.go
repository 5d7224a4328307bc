package runner_test

import (
	"testing"

	"github.com/yolo-run/yolo-run/reports"
)

// Attack 15: what iptables and nft do is done by hand, so that no missing program makes it fail: nothing can be changed, and reading
// the control's table works by the same kind of socket.
func TestAttack15TheRulesCannotBeChanged(t *testing.T) {
	t.Parallel()
	n := needInternet(t)
	r := try(t, `cat > /tmp/rules.py <<'PY'
import errno, os, socket, struct
def message(kind, flags, body, seq=1):
    return struct.pack("=IHHII", 16 + len(body), kind, flags, seq, 0) + body + b"\0" * (-len(body) % 4)
def ask(protocol, data):
    s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol); s.settimeout(3)
    try: s.send(data)
    except OSError as e: return errno.errorcode[e.errno]
    reply = s.recv(65536)
    kind = struct.unpack("=H", reply[4:6])[0]
    if kind != 2: return "answered"
    code = -struct.unpack("=i", reply[16:20])[0]
    return errno.errorcode[code] if code else "done"
family = struct.pack("=BBH", 2, 0, 0)
batch = struct.pack("!BBH", 0, 0, 10)
# nfnetlink's subsystem 10 is nf_tables: 2 deletes a table, here all of the family.
flush = message(16, 1, batch) + message(10 << 8 | 2, 5, family, 2) + message(17, 1, batch, 3)
print("nft-flush=" + ask(12, flush))
# Subsystem 1 is conntrack: 2 deletes all entries.
print("conntrack-flush=" + ask(12, message(1 << 8 | 2, 5, family)))
# Binding to NFLOG's group, where the gateway listens (subsystem 4, 1 configures).
print("nflog-bind=" + ask(12, message(4 << 8 | 1, 5, struct.pack("!BBH", 2, 0, 1) + struct.pack("=HHBBBB", 8, 1, 1, 0, 0, 0))))
# RTM_NEWROUTE, RTM_NEWADDR, RTM_SETLINK of lo.
print("route-add=" + ask(0, message(24, 0x605, struct.pack("=BBBBBBBBI", 2, 0, 0, 0, 254, 4, 0, 1, 0) + struct.pack("=HHI", 8, 4, 1))))
print("link-down=" + ask(0, message(19, 5, struct.pack("=BBHiII", 0, 0, 0, 1, 0, 1))))
print("link-add=" + ask(0, message(16, 0x605, struct.pack("=BBHiII", 0, 0, 0, 0, 0, 0) + struct.pack("=HH4s", 8, 3, b"x0\0\0"))))
print("control-links=" + ask(0, message(18, 0x301, struct.pack("=BBHiII", 0, 0, 0, 0, 0, 0))))
# What iptables-legacy does: IPT_SO_SET_REPLACE.
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
try: s.setsockopt(0, 64, b"filter".ljust(120, b"\0")); print("legacy-replace=done")
except OSError as e: print("legacy-replace=" + errno.errorcode[e.errno])
try: s.setsockopt(1, 36, 0x5901); print("mark=done")
except OSError as e: print("mark=" + errno.errorcode[e.errno])
for path in ("/proc/sys/net/ipv4/ip_forward", "/proc/sys/net/ipv6/conf/all/disable_ipv6", "/proc/sys/net/ipv4/ip_nonlocal_bind"):
    try: open(path, "w").write("0"); print("sysctl=done")
    except OSError as e: print("sysctl=" + errno.errorcode[e.errno])
PY
python3 /tmp/rules.py
curl -s -m 3 -o /dev/null http://`+internetAddr+`:8099/after15; echo after=$?
curl -sf -m 5 -o /dev/null http://allowed.test/; echo control=$?
`, online(n, "allowed.test"))
	r.want(t, reports.NoChanges)
	for _, name := range []string{"nft-flush", "conntrack-flush", "nflog-bind", "route-add", "link-down", "link-add", "legacy-replace", "mark"} {
		if got := r.says(t, name); got != "EPERM" {
			t.Errorf("%s: %s, want EPERM", name, got)
		}
	}
	if got := r.says(t, "sysctl"); got == "done" {
		t.Error("a setting of the kernel was written")
	}
	if r.says(t, "control-links") != "answered" || r.says(t, "control") != "0" {
		t.Errorf("control: links %s, allowed name %s", r.says(t, "control-links"), r.says(t, "control"))
	}
	if r.says(t, "after") == "0" {
		t.Error("a literal address was reached afterwards")
	}
	if len(r.find(reports.Deny, func(e reports.Event) bool { return e.Addr == internetAddr && e.Port == 8099 })) == 0 {
		t.Error("the attempt afterwards is not on record")
	}
}

// Attack 15: the 32-bit system calls come by another door, socketcall among them, which would open sockets that the filter refuses.
func TestAttack15NoSystemCallOf32Bits(t *testing.T) {
	t.Parallel()
	r := try(t, `cat > /tmp/old.c <<'C'
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
static long old(long nr, long a, long b) {
	long r;
	__asm__ volatile("int $0x80" : "=a"(r) : "a"(nr), "b"(a), "c"(b) : "memory", "r8", "r9", "r10", "r11");
	return r;
}
static void attempt(const char *name, long nr, long a, long b) {
	fflush(stdout);
	pid_t child = fork();
	if (child == 0) { long r = old(nr, a, b); _exit(r == -EPERM || r == -ENOSYS || r == -EACCES ? 1 : r < 0 ? 2 : 0); }
	int status; waitpid(child, &status, 0);
	printf("%s=%s\n", name, WIFSIGNALED(status) ? "killed" : WEXITSTATUS(status) == 0 ? "done" : WEXITSTATUS(status) == 1 ? "refused" : "passed");
}
int main(void) {
	unsigned *args = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	unsigned vsock[3] = {40, 1, 0}, inet[3] = {2, 1, 0};
	memcpy(args, vsock, sizeof vsock); attempt("socketcall-vsock", 102, 1, (long)args);
	memcpy(args, inet, sizeof inet); attempt("socketcall-inet", 102, 1, (long)args);
	attempt("getpid", 20, 0, 0);
	attempt("socket-vsock", 359, 40, 1);
	printf("control=%s\n", getpid() > 0 ? "done" : "failed");
	return 0;
}
C
if [ "$(uname -m)" = x86_64 ]; then gcc -o /tmp/old /tmp/old.c && /tmp/old; else echo other=1; fi
`)
	r.want(t, reports.NoChanges)
	if r.agent == "other=1\n" {
		t.Skip("this machine has no 32-bit system calls of the x86 kind")
	}
	for _, name := range []string{"socketcall-vsock", "socketcall-inet", "getpid", "socket-vsock"} {
		if got := r.says(t, name); got != "refused" && got != "killed" {
			t.Errorf("%s: %s", name, got)
		}
	}
	if got := r.says(t, "control"); got != "done" {
		t.Errorf("control: %s", got)
	}
}
