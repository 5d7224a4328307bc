package runner_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/yolo-run/yolo-run/reports"
	"github.com/yolo-run/yolo-run/runner"
)

func TestTheAgentStartsInTheNamedFolderAndChangesOutsideAreFindings(t *testing.T) {
	t.Parallel()
	dir := makeTree(t, true, 1000)
	r := try(t, `pwd | sed 's/^/pwd=/'; echo in > inside; echo out > ../outside`, func(cfg *runner.Config) { cfg.Workspace = filepath.Join(dir, "folder") })
	if got := r.says(t, "pwd"); got != "/workspace/folder" {
		t.Errorf("the agent starts in %s", got)
	}
	if r.Outcome != reports.PolicyFailed || r.ExitCode != 3 {
		t.Errorf("outcome %s, exit code %d, want policy, 3", r.Outcome, r.ExitCode)
	}
	found := false
	for _, f := range r.Gate.Findings {
		found = found || f.Rule == "outside-folder" && f.Path == "outside"
		if f.Path == "folder/inside" {
			t.Errorf("a finding about a file inside: %+v", f)
		}
	}
	if !found {
		t.Errorf("findings %+v", r.Gate.Findings)
	}
}

func TestFailOn(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		rule, script string
		want         reports.Outcome
	}{
		{"gate", "mkdir -p .github/workflows && echo x > .github/workflows/x.yml", reports.PolicyFailed},
		{"none", "mkdir -p .github/workflows && echo x > .github/workflows/x.yml", reports.Success},
		{"denied", "getent hosts denied.test; echo x > x", reports.PolicyFailed},
		{"denied", "echo x > x", reports.Success},
		{"no-changes", "true", reports.PolicyFailed},
		{"no-changes", "echo x > x", reports.Success},
	} {
		t.Run(c.rule, func(t *testing.T) {
			t.Parallel()
			r := try(t, c.script, func(cfg *runner.Config) { cfg.FailOn = []string{c.rule} })
			r.want(t, c.want)
		})
	}
}

func TestApplyWritesToTheWorkspaceOnlyBehindTheGate(t *testing.T) {
	t.Parallel()
	for _, owner := range []int{1000, 0} {
		dir := makeTree(t, true, owner)
		good := try(t, `echo applied > changed.txt; mv folder/1 folder/one`, func(cfg *runner.Config) { cfg.Workspace, cfg.Apply = dir, true })
		good.want(t, reports.Success)
		if got := string(readFile(t, filepath.Join(dir, "changed.txt"))); got != "applied\n" {
			t.Errorf("owner %d: changed.txt is %q", owner, got)
		}
		if _, err := os.Stat(filepath.Join(dir, "folder", "one")); err != nil {
			t.Errorf("owner %d: %v", owner, err)
		}
		bad := try(t, `echo bad > changed.txt; echo x > .gitattributes`, func(cfg *runner.Config) { cfg.Workspace, cfg.Apply = dir, true })
		bad.want(t, reports.PolicyFailed)
		if got := string(readFile(t, filepath.Join(dir, "changed.txt"))); got != "applied\n" {
			t.Errorf("owner %d: a patch that the gate refused was applied: %q", owner, got)
		}
	}
}

func TestMountsAreReadOnlyThrownAwayOrReported(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, mode := range []string{"ro", "cow", "rw"} {
		run(t, dir, "mkdir "+mode+" && echo host > "+mode+"/file")
		chownTree(t, filepath.Join(dir, mode), 1000)
	}
	r := try(t, `for m in ro cow rw; do
  cat /mnt/$m/file | sed "s/^/$m-read=/"
  (echo agent > /mnt/$m/file) 2>/dev/null; echo $m-write=$?
  (echo agent > /mnt/$m/new) 2>/dev/null; echo $m-new=$?
done`,
		func(cfg *runner.Config) {
			cfg.User = "1000:1000"
			for _, mode := range []string{"ro", "cow", "rw"} {
				cfg.Mounts = append(cfg.Mounts, filepath.Join(dir, mode)+":/mnt/"+mode+":"+mode)
			}
		})
	r.want(t, reports.NoChanges)
	for mode, host := range map[string]string{"ro": "host\n", "cow": "host\n", "rw": "agent\n"} {
		if got := r.says(t, mode+"-read"); got != "host" {
			t.Errorf("%s: the agent reads %q", mode, got)
		}
		if writable := r.says(t, mode+"-write") == "0" && r.says(t, mode+"-new") == "0"; writable != (mode != "ro") {
			t.Errorf("%s: writable %v", mode, writable)
		}
		if got := string(readFile(t, filepath.Join(dir, mode, "file"))); got != host {
			t.Errorf("%s: the host has %q", mode, got)
		}
	}
	if !strings.Contains(r.stderr, "the agent can write to a folder of this machine") {
		t.Error("the hole of an rw mount is not reported")
	}
}

// Attack 17, the part of this issue: what the host's environment holds stays outside unless it was named.
func TestAttack17TheHostsEnvironmentStaysOutside(t *testing.T) {
	t.Setenv("YOLO_TEST_CANARY", "CANARY-environment")
	t.Setenv("YOLO_TEST_NAMED", "named-value")
	r := try(t, `cat /proc/*/environ 2>/dev/null | tr '\0' '\n' | grep -c CANARY-environment | sed 's/^/hits=/'; echo "named=$YOLO_TEST_NAMED"; echo "given=$GIVEN"`,
		func(cfg *runner.Config) { cfg.Env = []string{"YOLO_TEST_NAMED", "GIVEN=a b=c"} })
	r.want(t, reports.NoChanges)
	for name, want := range map[string]string{"hits": "0", "named": "named-value", "given": "a b=c"} {
		if got := r.says(t, name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}
