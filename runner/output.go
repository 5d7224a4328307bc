package runner

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"github.com/yolo-run/yolo-run/reports"
)

// The files of the output folder (DESIGN: names are promises).
const (
	fileReport     = "report.json"
	fileMark       = "report.md"
	fileHTML       = "report.html"
	fileJUnit      = "junit.xml"
	filePatch      = "changes.patch"
	fileNetwork    = "network.jsonl"
	fileAgent      = "agent.log"
	fileTranscript = "transcript.jsonl"
	fileRunLog     = "run.log"
)

// output is the folder that a run writes to. All goes through os.Root, so that no name leads out of it.
type output struct {
	path string
	root *os.Root
	made bool // the folder was not there before
	// taken says that what is in the folder is this run's.
	taken bool
}

// openOutput makes the folder, 0700. One that exists must be empty or hold an earlier run of ours: nothing of the user's is overwritten.
// Nothing in it changes before [output.take].
func openOutput(cfg Config, id string) (*output, error) {
	path, err := outputPath(cfg, id)
	if err != nil {
		return nil, err
	}
	_, statErr := os.Stat(path)
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, outputError(cfg, path, err)
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, outputError(cfg, path, err)
	}
	o := &output{path: path, root: root, made: errors.Is(statErr, fs.ErrNotExist)}
	if _, err := o.entries(); err != nil {
		return nil, errors.Join(err, root.Close())
	}
	return o, nil
}

// outputError blames --out only where it was given.
func outputError(cfg Config, path string, err error) error {
	if pathErr, ok := errors.AsType[*os.PathError](err); ok && pathErr.Path == path {
		err = pathErr.Err
	}
	if cfg.Out == "" {
		return withHint(fmt.Errorf("output folder %s: %w", path, err), "name one that can be written by --out or XDG_STATE_HOME")
	}
	return &UsageError{Option: "--out", Value: path, Err: err, Hint: "name a folder that can be written"}
}

// take empties the folder of an earlier run's artifacts and closes it to others. A run that could not begin has left them where they were.
func (o *output) take() error {
	if err := o.clear(); err != nil {
		return err
	}
	o.taken = true
	if err := o.root.Chmod(".", 0o700); err != nil {
		return &UsageError{Option: "--out", Value: o.path, Err: err}
	}
	return nil
}

// abandon removes what the run has written, and the folder if it was made for it.
func (o *output) abandon() {
	if o.taken {
		_ = o.clear() // a folder in which something else has appeared stays as it is
	}
	_ = o.close()
	if o.made {
		_ = os.Remove(o.path)
	}
}

// outputPath chooses the folder: --out, GitHub's temporary folder, or one below the user's state.
func outputPath(cfg Config, id string) (string, error) {
	if cfg.Out != "" {
		return filepath.Abs(cfg.Out)
	}
	if temp := os.Getenv("RUNNER_TEMP"); os.Getenv("GITHUB_ACTIONS") == "true" && temp != "" {
		return filepath.Join(temp, "yolo-run-"+os.Getenv("GITHUB_ACTION")), nil
	}
	return filepath.Join(stateRoot(), "runs", id), nil
}

// entries lists the artifacts of an earlier run, and refuses a folder with anything else in it.
func (o *output) entries() ([]fs.DirEntry, error) {
	entries, err := fs.ReadDir(o.root.FS(), ".")
	if err != nil {
		return nil, &UsageError{Option: "--out", Value: o.path, Err: err}
	}
	ours := map[string]bool{
		fileReport: true, fileMark: true, fileHTML: true, fileJUnit: true, filePatch: true, fileNetwork: true,
		fileAgent: true, fileTranscript: true, fileRunLog: true,
	}
	for _, entry := range entries {
		name := strings.TrimSuffix(strings.TrimPrefix(entry.Name(), "."), temporarySuffix) // of a run that was killed while it wrote
		if !ours[name] || entry.IsDir() {
			return nil, &UsageError{
				Option: "--out", Value: o.path, Err: fmt.Errorf("the folder holds %q, which is not of yolo-run", entry.Name()),
				Hint: "name a new or an empty folder",
			}
		}
	}
	return entries, nil
}

// clear removes the artifacts.
func (o *output) clear() error {
	entries, err := o.entries()
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if err := o.root.Remove(entry.Name()); err != nil {
			return err
		}
	}
	return nil
}

// create opens a new file of the folder.
func (o *output) create(name string) (*os.File, error) {
	return o.root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
}

// temporarySuffix marks a file that is not whole yet.
const temporarySuffix = ".new"

// write replaces a file of the folder, whole or not at all.
func (o *output) write(name string, render func(io.Writer) error) error {
	temporary := "." + name + temporarySuffix
	file, err := o.create(temporary)
	if err != nil {
		return err
	}
	if err := errors.Join(render(file), file.Close()); err != nil {
		return errors.Join(err, o.root.Remove(temporary))
	}
	return o.root.Rename(temporary, name)
}

// describe returns size and digest of a file.
func (o *output) describe(name string) (reports.Artifact, error) {
	file, err := o.root.Open(name)
	if err != nil {
		return reports.Artifact{}, err
	}
	defer file.Close()
	digest := sha256.New()
	n, err := io.Copy(digest, file)
	return reports.Artifact{File: name, SHA256: hex.EncodeToString(digest.Sum(nil)), Bytes: n}, err
}

// artifacts describes every file that will not change any more: all but the reports and the log, which name them.
func (o *output) artifacts() ([]reports.Artifact, error) {
	entries, err := fs.ReadDir(o.root.FS(), ".")
	if err != nil {
		return nil, err
	}
	list := []reports.Artifact{}
	for _, entry := range entries {
		switch entry.Name() {
		case fileRunLog, fileReport, fileMark, fileHTML, fileJUnit:
			continue
		}
		artifact, err := o.describe(entry.Name())
		if err != nil {
			return nil, err
		}
		list = append(list, artifact)
	}
	sort.Slice(list, func(i, j int) bool { return list[i].File < list[j].File })
	return list, nil
}

// linkLatest points `latest` beside the folder at it, where the folder is one of ours below the user's state.
func (o *output) linkLatest() error {
	if filepath.Dir(o.path) != filepath.Join(stateRoot(), "runs") {
		return nil
	}
	link := filepath.Join(filepath.Dir(o.path), "latest")
	temporary := link + "." + filepath.Base(o.path)
	if err := os.Symlink(filepath.Base(o.path), temporary); err != nil {
		return err
	}
	return os.Rename(temporary, link)
}

func (o *output) close() error { return o.root.Close() }
