package runner_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// Figures are ratios to a baseline of the same run: the machine may be slow or busy, both sides are alike.

// BenchmarkWarmRun is a whole run whose agent is `true`, beside `docker run --rm` of the same image.
func BenchmarkWarmRun(b *testing.B) {
	needEngine(b)
	workspace := b.TempDir()
	if err := os.Chown(workspace, 1000, 1000); err != nil { // one of root's would be copied
		b.Fatal(err)
	}
	var ours, theirs []time.Duration
	for b.Loop() {
		theirs = append(theirs, timed(b, "docker", "run", "--rm", baseImage(), "true"))
		ours = append(ours, timed(b, yoloRun(b), "--quiet", "--workspace", workspace, "--out", filepath.Join(b.TempDir(), "out"), "--", "true"))
	}
	reportRatio(b, "run", ours, "docker-run", theirs)
}

// BenchmarkPrepare50000Files is a run on a tree of 50,000 files (200 MB) beside one on an empty tree, and one that copies it beside cp -a.
func BenchmarkPrepare50000Files(b *testing.B) {
	needEngine(b)
	empty, full := b.TempDir(), b.TempDir()
	for d := range 500 {
		dir := filepath.Join(full, fmt.Sprintf("folder%03d", d))
		if err := os.Mkdir(dir, 0o755); err != nil {
			b.Fatal(err)
		}
		for f := range 100 {
			if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("file%02d", f)), make([]byte, 4096), 0o644); err != nil {
				b.Fatal(err)
			}
		}
	}
	for _, dir := range []string{empty, full} {
		if out, err := exec.Command("chown", "-R", "1000:1000", dir).CombinedOutput(); err != nil {
			b.Fatalf("%v %s", err, out)
		}
	}
	var onEmpty, onFull, copied, plain []time.Duration
	for b.Loop() {
		for _, c := range []struct {
			workspace, mode string
			into            *[]time.Duration
		}{{empty, "overlay", &onEmpty}, {full, "overlay", &onFull}, {full, "copy", &copied}} {
			*c.into = append(*c.into, timed(b, yoloRun(b), "--quiet", "--workspace-mode", c.mode, "--user", "1000:1000",
				"--workspace", c.workspace, "--out", filepath.Join(b.TempDir(), "out"), "--", "true"))
		}
		plain = append(plain, timed(b, "cp", "-a", full, filepath.Join(b.TempDir(), "copy")))
	}
	reportRatio(b, "overlay-50000", onFull, "overlay-empty", onEmpty)
	b.ReportMetric(float64(median(copied).Milliseconds()), "copy-50000-ms")
	b.ReportMetric(float64(median(plain).Milliseconds()), "cp-50000-ms")
}

func timed(b *testing.B, name string, args ...string) time.Duration {
	b.Helper()
	begun := time.Now()
	if out, err := exec.CommandContext(b.Context(), name, args...).CombinedOutput(); err != nil {
		b.Fatalf("%s: %v\n%s", name, err, out)
	}
	return time.Since(begun)
}

func median(list []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(list))
	return sorted[len(sorted)/2]
}

func reportRatio(b *testing.B, what string, ours []time.Duration, baseline string, theirs []time.Duration) {
	b.Helper()
	b.ReportMetric(float64(median(ours).Milliseconds()), what+"-ms")
	b.ReportMetric(float64(median(theirs).Milliseconds()), baseline+"-ms")
	b.ReportMetric(float64(median(ours))/float64(median(theirs)), "ratio")
	b.ReportMetric(0, "ns/op")
}
