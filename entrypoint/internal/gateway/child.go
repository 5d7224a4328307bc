package gateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/yolo-run/yolo-run/entrypoint/wire"
)

const (
	// childFinishTime bounds how long the serving process may take to end its connections and to say what is left.
	childFinishTime = 5 * time.Second
	// childEndTime bounds how long its exit code is waited for after its last word: the reaper may be waiting for programs that set the rules.
	childEndTime = 3 * time.Second
	// ownerSearches is how many questions about processes are worked on at once. An honest process asks searchQueue at once; the answer to one
	// may be on its way while the next is here already.
	ownerSearches = 2 * searchQueue
	// maxLastWords bounds what is kept of the serving process's standard error.
	maxLastWords = 4 << 10
)

// serveUser is the user, and the group, of the serving process: not root's, not the agent's, and no other process has it.
func serveUser(agentUID, agentGID int) int {
	id := 64999
	for id == agentUID || id == agentGID {
		id--
	}
	return id
}

// child is the process that serves the agent, as PID 1 sees it: it holds DNS, proxies and models' APIs, reads what the agent and the world send, and
// knows the keys. It has a user of its own and no capability; its sockets are made and marked here (see mark.go).
//
// Invariant: nothing that it says changes what PID 1 saw by itself: the rules, their counters, the refused packets, times. A message that an honest
// process would not send is an error, and so is its end: an error ends PID 1, and with it every process of the run.
type child struct {
	process *os.Process
	reaper  *reaper
	ledger  *ledger
	finder  attributor

	requests *wire.Writer
	stdin    *os.File
	messages *os.File
	stderr   *os.File
	sockets  *net.UnixConn

	ready     chan struct{}
	done      chan struct{}
	ended     chan error // one error, or nil after done
	lastWords lastWords
	searches  chan struct{}
	models    *modelState
	running   sync.WaitGroup
}

// startChild starts the serving process with the listeners, and hands it its configuration. args are its program and arguments.
func startChild(g *gateway, args []string) (*child, error) {
	sockets, theirSockets, err := socketPair()
	if err != nil {
		return nil, err
	}
	defer func() { _ = theirSockets.Close() }()
	c := &child{
		reaper: g.reaper, ledger: g.ledger, finder: g.finder, sockets: sockets,
		ready: make(chan struct{}), done: make(chan struct{}), ended: make(chan error, 1),
		searches: make(chan struct{}, ownerSearches), lastWords: lastWords{end: make(chan struct{})}, models: newModelState(),
	}
	files, err := g.listen.files()
	if err != nil {
		c.close()
		return nil, err
	}
	defer closeAll(files)
	if err := c.exec(args, serveUser(g.cfg.AgentUID, g.cfg.AgentGID), append([]*os.File{theirSockets}, files...)); err != nil {
		c.close()
		return nil, err
	}
	c.running.Go(func() { markSockets(sockets) })
	c.running.Go(func() { c.lastWords.read(c.stderr) })
	c.running.Go(func() { c.ended <- c.read() })
	return c, nil
}

// exec makes the pipes and starts the program: an empty environment, no group, and no file but those it is given.
func (c *child) exec(args []string, user int, files []*os.File) error {
	theirIn, stdin, err := os.Pipe()
	if err != nil {
		return err
	}
	defer func() { _ = theirIn.Close() }()
	c.stdin, c.requests = stdin, wire.NewWriter(stdin)
	messages, theirOut, err := os.Pipe()
	if err != nil {
		return err
	}
	defer func() { _ = theirOut.Close() }()
	c.messages = messages
	stderr, theirErr, err := os.Pipe()
	if err != nil {
		return err
	}
	defer func() { _ = theirErr.Close() }()
	c.stderr = stderr

	// Not a command with a context: the process must outlive nothing, and PID 1 ends when it does.
	cmd := &exec.Cmd{Path: args[0], Args: append([]string{"/entrypoint"}, args[1:]...), Env: []string{}, Dir: "/", Stdin: theirIn, Stdout: theirOut, Stderr: theirErr, ExtraFiles: files}
	id := uint32(user) //nolint:gosec // a constant
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: id, Gid: id}}
	c.process, err = c.reaper.keep(func() (*os.Process, error) {
		err := cmd.Start()
		return cmd.Process, err
	})
	return err
}

// close ends the process if it still runs, and waits for all that listens to it.
func (c *child) close() {
	if c.process != nil {
		_ = c.process.Kill()
	}
	for _, end := range []io.Closer{c.sockets, c.stdin, c.messages, c.stderr} { // closing one that was never opened is an error, and no more
		_ = end.Close()
	}
	c.running.Wait()
}

// read takes messages until the process ends.
func (c *child) read() error {
	lines := wire.NewReader(c.messages, wire.MaxMessageLine)
	for {
		var m wire.ServeMessage
		err := lines.Next(&m)
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return c.end()
		}
		if err == nil {
			err = m.Check()
		}
		if err == nil {
			err = c.take(&m)
		}
		if staged := (*stageError)(nil); errors.As(err, &staged) {
			return err
		}
		if err != nil {
			return fmt.Errorf("%s breaks its protocol: %w", servingProcess, err)
		}
	}
}

// servingProcess is how errors call it.
const servingProcess = "the process that serves DNS, connections and models"

func (c *child) take(m *wire.ServeMessage) error {
	if isClosed(c.done) {
		return errors.New("a message behind the last one")
	}
	switch m.Type {
	case wire.TypeReady:
		if isClosed(c.ready) {
			return errors.New("it was ready before")
		}
		close(c.ready)
	case wire.TypeDone:
		close(c.done)
	case wire.TypeEvent:
		c.ledger.Record(bounded(*m.Event))
	case wire.TypeOwner:
		c.answer(*m.Owner)
	case wire.TypeLost:
		c.ledger.lose(*m.Lost)
	case wire.TypeUsage:
		return c.models.use(*m.Usage)
	case wire.TypeBudget:
		c.models.spend(*m.Budget)
	case wire.TypeFatal:
		return &stageError{printable(m.Fatal.Stage, 32), errors.New(clip(m.Fatal.Reason))}
	}
	return nil
}

// answer finds a process and says which. A question too many gets no answer: whoever asks it waits for none.
func (c *child) answer(o wire.ServeOwner) {
	select {
	case c.searches <- struct{}{}:
	default:
		return
	}
	c.running.Go(func() {
		defer func() { <-c.searches }()
		o.Process = c.finder.Process(o.Network, o.Local, o.Remote)
		_ = c.requests.Send(wire.ServeRequest{Type: wire.TypeOwner, Owner: &o}) // it is gone, then, and that is known
	})
}

// end says how the process ended: nil if it was done and all is well.
func (c *child) end() error {
	late := time.NewTimer(childEndTime)
	defer late.Stop()
	how := "closed its output, and runs on"
	select {
	case status := <-c.reaper.status:
		how = describeEnd(status)
		if how == "" && isClosed(c.done) {
			return nil
		}
		how = cmp.Or(how, "ended before its time")
		select {
		case <-c.lastWords.end:
		case <-late.C:
		}
	case <-late.C:
	}
	if words := c.lastWords.first(); words != "" {
		how += ": " + words
	}
	return errors.New(servingProcess + " " + how)
}

// describeEnd is empty for exit code 0.
func describeEnd(status unix.WaitStatus) string {
	switch {
	case status.Signaled():
		return fmt.Sprintf("was killed by signal %d (%s)", status.Signal(), unix.SignalName(status.Signal()))
	case status.ExitStatus() != 0:
		return fmt.Sprintf("ended with exit code %d", status.ExitStatus())
	default:
		return ""
	}
}

// configure hands the configuration over.
func (c *child) configure(cfg wire.ServeConfig) error {
	return c.say(wire.ServeRequest{Type: wire.TypeConfig, Config: &cfg}, setUpTime)
}

// say does not wait for a process that does not listen. One that has ended says why elsewhere.
func (c *child) say(r wire.ServeRequest, wait time.Duration) error {
	if err := c.stdin.SetWriteDeadline(time.Now().Add(wait)); err != nil {
		return err
	}
	err := c.requests.Send(r)
	if errors.Is(err, unix.EPIPE) {
		return nil
	}
	return err
}

// waitReady waits until the process serves.
func (c *child) waitReady(ctx context.Context) error {
	select {
	case <-c.ready:
		return nil
	case err := <-c.ended:
		return err
	case <-ctx.Done():
		return fmt.Errorf("%s is not ready: %w", servingProcess, context.Cause(ctx))
	}
}

// finish asks the process to end its connections, and waits until all was said and it is gone.
func (c *child) finish() error {
	late := time.NewTimer(childFinishTime)
	defer late.Stop()
	if err := c.say(wire.ServeRequest{Type: wire.TypeFinish}, childFinishTime); err != nil {
		return err
	}
	select {
	case err := <-c.ended:
		return err
	case <-late.C:
		return fmt.Errorf("%s does not finish", servingProcess)
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func closeAll(files []*os.File) {
	for _, file := range files {
		_ = file.Close()
	}
}

// lastWords keeps the beginning of what the process says on its standard error, which as a rule is nothing: a crash begins with its reason.
type lastWords struct {
	end chan struct{} // closed when nothing more comes

	mu   sync.Mutex
	text []byte
}

func (w *lastWords) read(r io.Reader) {
	defer close(w.end)
	buf := make([]byte, maxLastWords)
	for {
		n, err := r.Read(buf)
		w.mu.Lock()
		w.text = append(w.text, buf[:min(n, maxLastWords-len(w.text))]...)
		w.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// first is the first line.
func (w *lastWords) first() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	line, _, _ := strings.Cut(string(w.text), "\n")
	return printable(line, maxCmdline)
}
