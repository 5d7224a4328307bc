package runner_test

import (
	"bytes"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/yolo-run/yolo-run/reports"
)

// An engine that mounts no overlay at all, as rootless ones, still gets the agent a workspace and the user an exact patch: two copies, compared in full.
func TestAnEngineWithoutOverlayGetsTwoCopies(t *testing.T) {
	t.Parallel()
	needEngine(t)
	dir := makeTree(t, true, 1000)
	out := filepath.Join(t.TempDir(), "out")
	cmd := exec.CommandContext(t.Context(), yoloRun(t), "--workspace", dir, "--out", out, "--min-free-disk", "64m", "--memory", "1g", "--fail-on", "none",
		"--agent", "shell", "--prompt", manyChanges+"\ntar cf - --exclude=./.git --exclude=./ignored . | base64 | tr -d '\\n' | sed 's/^/tree=/'; echo")
	cmd.Env = append(os.Environ(), "DOCKER_HOST=unix://"+withoutOverlay(t))
	if output, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	rep := (&process{out: out}).report(t)
	if rep.Outcome != reports.Success || rep.Workspace.Mode != "copy" || strings.Count(rep.Workspace.ModeReason, ";") == 0 {
		t.Errorf("outcome %s, mode %s, reason %q", rep.Outcome, rep.Workspace.Mode, rep.Workspace.ModeReason)
	}
	r := result{Report: rep, out: out, agent: string(readFile(t, filepath.Join(out, "agent.log")))}
	compareTrees(t, applyPatch(t, dir, filepath.Join(out, "changes.patch")), unpack(t, r.says(t, "tree")), false)
}

// withoutOverlay is a socket of the engine at which it is asked for overlays that no kernel mounts.
func withoutOverlay(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "engine") // short: a socket's path has 108 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket := filepath.Join(dir, "sock")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			go forward(client.(*net.UnixConn))
		}
	}()
	return socket
}

func forward(client *net.UnixConn) {
	defer client.Close()
	engine, err := net.Dial("unix", "/var/run/docker.sock")
	if err != nil {
		return
	}
	defer engine.Close()
	go func() {
		buf := make([]byte, 64<<10)
		for {
			n, err := client.Read(buf)
			if _, failed := engine.Write(bytes.ReplaceAll(buf[:n], []byte("redirect_dir=on"), []byte("redirect_dir=no"))); failed != nil || err != nil {
				break
			}
		}
		_ = engine.(*net.UnixConn).CloseWrite()
	}()
	_, _ = io.Copy(client, engine)
	_ = client.CloseWrite()
}
