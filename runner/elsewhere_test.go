package runner_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/yolo-run/yolo-run/reports"
)

// An engine with a file system, network and processes of its own is given a copy, whichever way it is reached and whatever it seems to see, and the patch is that
// of the files here.
func TestAnEngineElsewhereGetsACopy(t *testing.T) {
	t.Parallel()
	unseen, seen := makeTree(t, true, 1000), makeTree(t, true, 0)
	e := newOwnEngine(t, unseen)
	const script = `echo added > added.txt; echo changed >> changed.txt; rm deleted.txt; mv folder moved; chmod +x crlf.txt; rm -r becomes-file; echo file > becomes-file
tar cf - .gitignore [!i]* | base64 | tr -d '\n' | sed 's/^/tree=/'; echo`
	inside := []string{"nsenter", fmt.Sprintf("--net=/proc/%d/ns/net", e.first), "--"}
	for _, c := range []struct {
		name      string
		command   []string
		host      string
		workspace string
		reason    string
	}{
		{"over the network", inside, "tcp://127.0.0.1:2375", unseen, "over the network"},
		{"by a socket", nil, e.host, unseen, "does not"},
		// It sees the files, but not this process: a view of ours would be somebody else's there.
		{"by a socket, root's", nil, e.host, seen, "belongs to root"},
	} {
		out := filepath.Join(t.TempDir(), "out")
		argv := append(append([]string{}, c.command...), yoloRun(t), "--image", muslImage(), "--agent", "shell", "--prompt", script,
			"--workspace", c.workspace, "--out", out, "--min-free-disk", "64m", "--fail-on", "none")
		cmd := exec.CommandContext(t.Context(), argv[0], argv[1:]...)
		cmd.Env = append(os.Environ(), "DOCKER_HOST="+c.host, "XDG_STATE_HOME="+t.TempDir())
		if output, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", c.name, err, output)
		}
		rep := (&process{out: out}).report(t)
		if rep.Outcome != reports.Success || rep.Workspace.Mode != "copy" || !strings.Contains(rep.Workspace.ModeReason, c.reason) {
			t.Errorf("%s: outcome %s, mode %s, reason %q, want %q in it", c.name, rep.Outcome, rep.Workspace.Mode, rep.Workspace.ModeReason, c.reason)
		}
		r := result{Report: rep, out: out, agent: string(readFile(t, filepath.Join(out, "agent.log")))}
		compareTrees(t, applyPatch(t, c.workspace, filepath.Join(out, "changes.patch")), unpack(t, r.says(t, "tree")), false)
	}
}
