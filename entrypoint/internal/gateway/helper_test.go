package gateway

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

const helperEnv = "YOLO_RUN_TEST_HELPER"

// agentID is the user and group of helper processes.
const agentID = 65534

// TestHelper is no test: it is what a helper process does, one command a line on its standard input, one answer a line.
func TestHelper(*testing.T) {
	if os.Getenv(helperEnv) == "" {
		return
	}
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		fmt.Println("helper:", command(strings.Fields(lines.Text())))
	}
}

// command keeps sockets open until the process ends.
func command(words []string) string {
	switch words[0] {
	case "undumpable":
		return fmt.Sprint(unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0))
	case "listen":
		conn, err := net.ListenPacket("udp4", words[1])
		if err != nil {
			return err.Error()
		}
		return conn.LocalAddr().String()
	case "dial":
		conn, err := net.Dial(words[1], words[2])
		if err != nil {
			return err.Error()
		}
		if _, err := conn.Write([]byte("hello")); err != nil {
			return err.Error()
		}
		if len(words) > 3 { // wait for an answer or for the reset
			n, err := conn.Read(make([]byte, 16))
			return fmt.Sprint(n, " ", err)
		}
		return conn.LocalAddr().String()
	case "post":
		resp, err := http.Post(words[1], "application/json", strings.NewReader(words[2]))
		if err != nil {
			return err.Error()
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		return fmt.Sprint(resp.StatusCode, " ", string(body), " ", err)
	default:
		return "what?"
	}
}

// helper is a process of the agent's.
type helper struct {
	cmd *exec.Cmd
	in  *bufio.Writer
	out *bufio.Scanner
}

func startHelper(t *testing.T, uid uint32) *helper {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe", "-test.run=^TestHelper$", "-test.v")
	cmd.Env = append(os.Environ(), helperEnv+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}, Pdeathsig: syscall.SIGKILL}
	cmd.Dir = "/"
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("process of user %d: %v", uid, err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait()
	})
	return &helper{cmd: cmd, in: bufio.NewWriter(in), out: bufio.NewScanner(out)}
}

// do returns the answer to a command.
func (h *helper) do(t *testing.T, format string, args ...any) string {
	t.Helper()
	fmt.Fprintf(h.in, format+"\n", args...)
	if err := h.in.Flush(); err != nil {
		t.Fatal(err)
	}
	for h.out.Scan() {
		if answer, ok := strings.CutPrefix(h.out.Text(), "helper: "); ok {
			return answer
		}
	}
	t.Fatalf("the helper ended: %v", h.out.Err())
	return ""
}

// brokenIPTables is a folder with programs that know their version, accept everything and do nothing.
func brokenIPTables(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	script := "#!/bin/sh\ncase $1 in --version) echo 'iptables v1.8.9 (nf_tables)';; esac\n"
	for _, name := range []string{"iptables-nft", "ip6tables-nft", "iptables-legacy", "ip6tables-legacy"} {
		if err := os.WriteFile(dir+"/"+name, []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}
