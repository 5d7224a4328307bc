package workspace_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/yolo-run/yolo-run/runner/internal/workspace"
)

// largeTree makes a tree of 50,000 files of 4 KiB in 1,000 folders (200 MB).
func largeTree(b *testing.B, dir string) {
	b.Helper()
	content := make([]byte, 4096)
	for i := range 1000 {
		folder := filepath.Join(dir, fmt.Sprintf("d%d/s%d", i/10, i%10))
		must(b, os.MkdirAll(folder, 0o755))
		for j := range 50 {
			must(b, os.WriteFile(filepath.Join(folder, fmt.Sprintf("file%d.go", j)), content, 0o644))
		}
	}
}

func BenchmarkHidden50000Files(b *testing.B) {
	dir := b.TempDir()
	largeTree(b, dir)
	for b.Loop() {
		w, err := workspace.Open(b.Context(), workspace.Options{Dir: dir})
		must(b, err)
		if _, err := w.Hidden(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkCollect has a tree of 50,000 files under git: with five changes, and with a renamed folder of 500 files.
func BenchmarkCollect50000Files(b *testing.B) {
	for name, edit := range map[string]func(d string){
		"5 changes": func(d string) {
			for i := range 5 {
				write(b, fmt.Sprintf("%s/d%d/s1/file1.go", d, i*7), "changed\n")
			}
		},
		"renamed folder": func(d string) { must(b, os.Rename(d+"/d1", d+"/renamed")) },
	} {
		b.Run(name, func(b *testing.B) {
			s := newSandbox(b, func(dir string) {
				largeTree(b, dir)
				command(b, "git", "-C", dir, "init", "-q")
				command(b, "git", "-C", dir, "add", ".")
				command(b, "git", "-C", dir, "-c", "gc.auto=0", "commit", "-q", "-m", "x")
			})
			s.open(workspace.Options{})
			edit(s.Merged)
			for b.Loop() {
				if s.collect().Empty() {
					b.Fatal("no changes")
				}
			}
		})
	}
}
