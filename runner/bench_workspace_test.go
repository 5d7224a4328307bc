package runner_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/yolo-run/yolo-run/reports"
)

// BenchmarkWorkspace prints, of trees of three sizes under git, what a run that changes five files costs with an overlay and with a copy, beside what everybody knows: git
// status, cp -a and docker cp of the same tree.
func BenchmarkWorkspace(b *testing.B) {
	needEngine(b)
	var table strings.Builder
	for _, tree := range []struct{ files, size, samples int }{{5, 4096, 3}, {50_000, 4096, 3}, {500_000, 10_240, 1}} {
		b.Run(fmt.Sprintf("files=%d", tree.files), func(b *testing.B) {
			dir := filepath.Join(b.TempDir(), "tree")
			benchTree(b, dir, tree.files, tree.size)
			for b.Loop() {
				benchRow(b, &table, dir, fmt.Sprintf("%d files, %d MB", tree.files, tree.files*tree.size>>20), tree.samples)
			}
			b.ReportMetric(0, "ns/op")
		})
	}
	fmt.Printf("\n| tree | mode | prepare | collect | peak memory | beside it |\n|---|---|---|---|---|---|\n%s\n", table.String())
}

// benchTree makes a repository of an ordinary user's, a hundred files to a folder.
func benchTree(b *testing.B, dir string, files, size int) {
	b.Helper()
	content := make([]byte, size)
	var group errgroup.Group
	group.SetLimit(4)
	for d := range (files + 99) / 100 {
		folder := filepath.Join(dir, fmt.Sprintf("folder%04d", d))
		if err := os.MkdirAll(folder, 0o755); err != nil {
			b.Fatal(err)
		}
		group.Go(func() error {
			for f := range min(100, files-100*d) {
				if err := os.WriteFile(filepath.Join(folder, fmt.Sprintf("file%02d", f)), content, 0o644); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		b.Fatal(err)
	}
	for _, command := range []string{"git init -q", "git add .", "git -c user.name=t -c user.email=t@t -c gc.auto=0 commit -qm base", "chown -R 1000:1000 ."} {
		cmd := exec.CommandContext(b.Context(), "bash", "-ec", command)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			b.Fatalf("%s: %v\n%s", command, err, out)
		}
	}
}

// benchRow measures one tree, everything on a disk that has nothing else to write.
func benchRow(b *testing.B, table *strings.Builder, dir, what string, samples int) {
	b.Helper()
	var status, plain, engine []time.Duration
	var overlay, copied []benchRun
	for range samples {
		overlay = append(overlay, benchOne(b, dir, "overlay"))
		copied = append(copied, benchOne(b, dir, "copy"))
		status = append(status, timed(b, "git", "-c", "safe.directory=*", "-C", dir, "status", "--porcelain"))
		plain = append(plain, benchCopy(b, dir))
		engine = append(engine, benchEngineCopy(b, dir))
	}
	for i, mode := range []string{"overlay", "copy"} {
		runs := [][]benchRun{overlay, copied}[i]
		var prepare, collect []time.Duration
		var memory int64
		for _, r := range runs {
			prepare, collect, memory = append(prepare, r.prepare), append(collect, r.collect), max(memory, r.memory)
		}
		beside := fmt.Sprintf("`git status`: %s", short(status))
		if mode == "copy" {
			beside = fmt.Sprintf("`cp -a`: %s; `docker cp`: %s", short(plain), short(engine))
		}
		fmt.Fprintf(table, "| %s | %s | %s | %s | %d MB | %s |\n", what, mode, short(prepare), short(collect), memory>>20, beside)
		b.ReportMetric(float64(median(prepare).Milliseconds()), mode+"-ms")
	}
}

// short is the median, in the unit that suits.
func short(list []time.Duration) string {
	if m := median(list); m < time.Second {
		return fmt.Sprintf("%d ms", m.Milliseconds())
	}
	return fmt.Sprintf("%.1f s", median(list).Seconds())
}

type benchRun struct {
	prepare, collect time.Duration
	memory           int64 // bytes, at the worst moment
}

func benchOne(b *testing.B, dir, mode string) benchRun {
	b.Helper()
	unix.Sync()
	out := filepath.Join(b.TempDir(), "out")
	cmd := exec.CommandContext(b.Context(), yoloRun(b), "--workspace-mode", mode, "--user", "1000:1000", "--workspace", dir, "--out", out,
		"--", "sh", "-c", `for f in 1 2 3 4 5; do echo changed > folder0000/file0$f; done`)
	if text, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, text)
	}
	var rep reports.Report
	if err := json.Unmarshal(readFile(b, filepath.Join(out, "report.json")), &rep); err != nil {
		b.Fatal(err)
	}
	if len(rep.Changes.Files) != 5 || rep.Workspace.Mode != mode {
		b.Fatalf("%d files changed in mode %s, want 5 in mode %s", len(rep.Changes.Files), rep.Workspace.Mode, mode)
	}
	r := benchRun{memory: cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss << 10}
	for _, phase := range rep.Phases {
		switch took := time.Duration(phase.DurationMs) * time.Millisecond; phase.Name {
		case "preflight", "sandbox": // the latter has those of workspace, gateway and container in it
			r.prepare += took
		case "collect":
			r.collect = took
		}
	}
	return r
}

func benchCopy(b *testing.B, dir string) time.Duration {
	b.Helper()
	to := filepath.Join(b.TempDir(), "copy")
	unix.Sync()
	took := timed(b, "cp", "-a", dir, to)
	if err := os.RemoveAll(to); err != nil {
		b.Fatal(err)
	}
	return took
}

func benchEngineCopy(b *testing.B, dir string) time.Duration {
	b.Helper()
	const name = "yolo-run-bench-copy"
	timed(b, "docker", "create", "--name", name, baseImage(), "true")
	defer timed(b, "docker", "rm", "--volumes", name)
	unix.Sync()
	return timed(b, "docker", "cp", dir, name+":/tree")
}
