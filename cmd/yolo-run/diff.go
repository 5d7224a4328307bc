package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/yolo-run/yolo-run/reports"
	"github.com/yolo-run/yolo-run/reports/render"
	"github.com/yolo-run/yolo-run/runner"
)

func (a *app) diffCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "diff [RUN]",
		Short: "Print the patch of a run (default: the latest)",
		Args:  oneFolder,
		RunE: func(_ *cobra.Command, args []string) error {
			folder, err := runFolder(args)
			if err != nil {
				return err
			}
			patch, err := reports.OpenArtifact(folder, "changes.patch")
			if errors.Is(err, os.ErrNotExist) {
				a.logger().Info("the run changed nothing", "folder", folder)
				return nil
			}
			if err != nil {
				return fileFault("patch", filepath.Join(folder, "changes.patch"), err)
			}
			defer patch.Close()
			return a.showPatch(patch)
		},
	}
}

// showPatch writes the patch as it is into a pipe or a file. On a terminal it is paged, coloured, and nothing in it can act.
func (a *app) showPatch(patch io.Reader) error {
	if !isTerminal(a.streams.Out) {
		_, err := io.Copy(a.streams.Out, patch)
		return err
	}
	colour := runner.Colour(a.streams.Out, os.Getenv)
	return paged(a.streams.Out, a.streams.Err, os.Getenv, func(w io.Writer) error { return writeDiff(w, patch, colour) })
}

// paged lets the user's pager show what is written. It comes from the environment alone: git would ask the repository's configuration too, and that may
// be somebody else's.
func paged(out, errs io.Writer, getenv func(string) string, write func(io.Writer) error) error {
	pager := cmp.Or(getenv("PAGER"), "less")
	if _, err := exec.LookPath(strings.Fields(pager + " x")[0]); pager == "cat" || err != nil && getenv("PAGER") == "" {
		return write(out)
	}
	cmd := exec.Command("sh", "-c", pager) //nolint:noctx // it ends when the user says so
	cmd.Stdout, cmd.Stderr = out, errs
	if getenv("LESS") == "" {
		cmd.Env = append(os.Environ(), "LESS=FRX") // as git has it: colours, and no page for what fits the screen
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		return fmt.Errorf("start pager: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start pager: %w", err)
	}
	err = write(in)
	if errors.Is(err, syscall.EPIPE) {
		err = nil // who has seen enough quits the pager
	}
	if err := errors.Join(err, in.Close(), cmd.Wait()); err != nil {
		return fmt.Errorf("pager %q: %w", pager, err)
	}
	return nil
}

// writeDiff writes a patch for people: coloured by the kind of line, with everything written out that a terminal would obey.
func writeDiff(w io.Writer, patch io.Reader, colour bool) error {
	inHunk := false
	return eachLine(patch, func(line string) error {
		code := ""
		code, inHunk = colourOf(line, inHunk)
		text := visibleTabs(line)
		if colour && code != "" {
			text = "\x1b[" + code + "m" + text + "\x1b[m"
		}
		_, err := fmt.Fprintln(w, text)
		return err
	})
}

// visibleTabs is render.Visible with tabs as they are: source code is full of them, and all they do is move to the right.
func visibleTabs(line string) string {
	parts := strings.Split(line, "\t")
	for i, part := range parts {
		parts[i] = render.Visible(part)
	}
	return strings.Join(parts, "\t")
}

// colourOf is git's choice of colours. Outside of hunks "---" and "+++" name files.
func colourOf(line string, inHunk bool) (code string, nowInHunk bool) {
	switch {
	case strings.HasPrefix(line, "diff --git "):
		return "1", false
	case strings.HasPrefix(line, "@@ "):
		return "36", true
	case !inHunk:
		return "1", false
	case strings.HasPrefix(line, "+"):
		return "32", true
	case strings.HasPrefix(line, "-"):
		return "31", true
	}
	return "", true
}
