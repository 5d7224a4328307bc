// Package workspace is the folder that the agent works on, as the host sees it: what is mounted, what of it is hidden, what the agent
// changed, whether that may leave, and how it is applied.
//
// It knows nothing of containers: archives and the collector's conversation are streams that the caller connects.
// Invariant: the host's tree is only read, but for [Changes.Apply]; and git, when it is run here, never sees a tree, an index, attributes,
// ignore rules or a configuration that the agent wrote.
package workspace

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"github.com/yolo-run/yolo-run/reports"
)

// Options say which folder it is.
type Options struct {
	Dir    string       // the folder that the agent starts in; empty: the current one
	Hide   []string     // globs of files that the agent sees empty; nil: [DefaultHide]
	Base   string       // a file of [Changes.Base] for [Workspace.ReadPatch]; empty, or not there: none
	Logger *slog.Logger // nil: nothing is logged
	// MaxCopyBytes and MaxCopyFiles bound [Workspace.WriteCopy]; 0: 20 GiB, 2,000,000.
	MaxCopyBytes int64
	MaxCopyFiles int64
}

// Errors of [Open], wrapped in an [*Error].
var (
	ErrNotReadable = errors.New("the workspace cannot be read")
	ErrNoGit       = errors.New("git was not found")
)

// Error is a fault of the workspace that its user can mend.
type Error struct {
	Path string // what it is about, may be empty
	Err  error
	Hint string // what to do
}

func (e *Error) Error() string {
	if e.Path == "" {
		return e.Err.Error()
	}
	return fmt.Sprintf("%q: %v", e.Path, e.Err)
}

func (e *Error) Unwrap() error { return e.Err }

// Workspace is an opened workspace. Its methods are safe for concurrent use unless they say otherwise.
type Workspace struct {
	root     string // absolute, without symlinks
	sub      string
	gitDir   string // absolute; empty where the root is no git work tree
	notLent  error  // why the agent does not get it
	uid, gid int
	perm     os.FileMode
	probe    string
	base     string // file
	globs    globs
	log      *slog.Logger
	maxBytes int64
	maxFiles int64

	status  chan struct{} // closed when git is known
	git     *reports.Git
	scanned func() (*scan, error)

	mu      sync.Mutex
	instead []replacement // what replacements returned, which is asked for more than once
	skipped []reports.NotCarried
	copied  bool // WriteCopy has written all of it
}

// Open finds the git work tree that contains a folder, or takes the folder itself, and starts to look at its state. ctx bounds that look, not the
// workspace's life. Only what a run cannot do without is checked.
func Open(ctx context.Context, o Options) (*Workspace, error) {
	if _, err := exec.LookPath("git"); err != nil {
		return nil, &Error{Err: fmt.Errorf("%w: %w", ErrNoGit, err), Hint: "install git: yolo-run makes the patch with it"}
	}
	dir, err := folder(o.Dir)
	if err != nil {
		return nil, err
	}
	hide := o.Hide
	if hide == nil {
		hide = DefaultHide()
	}
	w := &Workspace{log: o.Logger, base: o.Base, maxBytes: o.MaxCopyBytes, maxFiles: o.MaxCopyFiles, status: make(chan struct{})}
	if w.globs, err = parseGlobs(hide); err != nil {
		return nil, err
	}
	w.setDefaults()
	w.root, w.gitDir = topLevel(dir)
	if w.sub, err = filepath.Rel(w.root, dir); err != nil {
		return nil, fmt.Errorf("workspace %q: %w", dir, err)
	}
	if err := w.look(); err != nil {
		return nil, err
	}
	w.notLent = w.checkLent(ctx)
	w.scanned = sync.OnceValues(w.scan)
	go func() { // ends with ctx at the latest: git is run under it
		defer close(w.status)
		w.git = gitState(ctx, w.root, w.gitDir, w.log)
	}()
	return w, nil
}

func (w *Workspace) setDefaults() {
	if w.log == nil {
		w.log = slog.New(slog.DiscardHandler)
	}
	if w.maxBytes == 0 {
		w.maxBytes = 20 << 30
	}
	if w.maxFiles == 0 {
		w.maxFiles = 2_000_000
	}
}

// folder returns the absolute path of an existing, readable folder, without symlinks.
func folder(dir string) (string, error) {
	if dir == "" {
		dir = "."
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("workspace %q: %w", dir, err)
	}
	path, err := filepath.EvalSymlinks(abs)
	if err != nil {
		return "", notReadable(abs, err)
	}
	return path, readable(path)
}

func readable(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return notReadable(dir, err)
	}
	defer f.Close()
	if _, err := f.ReadDir(1); err != nil && !errors.Is(err, io.EOF) {
		return notReadable(dir, err)
	}
	return nil
}

func notReadable(path string, err error) error {
	if why, ok := errors.AsType[*os.PathError](err); ok {
		err = why.Err // the path is said once
	}
	return &Error{
		Path: path, Err: fmt.Errorf("%w: %w", ErrNotReadable, err),
		Hint: "give --workspace a folder that exists and that you may read",
	}
}

// TopLevel is the folder that [Open] makes the root for dir, which is absolute and without symlinks.
func TopLevel(dir string) string {
	root, _ := topLevel(dir)
	return root
}

// topLevel returns the nearest folder from dir upwards that is the top of a git work tree, and its git directory; dir and nothing if there is none.
// A .git further up counts only if it belongs to whom dir belongs to: a repository that somebody else left in /tmp must not
// decide what is mounted, nor one that holds a whole home.
func topLevel(dir string) (root, gitDir string) {
	home, _ := os.UserHomeDir() // without one there is nothing to leave out
	owner, _, err := ownerOf(dir)
	if err != nil {
		return dir, ""
	}
	for at := dir; ; at = filepath.Dir(at) {
		if git := gitDirOf(at); git != "" {
			uid, _, err := ownerOf(at)
			if at == dir || err == nil && uid == owner && at != home && at != "/" {
				return at, git
			}
		}
		if at == filepath.Dir(at) {
			return dir, ""
		}
	}
}

// look notes what the rest needs of the root.
func (w *Workspace) look() error {
	if err := readable(w.root); err != nil {
		return err
	}
	info, err := os.Lstat(w.root)
	if err != nil {
		return notReadable(w.root, err)
	}
	w.perm = info.Mode().Perm()
	if w.uid, w.gid, err = ownerOf(w.root); err != nil {
		return notReadable(w.root, err)
	}
	w.probe, err = randomEntry(w.root)
	return err
}

func ownerOf(path string) (uid, gid int, err error) {
	var st syscall.Stat_t
	if err := syscall.Lstat(path, &st); err != nil {
		return 0, 0, err
	}
	return int(st.Uid), int(st.Gid), nil
}

// Root is the folder to mount: absolute, without symlinks.
func (w *Workspace) Root() string { return w.root }

// Sub is the folder that the agent starts in, relative to Root; "." is Root itself.
func (w *Workspace) Sub() string { return w.sub }

// Owner is whom Root belongs to.
func (w *Workspace) Owner() (uid, gid int) { return w.uid, w.gid }

// Git is the state of the repository before the run, nil where there is none. It waits for the look that [Open] began.
func (w *Workspace) Git() *reports.Git {
	<-w.status
	return w.git
}

// Skipped lists what [Workspace.WriteCopy] left out. The report of [Workspace.Collect] lists it too.
func (w *Workspace) Skipped() []reports.NotCarried {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]reports.NotCarried(nil), w.skipped...)
}

// within reports whether a relative path is a folder or below it.
func within(path, folder string) bool {
	return folder == "." || path == folder || strings.HasPrefix(path, folder+"/")
}
