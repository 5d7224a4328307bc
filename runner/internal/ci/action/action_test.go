// Package action tests the GitHub Actions of this repository, and the workflows to copy: they are run by act (https://nektosact.com), on this
// machine and offline, in place of GitHub's runner.
package action

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// pins are the actions that the tests replace, as the files of this repository name them.
const (
	uploadPin   = "actions/upload-artifact@043fb46d1a93c77aae656e7c1c64a875d1fc6a0a"
	downloadPin = "actions/download-artifact@3e5f45b2cfb9172054b4087a40e8e0b5a5461e7c"
	checkoutPin = "actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1"
)

// project is a repository with a workflow, to be run as a user's.
type project struct {
	t      *testing.T
	dir    string            // its checkout, which the workflow's checkout clones
	record string            // what the recorders of testdata have seen
	env    map[string]string // of the runner
	args   []string          // further ones of act
	bin    string            // first in PATH
}

// newProject makes a repository of these files, committed on main.
func newProject(t *testing.T, files map[string]string) *project {
	t.Helper()
	if testing.Short() {
		t.Skip("needs act and a container engine; run without -short")
	}
	p := &project{t: t, dir: t.TempDir(), record: t.TempDir(), bin: t.TempDir(), env: map[string]string{}}
	for name, text := range files {
		p.write(name, text)
	}
	p.git("init", "-q", "-b", "main")
	p.git("add", "-A")
	p.git("commit", "-q", "-m", "base")
	return p
}

func (p *project) write(name, text string) {
	p.t.Helper()
	path := filepath.Join(p.dir, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
		p.t.Fatal(err)
	}
}

func (p *project) git(args ...string) string {
	p.t.Helper()
	cmd := exec.Command("git", append([]string{"-C", p.dir, "-c", "user.name=me", "-c", "user.email=me@example.com"}, args...)...)
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		p.t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// job is a run of act.
type job struct {
	t        *testing.T
	project  *project
	failed   bool
	commands []command
	log      string
}

// command is a line of act's log: a workflow command that it obeyed, or text.
type command struct {
	Command string `json:"command"`
	Name    string `json:"name"`
	Arg     string `json:"arg"`
	Content string `json:"content"` // of a step summary
	Raw     string `json:"raw"`     // as it was printed
	Msg     string `json:"msg"`
}

// act runs the workflow file of the project for an event.
func (p *project) act(workflow, event string) job {
	p.t.Helper()
	tool, err := filepath.Abs("../../../../build/tools/act")
	if err != nil {
		p.t.Fatal(err)
	}
	if _, err := os.Stat(tool); err != nil {
		p.t.Fatalf("this test needs act (make build/tools/act): %v", err)
	}
	args := []string{
		event, "--json", "--no-cache-server", "--no-skip-checkout", "-P", "ubuntu-latest=-self-hosted", "-P", "ubuntu-24.04=-self-hosted",
		"-W", filepath.Join(p.dir, workflow), "-C", p.dir,
	}
	for action, dir := range map[string]string{
		"yolo-run/yolo-run@v1": "../../../..", uploadPin: "testdata/upload-artifact", downloadPin: "testdata/download-artifact", checkoutPin: "testdata/checkout",
	} {
		abs, err := filepath.Abs(dir)
		if err != nil {
			p.t.Fatal(err)
		}
		args = append(args, "--local-repository", action+"="+abs)
	}
	p.env["RECORD"], p.env["ORIGIN"] = p.record, p.dir
	for name, value := range p.env {
		args = append(args, "--env", name+"="+value)
	}
	cmd := exec.CommandContext(p.t.Context(), tool, append(args, p.args...)...)
	home := p.t.TempDir()
	cmd.Env = append(hostEnviron(p.t), "HOME="+home, "XDG_CACHE_HOME="+filepath.Join(home, "cache"), "PATH="+p.bin+":"+os.Getenv("PATH"))
	out, err := cmd.CombinedOutput()
	j := job{t: p.t, project: p, failed: err != nil}
	j.read(out)
	p.t.Cleanup(func() {
		if p.t.Failed() {
			p.t.Logf("act's log:\n%s", j.log)
		}
	})
	return j
}

// hostEnviron is the environment without what a CI job or a Makefile would hand on, but with Go's caches where they are.
func hostEnviron(t *testing.T) []string {
	t.Helper()
	var environ []string
	for _, entry := range os.Environ() {
		ours := slices.ContainsFunc([]string{"GITHUB_", "YOLO_", "RUNNER_", "MAKE", "MFLAGS=", "VERSION=", "AGENTS="}, func(prefix string) bool {
			return strings.HasPrefix(entry, prefix)
		})
		if !ours {
			environ = append(environ, entry)
		}
	}
	for _, name := range []string{"GOCACHE", "GOMODCACHE"} {
		out, err := exec.Command("go", "env", name).Output()
		if err != nil {
			t.Fatal(err)
		}
		environ = append(environ, name+"="+strings.TrimSpace(string(out)))
	}
	return environ
}

func (j *job) read(out []byte) {
	var log strings.Builder
	lines := bufio.NewScanner(bytes.NewReader(out))
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var c command
		if json.Unmarshal(lines.Bytes(), &c) != nil {
			c.Msg = lines.Text()
		}
		j.commands = append(j.commands, c)
		log.WriteString(strings.TrimSuffix(c.Msg, "\n") + "\n")
	}
	j.log = log.String()
}

// obeyed lists what act did at the bidding of what a step printed, without what every step may: groups, what silences text, command files.
func (j *job) obeyed() []string {
	var list []string
	ends := map[string]bool{} // of silence
	for _, c := range j.commands {
		switch c.Command {
		case "stop-commands":
			ends[c.Arg] = true
		case "", "group", "endgroup", "set-output", "add-path", "summary":
		default:
			if ends[c.Command] {
				continue
			}
			// act looks for the end of the title from behind, GitHub's runner from the front.
			head, _, _ := strings.Cut(strings.TrimPrefix(c.Raw, "::"), "::")
			_, title, _ := strings.Cut(head, "title=")
			list = append(list, strings.TrimSpace(c.Command+" "+strings.ReplaceAll(title, "%3A", ":")))
		}
	}
	return list
}

// summary is what the steps have added to the page of the run.
func (j *job) summary() string {
	var text strings.Builder
	for _, c := range j.commands {
		if c.Command == "summary" {
			text.WriteString(c.Content)
		}
	}
	return text.String()
}

func (j *job) recorded(name string) string {
	j.t.Helper()
	text, err := os.ReadFile(filepath.Join(j.project.record, name))
	if err != nil {
		j.t.Fatal(err)
	}
	return string(text)
}

// outputs are those of a step that the workflow has recorded.
func (j *job) outputs(name string) map[string]string {
	j.t.Helper()
	outputs := map[string]string{}
	if err := json.Unmarshal([]byte(j.recorded(name)), &outputs); err != nil {
		j.t.Fatal(err)
	}
	return outputs
}

// uploads lists the files that were uploaded.
func (j *job) uploads() []string {
	j.t.Helper()
	var list []string
	root := filepath.Join(j.project.record, "artifacts")
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			name, _ := filepath.Rel(root, path)
			list = append(list, name)
		}
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		j.t.Fatal(err)
	}
	return list
}

// version is that of the images under test: VERSION, as in the Makefile.
func version() string { return cmp.Or(os.Getenv("VERSION"), "dev") }

var buildOnce sync.Mutex

// install makes the program under test what `version: installed` finds.
func (p *project) install() {
	p.t.Helper()
	buildOnce.Lock() // one build fills the cache for the rest
	defer buildOnce.Unlock()
	cmd := exec.Command("go", "build", "-buildvcs=false", "-ldflags", "-X main.version="+version(), "-o", filepath.Join(p.bin, "yolo-run"), "../../../../cmd/yolo-run")
	if out, err := cmd.CombinedOutput(); err != nil {
		p.t.Fatalf("%v\n%s", err, out)
	}
	p.env["ACTION_VERSION"] = "installed"
}
