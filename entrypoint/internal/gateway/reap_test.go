package gateway

import (
	"os/exec"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// The test becomes a subreaper in a process of its own (other tests' children must not be reaped), makes orphans, and runs commands of its
// own meanwhile.
func TestOrphansAreReapedAndExitCodesAreNot(t *testing.T) {
	if !asGateway(t) {
		return
	}
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	r := newReaper()
	r.all = true
	const orphans = 50
	err := r.exec(func() error {
		return exec.Command("sh", "-c", "i=0; while [ $i -lt 50 ]; do (true &); i=$((i+1)); done").Run()
	})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	stop := make(chan struct{})
	reaped := 0
	wg.Go(func() {
		for {
			reaped += r.reap()
			select {
			case <-stop:
				return
			default:
			}
		}
	})
	for range 50 {
		err := r.exec(func() error { return exec.Command("sh", "-c", "exit 7").Run() })
		if exit, ok := err.(*exec.ExitError); !ok || exit.ExitCode() != 7 { //nolint:errorlint // os/exec returns it bare
			t.Errorf("exit code of our own child: %v", err)
		}
	}
	close(stop)
	wg.Wait()
	for { // those that were still running
		pid, err := unix.Wait4(-1, nil, 0, nil)
		if err != nil {
			break
		}
		t.Logf("orphan %d ended late", pid)
		reaped++
	}
	if reaped != orphans {
		t.Errorf("%d of %d orphans were reaped", reaped, orphans)
	}
}
