package runner_test

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/client"
	"golang.org/x/sys/unix"

	"github.com/yolo-run/yolo-run/reports"
	"github.com/yolo-run/yolo-run/runner"
)

func command(argv ...string) func(*runner.Config) {
	return func(cfg *runner.Config) { cfg.Agent, cfg.Command, cfg.Prompt = "", argv, "" }
}

func TestThePromptArrivesByteForByte(t *testing.T) {
	t.Parallel()
	prompt := make([]byte, 5<<20)
	if _, err := rand.Read(prompt); err != nil {
		t.Fatal(err)
	}
	prompt[0], prompt[100], prompt[len(prompt)-1] = 'x', 0, 'y' // a NUL inside, no newline at the end
	file := filepath.Join(t.TempDir(), "prompt")
	if err := os.WriteFile(file, prompt, 0o600); err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256(prompt)
	want := hex.EncodeToString(digest[:])
	r := try(t, "", command("bash", "-c", `sha256sum | cut -d' ' -f1 | sed 's/^/stdin=/'; sha256sum < $YOLO_PROMPT_FILE | cut -d' ' -f1 | sed 's/^/file=/'`),
		func(cfg *runner.Config) { cfg.PromptFile = file })
	r.want(t, reports.NoChanges)
	if r.says(t, "stdin") != want || r.says(t, "file") != want {
		t.Errorf("prompt arrived as %s and %s, want %s", r.says(t, "stdin"), r.says(t, "file"), want)
	}
}

func TestExitCodesAndSignalsAreExact(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		script  string
		code    int
		signal  string
		outcome reports.Outcome
	}{
		{"exit 0", 0, "", reports.NoChanges},
		{"exit 3", 3, "", reports.AgentFailed},
		{"exit 125", 125, "", reports.AgentFailed},
		{"exit 137", 137, "", reports.AgentFailed},
		{"kill -KILL $$", 137, "SIGKILL", reports.AgentFailed},
		{"kill -SEGV $$", 139, "SIGSEGV", reports.AgentFailed},
		{"sleep 1000 & disown; exit 4", 4, "", reports.AgentFailed},
		{"(trap '' HUP TERM; setsid sleep 1000 &) ; exit 0", 0, "", reports.NoChanges},
	} {
		t.Run(c.script, func(t *testing.T) {
			t.Parallel()
			r := try(t, c.script)
			r.want(t, c.outcome)
			if r.Agent.ExitCode == nil {
				t.Fatal("the report has no exit code")
			}
			if *r.Agent.ExitCode != c.code || r.Agent.Signal != c.signal {
				t.Errorf("exit code %d signal %q, want %d %q", *r.Agent.ExitCode, r.Agent.Signal, c.code, c.signal)
			}
		})
	}
}

func TestACommandThatIsNotThere(t *testing.T) {
	t.Parallel()
	r := try(t, "", command("no-such-command"))
	if r.Outcome != reports.AgentFailed || r.Agent.ExitCode == nil || *r.Agent.ExitCode != 127 || !strings.Contains(r.agent, "no-such-command") {
		t.Errorf("outcome %s, agent %+v\n%s", r.Outcome, r.Agent, r.agent)
	}
}

func TestTimeoutEndsTheAgentAndKeepsItsWork(t *testing.T) {
	t.Parallel()
	r := try(t, `echo begun > file; trap '' TERM; while :; do sleep 1; done`, func(cfg *runner.Config) { cfg.Timeout = 2 * time.Second })
	r.want(t, reports.Timeout)
	if r.ExitCode != 124 || len(r.Changes.Files) != 1 {
		t.Errorf("exit code %d, files %+v", r.ExitCode, r.Changes.Files)
	}
}

// Attack 16: limits are reached, named in plain words, and nobody else suffers.
func TestAttack16Limits(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, script, want string }{
		{"memory", `python3 -c "x = bytearray(10 << 30)"; tail /dev/zero; exit 1`, "memory limit"},
		{"processes", `for i in $(seq 300); do sleep 20 & done 2>/dev/null; exit 1`, "processes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := try(t, c.script, func(cfg *runner.Config) { cfg.Memory, cfg.PIDs = 256<<20, 128 })
			r.want(t, reports.AgentFailed)
			if got := strings.Join(r.Errors, "\n"); !strings.Contains(got, c.want) {
				t.Errorf("errors do not name the limit: %q", got)
			}
			if c.name == "memory" && !r.Agent.OOMKilled {
				t.Error("oomKilled is false")
			}
		})
	}
}

// Not beside other tests: what they write would end this run before its agent has written.
func TestALowDiskEndsTheRun(t *testing.T) {
	info, err := needEngine(t).Info(t.Context(), client.InfoOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var disk unix.Statfs_t
	if err := unix.Statfs(info.Info.DockerRootDir, &disk); err != nil {
		t.Fatal(err)
	}
	free := int64(disk.Bavail) * disk.Bsize //nolint:gosec // no disk is that large
	r := try(t, `echo kept > file; head -c 1G /dev/zero > large; sleep 60`, func(cfg *runner.Config) { cfg.MinFreeDisk = runner.Bytes(free - 256<<20) })
	r.want(t, reports.AgentFailed)
	if got := strings.Join(r.Errors, "\n"); !strings.Contains(got, "disk") || len(r.Changes.Files) != 1 || len(r.Changes.NotCarried) != 1 {
		t.Errorf("errors %q, changes %+v", got, r.Changes)
	}
}

func TestTenRunsAtOnceDoNotMeet(t *testing.T) {
	n := needInternet(t)
	type answer struct{ name, allowed, other string }
	answers := make(chan answer, 10)
	t.Run("runs", func(t *testing.T) {
		for i := range 10 {
			t.Run("", func(t *testing.T) {
				t.Parallel()
				name, other := string(rune('a'+i))+".allowed.test", string(rune('a'+(i+1)%10))+".allowed.test"
				r := try(t, "curl -s -m 20 -o /dev/null http://"+name+"/; echo allowed=$?\n"+
					"curl -s -m 20 -o /dev/null http://"+other+"/; echo other=$?; echo mine > file", online(n, name))
				r.want(t, reports.Success)
				answers <- answer{name, r.says(t, "allowed"), r.says(t, "other")}
			})
		}
	})
	close(answers)
	for a := range answers {
		if a.allowed != "0" || a.other == "0" {
			t.Errorf("%s: allowed %s, another run's name %s", a.name, a.allowed, a.other)
		}
	}
}

func TestFaultsBeforeTheStartSayWhatToDo(t *testing.T) {
	needEngine(t)
	large, small := filepath.Join(t.TempDir(), "large"), filepath.Join(t.TempDir(), "small")
	if err := errors.Join(os.WriteFile(large, make([]byte, 1<<20), 0o600), os.WriteFile(small, []byte("a-key-for-nothing"), 0o600)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name      string
		configure func(*runner.Config)
		want      string
		usage     bool
	}{
		{"image", func(c *runner.Config) { c.Image = "yolo-run/missing:dev" }, "make images", false},
		{"agent's image", func(c *runner.Config) {
			c.Agent, c.Image, c.Secrets = "codex", "yolo-run/codex:missing", []string{"OPENAI_API_KEY=file:" + small}
		}, "make images AGENTS=codex", false},
		{"never pulled", func(c *runner.Config) { c.Image, c.Pull = "registry.example/missing", "never" }, "--pull never", false},
		{"foreign image", func(c *runner.Config) { c.Image = "somebody/missing" }, "registry", false},
		{"platform", func(c *runner.Config) { c.Platform = "linux/s390x" }, "s390x", false},
		{"budgets", func(c *runner.Config) { c.MaxTokens, c.MaxCostUSD = 5, 5 }, "--max-cost-usd", true},
		{"a secret that nobody could look for", func(c *runner.Config) { c.Secrets = []string{"KEY=file:" + large} }, "--secret", true},
		{"network", func(c *runner.Config) { c.Network = "no-such-network" }, "docker network ls", true},
		{"empty prompt", func(c *runner.Config) { c.Prompt = "  \n" }, "empty", true},
		{"workspace", func(c *runner.Config) { c.Workspace = "/no/such/folder" }, "--workspace", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := runner.Defaults()
			cfg.Agent, cfg.Prompt, cfg.Workspace, cfg.Out = "shell", "true", t.TempDir(), filepath.Join(t.TempDir(), "out")
			c.configure(&cfg)
			var stderr bytes.Buffer
			rep, err := runner.Run(t.Context(), cfg, runner.Streams{In: strings.NewReader(""), Out: &stderr, Err: &stderr})
			if err == nil || rep != nil {
				t.Fatal("the run took place")
			}
			if text := err.Error() + "\n" + runner.Hint(err); !strings.Contains(text, c.want) {
				t.Errorf("%q does not say %q", text, c.want)
			}
			if usage := errors.As(err, new(*runner.UsageError)); usage != c.usage {
				t.Errorf("usage error: %v, want %v (%v)", usage, c.usage, err)
			}
			if _, err := os.Stat(cfg.Out); err == nil {
				t.Error("an output folder was left")
			}
		})
	}
}

func TestALastLineWithoutAnEndIsShown(t *testing.T) {
	t.Parallel()
	r := try(t, `printf 'first\nno end'`)
	r.want(t, reports.NoChanges)
	if !strings.Contains(r.stderr, "│ no end\n") || r.agent != "first\nno end" {
		t.Errorf("shown:\n%s\nkept: %q", r.stderr, r.agent)
	}
}
