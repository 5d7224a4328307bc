package runner

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

func TestOutputLeavesWhatIsNotOurs(t *testing.T) {
	for _, name := range []string{"notes.txt", fileReport + ".new.old"} {
		dir := t.TempDir()
		writeOutput(t, dir, name)
		if err := os.Chmod(dir, 0o755); err != nil { //nolint:gosec // a mode that shows when it was changed
			t.Fatal(err)
		}
		if _, err := openOutput(Config{Out: dir}, "id"); err == nil {
			t.Errorf("a folder with %s was taken", name)
		}
		info, err := os.Stat(dir)
		if err != nil || info.Mode().Perm() != 0o755 {
			t.Errorf("the folder that was refused has mode %v now (%v)", info.Mode(), err)
		}
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
}

func TestOutputTakesAnEarlierRunsFolder(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{fileReport, filePatch, "." + fileReport + temporarySuffix} {
		writeOutput(t, dir, name)
	}
	// A run that does not begin leaves the earlier one's results.
	o, err := openOutput(Config{Out: dir}, "id")
	if err != nil {
		t.Fatal(err)
	}
	o.abandon()
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 3 {
		t.Errorf("%d files are left of the earlier run (%v), want 3", len(entries), err)
	}
	if o, err = openOutput(Config{Out: dir}, "id"); err != nil {
		t.Fatal(err)
	}
	if err := o.take(); err != nil {
		t.Fatal(err)
	}
	entries, err := fs.ReadDir(o.root.FS(), ".")
	if err != nil || len(entries) != 0 {
		t.Errorf("%d files are left of the earlier run (%v)", len(entries), err)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if err := o.close(); err != nil {
		t.Error(err)
	}
}

// A run that ends before it began takes back what it made, and nothing else.
func TestAbandonedOutput(t *testing.T) {
	there := t.TempDir()
	for dir, stays := range map[string]bool{there: true, filepath.Join(t.TempDir(), "new"): false} {
		o, err := openOutput(Config{Out: dir}, "id")
		if err != nil {
			t.Fatal(err)
		}
		if err := o.take(); err != nil {
			t.Fatal(err)
		}
		writeOutput(t, dir, fileRunLog)
		o.abandon()
		if _, err := os.Stat(dir); (err == nil) != stays {
			t.Errorf("%s: %v, stays %v", dir, err, stays)
		}
		if _, err := os.Stat(filepath.Join(dir, fileRunLog)); err == nil {
			t.Errorf("%s still has the run's log", dir)
		}
	}
}

func writeOutput(t *testing.T, dir, name string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
}
