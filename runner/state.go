package runner

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/yolo-run/yolo-run/runner/internal/sandbox"
)

// stateRoot is where yolo-run keeps what outlives a run: state files, and the output folders of runs outside of CI
// (XDG Base Directory Specification, $XDG_STATE_HOME).
func stateRoot() string {
	if dir := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "yolo-run")
	}
	if home, err := os.UserHomeDir(); err == nil {
		return filepath.Join(home, ".local", "state", "yolo-run")
	}
	return filepath.Join(os.TempDir(), fmt.Sprintf("yolo-run-%d", os.Getuid()))
}

// runState is the file that says which containers and volumes a run may have. Its lock (flock(2)) is held as long as the runner lives, however it
// dies: a state file that can be locked is a dead run's.
type runState struct {
	ID     string `json:"id"`
	Engine string `json:"engine"`
	PID    int    `json:"pid"`

	file *os.File
}

func stateFolder() string { return filepath.Join(stateRoot(), "state") }

// openState writes the state file before the run's first container exists.
func openState(id, engine string) (*runState, error) {
	if err := os.MkdirAll(stateFolder(), 0o700); err != nil {
		return nil, err
	}
	if err := ownFolder(stateFolder()); err != nil {
		return nil, err
	}
	s := &runState{ID: id, Engine: engine, PID: os.Getpid()}
	file, err := os.OpenFile(filepath.Join(stateFolder(), id+".json"), os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	s.file = file
	// It waits: the clean-up of another run may hold the new file for the moment that it takes to see that it is empty.
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX); err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", file.Name(), err), file.Close())
	}
	return s, errors.Join(json.NewEncoder(file).Encode(s), file.Sync())
}

// ownFolder refuses a folder of somebody else's: below /tmp anybody could have made it.
func ownFolder(path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); !info.IsDir() || !ok || int(stat.Uid) != os.Getuid() {
		return fmt.Errorf("%s is not a folder of this user", path)
	}
	return nil
}

// close removes the state file: nothing of the run is left.
func (s *runState) close() error {
	return errors.Join(os.Remove(s.file.Name()), s.file.Close())
}

func lock(f *os.File) error { return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) }

// cleanDead removes what dead runs left on this engine: those runs that this host has a state file for and whose runner is gone. Labels are not
// asked: an image could bring them. It returns how many runs it cleaned.
func cleanDead(ctx context.Context, engine *sandbox.Engine, log *slog.Logger) (int, error) {
	paths, err := filepath.Glob(filepath.Join(stateFolder(), "*.json"))
	if err != nil {
		return 0, err
	}
	cleaned := 0
	var errs []error
	for _, path := range paths {
		done, err := cleanOne(ctx, engine, path, log)
		if done {
			cleaned++
		}
		errs = append(errs, err)
	}
	return cleaned, errors.Join(errs...)
}

func cleanOne(ctx context.Context, engine *sandbox.Engine, path string, log *slog.Logger) (bool, error) {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer file.Close()
	if lock(file) != nil {
		return false, nil // its runner lives
	}
	var s runState
	if err := json.NewDecoder(file).Decode(&s); err != nil {
		return false, tooYoung(file, path)
	}
	if s.Engine != engine.Facts().Host || !validRunID(s.ID) {
		return false, nil
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	log.Info("removing what a dead run left", "run", s.ID)
	if err := engine.RemoveRun(ctx, s.ID); err != nil {
		return false, fmt.Errorf("remains of run %s: %w", s.ID, err)
	}
	return true, os.Remove(path)
}

// tooYoung keeps an unreadable state file for a minute: its runner may be between creating and locking it.
func tooYoung(file *os.File, path string) error {
	if info, err := file.Stat(); err != nil || time.Since(info.ModTime()) < time.Minute {
		return err
	}
	return os.Remove(path)
}

func validRunID(id string) bool {
	return len(id) == runIDLength && strings.Trim(id, "0123456789abcdef") == ""
}
