package runner_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	"github.com/moby/moby/client"

	"github.com/yolo-run/yolo-run/reports"
	"github.com/yolo-run/yolo-run/runner"
	"github.com/yolo-run/yolo-run/runner/internal/vendor"
)

// muslImage has musl, a busybox and nothing else.
func muslImage() string { return "yolo-run/test-musl:" + version() }

// copying is said when an agent's files are copied into a volume, again what is said when those in it were not complete.
const (
	copying = "copying the agent's files"
	again   = "are copied again"
)

// in runs an agent in an image that is not the agent's own.
func (a realAgent) in(t *testing.T, image string) func(*runner.Config) {
	t.Helper()
	agentImage(t, a.name)
	return func(cfg *runner.Config) { cfg.Agent, cfg.Image = a.name, image }
}

// agentNamed returns one of the vendors' agents.
func agentNamed(t *testing.T, name string) realAgent {
	t.Helper()
	for _, a := range realAgents {
		if a.name == name {
			return a
		}
	}
	t.Fatalf("no agent %s", name)
	return realAgent{}
}

// aFile is the shortest work that leaves something.
func aFile() []vendor.Turn {
	return []vendor.Turn{{Calls: []vendor.Call{{File: "/workspace/made.txt", Content: "made\n"}}}, {Text: "Done."}}
}

func TestAgentsWorkInImagesThatAreNotTheirOwn(t *testing.T) {
	n := needInternet(t)
	const probe = `id -u > made.txt; if touch /opt/yolo-run/agent/mine || mv /opt/yolo-run/agent/bin /opt/yolo-run/agent/gone; then echo hole > hole.txt; fi`
	shell := []vendor.Turn{{Calls: []vendor.Call{{Shell: probe}}}, {Text: "Done."}}
	tests := []struct {
		agent, image string
		needs        string // an image that has the build
		turns        []vendor.Turn
	}{
		{"claude", baseImage(), "claude", shell},
		{"codex", baseImage(), "codex", shell},
		{"gemini", baseImage(), "gemini", shell},
		{"claude", muslImage(), "claude-musl", aFile()}, // its shell tool wants a bash
		{"codex", muslImage(), "codex", shell},
	}
	for _, tt := range tests {
		t.Run(tt.agent+" in "+strings.TrimSuffix(filepath.Base(tt.image), ":"+version()), func(t *testing.T) {
			t.Parallel()
			agentImage(t, tt.needs)
			agent := agentNamed(t, tt.agent)
			r := try(t, "Make a file.", n.model(t, vendor.Script{Turns: tt.turns}).served(t, agent), agent.in(t, tt.image))
			r.want(t, reports.Success)
			if len(r.Changes.Files) != 1 || r.Changes.Files[0].Path != "made.txt" {
				t.Errorf("changed files %+v, want made.txt", r.Changes.Files)
			}
			if warned := strings.Contains(r.stderr, "wants bash or zsh"); warned != (tt.agent == "claude" && tt.image == muslImage()) {
				t.Errorf("warned of a missing shell: %v\n%s", warned, r.stderr)
			}
			if r.Agent.Image != tt.image || r.Agent.Version == "" {
				t.Errorf("agent %+v, want a version, in %s", r.Agent, tt.image)
			}
		})
	}
}

func TestAgentsAreRefusedInImagesWithoutTheirLibc(t *testing.T) {
	engine := needEngine(t)
	agentImage(t, "gemini")
	empty := "yolo-run-test/no-libc:" + version()
	res, err := engine.ImageImport(t.Context(), client.ImageImportSource{Source: tarOf(t, map[string]string{"file": ""}), SourceName: "-"},
		empty, client.ImageImportOptions{})
	if err != nil {
		t.Fatal(err)
	}
	readAll(t, res)
	t.Cleanup(func() {
		_, _ = engine.ImageRemove(context.WithoutCancel(t.Context()), empty, client.ImageRemoveOptions{Force: true})
	})
	key := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(key, []byte("a-key-that-nobody-asks-for\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for image, want := range map[string]string{muslImage(): "musl", empty: "no libc"} {
		cfg := runner.Defaults()
		cfg.Agent, cfg.Image, cfg.Version, cfg.Prompt = "gemini", image, version(), "x"
		cfg.Workspace, cfg.Out = t.TempDir(), filepath.Join(t.TempDir(), "out")
		cfg.Secrets = []string{"GEMINI_API_KEY=file:" + key}
		rep, err := runner.Run(t.Context(), cfg, runner.Streams{In: strings.NewReader(""), Out: io.Discard, Err: io.Discard})
		if rep != nil || !errors.As(err, new(*runner.UsageError)) || !strings.Contains(err.Error(), want) || runner.Hint(err) == "" {
			t.Errorf("gemini in %s: %v, want a usage error that says %q, and a hint", image, err, want)
		}
	}
}

// agentVolume is the volume of an agent's files for other images.
func agentVolume(t *testing.T, engine *client.Client, name string) string {
	t.Helper()
	image, err := engine.ImageInspect(t.Context(), agentImage(t, name))
	if err != nil {
		t.Fatal(err)
	}
	return "yolo-run-agent-" + name + "-" + strings.TrimPrefix(image.ID, "sha256:")[:12]
}

func TestAgentFilesThatAreNotCompleteAreCopiedAgain(t *testing.T) {
	n := needInternet(t)
	engine := needEngine(t)
	agent := agentNamed(t, "codex")
	volume := agentVolume(t, engine, "codex")
	work := func() result {
		t.Helper()
		r := try(t, "Make a file.", n.model(t, vendor.Script{Turns: aFile()}).served(t, agent), agent.in(t, baseImage()))
		r.want(t, reports.Success)
		return r
	}
	work()
	if r := work(); strings.Contains(r.stderr, copying) {
		t.Error("the second run copied the agent's files")
	}

	damage := map[string]map[string]string{
		"a copy that broke off":  {"bin/codex": "half a program", ".complete": ""},
		"a mark that is no mark": {".complete": strings.Repeat("x", 1<<20)},
	}
	for name, files := range damage {
		t.Run(name, func(t *testing.T) {
			useVolume(t, engine, volume, files)()
			if r := work(); !strings.Contains(r.stderr, again) {
				t.Errorf("the agent's files were not copied again:\n%s", r.stderr)
			}
		})
	}
}

// useVolume makes a container that has the volume at /volume; release removes it.
func useVolume(t *testing.T, engine *client.Client, volume string, files ...map[string]string) (release func()) {
	t.Helper()
	res, err := engine.ContainerCreate(t.Context(), client.ContainerCreateOptions{
		Config:     &container.Config{Image: baseImage()},
		HostConfig: &container.HostConfig{Mounts: []mount.Mount{{Type: mount.TypeVolume, Source: volume, Target: "/volume"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	release = sync.OnceFunc(func() {
		_, err := engine.ContainerRemove(context.WithoutCancel(t.Context()), res.ID, client.ContainerRemoveOptions{Force: true})
		if err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(release)
	for _, f := range files {
		_, err = engine.CopyToContainer(t.Context(), res.ID, client.CopyToContainerOptions{DestinationPath: "/volume", Content: tarOf(t, f)})
		if err != nil {
			t.Fatal(err)
		}
	}
	return release
}

func TestRunsAtOnceShareTheCopyOfAnAgent(t *testing.T) {
	n := needInternet(t)
	engine := needEngine(t)
	agent := agentNamed(t, "codex")
	volume := agentVolume(t, engine, "codex")
	if _, err := engine.VolumeRemove(t.Context(), volume, client.VolumeRemoveOptions{Force: true}); err != nil {
		t.Fatal(err)
	}
	const runs = 3
	copies := make(chan bool, runs)
	t.Run("at once", func(t *testing.T) {
		for range runs {
			t.Run("run", func(t *testing.T) {
				t.Parallel()
				r := try(t, "Make a file.", n.model(t, vendor.Script{Turns: aFile()}).served(t, agent), agent.in(t, baseImage()))
				r.want(t, reports.Success)
				copies <- strings.Contains(r.stderr, copying)
			})
		}
	})
	close(copies)
	copied := 0
	for c := range copies {
		if c {
			copied++
		}
	}
	if copied != 1 {
		t.Errorf("%d of %d runs copied the agent's files, want 1", copied, runs)
	}
}

func TestCleanRemovesAgentFilesThatNobodyUses(t *testing.T) {
	n := needInternet(t)
	engine := needEngine(t)
	agent := agentNamed(t, "codex")
	volume := agentVolume(t, engine, "codex")
	clean := func() string {
		t.Helper()
		var out bytes.Buffer
		if err := runner.Clean(t.Context(), runner.Streams{Out: &out, Err: io.Discard}); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	there := func() bool {
		t.Helper()
		_, err := engine.VolumeInspect(t.Context(), volume, client.VolumeInspectOptions{})
		return err == nil
	}

	r := try(t, "Make a file.", n.model(t, vendor.Script{Turns: aFile()}).served(t, agent), agent.in(t, baseImage()))
	r.want(t, reports.Success)
	if !there() {
		t.Fatalf("no volume %s after a run", volume)
	}
	release := useVolume(t, engine, volume)
	if out := clean(); !there() {
		t.Errorf("clean said %q and removed a volume that a container uses", out)
	}
	release()
	if out := clean(); !strings.Contains(out, "agents' files") || there() {
		t.Errorf("clean said %q; is the volume still there: %v", out, there())
	}
}
