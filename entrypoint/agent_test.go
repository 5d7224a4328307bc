package entrypoint

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/yolo-run/yolo-run/entrypoint/internal/confine"
	"github.com/yolo-run/yolo-run/entrypoint/wire"
)

// The role runs in a process of its own: this test binary, which finds its files below roleDirEnv.
const (
	roleDirEnv   = "ROLE_DIR"
	roleCheckEnv = "ROLE_CHECK" // "real" for the check of confinement, "fail" for one that fails
	// roleLeftoversEnv is for a PID namespace of the role's own.
	roleLeftoversEnv = "ROLE_LEFTOVERS"
)

// TestAgentRoleProcess is that process, and nothing when the variable is not set.
func TestAgentRoleProcess(_ *testing.T) {
	dir, ok := os.LookupEnv(roleDirEnv)
	if !ok {
		return
	}
	check := func(confine.Want) error { return nil }
	switch os.Getenv(roleCheckEnv) {
	case "real":
		check = confine.Check
	case "fail":
		check = func(confine.Want) error { return errors.Join(errors.New("first fault"), errors.New("second fault")) }
	}
	leftovers := func() {} // those of the test's own user are not the agent's alone
	if os.Getenv(roleLeftoversEnv) != "" {
		leftovers = endLeftovers
	}
	os.Exit(agentRole{
		config: filepath.Join(dir, "agent.json"),
		prompt: filepath.Join(dir, "prompt"),
		exit:   filepath.Join(dir, "out", "exit.json"),
		check:  check, leftovers: leftovers,
	}.run(os.Stderr))
}

// role is one run of the role to be.
type role struct {
	dir    string
	config wire.AgentConfig
	prompt []byte
	env    []string // of the image
}

func newRole(t *testing.T, argv ...string) *role {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "out"), 0o777); err != nil {
		t.Fatal(err)
	}
	return &role{
		dir:    dir,
		config: wire.AgentConfig{Wire: wire.Version, Argv: argv, Dir: dir, UID: os.Getuid(), GID: os.Getgid()},
		env:    []string{"PATH=" + os.Getenv("PATH")},
	}
}

// command writes the files and returns the process, not started.
func (r *role) command(t *testing.T) *exec.Cmd {
	t.Helper()
	config, err := json.Marshal(r.config)
	if err != nil {
		t.Fatal(err)
	}
	r.write(t, "agent.json", config)
	r.write(t, "prompt", r.prompt)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestAgentRoleProcess$")
	cmd.WaitDelay = time.Second // what the agent left behind may hold the output open
	cmd.Env = append(slices.Clone(r.env), roleDirEnv+"="+r.dir)
	return cmd
}

func (r *role) write(t *testing.T, name string, text []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(r.dir, name), text, 0o644); err != nil {
		t.Fatal(err)
	}
}

// outcome is what the role left behind.
type outcome struct {
	code           int
	stdout, stderr string // without the mark of the start
	begun          bool   // there was one
	exit           wire.AgentExit
}

func (r *role) run(t *testing.T) outcome {
	t.Helper()
	return r.finish(t, r.command(t))
}

func (r *role) finish(t *testing.T, cmd *exec.Cmd) outcome {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	said, begun := strings.CutPrefix(stderr.String(), wire.StartMark)
	got := outcome{code: cmd.ProcessState.ExitCode(), stdout: stdout.String(), stderr: said, begun: begun}
	text, err := os.ReadFile(filepath.Join(r.dir, "out", "exit.json"))
	if err != nil {
		t.Fatalf("%v; %+v", err, got)
	}
	if err := json.Unmarshal(text, &got.exit); err != nil {
		t.Fatal(err)
	}
	return got
}

func TestAgentExitCodeAndSignalAreExact(t *testing.T) {
	for _, tc := range []struct {
		script       string
		code, signal int
	}{
		{"exit 0", 0, 0},
		{"exit 7", 7, 0},
		{"exit 255", 255, 0},
		{"kill -KILL $$", 137, 9},
		{"kill -TERM $$", 143, 15},
		{"kill -SEGV $$", 139, 11},
		// Orphans that end before, with and after the agent take nothing of its exit code.
		{"for i in 1 2 3 4 5 6 7 8 9 10; do (sh -c 'exit 9' &); done; exit 7", 7, 0},
		{"(sh -c 'kill -KILL $$' &); (sleep 60 &) >/dev/null 2>&1; exit 3", 3, 0},
	} {
		t.Run(tc.script, func(t *testing.T) {
			got := newRole(t, "sh", "-c", tc.script).run(t)
			if got.code != tc.code || got.exit.ExitCode != tc.code || got.exit.Signal != tc.signal || got.exit.Refused != "" || got.exit.Wire != wire.Version {
				t.Errorf("exit code %d, %+v, want %d, signal %d; %s", got.code, got.exit, tc.code, tc.signal, got.stderr)
			}
		})
	}
}

func TestPromptArrivesByteForByte(t *testing.T) {
	large := make([]byte, 5<<20)
	if _, err := rand.Read(large); err != nil { // holds every byte, NUL too, and no newline at the end
		t.Fatal(err)
	}
	large[len(large)-1] = 'x'
	for name, prompt := range map[string][]byte{
		"5 MB of all bytes": large, "no newline at the end": []byte("do it"), "NUL": {0, 'a', 0}, "CRLF": []byte("a\r\nb\r\n"), "nothing": {},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRole(t, "cat")
			r.prompt, r.config.Stdin = prompt, true
			if got := r.run(t); got.code != 0 || got.stdout != string(prompt) {
				t.Errorf("exit code %d, %d of %d bytes, equal: %t; %s", got.code, len(got.stdout), len(prompt), got.stdout == string(prompt), got.stderr)
			}
			r = newRole(t, "cat")
			r.prompt = prompt
			if got := r.run(t); got.code != 0 || got.stdout != "" {
				t.Errorf("without Stdin: exit code %d, %d bytes", got.code, len(got.stdout))
			}
		})
	}
}

func TestAgentStandsInItsFolderWithTheUsualUmaskAndNoTerminal(t *testing.T) {
	r := newRole(t, "sh", "-c", "pwd; umask; cut -d' ' -f6 /proc/$$/stat; echo $$")
	cmd := r.command(t)
	old := syscall.Umask(0o077)
	got := r.finish(t, cmd)
	syscall.Umask(old)
	lines := strings.Split(got.stdout, "\n")
	if len(lines) != 5 || lines[0] != r.dir || lines[1] != "0022" || lines[2] != lines[3] {
		t.Errorf("folder, umask, session, PID: %q; %s", lines, got.stderr)
	}
}

const groupEnv = "ROLE_GROUP"

// TestAgentGroupProcess is an agent with a child, or the child, where the variable says so: each says when it is ready for signals, and ends by one.
func TestAgentGroupProcess(t *testing.T) {
	who, ok := os.LookupEnv(groupEnv)
	if !ok {
		return
	}
	signals := catchSignals()
	child := exec.CommandContext(t.Context(), os.Args[0], os.Args[1:]...)
	child.Env, child.Stdout = []string{groupEnv + "=child"}, os.Stdout
	if who == "agent" {
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
	}
	fmt.Println("ready")
	select {
	case <-signals:
	case <-time.After(20 * time.Second): // so that a lost signal fails the test instead of holding it
		os.Exit(6)
	}
	fmt.Println(who)
	if who == "agent" {
		if err := child.Wait(); child.ProcessState.ExitCode() != 5 {
			t.Fatal(err)
		}
	}
	os.Exit(5)
}

func TestEverySignalReachesTheWholeGroup(t *testing.T) {
	for _, sig := range []syscall.Signal{
		syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGCONT, syscall.SIGWINCH,
	} {
		t.Run(sig.String(), func(t *testing.T) {
			r := newRole(t, os.Args[0], "-test.run=^TestAgentGroupProcess$")
			r.env = append(r.env, groupEnv+"=agent")
			cmd := r.command(t)
			cmd.Stderr = os.Stderr
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			lines := bufio.NewScanner(out)
			for range 2 {
				if !lines.Scan() || lines.Text() != "ready" {
					t.Fatalf("%q, want ready", lines.Text())
				}
			}
			if err := cmd.Process.Signal(sig); err != nil {
				t.Fatal(err)
			}
			var said []string
			for lines.Scan() {
				said = append(said, lines.Text())
			}
			if err := cmd.Wait(); cmd.ProcessState.ExitCode() != 5 {
				t.Errorf("the role ended with %v, want the agent's 5", err)
			}
			slices.Sort(said)
			if !slices.Equal(said, []string{"agent", "child"}) {
				t.Errorf("the signal reached %q", said)
			}
		})
	}
}

// TestOrphansAreAdoptedAndReaped: an orphan sees its new parent and says so; after its end nothing of it is left, not even a zombie.
func TestOrphansAreAdoptedAndReaped(t *testing.T) {
	const orphan = `
mkfifo adopted gone
role=$PPID
export role
(sh -c 'while [ -e /proc/$role ] && [ "$(cut -d" " -f4 /proc/$$/stat)" != "$role" ]; do :; done; echo $$ >adopted' &)
read pid <adopted
while [ -e /proc/$role ] && [ -e /proc/$pid ]; do :; done
echo reaped
`
	got := newRole(t, "sh", "-c", orphan).run(t)
	if got.code != 0 || got.stdout != "reaped\n" {
		t.Errorf("exit code %d, %q; %s", got.code, got.stdout, got.stderr)
	}
}

const burnEnv = "ROLE_BURN"

// TestAgentBurnProcess is an agent that uses 200 ms of CPU and 50 MiB of memory, where the variable says so.
func TestAgentBurnProcess(t *testing.T) {
	if _, ok := os.LookupEnv(burnEnv); !ok {
		return
	}
	memory := bytes.Repeat([]byte{1}, 50<<20)
	for used := (syscall.Rusage{}); used.Utime.Nano()+used.Stime.Nano() < 200e6; {
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
			t.Fatal(err)
		}
	}
	os.Exit(int(memory[0]))
}

func TestExitHasWhatTheAgentUsed(t *testing.T) {
	r := newRole(t, os.Args[0], "-test.run=^TestAgentBurnProcess$")
	r.env = append(r.env, burnEnv+"=1")
	got := r.run(t)
	if got.code != 1 || got.exit.CPUMs < 200 || got.exit.CPUMs > 60_000 || got.exit.MaxRSSBytes < 50<<20 || got.exit.MaxRSSBytes > 1<<30 {
		t.Errorf("exit code %d, %+v, want 1, at least 200 ms and 50 MiB", got.code, got.exit)
	}
}

func TestWhatKeepsTheAgentFromStarting(t *testing.T) {
	const marker = "started"
	for _, tc := range []struct {
		name     string
		change   func(t *testing.T, r *role)
		code     int
		notFound bool
		reason   string // empty: the agent starts
	}{
		{"nothing", func(*testing.T, *role) {}, 0, false, ""},
		{"confinement", func(_ *testing.T, r *role) { r.env = append(r.env, roleCheckEnv+"=fail") }, 125, false, "confinement: first fault; second fault"},
		{"confinement of a test", func(_ *testing.T, r *role) { r.env = append(r.env, roleCheckEnv+"=real") }, 125, false, "NoNewPrivs is 0"},
		{"another protocol", func(_ *testing.T, r *role) { r.config.Wire++ }, 125, false, "protocol 2, want 1"},
		{"no folder", func(_ *testing.T, r *role) { r.config.Dir = "/no/such" }, 125, false, "agent's folder: chdir /no/such"},
		{"an empty folder name", func(_ *testing.T, r *role) { r.config.Dir = "" }, 125, false, "agent's folder"},
		{"no command", func(_ *testing.T, r *role) { r.config.Argv = nil }, 125, false, "no command"},
		{"unknown command", func(_ *testing.T, r *role) { r.config.Argv = []string{"no-such-command"} }, 127, true, `"no-such-command": not found`},
		{"empty command", func(_ *testing.T, r *role) { r.config.Argv = []string{""} }, 127, true, `"": not found`},
		{"unknown path", func(_ *testing.T, r *role) { r.config.Argv = []string{"/no/such"} }, 127, true, "not found"},
		{"a folder", func(_ *testing.T, r *role) { r.config.Argv = []string{"/etc"} }, 126, false, "cannot be executed"},
		{"not executable", func(_ *testing.T, r *role) { r.config.Argv = []string{"./agent.json"} }, 126, false, "cannot be executed"},
		{"no program", executable("echo without a #! line\n"), 126, false, "exec format error"},
		{"its interpreter is missing", executable("#!/no/such\n"), 127, true, "its interpreter or loader is not found"},
		{"too many arguments", func(_ *testing.T, r *role) { r.config.Argv = append(r.config.Argv, strings.Repeat("x", 1<<20)) }, 126, false, "argument list too long"},
		{"a script's interpreter is missing", script("#!/no/such\n"), 127, true, `"/no/such": not found`},
		{"a script's line has a carriage return", script("#!/bin/sh\r\necho\r\n"), 127, true, `"/bin/sh\r": not found`},
		{"neither bash nor sh", func(_ *testing.T, r *role) { r.config.Shell, r.config.Env = true, []string{"PATH=/no/such"} }, 127, true, "neither bash nor sh"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRole(t, "touch", marker)
			tc.change(t, r)
			got := r.run(t)
			_, err := os.Stat(filepath.Join(r.dir, marker))
			if started := err == nil; started != (tc.reason == "") {
				t.Errorf("the agent was started: %t", started)
			}
			if got.code != tc.code || got.exit.ExitCode != tc.code || got.exit.NotFound != tc.notFound || !strings.Contains(got.exit.Refused, tc.reason) {
				t.Errorf("exit code %d, %+v, want %d, %q", got.code, got.exit, tc.code, tc.reason)
			}
			if tried := tc.reason == "" || slices.Contains([]string{"no program", "its interpreter is missing", "too many arguments"}, tc.name); got.begun != tried {
				t.Errorf("the start was announced: %t", got.begun)
			}
			if tc.reason != "" && (strings.Count(got.stderr, "\n") != 1 || !strings.Contains(got.stderr, got.exit.Refused)) {
				t.Errorf("standard error: %q, want one line with %q", got.stderr, got.exit.Refused)
			}
		})
	}
}

func executable(text string) func(*testing.T, *role) {
	return func(t *testing.T, r *role) {
		r.write(t, "program", []byte(text))
		if err := os.Chmod(filepath.Join(r.dir, "program"), 0o755); err != nil {
			t.Fatal(err)
		}
		r.config.Argv = []string{"./program"}
	}
}

func script(text string) func(*testing.T, *role) {
	return func(_ *testing.T, r *role) { r.prompt, r.config.Shell = []byte(text), true }
}

func TestAConfigurationThatCannotBeReadIsRefused(t *testing.T) {
	for name, text := range map[string]string{"broken": "{", "empty": "", "null": "null"} {
		t.Run(name, func(t *testing.T) {
			r := newRole(t, "true")
			cmd := r.command(t)
			r.write(t, "agent.json", []byte(text))
			if got := r.finish(t, cmd); got.code != wire.ExitRefused || !strings.Contains(got.exit.Refused, "configuration") {
				t.Errorf("exit code %d, %+v", got.code, got.exit)
			}
		})
	}
}

func TestTheExitFileIsTheEntrypointsWhateverStandsThere(t *testing.T) {
	for name, plant := range map[string]string{
		"a symlink":             "ln -s ../victim out/exit.json; exit 7",
		"a file":                "echo forged > out/exit.json; exit 7",
		"a pipe":                "mkfifo out/exit.json; exit 7",
		"a folder":              "mkdir -p out/exit.json/x; chmod 0 out/exit.json; exit 7",
		"a folder that is shut": "echo forged > out/exit.json; chmod 0 out; exit 7",
	} {
		t.Run(name, func(t *testing.T) {
			r := newRole(t, "sh", "-c", plant)
			if got := r.run(t); got.code != 7 || got.exit.ExitCode != 7 || got.stderr != "" {
				t.Errorf("exit code %d, %+v, %q", got.code, got.exit, got.stderr)
			}
			if _, err := os.Stat(filepath.Join(r.dir, "victim")); err == nil {
				t.Error("the symlink was followed")
			}
		})
	}
}
