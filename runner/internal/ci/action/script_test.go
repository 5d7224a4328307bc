package action

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// step runs one of the action's scripts as a step of a job.
type step struct {
	t              *testing.T
	root, temp     string // the action's checkout; RUNNER_TEMP
	bin            string // first in PATH
	output, path   string // command files
	stdout, stderr string
}

func newStep(t *testing.T, checksums string) *step {
	t.Helper()
	s := &step{t: t, root: t.TempDir(), temp: t.TempDir(), bin: t.TempDir()}
	s.output, s.path = filepath.Join(s.temp, "output"), filepath.Join(s.temp, "path")
	for _, name := range []string{"install.sh", "run.sh"} {
		text, err := os.ReadFile("../../../../.github/actions/" + name)
		if err != nil {
			t.Fatal(err)
		}
		s.write(filepath.Join(s.root, ".github/actions", name), string(text), 0o755)
	}
	s.write(filepath.Join(s.root, ".github/actions/checksums.txt"), checksums, 0o644)
	return s
}

func (s *step) write(path, text string, mode os.FileMode) {
	s.t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		s.t.Fatal(err)
	}
}

// run returns the exit code.
func (s *step) run(script string, env ...string) int {
	s.t.Helper()
	cmd := exec.Command("bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", `exec "$GITHUB_ACTION_PATH/.github/actions/`+script+`"`)
	cmd.Env = append([]string{
		"PATH=" + s.bin + ":/usr/bin:/bin", "RUNNER_TEMP=" + s.temp, "GITHUB_OUTPUT=" + s.output, "GITHUB_PATH=" + s.path,
		"GITHUB_ACTION_PATH=" + s.root, "GITHUB_JOB=build",
	}, env...)
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	_ = cmd.Run()
	s.stdout, s.stderr = stdout.String(), stderr.String()
	return cmd.ProcessState.ExitCode()
}

// release makes an archive of a program that prints its version, and a curl that serves it.
func (s *step) release() (sum string) {
	s.t.Helper()
	dir := s.t.TempDir()
	s.write(filepath.Join(dir, "yolo-run"), "#!/bin/sh\necho yolo-run 1.2.3\n", 0o755)
	archive := filepath.Join(dir, "archive.tar.gz")
	if out, err := exec.Command("tar", "-czf", archive, "-C", dir, "yolo-run").CombinedOutput(); err != nil {
		s.t.Fatalf("%s", out)
	}
	text, err := os.ReadFile(archive)
	if err != nil {
		s.t.Fatal(err)
	}
	s.write(filepath.Join(s.bin, "curl"), "#!/bin/bash\necho \"$@\" >>'"+s.temp+"/curl'\nwhile [[ $1 != -o ]]; do shift; done\ncp '"+archive+"' \"$2\"\n", 0o755)
	s.write(filepath.Join(s.bin, "uname"), "#!/bin/sh\ncase $1 in -s) echo Linux ;; -m) echo x86_64 ;; esac\n", 0o755)
	digest := sha256.Sum256(text)
	return hex.EncodeToString(digest[:])
}

const archive123 = "yolo-run_1.2.3_linux_amd64.tar.gz"

func TestAReleaseIsInstalledIfItsChecksumIsKnown(t *testing.T) {
	s := newStep(t, "")
	sum := s.release()
	checksums := "# what is known\n" + strings.Repeat("0", 64) + "  yolo-run_1.2.3_linux_arm64.tar.gz\n" + sum + "  " + archive123 + "\n"
	s.write(filepath.Join(s.root, ".github/actions/checksums.txt"), checksums, 0o644)
	for _, version := range []string{"", "1.2.3", "v1.2.3"} {
		if code := s.run("install.sh", "INSTALL_VERSION="+version, "INSTALL_AGENT=claude"); code != 0 || s.stdout != "yolo-run 1.2.3\n" {
			t.Fatalf("version %q: exit code %d\n%s%s", version, code, s.stdout, s.stderr)
		}
	}
	if got := readFile(t, s.path); !strings.HasPrefix(got, s.temp+"/yolo-run-bin/1.2.3\n") {
		t.Errorf("GITHUB_PATH has %q", got)
	}
	asked := readFile(t, s.temp+"/curl")
	if strings.Count(asked, "\n") != 1 || !strings.Contains(asked, "https://github.com/yolo-run/yolo-run/releases/download/v1.2.3/"+archive123) {
		t.Errorf("curl was called so:\n%s", asked)
	}
}

func TestAReleaseThatIsNotKnownIsNotInstalled(t *testing.T) {
	tests := []struct{ name, checksums, version, want string }{
		{"another archive", strings.Repeat("0", 64) + "  " + archive123 + "\n", "", "its checksum differs"},
		{"another version", strings.Repeat("0", 64) + "  " + archive123 + "\n", "1.2.4", "no checksum of that version"},
		{"no version at all", "", "1.2.3", "no checksum of that version"},
		{"not a version", "", "$(touch x)", "no checksum of that version"},
		{"nothing installed", "", "installed", "there is no yolo-run in PATH"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newStep(t, tt.checksums)
			s.release()
			code := s.run("install.sh", "INSTALL_VERSION="+tt.version, "INSTALL_AGENT=claude")
			if code != 125 || !strings.Contains(s.stdout, "::error title=yolo-run::") || !strings.Contains(s.stdout, tt.want) {
				t.Errorf("exit code %d\n%s%s", code, s.stdout, s.stderr)
			}
			if _, err := os.Stat(s.path); err == nil {
				t.Error("something was put on the PATH")
			}
		})
	}
}

func TestOnlyLinuxHasAnEngine(t *testing.T) {
	s := newStep(t, "")
	s.write(filepath.Join(s.bin, "uname"), "#!/bin/sh\necho Darwin\n", 0o755)
	if code := s.run("install.sh", "INSTALL_AGENT=claude"); code != 125 || !strings.Contains(s.stdout, "needs a Linux runner") {
		t.Errorf("exit code %d: %s", code, s.stdout)
	}
}

// Each step of a job gets a folder and a name of its own, and says so before the program starts.
func TestAStepHasItsOwnFolder(t *testing.T) {
	s := newStep(t, "")
	s.write(filepath.Join(s.bin, "yolo-run"), "#!/bin/sh\necho \"$YOLO_OUT\"; cat \"$GITHUB_OUTPUT\"; exit 3\n", 0o755)
	for i, env := range [][]string{nil, nil, {"RUN_JOB_INDEX=4", "RUN_JOB_TOTAL=6"}, {"RUN_JOB_INDEX=0", "RUN_JOB_TOTAL=1"}} {
		folder := s.temp + []string{"/yolo-run-1", "/yolo-run-2", "/yolo-run-3", "/yolo-run-4"}[i]
		name := []string{"yolo-run-build", "yolo-run-build-2", "yolo-run-build-3-matrix-4", "yolo-run-build-4"}[i]
		_ = os.Remove(s.output)
		if code := s.run("run.sh", env...); code != 3 {
			t.Errorf("exit code %d, want the program's: %s", code, s.stderr)
		}
		if want := folder + "\nartifact-dir=" + folder + "\nartifact-name=" + name + "\n"; s.stdout != want {
			t.Errorf("got  %q\nwant %q", s.stdout, want)
		}
	}
}

// A cancelled job signals the process of the step, which must be the program itself and no shell that waits for it.
func TestTheStepIsTheProgram(t *testing.T) {
	s := newStep(t, "")
	s.write(filepath.Join(s.bin, "yolo-run"), "#!/bin/sh\necho $$ $PPID; kill -INT $$\n", 0o755)
	self := strconv.Itoa(os.Getpid())
	code := s.run("run.sh")
	var pid, parent string
	if fields := strings.Fields(s.stdout); len(fields) == 2 {
		pid, parent = fields[0], fields[1]
	}
	if code != -1 || pid == "" || parent != self {
		t.Errorf("exit code %d, process %s with parent %s, want a child of %s", code, pid, parent, self)
	}
}

// The first signal of a cancelled job ends the run in order: outputs, report and patch are there.
func TestACancelledStepSavesWhatThereIs(t *testing.T) {
	p := newProject(t, map[string]string{"a.txt": "one\n"})
	p.install()
	s := newStep(t, "")
	cmd := exec.Command("bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", `exec "$GITHUB_ACTION_PATH/.github/actions/run.sh"`)
	cmd.Dir = p.dir
	cmd.Env = append(hostEnviron(t), "PATH="+p.bin+":"+os.Getenv("PATH"), "RUNNER_TEMP="+s.temp, "GITHUB_OUTPUT="+s.output, "GITHUB_JOB=build",
		"GITHUB_STEP_SUMMARY="+s.temp+"/summary", "GITHUB_ACTION_PATH="+s.root, "GITHUB_ACTIONS=true", "YOLO_AGENT=shell",
		"YOLO_PROMPT=echo two >>a.txt; echo the agent waits; sleep 300", "XDG_STATE_HOME="+t.TempDir())
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stderr)
	for waits := false; lines.Scan(); {
		t.Log(lines.Text())
		if !waits && strings.Contains(lines.Text(), "the agent waits") {
			waits = true
			if err := cmd.Process.Signal(os.Interrupt); err != nil {
				t.Fatal(err)
			}
		}
	}
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 130 {
		t.Errorf("exit code %d, want 130", code)
	}
	if out := readFile(t, s.output); !strings.Contains(out, "cancelled") || !strings.Contains(out, "changes.patch") {
		t.Errorf("outputs:\n%s", out)
	}
	if patch := readFile(t, s.temp+"/yolo-run-1/changes.patch"); !strings.Contains(patch, "\n+two\n") {
		t.Errorf("the patch:\n%s", patch)
	}
	if !strings.Contains(readFile(t, s.temp+"/summary"), "The run was cancelled") {
		t.Error("the summary does not say how the run ended")
	}
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
