package runner

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
)

// The clean-up of one run looks at the state file that another one is just making.
func TestStateFilesAndCleanUpsDoNotDisturbEachOther(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	const runs = 200
	id := func(i int) string { return fmt.Sprintf("%012x", i) }
	var cleaners sync.WaitGroup
	for range 4 {
		cleaners.Go(func() {
			for i := range runs {
				path := filepath.Join(stateFolder(), id(i)+".json")
				for _, err := os.Stat(path); err != nil; _, err = os.Stat(path) { // the very moment at which it is there
					runtime.Gosched()
				}
				// Without an engine: it must never come so far as to ask for one.
				if done, err := cleanOne(t.Context(), nil, path, slog.New(slog.DiscardHandler)); done || err != nil {
					t.Errorf("cleaned %v, %v", done, err)
				}
			}
		})
	}
	var states []*runState
	for i := range runs {
		s, err := openState(id(i), "engine")
		if err != nil {
			t.Error(err)
			continue
		}
		states = append(states, s)
	}
	cleaners.Wait()
	for _, s := range states {
		if err := s.close(); err != nil {
			t.Error(err)
		}
	}
}
