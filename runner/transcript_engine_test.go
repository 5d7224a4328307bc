package runner_test

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moby/moby/client"

	"github.com/yolo-run/yolo-run/reports"
)

// scriptedAgent is an image whose codex is this script, and the options that run it: what an agent prints is tested here, not what it is.
func scriptedAgent(t *testing.T, script string) []string {
	t.Helper()
	engine := needEngine(t)
	created, err := engine.ContainerCreate(t.Context(), client.ContainerCreateOptions{Image: baseImage()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		_, _ = engine.ContainerRemove(t.Context(), created.ID, client.ContainerRemoveOptions{Force: true})
	}()
	var archive bytes.Buffer
	tw := tar.NewWriter(&archive)
	content := "#!/bin/bash\n" + script
	for _, err := range []error{
		tw.WriteHeader(&tar.Header{Name: "opt/yolo-run/agent/bin/codex", Mode: 0o755, Size: int64(len(content))}),
		func() error { _, err := tw.Write([]byte(content)); return err }(),
		tw.Close(),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, err := engine.CopyToContainer(t.Context(), created.ID, client.CopyToContainerOptions{DestinationPath: "/", Content: &archive}); err != nil {
		t.Fatal(err)
	}
	image, err := engine.ContainerCommit(t.Context(), created.ID, client.ContainerCommitOptions{
		Changes: []string{"LABEL yolo-run.agent=codex yolo-run.agent-version=0.0.0 yolo-run.libc=glibc"},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_, _ = engine.ImageRemove(context.WithoutCancel(t.Context()), image.ID, client.ImageRemoveOptions{Force: true})
	})
	return []string{"--agent", "codex", "--image", image.ID, "--upstream", "openai=http://model.invalid"}
}

// unfinished is half an answer: a call that is not over, and a line that has no end.
const unfinished = `echo '{"type":"item.completed","item":{"id":"1","type":"agent_message","text":"I try."}}'
echo '{"type":"item.started","item":{"id":"2","type":"command_execution","command":"sleep 99"}}'
echo work > file
echo up
printf '{"type":"item.comp'
while :; do sleep 0.1; done
`

// wantUnfinished fails unless the file holds exactly the whole lines.
func (p *process) wantUnfinished(t *testing.T) {
	t.Helper()
	got := string(readFile(t, filepath.Join(p.out, "transcript.jsonl")))
	lines := strings.Split(strings.TrimSuffix(got, "\n"), "\n")
	if len(lines) != 2 || !strings.HasSuffix(got, "\n") {
		t.Fatalf("transcript.jsonl: %q", got)
	}
	for _, line := range lines {
		if !json.Valid([]byte(line)) {
			t.Errorf("not JSON: %s", line)
		}
	}
}

func TestAKilledRunnerLeavesTheTranscriptWhole(t *testing.T) {
	t.Parallel()
	p := start(t, "do it", scriptedAgent(t, unfinished)...)
	id := p.runID(t)
	if err := p.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_, _ = p.Process.Wait()
	p.wantUnfinished(t)
	eventually(t, 5*time.Second, func() []string { return remains(t, id, false) })
	clean := exec.CommandContext(t.Context(), yoloRun(t), "clean")
	clean.Env = p.Env
	if out, err := clean.CombinedOutput(); err != nil {
		t.Errorf("clean: %v\n%s", err, out)
	}
}

func TestAStoppedAgentIsInTheReport(t *testing.T) {
	t.Parallel()
	p := start(t, "do it", scriptedAgent(t, unfinished)...)
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code, _ := p.end(t); code != 143 {
		t.Errorf("exit code %d", code)
	}
	p.wantUnfinished(t)
	rep := p.report(t)
	tr := rep.Transcript
	if tr.Format != "codex" || tr.Turns != 1 || tr.Tools != 1 || tr.Final != "I try." || len(tr.Steps) != 2 {
		t.Fatalf("%+v", tr)
	}
	if s := tr.Steps[1]; s.Kind != reports.StepTool || s.Input != "sleep 99" || s.Result != "" || s.Failed {
		t.Errorf("%+v", s)
	}
	for _, a := range rep.Artifacts {
		if a.File == "transcript.jsonl" && a.Bytes > 0 {
			return
		}
	}
	t.Errorf("the transcript is no artifact: %+v", rep.Artifacts)
}
