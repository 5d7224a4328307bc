package workspace_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/yolo-run/yolo-run/reports"
	"github.com/yolo-run/yolo-run/runner/internal/workspace"
)

// A tree that is deeper than any path can say is told of, and costs the rest of the patch nothing.
func TestWhatIsDeeperThanAnyPathIsTold(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, func(dir string) { project(t, dir, true) })
	s.open(workspace.Options{})
	command(t, "sh", "-ec", `cd "$1"; echo x > new
name=$(printf %0250d 0); i=0
while [ $i -lt 40 ]; do mkdir $name; cd -P $name 2>/dev/null || cd $name; echo deep > file; i=$((i+1)); done`, "sh", s.Merged)
	r := s.collect().Report()
	files := paths(r.Files)
	if !slices.Contains(files, "added new") || len(files) < 10 {
		t.Errorf("changes: %d", len(files))
	}
	if !slices.ContainsFunc(r.NotCarried, func(n reports.NotCarried) bool { return strings.Contains(n.Reason, "too long") }) {
		t.Errorf("not carried: %d", len(r.NotCarried))
	}
}
