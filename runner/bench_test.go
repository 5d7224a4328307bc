package runner_test

import (
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
