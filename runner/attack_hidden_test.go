package runner_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/yolo-run/yolo-run/reports"
	"github.com/yolo-run/yolo-run/runner"
)

// What is put in place of hidden files goes to a path of the image's, through whatever the image has there. The agent does not see them, or there is none.
func TestAttack17AnImageUncoversNoHiddenFile(t *testing.T) {
	t.Parallel()
	image := buildImage(t, `FROM `+baseImage()+`
RUN mkdir -m 0777 -p /srv/elsewhere/dir /srv/own/out && rm -rf /workspace && ln -s /srv/elsewhere /workspace && ln -s /srv/own /.yolo-run && chmod 0777 /srv/own /srv/own/out
`)
	for _, mode := range []string{"overlay", "copy"} {
		dir := makeTree(t, true, 1000)
		run(t, dir, `mkdir -p dir; printf 'CANARY-env\n' | tee .env > dir/.env; git config http.extraheader 'basic CANARY-header'`)
		chownTree(t, dir, 1000)
		r := try(t, `echo "hits=$(grep -rsl CANARY /workspace/. /srv | wc -l)"; touch /.yolo-run/x /.yolo-run/prompt && echo forged=yes; ls -la /workspace/.env`,
			func(cfg *runner.Config) { cfg.Workspace, cfg.Image, cfg.WorkspaceMode = dir, image, mode })
		log, err := os.ReadFile(filepath.Join(r.out, "agent.log"))
		if err != nil {
			t.Fatal(err)
		}
		if r.Outcome == reports.Infrastructure {
			continue // there was no agent
		}
		if r.says(t, "hits") != "0" || strings.Contains(string(log), "forged=yes") || strings.Contains(string(log), "CANARY") {
			t.Errorf("%s: the agent sees a hidden file:\n%s", mode, log)
		}
	}
}
