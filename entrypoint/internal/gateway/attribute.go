package gateway

import (
	"net/netip"
	"os"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"github.com/yolo-run/yolo-run/reports"
)

const (
	// searchTime bounds one search, in CPU time: a busy machine makes it late, not fruitless. searchWait is what a caller waits for it, and
	// with it the client, whose socket must live until it is found.
	searchTime = 20 * time.Millisecond
	searchWait = time.Second
	// searchShare is the part of one CPU that searches may take in the long run, searchBurst how much may be saved up: an agent that
	// floods the gateway loses the names of its processes in the report, not the report.
	searchShare = 0.2
	searchBurst = 500 * time.Millisecond
	// searchQueue is how many callers may wait.
	searchQueue = 64
	// foundTime is how long an answer is good: sockets of one process come in bursts, and numbers are used again.
	foundTime = time.Second
	// maxNewest is how many of the newest processes are looked at first.
	maxNewest = 2
	// maxFound bounds the answers that are kept.
	maxFound = 1024
)

// finder finds the process behind a socket of the agent's.
//
// The gateway has no DAC capability (with CAP_DAC_READ_SEARCH a file of the host can be opened by handle), so that root may not
// look into /proc/PID/fd of another user. The searching thread takes the agent's user and group for the file system only
// (setfsuid) for as long as it searches; as root it sees those processes that are not dumpable, whose folders belong to root.
type finder struct {
	uid, gid int
	skip     int // a process of the gateway's own, which may hold thousands of files
	now      func() time.Time
	cpu      func() time.Duration // that the searching thread has used
	searches chan search

	// The rest belongs to who searches.
	found  map[socket]finding
	saved  time.Duration
	last   time.Time
	recent []int // processes that were found last, newest first
	// loadavg is kept open: to open it takes longer than to read it.
	loadavg *os.File
}

var _ attributor = (*finder)(nil)

type socket struct {
	network       string
	local, remote netip.AddrPort
}

type finding struct {
	process *reports.Process
	expires time.Time
}

type search struct {
	socket
	reply chan *reports.Process
}

func newFinder(uid, gid int) *finder {
	return &finder{
		uid: uid, gid: gid, now: time.Now, cpu: threadTime,
		searches: make(chan search, searchQueue), found: map[socket]finding{}, saved: searchBurst, last: time.Now(),
	}
}

// threadTime is the CPU time of the calling thread. A clock that could not be read stands still: then a search is bounded by what there is
// to look at.
func threadTime() time.Duration {
	var t unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t)
	return time.Duration(t.Nano())
}

// Process implements attributor. It returns nil after a second, or at once when too many wait.
func (f *finder) Process(network string, local, remote netip.AddrPort) *reports.Process {
	s := search{socket: socket{network, unmap(local), unmap(remote)}, reply: make(chan *reports.Process, 1)}
	select {
	case f.searches <- s:
	default:
		return nil
	}
	timeout := time.NewTimer(searchWait)
	defer timeout.Stop()
	select {
	case p := <-s.reply:
		return p
	case <-timeout.C:
		return nil
	}
}

// run searches until done is closed. Its thread is its own and ends with it: on borrowed ones, lookups behind a flood of packets waited a second each.
func (f *finder) run(done <-chan struct{}) {
	runtime.LockOSThread()
	for {
		select {
		case s := <-f.searches:
			s.reply <- f.answer(s.socket)
		case <-done:
			return
		}
	}
}

// search answers on a thread that is nobody else's meanwhile. It is not kept for this alone: to wake another one takes longer than some senders live.
func (f *finder) search(s socket) *reports.Process {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	return f.answer(s)
}

// answer looks in what was found a moment ago, then searches if there is time to spend.
func (f *finder) answer(s socket) *reports.Process {
	start := f.now()
	key := s
	if s.network == "udp" {
		key.remote = netip.AddrPort{} // one socket may send to many
	}
	if known, ok := f.found[key]; ok && start.Before(known.expires) {
		return known.process
	}
	f.saved = min(searchBurst, f.saved+time.Duration(float64(start.Sub(f.last))*searchShare))
	f.last = start
	if f.saved <= 0 {
		return nil
	}
	before := f.cpu()
	p := f.find(s, before+searchTime)
	f.saved -= f.cpu() - before
	if len(f.found) >= maxFound {
		clear(f.found)
	}
	f.found[key] = finding{process: p, expires: start.Add(foundTime)}
	return p
}

// find runs on a locked thread. The newest processes are looked at before it is known whose the socket is: who sends one datagram and ends
// is no longer to be read a moment later.
func (f *finder) find(s socket, deadline time.Duration) *reports.Process {
	newest := f.glimpses()
	inode := findSocket(s)
	if inode == "" {
		return nil
	}
	var first []int
	for _, p := range newest {
		first = append(first, p.PID)
	}
	pid := f.owner(append(first, f.recent...), inode, deadline)
	if pid == 0 {
		pid = f.owner(processes(f.skip), inode, deadline)
	}
	if pid == 0 {
		return nil
	}
	f.remember(pid)
	for _, p := range newest {
		if p.PID == pid && p.Exe != "" {
			return f.describe(p)
		}
	}
	return f.describe(&reports.Process{PID: pid})
}

// glimpses are what can be read at once of the newest processes.
func (f *finder) glimpses() (list []*reports.Process) {
	if f.loadavg == nil {
		var err error
		if f.loadavg, err = os.Open("/proc/loadavg"); err != nil {
			return nil
		}
	}
	f.as(f.uid, f.gid, func() {
		for _, pid := range newestProcesses(f.loadavg, maxNewest) {
			if pid != os.Getpid() && pid != f.skip {
				list = append(list, glimpse(pid))
			}
		}
	})
	return list
}

// owner returns the process that holds a socket, or 0.
func (f *finder) owner(pids []int, inode string, deadline time.Duration) (pid int) {
	var refused []int
	f.as(f.uid, f.gid, func() { pid, refused = f.holder(pids, inode, deadline) })
	if pid == 0 {
		pid, _ = f.holder(refused, inode, deadline)
	}
	return pid
}

// describe completes what is known of a process.
func (f *finder) describe(p *reports.Process) *reports.Process {
	if p.Exe == "" {
		f.as(f.uid, f.gid, func() { p = glimpse(p.PID) })
	}
	if p.Exe == "" {
		p = glimpse(p.PID)
	}
	if p.Exe == "" && p.Cmdline == "" {
		if name := statOf(p.PID).name; name != "" { // its memory is gone and its sockets are not: what ps calls such a process
			p.Cmdline = "[" + printable(name, maxExe) + "]"
		}
	}
	f.as(f.uid, f.gid, func() { p.Parents = parentsOf(p.PID) })
	return p
}

// as runs fn with another identity towards the file system. The system calls cannot fail visibly: they return the identity before.
// A wrong one only means that less is found.
func (f *finder) as(uid, gid int, fn func()) {
	_, _ = unix.SetfsgidRetGid(gid)
	_, _ = unix.SetfsuidRetUid(uid)
	defer func() {
		_, _ = unix.SetfsuidRetUid(0)
		_, _ = unix.SetfsgidRetGid(0)
	}()
	fn()
}

// holder returns the first process that holds the socket, and those that may not be looked into with the identity of the moment.
func (f *finder) holder(pids []int, inode string, deadline time.Duration) (pid int, refused []int) {
	late := func() bool { return f.cpu() > deadline }
	for _, pid := range pids {
		if late() {
			return 0, refused
		}
		holds, err := holdsSocket(pid, inode, late)
		if holds {
			return pid, nil
		}
		if err != nil {
			refused = append(refused, pid)
		}
	}
	return 0, refused
}

// maxRecent is how many processes are looked at first.
const maxRecent = 8

func (f *finder) remember(pid int) {
	recent := []int{pid}
	for _, other := range f.recent {
		if other != pid && len(recent) < maxRecent {
			recent = append(recent, other)
		}
	}
	f.recent = recent
}
