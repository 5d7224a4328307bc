package workspace

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// stagedIn is an applier of some new files in dir, at the point where all is checked and prepared.
func stagedIn(t *testing.T, dir string, changes ...treeChange) *applier {
	t.Helper()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	a := &applier{c: &Changes{diff: changes}, root: root, goes: map[string]bool{}}
	for _, d := range changes {
		a.goes[d.source()] = d.oldMode != nothing
	}
	if err := a.makeStage(); err != nil {
		t.Fatal(err)
	}
	for i, d := range changes {
		if d.mode == nothing {
			continue
		}
		if err := root.WriteFile(a.staged(i), []byte("agent\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return a
}

func added(p string) treeChange {
	return treeChange{path: p, mode: modeFile, oldMode: nothing, status: 'A'}
}

func deleted(p string) treeChange {
	return treeChange{path: p, mode: nothing, oldMode: modeFile, status: 'D'}
}

// A symlink that came between the check and the move, or from the patch itself where "Hooks" is "hooks", leads nowhere, at any depth.
func TestApplyWritesThroughNoSymlinkThatCameMeanwhile(t *testing.T) {
	t.Parallel()
	for _, file := range []string{"link/new", "link/deep/new", "link/deep/er/new"} {
		dir := t.TempDir()
		if err := errors.Join(os.MkdirAll(filepath.Join(dir, "real/deep"), 0o755), os.Symlink("real", filepath.Join(dir, "link"))); err != nil {
			t.Fatal(err)
		}
		if err := stagedIn(t, dir, added(file)).commit(); !errors.Is(err, ErrConflict) {
			t.Errorf("%s: %v", file, err)
		}
		if left, err := filepath.Glob(filepath.Join(dir, "real/*/*")); err != nil || len(left) > 0 {
			t.Errorf("%s: written through the symlink: %q, %v", file, left, err)
		}
		if err := stagedIn(t, dir, added("real/"+filepath.Base(file))).commit(); err != nil {
			t.Errorf("by its real name: %v", err)
		}
	}
}

// A file that came meanwhile is not overwritten.
func TestApplyOverwritesNothingThatCameMeanwhile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a := stagedIn(t, dir, added("new"))
	if err := os.WriteFile(filepath.Join(dir, "new"), []byte("the user's\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := a.commit(); !errors.Is(err, ErrConflict) {
		t.Errorf("error %v", err)
	}
	if got, err := os.ReadFile(filepath.Join(dir, "new")); err != nil || string(got) != "the user's\n" {
		t.Errorf("%q, %v", got, err)
	}
}

// What cannot be put back stays where it is: the user's only copy.
func TestApplyKeepsWhatItCannotPutBack(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := errors.Join(os.Mkdir(filepath.Join(dir, "sub"), 0o755), os.WriteFile(filepath.Join(dir, "sub/old"), []byte("the user's\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	a := stagedIn(t, dir, deleted("sub/old"), added("new"))
	if err := a.move("sub/old", a.stage+"/old-0"); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Remove(filepath.Join(dir, "sub")), os.WriteFile(filepath.Join(dir, "sub"), nil, 0o600)); err != nil { // somebody else does
		t.Fatal(err)
	}
	fault := errors.New("a step that fails")
	if err := a.finish(fault); !errors.Is(err, fault) {
		t.Errorf("error %v", err)
	}
	kept, err := filepath.Glob(filepath.Join(dir, ".yolo-run-apply-*", "old-0"))
	if err != nil || !slices.ContainsFunc(kept, func(name string) bool {
		got, err := os.ReadFile(name)
		return err == nil && string(got) == "the user's\n"
	}) {
		t.Errorf("the old version is gone: %q, %v", kept, err)
	}
}
