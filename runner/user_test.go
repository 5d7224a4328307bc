package runner_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/yolo-run/yolo-run/reports"
)

const (
	ordinaryUID = 1500
	ordinaryGID = 1501
)

// asUser runs the real command as an ordinary user of this machine with one supplementary group.
func asUser(t *testing.T, group uint32, workspace, out string, args ...string) (string, int) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Fatal("this test needs root: it runs yolo-run as another user (run make test as root, or through sudo)")
	}
	home := filepath.Join(filepath.Dir(out), "home")
	if err := os.Mkdir(home, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{home, filepath.Dir(out), workspace} {
		if err := os.Chown(dir, ordinaryUID, ordinaryGID); err != nil {
			t.Fatal(err)
		}
	}
	args = append([]string{"--agent", "shell", "--workspace", workspace, "--out", out, "--min-free-disk", "64m"}, args...)
	cmd := exec.CommandContext(t.Context(), yoloRun(t), args...)
	cmd.Dir = home
	cmd.Env = []string{"HOME=" + home, "PATH=" + os.Getenv("PATH"), "TMPDIR=" + home}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: ordinaryUID, Gid: ordinaryGID, Groups: []uint32{group}}}
	combined, err := cmd.CombinedOutput()
	if _, isExit := err.(*exec.ExitError); err != nil && !isExit { //nolint:errorlint // exec returns it bare
		t.Fatal(err)
	}
	return string(combined), cmd.ProcessState.ExitCode()
}

// openTempDir is a temporary folder that other users may enter.
func openTempDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "yolo-run-user")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func TestAnOrdinaryUserInTheDockerGroupUsesTheOverlay(t *testing.T) {
	t.Parallel()
	needEngine(t)
	info, err := os.Stat("/var/run/docker.sock")
	if err != nil {
		t.Fatal(err)
	}
	group := info.Sys().(*syscall.Stat_t).Gid
	dir := openTempDir(t)
	workspace := filepath.Join(dir, "ws")
	if err := os.Mkdir(workspace, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(workspace, "file"), []byte("old\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(filepath.Join(workspace, "file"), ordinaryUID, ordinaryGID); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(dir, "out")
	log, code := asUser(t, group, workspace, out, "--prompt", `id -u; id -g; id -G; echo new > file; mkdir d; echo x > d/x`)
	if code != 0 {
		t.Fatalf("exit code %d\n%s", code, log)
	}
	rep := (&process{out: out}).report(t)
	if rep.Workspace.Mode != "overlay" {
		t.Errorf("mode %s (%s), want overlay", rep.Workspace.Mode, rep.Workspace.ModeReason)
	}
	if rep.Sandbox.UID != ordinaryUID || rep.Sandbox.GID != ordinaryGID {
		t.Errorf("the agent was %d:%d, want %d:%d", rep.Sandbox.UID, rep.Sandbox.GID, ordinaryUID, ordinaryGID)
	}
	want := strconv.Itoa(ordinaryUID) + "\n" + strconv.Itoa(ordinaryGID) + "\n" + strconv.Itoa(ordinaryGID) + "\n"
	if got := string(readFile(t, filepath.Join(out, "agent.log"))); got != want {
		t.Errorf("inside: %q, want %q: the engine's group must not be there", got, want)
	}
	if rep.Outcome != reports.Success || len(rep.Changes.Files) != 2 {
		t.Errorf("outcome %s, files %+v", rep.Outcome, rep.Changes.Files)
	}
}

func TestAUserWithoutTheEnginesSocketHearsWhatToDo(t *testing.T) {
	t.Parallel()
	needEngine(t)
	dir := openTempDir(t)
	workspace := filepath.Join(dir, "ws")
	if err := os.Mkdir(workspace, 0o755); err != nil {
		t.Fatal(err)
	}
	log, code := asUser(t, ordinaryGID, workspace, filepath.Join(dir, "out"), "--prompt", "true")
	if code != 125 || !strings.Contains(log, "no permission on the engine's socket") || !strings.Contains(log, "usermod") {
		t.Errorf("exit code %d\n%s", code, log)
	}
}
