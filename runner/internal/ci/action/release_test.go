package action

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// releaseScript runs a step of .ci/release.sh in a checkout of its own, with a docker that only writes down what it is asked for.
func releaseScript(t *testing.T, s *step, args ...string) (stdout string, err error) {
	t.Helper()
	text := readFile(t, "../../../../.ci/release.sh")
	s.write(filepath.Join(s.root, ".ci/release.sh"), text, 0o755)
	s.write(filepath.Join(s.bin, "docker"), `#!/bin/sh
echo "$@" >>"$RUNNER_TEMP/docker"
case "$*" in *inspect*claude:*) echo "$DIGEST" ;; *inspect*) echo sha256:`+strings.Repeat("0", 64)+` ;; esac
`, 0o755)
	cmd := exec.Command(filepath.Join(s.root, ".ci/release.sh"), args...)
	cmd.Env = append(os.Environ(), "PATH="+s.bin+":/usr/bin:/bin", "RUNNER_TEMP="+s.temp, "REGISTRY=registry.example.com/yolo-run",
		"DIGEST=sha256:"+strings.Repeat("1", 64))
	out, err := cmd.Output()
	return string(out), err
}

func TestAReleaseNamesItsImagesByDigest(t *testing.T) {
	s := newStep(t, "")
	if _, err := releaseScript(t, s, "push", "1.2.3", "arm64"); err != nil {
		t.Fatal(err)
	}
	if asked := readFile(t, s.temp+"/docker"); !strings.Contains(asked, "push --quiet registry.example.com/yolo-run/claude-musl:1.2.3-arm64\n") {
		t.Errorf("docker was called so:\n%s", asked)
	}
	images, err := releaseScript(t, s, "index", "1.2.3", "amd64", "arm64")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"gateway=registry.example.com/yolo-run/gateway@sha256:000", ",claude=registry.example.com/yolo-run/claude@sha256:111"} {
		if !strings.Contains(images, want) {
			t.Errorf("no %s in %s", want, images)
		}
	}
	if _, err := releaseScript(t, s, "index", "1.2.3; true"); err == nil {
		t.Error("any text is a version")
	}
}

func TestAReleasePinsItsArchives(t *testing.T) {
	s := newStep(t, "# what this is\n"+strings.Repeat("f", 64)+"  yolo-run_1.2.2_linux_amd64.tar.gz\n")
	sum := s.release()
	s.write(filepath.Join(s.root, "dist/checksums.txt"), sum+"  "+archive123+"\n"+sum+"  yolo-run_1.2.3_darwin_arm64.tar.gz\n"+sum+"  yolo-run_1.2.3_linux_amd64.cdx.json\n", 0o644)
	if _, err := releaseScript(t, s, "pin"); err != nil {
		t.Fatal(err)
	}
	if got := readFile(t, filepath.Join(s.root, ".github/actions/checksums.txt")); got != "# what this is\n"+sum+"  "+archive123+"\n" {
		t.Errorf("checksums.txt:\n%s", got)
	}
	if code := s.run("install.sh", "INSTALL_AGENT=none"); code != 0 || s.stdout != "yolo-run 1.2.3\n" {
		t.Errorf("exit code %d: %s%s", code, s.stdout, s.stderr)
	}
}
