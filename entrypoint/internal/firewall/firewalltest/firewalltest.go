// Package firewalltest gives tests a network namespace of their own, with a second one behind a veth pair that stands in for the
// internet (198.51.100.0/24, a documentation range, so that a hole in the rules never lets a packet out of the machine).
package firewalltest

import (
	"errors"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"
)

const childEnv = "YOLO_RUN_TEST_NAMESPACE"

// Isolated reports whether the test runs in a network namespace of its own. In the process that `go test` started it runs the
// same test again in a child that has one, fails if that fails, and returns false: the test then has nothing left to do.
// Without root it fails and says so. With -short the test is left out.
func Isolated(t testing.TB) bool {
	t.Helper()
	if os.Getenv(childEnv) == t.Name() {
		for _, scope := range []string{"all", "default"} { // as the engine is asked to for the gateway's container
			if err := os.WriteFile("/proc/sys/net/ipv6/conf/"+scope+"/disable_ipv6", []byte("1"), 0); err != nil && !errors.Is(err, os.ErrNotExist) {
				t.Fatal(err)
			}
		}
		run(t, "ip", "link", "set", "lo", "up")
		return true
	}
	if testing.Short() {
		t.Skip("needs a network namespace")
	}
	if os.Geteuid() != 0 {
		t.Fatal("needs root to make a network namespace: run the tests as root, or with -short to leave these out")
	}
	args := []string{"-test.v=" + flagOf(testing.Verbose())}
	if _, bench := t.(*testing.B); bench {
		args = append(args, "-test.run=^$", "-test.bench=^"+t.Name()+"$")
	} else {
		args = append(args, "-test.run=^"+t.Name()+"$", "-test.count=1")
	}
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe", args...)
	cmd.Env = append(os.Environ(), childEnv+"="+t.Name())
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("in a network namespace of its own: %v\n%s", err, out)
	}
	if testing.Verbose() {
		t.Logf("%s", out)
	}
	return false
}

func flagOf(on bool) string {
	if on {
		return "true"
	}
	return "false"
}

// The two ends of the veth pair. ServerAddr is the outside's as well: OutsideAddr is the next hop, which is special.
const (
	InsideAddr  = "198.51.100.10"
	OutsideAddr = "198.51.100.1"
	ServerAddr  = "198.51.100.2"
)

// Outside is the second namespace.
type Outside struct {
	t    testing.TB
	jobs chan func()
	done chan struct{}
}

// NewOutside makes the second namespace, connects it and makes it the default route. It may only be called where [Isolated] is true.
func NewOutside(t testing.TB) *Outside {
	t.Helper()
	o := &Outside{t: t, jobs: make(chan func()), done: make(chan struct{})}
	ready := make(chan int)
	go o.work(ready)
	tid := <-ready
	if tid == 0 {
		t.Fatal("cannot make the second network namespace")
	}
	t.Cleanup(func() {
		close(o.jobs)
		close(o.done)
	})
	run(t, "ip", "link", "add", "eth0", "type", "veth", "peer", "name", "out0", "netns", itoa(tid))
	run(t, "ip", "addr", "add", InsideAddr+"/24", "dev", "eth0")
	run(t, "ip", "link", "set", "eth0", "up")
	o.Do(func() {
		run(t, "ip", "link", "set", "lo", "up")
		run(t, "ip", "addr", "add", OutsideAddr+"/24", "dev", "out0")
		run(t, "ip", "addr", "add", ServerAddr+"/24", "dev", "out0")
		run(t, "ip", "link", "set", "out0", "up")
	})
	run(t, "ip", "route", "add", "default", "via", OutsideAddr)
	return o
}

// work owns the thread that is in the second namespace; it never unlocks it, so that the thread dies with the goroutine.
func (o *Outside) work(ready chan<- int) {
	runtime.LockOSThread()
	if syscall.Gettid() == os.Getpid() { // the first thread's namespace is what /proc/self shows: leave it where it is
		go o.work(ready)
		<-o.done
		runtime.UnlockOSThread()
		return
	}
	if err := syscall.Unshare(syscall.CLONE_NEWNET); err != nil {
		ready <- 0
		return
	}
	ready <- syscall.Gettid()
	for job := range o.jobs {
		job()
	}
}

// Do runs fn in the second namespace. Sockets that it opens stay there. fn must not call t.FailNow.
func (o *Outside) Do(fn func()) {
	done := make(chan struct{})
	o.jobs <- func() {
		defer close(done)
		fn()
	}
	<-done
}

func run(t testing.TB, name string, args ...string) {
	if out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput(); err != nil {
		t.Errorf("%s %v: %v\n%s", name, args, err, out)
	}
}
