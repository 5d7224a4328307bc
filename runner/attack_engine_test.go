package runner_test

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/yolo-run/yolo-run/reports"
)

// Attack 23, the engine's part: it is killed by -9 while two agents run, and then one of the two runners. No standard input ends, and nobody is left to
// stop a container: the missing heartbeat alone ends everything.
func TestAttack23TheEngineIsKilled(t *testing.T) {
	t.Parallel()
	e := newOwnEngine(t)
	const script = `echo work > file; echo up; trap '' TERM; while :; do sleep 1; done`
	orphan, living := e.run(t, script), e.run(t, script)
	if list := e.contained(); len(list) < 10 { // the gateway's two, the collector, entrypoint and shell, twice
		t.Fatalf("control: two runs are only %v", list)
	}
	e.signal("KILL")
	killed := time.Now()
	if err := orphan.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_, _ = orphan.Process.Wait()
	if len(e.contained()) == 0 {
		t.Fatal("control: the engine's end alone was everybody's: nothing is tried")
	}
	wantLost(t, living, "no container engine answers at "+e.host+" any more")
	e.waitEmpty(20*time.Second - time.Since(killed))

	e.start()
	if list := e.contained(); len(list) > 0 {
		t.Errorf("the engine came back with %v", list)
	}
	for _, p := range []*process{orphan, living} {
		id := p.runID(t)
		if len(remainsOn(t, e.Client, id, true)) == 0 {
			t.Fatal("control: nothing is left to remove")
		}
		clean := exec.CommandContext(t.Context(), yoloRun(t), "clean")
		clean.Env = p.Env
		if out, err := clean.CombinedOutput(); err != nil || !strings.Contains(string(out), "1 dead run") {
			t.Errorf("clean: %v\n%s", err, out)
		}
		if left := remainsOn(t, e.Client, id, true); len(left) > 0 {
			t.Errorf("left on the engine: %q", left)
		}
	}
}

// Attack 23: the engine is stopped in order while an agent runs that does not listen, and starts again.
func TestAttack23TheEngineRestarts(t *testing.T) {
	t.Parallel()
	e := newOwnEngine(t)
	p := e.run(t, `echo work > file; trap '' TERM; echo up; while :; do sleep 1; done`)
	if list := e.contained(); len(list) < 5 {
		t.Fatalf("control: a run is only %v", list)
	}
	e.signal("TERM")
	e.waitEmpty(5 * time.Second)
	wantLost(t, p, "gateway gave up at stage signal: terminated signal received")
	e.start()
	if list := e.contained(); len(list) > 0 {
		t.Errorf("the engine came back with %v", list)
	}
	ids := p.runIDs(t)
	next := exec.CommandContext(t.Context(), yoloRun(t), "--workspace", t.TempDir(), "--out", filepath.Join(t.TempDir(), "out"), "--min-free-disk", "64m",
		"--image", muslImage(), "--", "true")
	next.Env = p.Env
	if out, err := next.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, id := range ids { // none, if the run had the time to remove all by itself
		if left := remainsOn(t, e.Client, id, true); len(left) > 0 {
			t.Errorf("left on the engine: %q", left)
		}
	}
}

// run starts the real command on the engine and returns when its agent printed "up".
func (e *ownEngine) run(t *testing.T, script string) *process {
	t.Helper()
	p := launchIn(t, []string{"DOCKER_HOST=" + e.host}, script, "--image", muslImage())
	p.waitUp(t)
	return p
}

// wantLost fails unless the run ends by itself, as one whose infrastructure failed for that reason, and keeps what it had.
func wantLost(t *testing.T, p *process, reason string) {
	t.Helper()
	code, took := p.end(t)
	if took > 15*time.Second {
		t.Errorf("the end took %s", took)
	}
	rep := p.report(t)
	if code != 125 || rep.Outcome != reports.Infrastructure {
		t.Errorf("exit code %d, outcome %s, want 125 infrastructure", code, rep.Outcome)
	}
	if errs := strings.Join(rep.Errors, "\n"); !strings.Contains(errs, reason) {
		t.Errorf("errors %q, want %q among them", errs, reason)
	}
	if rep.Network.Complete {
		t.Error("the network's record calls itself complete without a summary")
	}
	if log := string(readFile(t, filepath.Join(p.out, "agent.log"))); !strings.Contains(log, "up\n") {
		t.Errorf("what the agent had printed is lost: %q", log)
	}
}
