package entrypoint

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/yolo-run/yolo-run/entrypoint/internal/confine"
	"github.com/yolo-run/yolo-run/entrypoint/wire"
)

// Agent is the role of the agent container's first process; it returns the exit code.
//
// It checks its own confinement, starts the agent on the prompt, forwards signals to it, reaps and at last ends what it leaves behind, and writes
// how it ended to [wire.ExitPath]. Its exit code is the agent's; 128+N after signal N; [wire.ExitRefused] and its neighbours when
// the agent was not started.
func Agent() int {
	return agentRole{config: wire.AgentPath, prompt: wire.PromptPath, exit: wire.ExitPath, check: confine.Check, leftovers: endLeftovers}.run(os.Stderr)
}

// agentRole is where the role finds its files and how it checks itself.
type agentRole struct {
	config, prompt, exit string
	check                func(confine.Want) error
	leftovers            func() // ends what the agent has left running
}

func (r agentRole) run(stderr io.Writer) int {
	exit := r.supervise(stderr)
	exit.Wire = wire.Version
	if exit.Refused != "" {
		fmt.Fprintf(stderr, "entrypoint: the agent was not started: %s\n", exit.Refused)
	}
	if err := writeExit(r.exit, exit); err != nil {
		fmt.Fprintf(stderr, "entrypoint: %v\n", err)
	}
	return exit.ExitCode
}

// supervise is the life of the agent.
func (r agentRole) supervise(stderr io.Writer) wire.AgentExit {
	signals := catchSignals()
	defer signals.release()
	cfg, err := r.prepare()
	if err != nil {
		return refused(err)
	}
	cmd, err := resolve(cfg, r.prompt)
	if err != nil {
		return refused(err)
	}
	// From here on nothing that the container says proves that there was no agent.
	if _, err := io.WriteString(stderr, wire.StartMark); err != nil {
		return refused(fmt.Errorf("say that the agent starts: %w", err))
	}
	pid, err := cmd.start()
	if err != nil {
		return refused(err)
	}
	stop := signals.forward(pid, r.leftovers)
	status, err := reap(pid)
	stop()
	r.leftovers()
	if err != nil {
		return refused(err)
	}
	return ended(status)
}

// prepare proves that the process is confined, and only then makes it the agent's parent in the agent's folder.
func (r agentRole) prepare() (wire.AgentConfig, error) {
	var cfg wire.AgentConfig
	if err := confine.Undumpable(); err != nil {
		return cfg, err
	}
	text, err := os.ReadFile(r.config)
	if err != nil {
		return cfg, fmt.Errorf("configuration: %w", err)
	}
	if err := json.Unmarshal(text, &cfg); err != nil {
		return cfg, fmt.Errorf("configuration: %w", err)
	}
	if cfg.Wire != wire.Version {
		return cfg, fmt.Errorf("configuration: protocol %d, want %d", cfg.Wire, wire.Version)
	}
	if err := r.check(confine.Want{UID: cfg.UID, GID: cfg.GID, Layers: cfg.Layers, Placeholders: cfg.Placeholders}); err != nil {
		return cfg, fmt.Errorf("confinement: %w", err)
	}
	// Orphans come to us instead of going to the gateway: they are in our cgroup, and their resources in our sums.
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return cfg, fmt.Errorf("become subreaper: %w", err)
	}
	syscall.Umask(0o022)
	if err := os.Chdir(cfg.Dir); err != nil {
		return cfg, fmt.Errorf("agent's folder: %w", err)
	}
	return cfg, nil
}

// refused is the end of an agent that never began.
func refused(err error) wire.AgentExit {
	// Joined faults stand on lines of their own; a reason is one line.
	exit := wire.AgentExit{Refused: strings.ReplaceAll(err.Error(), "\n", "; "), ExitCode: wire.ExitRefused}
	switch {
	case errors.Is(err, errNotFound):
		exit.ExitCode, exit.NotFound = wire.ExitNotFound, true
	case errors.Is(err, errNotExecutable):
		exit.ExitCode = wire.ExitNotExec
	}
	return exit
}

// ended describes the agent after its end, with what it and all that it started have used.
func ended(status syscall.WaitStatus) wire.AgentExit {
	exit := wire.AgentExit{ExitCode: status.ExitStatus()}
	if status.Signaled() {
		exit.Signal = int(status.Signal())
		exit.ExitCode = 128 + exit.Signal
	}
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_CHILDREN, &used); err == nil {
		exit.CPUMs = (used.Utime.Nano() + used.Stime.Nano()) / 1e6
		exit.MaxRSSBytes = used.Maxrss << 10 // getrusage(2) counts in kilobytes
	}
	exit.PIDsMax, exit.OOMKills = limitEvents()
	return exit
}

// writeExit creates the file. What the agent has put in its place is not followed and moved out of the way: nothing of the agent's runs any more.
func writeExit(path string, exit wire.AgentExit) error {
	text, err := json.Marshal(exit)
	if err != nil {
		return fmt.Errorf("encode exit: %w", err)
	}
	opened := os.Chmod(filepath.Dir(path), 0o700) //nolint:gosec // a folder, which the agent may have shut
	if err := os.Rename(path, path+"-"+rand.Text()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("write exit: %w", errors.Join(err, opened))
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return fmt.Errorf("write exit: %w", errors.Join(err, opened))
	}
	_, err = f.Write(text)
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write exit: %w", err)
	}
	return nil
}
