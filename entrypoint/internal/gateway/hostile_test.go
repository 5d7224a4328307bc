package gateway

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/yolo-run/yolo-run/entrypoint/internal/firewall/firewalltest"
	"github.com/yolo-run/yolo-run/entrypoint/wire"
)

// hostileRole serves the agent like the real one, until the test takes it over: then it does what its new owner says.
const hostileRole = "gateway-serve-hostile"

// hostileAddr is in the network namespace of the test alone.
const hostileAddr = "@yolo-run-test-hostile"

func serveHostile() int {
	ln, err := net.Listen("unix", hostileAddr)
	if err != nil {
		return 1
	}
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			order, _ := io.ReadAll(conn)
			fmt.Fprint(conn, obey(string(order)))
			_ = conn.Close()
		}
	}()
	return Serve()
}

// obey returns what came of an order.
func obey(order string) string {
	parent := os.Getppid()
	proc := fmt.Sprintf("/proc/%d/", parent)
	verb, rest, _ := strings.Cut(order, " ")
	var err error
	switch verb {
	case "panic":
		panic(rest)
	case "exit":
		os.Exit(0)
	case "kill":
		err = unix.Kill(os.Getpid(), unix.SIGKILL)
	case "close":
		err = unix.Close(1)
	case "say":
		for line := []byte(rest + "\n"); len(line) > 0 && (err == nil || errors.Is(err, unix.EAGAIN)); { // the pipe is in the poller's mode
			var n int
			n, err = unix.Write(1, line)
			line = line[max(n, 0):]
		}
	case "iptables":
		var out []byte
		if out, err = exec.Command("iptables-nft", strings.Fields(rest)...).CombinedOutput(); err != nil {
			err = fmt.Errorf("%w: %s", err, out)
		}
	case "mark":
		var fd int
		if fd, err = unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0); err == nil {
			err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_MARK, 1)
		}
	case "signal":
		err = unix.Kill(parent, unix.SIGKILL)
	case "ptrace":
		err = unix.PtraceSeize(parent)
	case "vm":
		var b [1]byte
		_, err = unix.ProcessVMReadv(parent, []unix.Iovec{{Base: &b[0], Len: 1}}, []unix.RemoteIovec{{Base: 0x400000, Len: 1}}, 0)
	case "read":
		_, err = os.ReadFile(proc + rest)
	case "list":
		_, err = os.ReadDir(proc + rest)
	case "write":
		var file *os.File
		if file, err = os.OpenFile(proc+rest, os.O_WRONLY, 0); err == nil {
			err = file.Close()
		}
	case "user":
		err = unix.Setuid(0)
	case "pass":
		return "passed"
	}
	if err != nil {
		return "refused: " + err.Error()
	}
	return "done"
}

// takeOver gives an order to the serving process and returns what it says, nothing when it ended of it.
func takeOver(t *testing.T, order string) string {
	t.Helper()
	conn, err := net.Dial("unix", hostileAddr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, order); err != nil {
		t.Fatal(err)
	}
	if err := conn.(*net.UnixConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(conn)
	if err != nil && !errors.Is(err, syscall.ECONNRESET) {
		t.Fatal(err)
	}
	return string(answer)
}

func startHostile(t *testing.T) *running {
	t.Helper()
	g := startGatewayServedBy(t, testGatewayConfig(), []string{"/proc/self/exe", hostileRole})
	g.ready()
	return g
}

func TestATakenOverServingProcessReachesNothingOfPID1(t *testing.T) {
	if !firewalltest.Isolated(t) {
		return
	}
	firewalltest.NewOutside(t)
	g := startHostile(t)
	if answer := takeOver(t, "pass"); answer != "passed" {
		t.Fatalf("control: %q", answer)
	}
	for _, order := range []string{
		"iptables -P OUTPUT ACCEPT", "iptables -F", "iptables -t raw -F", "mark", "signal", "ptrace", "vm", "user",
		"read environ", "read maps", "read mem", "list fd", "list root", "write fd/1", "write mem", "write oom_score_adj",
	} {
		if answer := takeOver(t, order); !strings.HasPrefix(answer, "refused: ") {
			t.Errorf("%s: %q", order, answer)
		}
	}
	// The controls: the same commands on itself, or by PID 1.
	for _, order := range []string{"read status", "list net"} {
		if answer := takeOver(t, order); answer != "done" {
			t.Errorf("control: %s: %q", order, answer)
		}
	}
	for _, args := range [][]string{{"-N", "CONTROL"}, {"-X", "CONTROL"}} {
		if out, err := exec.Command("iptables-nft", args...).CombinedOutput(); err != nil {
			t.Errorf("control: iptables as root: %v %s", err, out)
		}
	}
	g.finish() // which wants the rules intact
}

func TestTheRunEndsWithItsServingProcess(t *testing.T) {
	const breaks = servingProcess + " breaks its protocol: "
	for _, test := range []struct{ name, order, reason string }{
		{"crash", "panic a\tb", servingProcess + " ended with exit code 2: panic: a"},
		{"exit", "exit", servingProcess + " ended before its time"},
		{"signal", "kill", servingProcess + " was killed by signal 9 (SIGKILL)"},
		{"silence", "close", servingProcess + " closed its output, and runs on"},
		// It may lie about what it decides. This is what it may not say.
		{"summary", `say {"type":"summary","summary":{"denied":0,"rulesIntact":true}}`, breaks + `not a message: type "summary"`},
		{"again", `say {"type":"ready"}`, breaks + "it was ready before"},
		{"packet", `say {"type":"event","event":{"verdict":"deny","layer":"udp","proto":"udp","count":1}}`, breaks + `message "event": layer "udp"`},
		{"negative", `say {"type":"event","event":{"verdict":"allow","layer":"tcp","proto":"tcp","count":-5}}`, breaks + `message "event": count -5`},
		{"time", `say {"type":"event","event":{"time":"2026-01-01T00:00:00Z","verdict":"allow","layer":"tcp","proto":"tcp"}}`, breaks + `message "event": a time`},
		{"usage", `say {"type":"usage","usage":{"requests":-1}}`, breaks + `message "usage": tokens -1`},
		{"less", `say {"type":"usage","usage":{"requests":2}}` + "\n" + `{"type":"usage","usage":{"requests":1}}`, breaks + "less use of models than before"},
		{"nonsense", "say nonsense", breaks + "line is not a JSON object"},
		{"long", "say {" + strings.Repeat(" ", wire.MaxMessageLine), breaks + wire.ErrLineTooLong.Error()},
		{"behind", `say {"type":"done"}` + "\n" + `{"type":"lost","lost":{}}`, breaks + "a message behind the last one"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if !firewalltest.Isolated(t) {
				return
			}
			firewalltest.NewOutside(t)
			g := startHostile(t)
			begun := time.Now()
			takeOver(t, test.order)
			g.failed(test.reason)
			if took := time.Since(begun); took > 2*childEndTime {
				t.Errorf("the end took %v", took)
			}
		})
	}
}

func TestAServingProcessThatDoesNotStartIsNamed(t *testing.T) {
	for _, test := range []struct{ name, program, reason string }{
		{"missing", "/nonexistent", "start " + servingProcess + ": "},
		{"failing", "/bin/false", servingProcess + " ended with exit code 1"},
		{"idle", "/bin/true", servingProcess + " ended before its time"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if !firewalltest.Isolated(t) {
				return
			}
			firewalltest.NewOutside(t)
			startGatewayServedBy(t, testGatewayConfig(), []string{test.program}).failed(test.reason)
		})
	}
}

// failed waits for the end of a gateway that says why.
func (g *running) failed(reason string) {
	g.t.Helper()
	m := g.next()
	for m.Usage != nil {
		m = g.next()
	}
	if m.Fatal == nil || m.Fatal.Stage != "run" || !strings.Contains(m.Fatal.Reason, reason) {
		g.t.Errorf("got %+v %+v, want %q", m, m.Fatal, reason)
	}
	if code := <-g.exit; code != 1 {
		g.t.Errorf("exit code %d", code)
	}
	if m, ok := <-g.messages; ok {
		g.t.Errorf("%+v behind the fatal message", m)
	}
}
