package workspace_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/yolo-run/yolo-run/runner/internal/workspace"
)

// Work that was never committed is merged with the old versions that were kept, and conflicts without them.
func TestApplyMergesWithTheBaseThatWasKept(t *testing.T) {
	t.Parallel()
	lines := func(a, b, c string) string { return "1\n2\n" + a + "\n" + b + "\n" + c + "\n6\n7\n" }
	s := newSandbox(t, func(dir string) {
		write(t, dir+"/file", lines("3", "4", "5"))
		write(t, dir+"/gone", "x\n")
	})
	s.open(workspace.Options{})
	write(t, s.Merged+"/file", lines("3", "4", "agent"))
	write(t, s.Merged+"/new", "x\n")
	must(t, os.Remove(s.Merged+"/gone"))
	changes := s.collect()
	patch := string(patchOf(t, changes))
	pack, err := changes.Base(t.Context())
	must(t, err)
	write(t, s.Lower+"/file", lines("user", "4", "5")) // in the agent's context

	broken := filepath.Join(t.TempDir(), "broken")
	write(t, broken, read(t, pack)[:20])
	for name, base := range map[string]string{"none": "", "not there": pack + "x", "broken": broken} {
		w, err := workspace.Open(t.Context(), workspace.Options{Dir: s.Lower, Base: base})
		must(t, err)
		if _, err := w.ReadPatch(t.Context(), strings.NewReader(patch)); !errors.Is(err, workspace.ErrConflict) {
			t.Errorf("base %s: %v, want a conflict", name, err)
		}
	}
	w, err := workspace.Open(t.Context(), workspace.Options{Dir: s.Lower, Base: pack})
	must(t, err)
	c, err := w.ReadPatch(t.Context(), strings.NewReader(patch))
	must(t, err)
	defer c.Close()
	must(t, c.Apply(t.Context(), s.Lower))
	if got := read(t, s.Lower+"/file"); got != lines("user", "4", "agent") {
		t.Errorf("merged to %q", got)
	}
}

// New, deleted and renamed files need no old version.
func TestBaseIsOfChangedTextOnly(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, func(dir string) { project(t, dir, false) })
	s.open(workspace.Options{})
	write(t, s.Merged+"/new", "x\n")
	must(t, os.Rename(s.Merged+"/noeol", s.Merged+"/moved"))
	must(t, os.Remove(s.Merged+"/dir/one"))
	if pack, err := s.collect().Base(t.Context()); pack != "" || err != nil {
		t.Errorf("got %q, %v", pack, err)
	}
}
