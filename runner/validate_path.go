package runner

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/yolo-run/yolo-run/runner/internal/workspace"
)

// MaxPrompt bounds a prompt, in bytes.
const MaxPrompt = 64 << 20

// validateWorkspace checks the workspace and the output folder; it returns what would be mounted, empty where that is at fault.
func (c Config) validateWorkspace(f *faults, machine host) string {
	root, err := c.workspaceRoot(machine)
	if err != nil {
		f.add("--workspace", c.Workspace, err)
		return ""
	}
	if err := c.checkOut(machine, root); err != nil {
		f.add("--out", c.Out, err)
	}
	return root
}

// checkOut refuses an output folder inside the workspace, also where that is only its default.
func (c Config) checkOut(machine host, root string) error {
	out, err := outputPath(c, "ID")
	if err != nil {
		return err
	}
	if out, err = machine.expand(out); err != nil {
		return err
	}
	if out, err = resolveExisting(out); err != nil {
		return plainPathError(err)
	}
	if within(root, out) {
		return withHint(fmt.Errorf("lies inside the workspace (%s), which the agent can write", root), "name a folder outside of it")
	}
	return nil
}

// workspaceRoot is what will be mounted: the git top level that contains the workspace, else the folder itself.
func (c Config) workspaceRoot(machine host) (string, error) {
	folder := c.Workspace
	setDefault(&folder, ".")
	resolved, err := machine.resolve(folder)
	if err != nil {
		return "", plainPathError(err)
	}
	info, err := os.Stat(resolved)
	if err != nil {
		return "", plainPathError(err)
	}
	if !info.IsDir() {
		return "", errors.New("is not a folder")
	}
	root := workspace.TopLevel(resolved)
	if err := machine.mayShare(root); err != nil {
		return "", err
	}
	return root, nil
}

// resolveExisting resolves the part of a path that exists already.
func resolveExisting(p string) (string, error) {
	resolved, err := filepath.EvalSymlinks(p)
	if err == nil || !errors.Is(err, os.ErrNotExist) || p == filepath.Dir(p) {
		return resolved, err
	}
	parent, err := resolveExisting(filepath.Dir(p))
	if err != nil {
		return "", err
	}
	return filepath.Join(parent, filepath.Base(p)), nil
}

func (c Config) validatePrompt(f *faults, machine host, root string) {
	switch {
	case c.Prompt != "" && c.PromptFile != "":
		f.addf("--prompt-file", c.PromptFile, "--prompt is given too; leave one of the two out")
	case c.PromptFile == "-":
		// Standard input is read once, by the run.
	case c.PromptFile != "":
		if err := c.checkPromptFile(c.PromptFile, machine, root); err != nil {
			f.add("--prompt-file", c.PromptFile, err)
		}
	case c.Prompt != "":
		if err := c.checkPrompt([]byte(c.Prompt)); err != nil {
			f.add("--prompt", "", err)
		}
	case len(c.Command) == 0:
		f.add("--prompt-file", "", withHint(errors.New("no task was given"),
			"write the task to a file and name it, give it with --prompt, or give a command behind --"))
	}
}

// checkPromptFile reads regular files only: what a pipe holds can be read once, and that is the run's.
func (c Config) checkPromptFile(file string, machine host, root string) error {
	abs, err := machine.expand(file)
	if err != nil {
		return err
	}
	info, err := os.Stat(abs)
	if err != nil {
		return plainPathError(err)
	}
	if info.IsDir() {
		return errors.New("is a folder")
	}
	if !info.Mode().IsRegular() {
		return nil
	}
	resolved, err := machine.resolveInside(abs, root)
	if err != nil {
		return plainPathError(err)
	}
	data, err := readBounded(resolved, MaxPrompt)
	if err != nil {
		return plainPathError(err)
	}
	return c.checkPrompt(data)
}

func (c Config) checkPrompt(prompt []byte) error {
	if len(bytes.TrimSpace(prompt)) == 0 {
		return errors.New("is empty")
	}
	line, _, _ := bytes.Cut(prompt, []byte("\n"))
	if c.Agent == AgentShell && bytes.HasPrefix(line, []byte("#!")) && bytes.HasSuffix(line, []byte("\r")) {
		return errors.New("its lines end as on Windows (CR LF), so that its #! line names no interpreter")
	}
	return nil
}

// ReadPrompt returns the prompt, byte for byte, from the flag, the file or stdin; nil when there is none, which [Config.Validate] allows for
// a command. The fault of an empty or unreadable one is a [UsageError].
func (c Config) ReadPrompt(stdin io.Reader) ([]byte, error) {
	switch c.PromptFile {
	case "":
		if c.Prompt == "" {
			return nil, nil
		}
		return []byte(c.Prompt), nil
	case "-":
		return c.finishPrompt(stdin)
	}
	file, err := thisHost().expand(c.PromptFile)
	if err != nil {
		return nil, &UsageError{Option: "--prompt-file", Value: c.PromptFile, Err: err}
	}
	in, err := os.Open(file)
	if err != nil {
		return nil, &UsageError{Option: "--prompt-file", Value: c.PromptFile, Err: plainPathError(err)}
	}
	defer in.Close()
	return c.finishPrompt(in)
}

func (c Config) finishPrompt(in io.Reader) ([]byte, error) {
	prompt, err := readAllBounded(in, MaxPrompt)
	if err == nil {
		err = c.checkPrompt(prompt)
	}
	if err != nil {
		return nil, &UsageError{Option: "--prompt-file", Value: c.PromptFile, Err: plainPathError(err)}
	}
	return prompt, nil
}

func (c Config) validateCA(f *faults, machine host, root string) {
	if c.CAFile == "" {
		return
	}
	if err := checkCA(c.CAFile, machine, root); err != nil {
		f.add("--ca-file", c.CAFile, plainPathError(err))
	}
}

// maxCA bounds the file of certificates, in bytes.
const maxCA = 8 << 20

func checkCA(file string, machine host, root string) error {
	resolved, err := machine.resolveInside(file, root)
	if err != nil {
		return err
	}
	data, err := readBounded(resolved, maxCA)
	if err != nil {
		return err
	}
	found := 0
	for {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			break
		}
		// The file goes into the agent's container as it is.
		if block.Type != "CERTIFICATE" {
			return fmt.Errorf("holds a %s beside certificates; the agent can read this file", strings.ToLower(block.Type))
		}
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			return fmt.Errorf("certificate %d: %w", found+1, err)
		}
		found++
	}
	if found == 0 {
		return errors.New("holds no certificate in PEM form")
	}
	return nil
}

// readBounded reads a regular file; a device or a pipe could keep the command waiting for ever.
func readBounded(file string, limit int64) ([]byte, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("is not a regular file")
	}
	in, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	return readAllBounded(in, limit)
}

func readAllBounded(in io.Reader, limit int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(in, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("is larger than %s", Bytes(limit).Human())
	}
	return data, nil
}

// plainPathError leaves the system call and the path out of an error that is shown behind the flag and its value.
func plainPathError(err error) error {
	if pathErr, ok := errors.AsType[*os.PathError](err); ok {
		return pathErr.Err
	}
	return err
}
