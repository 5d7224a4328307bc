package workspace

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os/exec"
	"strconv"
)

// The two versions of what changed, in the private repository. Neither is a branch: HEAD stays unborn, so that no tree's attributes count.
const (
	refOld = "refs/yolo-run/old"
	refNew = "refs/yolo-run/new"
)

// initRepository makes a bare repository without templates, which could bring hooks.
func initRepository(ctx context.Context, gitDir string) error {
	cmd := exec.CommandContext(ctx, "git", "init", "--quiet", "--bare", "--template=", gitDir)
	cmd.Env = append(gitEnv(), "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null")
	_, err := run(cmd, nil)
	return err
}

// importer feeds `git fast-import` (its manual has the format).
type importer struct {
	cmd    *exec.Cmd
	pipe   io.WriteCloser
	out    *bufio.Writer
	stderr limitedBuffer
	mark   int
}

func startImport(ctx context.Context, gitDir string) (*importer, error) {
	im := &importer{cmd: privateGit(ctx, gitDir, "-c", "core.compression=1", "-c", "fastimport.unpackLimit=1", "fast-import", "--quiet", "--done")}
	im.cmd.Stderr = &im.stderr
	var err error
	if im.pipe, err = im.cmd.StdinPipe(); err != nil {
		return nil, fmt.Errorf("start git: %w", err)
	}
	if err := im.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start git: %w", err)
	}
	im.out = bufio.NewWriterSize(im.pipe, 256<<10)
	return im, nil
}

// blob stores exactly size bytes and returns their mark.
func (im *importer) blob(content io.Reader, size int64) (int, error) {
	im.mark++
	fmt.Fprintf(im.out, "blob\nmark :%d\ndata %d\n", im.mark, size)
	if _, err := io.CopyN(im.out, content, size); err != nil {
		return 0, fmt.Errorf("store contents: %w", err)
	}
	return im.mark, im.out.WriteByte('\n')
}

// entry is one file of a tree.
type entry struct {
	path, mode string
	mark       int
}

// commit stores a tree that has just these files.
func (im *importer) commit(ref string, entries []entry) error {
	fmt.Fprintf(im.out, "commit %s\ncommitter yolo-run <> 0 +0000\ndata 0\n", ref)
	for _, e := range entries {
		if _, err := im.out.WriteString("M " + e.mode + " :" + strconv.Itoa(e.mark) + " " + cQuote(e.path) + "\n"); err != nil {
			return fmt.Errorf("store tree: %w", err)
		}
	}
	return im.out.WriteByte('\n')
}

// close ends the import and waits for git.
func (im *importer) close() error {
	_, err := im.out.WriteString("done\n")
	if err == nil {
		err = im.out.Flush()
	}
	if closeErr := im.pipe.Close(); err == nil {
		err = closeErr
	}
	// What git says about itself explains more than the broken pipe does.
	if waitErr := im.cmd.Wait(); waitErr != nil {
		err = waitErr
	}
	if err != nil {
		return gitError(im.cmd, err, im.stderr.buf)
	}
	return nil
}

// abort gives up: without its "done" git ends with an error and without references.
func (im *importer) abort() error {
	closed := im.pipe.Close()
	if err := im.cmd.Wait(); err != nil {
		return gitError(im.cmd, err, im.stderr.buf)
	}
	return closed
}

// limitedBuffer keeps the first bytes that are written to it.
type limitedBuffer struct{ buf []byte }

func (b *limitedBuffer) Write(p []byte) (int, error) {
	if room := 4096 - len(b.buf); room > 0 {
		b.buf = append(b.buf, p[:min(room, len(p))]...)
	}
	return len(p), nil
}

// diffArgs compares the two trees; both outputs must find the same renames.
func diffArgs(format ...string) []string {
	args := append([]string{"diff-tree", "-r", "-M", "-l1000", "--no-ext-diff", "--no-textconv"}, format...)
	return append(args, refOld, refNew)
}
