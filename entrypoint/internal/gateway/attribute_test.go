package gateway

import (
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/yolo-run/yolo-run/reports"
)

// asGateway runs the test again with the capabilities that the gateway has, and no others: root without DAC_OVERRIDE and
// DAC_READ_SEARCH cannot look into another user's process.
func asGateway(t *testing.T) bool {
	t.Helper()
	const env = "YOLO_RUN_TEST_CAPABILITIES"
	if os.Getenv(env) != "" {
		return true
	}
	if testing.Short() {
		t.Skip("needs root")
	}
	if os.Geteuid() != 0 {
		t.Fatal("needs root to have processes of another user: run the tests as root, or with -short to leave these out")
	}
	cmd := exec.CommandContext(t.Context(), "setpriv", "--bounding-set=-all,+net_admin,+setuid,+setgid,+sys_ptrace", "--inh-caps=-all",
		"/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v")
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Args[3] = exe
	cmd.Env = append(os.Environ(), env+"=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("with the gateway's capabilities: %v\n%s", err, out)
	}
	if testing.Verbose() {
		t.Logf("%s", out)
	}
	return false
}

func runFinder(t *testing.T) *finder {
	t.Helper()
	f := newFinder(agentID, agentID)
	done := make(chan struct{})
	go f.run(done)
	t.Cleanup(func() { close(done) })
	return f
}

func TestProcessesOfTheAgentAreFound(t *testing.T) {
	if !asGateway(t) {
		return
	}
	tcp, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tcp.Close() }()
	remote := netip.MustParseAddrPort(tcp.Addr().String())
	f := runFinder(t)
	tests := map[string]struct {
		prepare string
		network string
		command string
		remote  netip.AddrPort
	}{
		"TCP":                        {"", "tcp", "dial tcp4 " + remote.String(), remote},
		"TCP on an IPv6 socket":      {"", "tcp", "dial tcp " + remote.String(), remote},
		"UDP connected":              {"", "udp", "dial udp4 127.0.0.1:9", netip.AddrPort{}},
		"UDP unconnected":            {"", "udp", "listen 0.0.0.0:0", netip.AddrPort{}},
		"a process without dumps":    {"undumpable", "tcp", "dial tcp4 " + remote.String(), remote},
		"a UDP one without dumps":    {"undumpable", "udp", "dial udp4 127.0.0.1:9", netip.AddrPort{}},
		"UDP, and where it went to":  {"", "udp", "dial udp4 127.0.0.1:9", netip.MustParseAddrPort("127.0.0.1:9")},
		"TCP with an unknown target": {"", "tcp", "dial tcp4 " + remote.String(), netip.AddrPort{}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			h := startHelper(t, agentID)
			if test.prepare != "" {
				if answer := h.do(t, "%s", test.prepare); answer != "<nil>" {
					t.Fatal(answer)
				}
			}
			local, err := netip.ParseAddrPort(h.do(t, "%s", test.command))
			if err != nil {
				t.Fatal(err)
			}
			local = netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), local.Port())
			start := time.Now()
			p := f.Process(test.network, local, test.remote)
			t.Logf("found after %v: %+v", time.Since(start), p)
			if p == nil || p.PID != h.cmd.Process.Pid {
				t.Fatalf("got %+v, want process %d", p, h.cmd.Process.Pid)
			}
			if !strings.Contains(p.Cmdline, "-test.run=^TestHelper$ -test.v") || p.Exe == "" {
				t.Errorf("got %+v", p)
			}
		})
	}
	if p := f.Process("tcp", netip.MustParseAddrPort("127.0.0.1:1"), remote); p != nil {
		t.Errorf("a socket that does not exist belongs to %+v", p)
	}
}

func TestSearchesTakeABoundedShareOfTheTime(t *testing.T) {
	f := newFinder(agentID, agentID)
	now := time.Now()
	f.now = func() time.Time { return now }
	f.cpu = func() time.Duration { return 0 }
	f.last = now
	known := socket{"udp", netip.MustParseAddrPort("10.0.0.1:1"), netip.AddrPort{}}
	want := &reports.Process{PID: 42}
	f.found[known] = finding{process: want, expires: now.Add(time.Minute)}
	f.saved = -time.Hour
	if p := f.answer(socket{"udp", netip.MustParseAddrPort("10.0.0.1:2"), netip.AddrPort{}}); p != nil || len(f.found) != 1 {
		t.Errorf("searched with no time left: %+v", p)
	}
	if p := f.answer(known); p != want {
		t.Errorf("what is known costs nothing, got %+v", p)
	}
	now = now.Add(10 * time.Hour)
	f.answer(socket{"udp", netip.MustParseAddrPort("10.0.0.1:3"), netip.AddrPort{}})
	if f.saved <= 0 || f.saved > searchBurst || len(f.found) != 2 {
		t.Errorf("after a long rest %v is saved up, %d answers known", f.saved, len(f.found))
	}
}

func TestCallersDoNotWaitForABusyFinder(t *testing.T) {
	f := newFinder(agentID, agentID) // nobody searches
	start := time.Now()
	for range searchQueue + 2 {
		go f.Process("udp", netip.AddrPort{}, netip.AddrPort{})
	}
	if p := f.Process("udp", netip.AddrPort{}, netip.AddrPort{}); p != nil || time.Since(start) > 4*searchWait {
		t.Errorf("got %+v after %v", p, time.Since(start))
	}
}

func TestMatchSocket(t *testing.T) {
	const (
		connected = "   3: 0A64A8C0:1F90 0164A8C0:01BB 01 00000000:00000000 00:00000000 00000000  1000        0 12345 1 0000000000000000 20 4 30 10 -1"
		bound     = "  12: 00000000:0035 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 777 2 0000000000000000 0"
		mapped    = "   0: 0000000000000000FFFF00000A64A8C0:1F90 0000000000000000FFFF00000164A8C0:01BB 01 00000000:00000000 00:00000000 00000000 0 0 99 1"
		closing   = "   3: 0A64A8C0:1F90 0164A8C0:01BB 06 00000000:00000000 00:00000000 00000000  0        0 0 1"
	)
	addr := netip.MustParseAddrPort
	mine := socket{"tcp", addr("192.168.100.10:8080"), addr("192.168.100.1:443")}
	tests := []struct {
		name, line, want string
		socket           socket
	}{
		{"connection", connected, "12345", mine},
		{"connection on an IPv6 socket", mapped, "99", mine},
		{"another peer", connected, "", socket{"tcp", mine.local, addr("192.168.100.1:444")}},
		{"another local address", connected, "", socket{"tcp", addr("192.168.100.11:8080"), mine.remote}},
		{"without a bound address", bound, "777", socket{"udp", addr("192.168.100.10:53"), netip.AddrPort{}}},
		{"nobody's any more", closing, "", mine},
		{"heading", "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode", "", mine},
		{"cut off", connected[:40], "", mine},
		{"no hexadecimal", strings.ReplaceAll(connected, "0A64", "0G64"), "", mine},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := matchSocket([]byte(test.line), test.socket); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func BenchmarkProcess(b *testing.B) {
	f := newFinder(agentID, agentID)
	conn, err := new(net.ListenConfig).ListenPacket(b.Context(), "udp4", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	s := socket{"udp", localOf(conn.LocalAddr()), netip.AddrPort{}}
	for b.Loop() {
		f.find(s, f.cpu()+time.Minute) // our own process: every other one is looked into in vain
	}
}

func TestAConnectionWhosePortWasChangedIsFoundByItsDestination(t *testing.T) {
	const head = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
	const one = "  1: 0200A8C0:9C40 096433C6:01BB 01 00000000:00000000 00:00000000 00000000  1000 0 111 1\n"
	const closed = "  2: 0200A8C0:9C41 096433C6:01BB 06 00000000:00000000 00:00000000 00000000  1000 0 0 1\n"
	const elsewhere = "  3: 0200A8C0:9C42 096433C6:0050 01 00000000:00000000 00:00000000 00000000  1000 0 333 1\n"
	const other = "  4: 0200A8C0:9C43 096433C6:01BB 01 00000000:00000000 00:00000000 00000000  1000 0 444 1\n"
	s := socket{"tcp", netip.MustParseAddrPort("192.168.0.2:1"), netip.MustParseAddrPort("198.51.100.9:443")}
	for _, tt := range []struct {
		table string
		want  []string
	}{
		{head + one + closed + elsewhere, []string{"111"}},
		{head + one + other, []string{"111", "444"}}, // either may be the one: none is named
		{head + closed + elsewhere, nil},
		{"", nil},
	} {
		if got := inodesTo(strings.NewReader(tt.table), s); !slices.Equal(got, tt.want) {
			t.Errorf("%q: %q, want %q", tt.table, got, tt.want)
		}
	}
}

// One process may hold a million files: looking through them all would take the time of every other search.
func TestASearchEndsInTheMiddleOfAProcess(t *testing.T) {
	listener := listenTCP(t)
	raw, err := listener.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var inode string
	err = raw.Control(func(fd uintptr) {
		// The last of many descriptors is the socket's: those of a folder in /proc come in their order.
		for range 1000 {
			other, dupErr := unix.Dup(2)
			if dupErr != nil {
				t.Error(dupErr)
				return
			}
			t.Cleanup(func() { _ = unix.Close(other) })
		}
		last, dupErr := unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 1000)
		if dupErr != nil {
			t.Error(dupErr)
			return
		}
		t.Cleanup(func() { _ = unix.Close(last) })
		target, linkErr := os.Readlink("/proc/self/fd/" + strconv.Itoa(last))
		if linkErr != nil {
			t.Error(linkErr)
		}
		inode = strings.TrimSuffix(strings.TrimPrefix(target, "socket:["), "]")
	})
	if err != nil {
		t.Fatal(err)
	}
	if listener.Close() != nil {
		t.Fatal("close")
	}
	for _, tt := range []struct {
		name  string
		step  time.Duration // that passes from one look at the clock to the next
		found int
	}{
		{"in time", 0, os.Getpid()},
		{"late", searchTime / 2, 0},
	} {
		f := newFinder(os.Getuid(), os.Getgid())
		var now time.Duration
		f.cpu = func() time.Duration { now += tt.step; return now }
		if pid, _ := f.holder([]int{os.Getpid()}, inode, searchTime); pid != tt.found {
			t.Errorf("%s: process %d, want %d", tt.name, pid, tt.found)
		}
	}
}
