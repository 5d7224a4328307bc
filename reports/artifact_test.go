package reports_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/yolo-run/yolo-run/reports"
)

// A folder from elsewhere can hold anything. What would block or lead out of it is refused at once; a file is read.
func TestArtifactsAreRegularFilesOfTheirFolder(t *testing.T) {
	t.Parallel()
	dir, outside := t.TempDir(), filepath.Join(t.TempDir(), "outside")
	for _, file := range []string{filepath.Join(dir, "file"), outside} {
		if err := os.WriteFile(file, []byte("text"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600), os.Mkdir(filepath.Join(dir, "folder"), 0o700),
		os.Symlink(outside, filepath.Join(dir, "out")), os.Symlink("/dev/zero", filepath.Join(dir, "device")),
		os.Symlink("file", filepath.Join(dir, "in"))); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"pipe", "folder", "out", "device", "in", "../" + filepath.Base(dir) + "/file", "none"} {
		if f, err := reports.OpenArtifact(dir, name); err == nil {
			t.Errorf("%s was opened", name)
			f.Close()
		}
	}
	f, err := reports.OpenArtifact(dir, "file")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if text, err := io.ReadAll(f); err != nil || string(text) != "text" {
		t.Errorf("read %q, %v", text, err)
	}
}
