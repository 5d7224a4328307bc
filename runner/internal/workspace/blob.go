package workspace

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// blobs reads objects of the private repository, one after the other. The content is valid during the call.
func (c *Changes) blobs(ctx context.Context, ids []string, visit func(id string, content []byte)) error {
	if len(ids) == 0 {
		return nil
	}
	stdin := strings.NewReader(strings.Join(ids, "\n") + "\n")
	return streamGit(ctx, c.gitDir, stdin, []string{"cat-file", "--batch"}, func(out io.Reader) error {
		return readBlobs(bufio.NewReaderSize(out, 64<<10), ids, visit)
	})
}

// streamGit runs git on a private repository and hands its output to read as it comes.
func streamGit(ctx context.Context, gitDir string, stdin io.Reader, args []string, read func(out io.Reader) error) error {
	ctx, cancel := context.WithCancel(ctx) // an error of read leaves git with output that nobody takes
	defer cancel()
	cmd := privateGit(ctx, gitDir, args...)
	cmd.Stdin = stdin
	var stderr limitedBuffer
	cmd.Stderr = &stderr
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		return fmt.Errorf("start git: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start git: %w", err)
	}
	if err := read(pipe); err != nil {
		cancel()
		return errors.Join(err, cmd.Wait())
	}
	if err := cmd.Wait(); err != nil {
		return gitError(cmd, err, stderr.buf)
	}
	return nil
}

// readBlobs reads the output of `git cat-file --batch`: id SP type SP size LF contents LF.
func readBlobs(r *bufio.Reader, ids []string, visit func(string, []byte)) error {
	var content bytes.Buffer
	for _, id := range ids {
		head, err := r.ReadString('\n')
		if err != nil {
			return fmt.Errorf("read object %s: %w", id, err)
		}
		part := strings.Fields(head)
		if len(part) != 3 || part[0] != id || part[1] != "blob" {
			return fmt.Errorf("read object %s: git says %q", id, head)
		}
		size, err := strconv.ParseInt(part[2], 10, 64)
		if err != nil {
			return fmt.Errorf("read object %s: %w", id, err)
		}
		content.Reset()
		if _, err := io.CopyN(&content, r, size); err != nil {
			return fmt.Errorf("read object %s: %w", id, err)
		}
		if _, err := r.Discard(1); err != nil {
			return fmt.Errorf("read object %s: %w", id, err)
		}
		visit(id, content.Bytes())
	}
	return nil
}
