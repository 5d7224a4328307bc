package entrypoint

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"

	"github.com/yolo-run/yolo-run/entrypoint/wire"
)

// How a command cannot be started, told apart by their exit codes as in env(1).
var (
	errNotFound      = errors.New("not found")
	errNotExecutable = errors.New("cannot be executed")
)

// agentCommand is a process to start. The caller's working directory and umask are the agent's.
type agentCommand struct {
	path  string
	argv  []string
	env   []string
	stdin string // file
}

// resolve turns the configuration into what to execute. It sets PATH of the calling process, which is how [exec.LookPath] learns of it.
func resolve(cfg wire.AgentConfig, prompt string) (agentCommand, error) {
	c := agentCommand{argv: cfg.Argv, env: environment(os.Environ(), cfg.Env), stdin: os.DevNull}
	if cfg.Stdin {
		// The file itself and not a pipe: every byte is there from the beginning, whatever the size.
		c.stdin = prompt
	}
	if err := os.Setenv("PATH", lookupEnv(c.env, "PATH")); err != nil {
		return c, fmt.Errorf("set PATH: %w", err)
	}
	if cfg.Shell {
		interpreter, err := scriptCommand(prompt)
		if err != nil {
			return c, err
		}
		c.argv = slices.Concat(interpreter, []string{prompt}, cfg.Argv)
	}
	if len(c.argv) == 0 {
		return c, errors.New("configuration: no command")
	}
	path, err := lookPath(c.argv[0])
	c.path = path
	return c, err
}

// scriptCommand returns what runs the script: its #! line, else bash where the image has it, else sh. The script is not executable,
// so that the kernel cannot be asked to do this.
func scriptCommand(script string) ([]string, error) {
	f, err := os.Open(script)
	if err != nil {
		return nil, fmt.Errorf("prompt: %w", err)
	}
	defer f.Close()
	head := make([]byte, scriptHead)
	n, err := io.ReadFull(f, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, fmt.Errorf("prompt: %w", err)
	}
	if interpreter := parseScript(head[:n]); interpreter != nil {
		return interpreter, nil
	}
	for _, shell := range []string{"bash", "sh"} {
		if _, err := lookPath(shell); err == nil {
			return []string{shell}, nil
		}
	}
	return nil, fmt.Errorf("the image has neither bash nor sh: %w", errNotFound)
}

// scriptHead is how much of a file the kernel looks at (BINPRM_BUF_SIZE).
const scriptHead = 256

// parseScript reads a #! line as load_script in the kernel's fs/binfmt_script.c does: the interpreter and at most one argument, which
// keeps its inner blanks. head are the first bytes of the file, at most scriptHead. It returns nil where the kernel says ENOEXEC.
func parseScript(head []byte) []string {
	line, ok := bytes.CutPrefix(head, []byte("#!"))
	if !ok {
		return nil
	}
	// The line ends at a newline, at a NUL or with the file. A longer one may lose the end of its argument, but not of its interpreter.
	if end := bytes.IndexAny(line, "\n\x00"); end >= 0 {
		line = line[:end]
	} else if len(head) == scriptHead {
		if !bytes.ContainsAny(bytes.TrimLeft(line, " \t"), " \t") {
			return nil
		}
		line = line[:len(line)-1] // the place of the kernel's own terminator
	}
	line = bytes.Trim(line, " \t")
	if len(line) == 0 {
		return nil
	}
	blank := bytes.IndexAny(line, " \t")
	if blank < 0 {
		return []string{relative(string(line))}
	}
	return []string{relative(string(line[:blank])), string(bytes.TrimLeft(line[blank:], " \t"))}
}

// relative keeps the name of an interpreter from being looked for in PATH, where the kernel does not look.
func relative(interpreter string) string {
	if strings.Contains(interpreter, "/") {
		return interpreter
	}
	return "./" + interpreter
}

// lookPath finds a command as execvp(3) does. Its errors are errNotFound and errNotExecutable.
func lookPath(name string) (string, error) {
	path, err := exec.LookPath(name)
	switch {
	case err == nil, errors.Is(err, exec.ErrDot): // a folder of PATH is relative: the image wants it so
		return path, nil
	case errors.Is(err, exec.ErrNotFound), errors.Is(err, fs.ErrNotExist):
		return "", fmt.Errorf("command %q: %w", name, errNotFound)
	}
	return "", fmt.Errorf("command %q: %w: %w", name, errNotExecutable, err)
}

// start starts the command in a session of its own, so that its process group has its PID and no terminal is in reach.
func (c agentCommand) start() (pid int, err error) {
	stdin, err := os.Open(c.stdin)
	if err != nil {
		return 0, fmt.Errorf("standard input: %w", err)
	}
	defer stdin.Close()
	// Not os/exec: it waits for its own child, and reap waits for all.
	pid, err = syscall.ForkExec(c.path, c.argv, &syscall.ProcAttr{
		Env:   c.env,
		Files: []uintptr{stdin.Fd(), uintptr(syscall.Stdout), uintptr(syscall.Stderr)},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
	switch {
	case errors.Is(err, syscall.ENOENT):
		return 0, fmt.Errorf("command %q: its interpreter or loader is %w", c.path, errNotFound)
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.ENOEXEC), errors.Is(err, syscall.E2BIG):
		return 0, fmt.Errorf("command %q: %w: %w", c.path, errNotExecutable, err)
	case err != nil:
		return 0, fmt.Errorf("start %q: %w", c.path, err)
	}
	return pid, nil
}

// environment puts set over the image's environment. Proxy variables of the image are dropped: the firewall is transparent, and they
// would send every client to a host that is not there.
func environment(image, set []string) []string {
	image = slices.DeleteFunc(slices.Clone(image), func(v string) bool {
		name, _, ok := strings.Cut(v, "=")
		return !ok || strings.HasSuffix(strings.ToUpper(name), "_PROXY")
	})
	env := make([]string, 0, len(image)+len(set)+2)
	index := map[string]int{}
	for _, v := range slices.Concat([]string{"PATH=" + defaultPath, "LANG=C.UTF-8"}, image, set) {
		name, _, _ := strings.Cut(v, "=")
		if i, again := index[name]; again {
			env[i] = v
			continue
		}
		index[name] = len(env)
		env = append(env, v)
	}
	return env
}

// defaultPath is what engines give to a container whose image has no PATH.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

func lookupEnv(env []string, name string) string {
	for _, v := range env {
		if value, ok := strings.CutPrefix(v, name+"="); ok {
			return value
		}
	}
	return ""
}
