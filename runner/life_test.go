package runner_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/moby/moby/client"

	"github.com/yolo-run/yolo-run/reports"
)

var binary struct {
	sync.Once
	path string
	err  error
}

// yoloRun builds the real command once.
func yoloRun(t testing.TB) string {
	t.Helper()
	binary.Do(func() {
		var dir string
		if dir, binary.err = os.MkdirTemp("", "yolo-run-bin"); binary.err != nil {
			return
		}
		_ = os.Chmod(dir, 0o755) //nolint:gosec // an ordinary user runs it, too
		binary.path = filepath.Join(dir, "yolo-run")
		out, err := exec.Command("go", "build", "-ldflags", "-X main.version="+version(), "-o", binary.path, "../cmd/yolo-run").CombinedOutput()
		if err != nil {
			binary.err = errors.New(string(out))
		}
	})
	if binary.err != nil {
		t.Fatalf("build yolo-run: %v", binary.err)
	}
	return binary.path
}

// process is a running yolo-run.
type process struct {
	*exec.Cmd
	out   string
	state string
	lines *bufio.Reader
}

// launch starts the real command on a script. Runs that share a state folder know of each other.
func launch(t *testing.T, state, script string, args ...string) *process {
	t.Helper()
	return launchIn(t, []string{"XDG_STATE_HOME=" + state}, script, args...)
}

// launchIn is launch with variables of the test's own. Without XDG_STATE_HOME among them the run has a state folder for itself.
func launchIn(t *testing.T, env []string, script string, args ...string) *process {
	t.Helper()
	needEngine(t)
	dir := t.TempDir()
	p := &process{out: filepath.Join(dir, "out"), state: filepath.Join(dir, "state")}
	for _, variable := range env {
		if state, ok := strings.CutPrefix(variable, "XDG_STATE_HOME="); ok {
			p.state = state
		}
	}
	workspace := filepath.Join(dir, "ws")
	if err := os.Mkdir(workspace, 0o755); err != nil {
		t.Fatal(err)
	}
	args = append([]string{"--agent", "shell", "--prompt", script, "--workspace", workspace, "--out", p.out, "--min-free-disk", "64m"}, args...)
	p.Cmd = exec.CommandContext(context.WithoutCancel(t.Context()), yoloRun(t), args...)
	p.Env = slices.Concat(os.Environ(), env, []string{"XDG_STATE_HOME=" + p.state})
	stderr, err := p.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Process.Kill() })
	p.lines = bufio.NewReader(stderr)
	return p
}

// start starts the real command on a script and returns when the agent printed "up".
func start(t *testing.T, script string, args ...string) *process {
	t.Helper()
	p := launch(t, filepath.Join(t.TempDir(), "state"), script, args...)
	p.waitUp(t)
	return p
}

// waitUp returns when the agent printed "up".
func (p *process) waitUp(t *testing.T) {
	t.Helper()
	seen := ""
	for {
		line, err := p.lines.ReadString('\n')
		if err != nil {
			t.Fatalf("yolo-run ended before its agent was up: %v\n%s", err, seen+line)
		}
		if strings.Contains(line, "│ up") {
			return
		}
		seen += line
	}
}

// end waits for the command's end and returns its exit code and how long it took.
func (p *process) end(t *testing.T) (int, time.Duration) {
	t.Helper()
	begun := time.Now()
	_, _ = io.Copy(io.Discard, p.lines)
	err := p.Wait()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode(), time.Since(begun)
	}
	if err != nil {
		t.Fatal(err)
	}
	return 0, time.Since(begun)
}

func (p *process) report(t *testing.T) *reports.Report {
	t.Helper()
	file, err := os.Open(filepath.Join(p.out, "report.json"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	rep, err := reports.ReadReport(file)
	if err != nil {
		t.Fatal(err)
	}
	return rep
}

// runID is the ID of the process's run, from its state file.
func (p *process) runID(t *testing.T) string {
	t.Helper()
	ids := p.runIDs(t)
	if len(ids) != 1 {
		t.Fatalf("%d runs have state: %q", len(ids), ids)
	}
	return ids[0]
}

// runIDs are the runs that have a state file: those that live, and those that have left something.
func (p *process) runIDs(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(p.state, "yolo-run", "state", "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	for i, file := range files {
		files[i] = strings.TrimSuffix(filepath.Base(file), ".json")
	}
	return files
}

// remains lists the names of a run's containers, running only or all, and volumes.
func remains(t *testing.T, id string, all bool) []string {
	t.Helper()
	return remainsOn(t, needEngine(t), id, all)
}

func remainsOn(t *testing.T, engine *client.Client, id string, all bool) []string {
	t.Helper()
	containers, err := engine.ContainerList(t.Context(), client.ContainerListOptions{All: all, Filters: client.Filters{}.Add("name", "yolo-run-"+id)})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, c := range containers.Items {
		names = append(names, c.Names...)
	}
	if !all {
		return names
	}
	volumes, err := engine.VolumeList(t.Context(), client.VolumeListOptions{Filters: client.Filters{}.Add("name", "yolo-run-"+id)})
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range volumes.Items {
		names = append(names, v.Name)
	}
	return names
}

// eventually waits until a list is empty.
func eventually(t *testing.T, within time.Duration, list func() []string) {
	t.Helper()
	deadline := time.Now().Add(within)
	for {
		left := list()
		if len(left) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("after %s there still is %q", within, left)
		}
	}
}

// Not beside other tests, for the sake of the 5 s.
func TestSignalsEndTheRunAndKeepItsWork(t *testing.T) {
	for _, c := range []struct {
		signal syscall.Signal
		code   int
		script string
	}{
		{syscall.SIGINT, 130, `trap 'echo got-term > term; exit 0' TERM; echo work > file; echo up; while :; do sleep 0.1; done`},
		{syscall.SIGTERM, 143, `trap '' TERM; echo work > file; echo up; while :; do sleep 0.1; done`},
	} {
		t.Run(c.signal.String(), func(t *testing.T) {
			t.Parallel()
			p := start(t, c.script)
			id := p.runID(t)
			if err := p.Process.Signal(c.signal); err != nil {
				t.Fatal(err)
			}
			code, took := p.end(t)
			if code != c.code {
				t.Errorf("exit code %d, want %d", code, c.code)
			}
			if took > 5*time.Second {
				t.Errorf("the end took %s, want at most 5 s", took)
			}
			rep := p.report(t)
			if rep.Outcome != reports.Cancelled || rep.ExitCode != c.code {
				t.Errorf("report says %s %d", rep.Outcome, rep.ExitCode)
			}
			if len(rep.Changes.Files) == 0 {
				t.Errorf("the agent's work is not in the patch: %+v", rep)
			}
			if left := remains(t, id, true); len(left) > 0 {
				t.Errorf("left on the engine: %q", left)
			}
		})
	}
}

// Not beside other tests, for the sake of the 5 s.
func TestAKilledRunnerLeavesNothingRunning(t *testing.T) {
	p := start(t, `echo up; while :; do sleep 0.1; done`)
	id := p.runID(t)
	// The agent prints before the engine calls its container running.
	eventually(t, 5*time.Second, func() []string {
		if running := remains(t, id, false); len(running) < 3 {
			return append(running, "control: gateway, agent and collector do not all run")
		}
		return nil
	})
	if err := p.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_, _ = p.Process.Wait()
	eventually(t, 5*time.Second, func() []string { return remains(t, id, false) })

	// What is left are dead containers and volumes, which clean removes; those of a living run stay.
	if len(remains(t, id, true)) == 0 {
		t.Fatal("control: nothing is left for clean to remove")
	}
	living := start(t, `echo up; while [ ! -e /tmp/end ]; do sleep 0.1; done`)
	livingID := living.runID(t)
	clean := exec.CommandContext(t.Context(), yoloRun(t), "clean")
	clean.Env = append(os.Environ(), "XDG_STATE_HOME="+p.state)
	if out, err := clean.CombinedOutput(); err != nil || !strings.Contains(string(out), "1 dead run") {
		t.Errorf("clean: %v\n%s", err, out)
	}
	if left := remains(t, id, true); len(left) > 0 {
		t.Errorf("clean left %q", left)
	}
	clean = exec.CommandContext(t.Context(), yoloRun(t), "clean")
	clean.Env = living.Env
	if out, err := clean.CombinedOutput(); err != nil || !strings.Contains(string(out), "nothing to remove") {
		t.Errorf("clean beside a living run: %v\n%s", err, out)
	}
	if len(remains(t, livingID, false)) < 3 {
		t.Error("clean removed a living run")
	}
	_ = living.Process.Signal(syscall.SIGTERM)
	living.end(t)
	if files, _ := fs.Glob(os.DirFS(filepath.Join(p.state, "yolo-run", "state")), "*.json"); len(files) > 0 {
		t.Errorf("state files are left: %q", files)
	}
}

func TestAKilledGatewayEndsTheAgent(t *testing.T) {
	t.Parallel()
	p := start(t, `echo work > file; echo up; while :; do sleep 0.1; done`)
	id := p.runID(t)
	engine := needEngine(t)
	if _, err := engine.ContainerKill(t.Context(), "yolo-run-"+id+"-gateway", client.ContainerKillOptions{Signal: "KILL"}); err != nil {
		t.Fatal(err)
	}
	p.endWithoutGateway(t, id)
}

// endWithoutGateway waits for the end of a run whose gateway died, and fails unless it comes soon, as a fault of the infrastructure, with the agent's work.
func (p *process) endWithoutGateway(t *testing.T, id string) *reports.Report {
	t.Helper()
	code, took := p.end(t)
	rep := p.report(t)
	if code != 125 || rep.Outcome != reports.Infrastructure {
		t.Errorf("exit code %d, outcome %s, want 125 infrastructure", code, rep.Outcome)
	}
	if took > 15*time.Second {
		t.Errorf("the end took %s", took)
	}
	if rep.Network.Complete {
		t.Error("the network's record calls itself complete without a summary")
	}
	if len(rep.Changes.Files) != 1 {
		t.Errorf("what the agent had done is lost: %+v", rep.Changes.Files)
	}
	if left := remains(t, id, true); len(left) > 0 {
		t.Errorf("left on the engine: %q", left)
	}
	return rep
}

func TestAKilledServingProcessEndsTheRunByName(t *testing.T) {
	t.Parallel()
	p := start(t, `echo work > file; echo up; while :; do sleep 0.1; done`)
	id := p.runID(t)
	// Its own user may do it: no other process has that user, so one is made. It dies with all the others.
	out, err := exec.CommandContext(t.Context(), "docker", "run", "--rm", "--network", "none", "--pid", "container:yolo-run-"+id+"-gateway",
		"--user", "64999:64999", baseImage(), "sh", "-c",
		`for p in /proc/[0-9]*; do grep -qs gateway-serve $p/cmdline && [ "$(stat -c %u $p/fd)" = 0 ] && kill -9 ${p#/proc/}; done; sleep 10`).CombinedOutput()
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 137 {
		t.Fatalf("%v %s", err, out)
	}
	rep := p.endWithoutGateway(t, id)
	const why = "the process that serves DNS, connections and models was killed by signal 9 (SIGKILL)"
	if errs := strings.Join(rep.Errors, "\n"); !strings.Contains(errs, why) {
		t.Errorf("errors %q, want %q among them", errs, why)
	}
}

func TestTheNextRunRemovesWhatADeadOneLeft(t *testing.T) {
	t.Parallel()
	dead := start(t, `echo up; while :; do sleep 0.1; done`)
	id := dead.runID(t)
	if err := dead.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_, _ = dead.Process.Wait()
	eventually(t, 5*time.Second, func() []string { return remains(t, id, false) })
	if len(remains(t, id, true)) == 0 {
		t.Fatal("control: nothing is left to remove")
	}
	next := exec.CommandContext(t.Context(), yoloRun(t), "--workspace", t.TempDir(), "--out", filepath.Join(t.TempDir(), "out"), "--min-free-disk", "64m", "--", "true")
	next.Env = dead.Env
	if out, err := next.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if left := remains(t, id, true); len(left) > 0 {
		t.Errorf("left on the engine: %q", left)
	}
}
