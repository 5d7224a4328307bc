package runner_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moby/moby/client"
	"golang.org/x/sys/unix"
)

// ownEngine is an engine that a test may kill: a second dockerd with its own data, in network, mount and PID namespaces of its own. It has no way out,
// touches no rule and no process of the machine's, and everything that it started dies with the first process of its PID namespace.
type ownEngine struct {
	*client.Client
	t        testing.TB
	host     string // for DOCKER_HOST
	first    int    // PID of that first process
	log      string
	commands io.Writer
	answers  *bufio.Reader
}

// ownEngineFirst is the first process: it starts the engine, sends it signals, and says when that is done.
const ownEngineFirst = `
mount --make-rprivate / && mount -t proc proc /proc && mount -t tmpfs tmpfs /run && ip link set lo up || exit
if [ -n "$HIDDEN" ]; then mount -t tmpfs tmpfs "$HIDDEN" || exit; fi
while read -r command; do
  case $command in
  start) dockerd -H "unix://$DIR/docker.sock" -H tcp://127.0.0.1:2375 --tls=false --data-root "$DIR/data" --exec-opt native.cgroupdriver=cgroupfs >>"$DIR/log" 2>&1 & engine=$! ;;
  *) kill -s "$command" $engine && wait $engine ;;
  esac
  echo done
done`

// newOwnEngine starts an engine with the gateway's image and that of the smallest agent. A folder named by hidden is empty for it. It listens on a loopback
// address of its own too, as one elsewhere would.
func newOwnEngine(t *testing.T, hidden ...string) *ownEngine {
	t.Helper()
	machine := needEngine(t)
	if os.Geteuid() != 0 {
		t.Fatal("needs root to start an engine: run the tests as root, or with -short to leave these out")
	}
	// Not below a folder that programs of others empty, nor one in memory: /var/tmp is for what lasts.
	dir, err := os.MkdirTemp("/var/tmp", "yolo-run-own-engine-")
	if err != nil {
		t.Fatal(err)
	}
	first := exec.CommandContext(t.Context(), "sh", "-c", ownEngineFirst)
	first.Env = append(os.Environ(), "DIR="+dir, "HIDDEN="+strings.Join(hidden, ""), "PATH="+os.Getenv("PATH")+":/usr/sbin:/sbin")
	first.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID, Pdeathsig: syscall.SIGKILL}
	commands, err := first.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	answers, err := first.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Start(); err != nil {
		t.Fatal(err)
	}
	e := &ownEngine{
		t: t, host: "unix://" + dir + "/docker.sock", first: first.Process.Pid, log: filepath.Join(dir, "log"),
		commands: commands, answers: bufio.NewReader(answers),
	}
	t.Cleanup(func() {
		_ = first.Process.Kill() // and with it, by the kernel, everything
		_ = first.Wait()
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if e.Client, err = client.New(client.WithHost(e.host)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	e.start()
	images, err := machine.ImageSave(t.Context(), []string{"yolo-run/gateway:" + version(), muslImage()})
	if err != nil {
		t.Fatal(err)
	}
	defer images.Close()
	loaded, err := e.ImageLoad(t.Context(), images)
	if err != nil {
		t.Fatal(err)
	}
	defer loaded.Close()
	readAll(t, loaded)
	return e
}

// start starts the engine and returns when it answers.
func (e *ownEngine) start() {
	e.t.Helper()
	e.do("start")
	// It tells nobody that it is ready.
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		_, err := e.Ping(e.t.Context(), client.PingOptions{})
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			log, _ := os.ReadFile(e.log)
			e.t.Fatalf("the test's own engine does not answer: %v\n%s", err, clipLines(string(log[max(0, len(log)-4000):])))
		}
	}
}

// signal sends the engine itself a signal, such as KILL, and returns when it is gone.
func (e *ownEngine) signal(name string) { e.do(name) }

func (e *ownEngine) do(command string) {
	e.t.Helper()
	if _, err := fmt.Fprintln(e.commands, command); err != nil {
		e.t.Fatal(err)
	}
	if answer, err := e.answers.ReadString('\n'); err != nil || answer != "done\n" {
		e.t.Fatalf("%s: %q, %v", command, answer, err)
	}
}

// contained are the processes in the engine's containers, by their PID here: those below its first process that have another PID namespace.
func (e *ownEngine) contained() map[int]string {
	e.t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		e.t.Fatal(err)
	}
	parents, names := map[int]int{}, map[int]string{}
	for _, path := range stats {
		stat, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		// PID (NAME) STATE PARENT …, where the name may be anything.
		head, tail, _ := strings.Cut(string(stat[:strings.LastIndexByte(string(stat), ')')]), "(")
		fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
		pid, _ := strconv.Atoi(strings.TrimSpace(head))
		if fields[0] != "Z" {
			parents[pid], _ = strconv.Atoi(fields[1])
			names[pid] = tail
		}
	}
	own, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", e.first))
	if err != nil {
		e.t.Fatal(err)
	}
	list := map[int]string{}
	for pid := range parents {
		namespace, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", pid))
		if err != nil || namespace == own {
			continue
		}
		above := pid
		for above > 1 && above != e.first {
			above = parents[above]
		}
		if above == e.first {
			list[pid] = names[pid]
		}
	}
	return list
}

// waitEmpty returns when no process runs in a container any more.
func (e *ownEngine) waitEmpty(within time.Duration) {
	e.t.Helper()
	deadline := time.Now().Add(within)
	for {
		list := e.contained()
		if len(list) == 0 {
			return
		}
		for pid := range list {
			waitForEnd(e.t, pid, time.Until(deadline))
			break
		}
		if time.Now().After(deadline) {
			e.t.Fatalf("after %s there still runs %v", within, e.contained())
		}
	}
}

// waitForEnd waits for the end of somebody else's child.
func waitForEnd(t testing.TB, pid int, within time.Duration) {
	t.Helper()
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Close(fd) }()
	_, err = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(max(within, 0).Milliseconds()))
	if err != nil && !errors.Is(err, unix.EINTR) {
		t.Fatal(err)
	}
}
