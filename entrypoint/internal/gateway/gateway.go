// Package gateway is the only way out of a run: DNS with synthetic addresses, a transparent TCP proxy that knows names, the models' APIs,
// the life of the firewall beneath them, and the record of every decision.
//
// It is two processes. PID 1 ([Run]) has the rules, the refused packets, the search for processes and the record, and reads no byte of the network's
// but the heads of refused packets. The other ([Serve]) reads what the agent and the world send it and holds the models' keys, with a user of its own,
// undumpable and without any capability. Its sockets to the outside carry the firewall's mark, which takes CAP_NET_ADMIN to set; with that it
// could change the rules as well, so PID 1 makes its sockets (mark.go; 0.02 ms each). Whoever takes that process over reaches what
// the gateway reaches and may lie about what it decides; the rules, their counters, the packets that they refused and the record behind it are
// out of its reach, and a message that an honest process would not send ends the run.
//
// Invariant: the gateway says ready only after the rules were read back and the self-test met them; it never opens anything later, and
// when either process ends, for whatever reason, every process of the run ends with it, because PID 1 is that of their namespace.
package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/yolo-run/yolo-run/entrypoint/internal/firewall"
	"github.com/yolo-run/yolo-run/entrypoint/policy"
	"github.com/yolo-run/yolo-run/entrypoint/wire"
	"github.com/yolo-run/yolo-run/reports"
)

const (
	// setUpTime bounds everything up to ready.
	setUpTime = 30 * time.Second
	// finishTime bounds the summary: the runner waits for it while a user may wait for the runner.
	finishTime = 3 * time.Second
	// catchUpTime is how long the closing summary waits for NFLOG messages that the counters already have.
	catchUpTime = 250 * time.Millisecond
	// lastWordTime bounds the fatal message: a runner that does not read must not keep the agent alive.
	lastWordTime = 200 * time.Millisecond
)

// stageError says in which stage the gateway gave up.
type stageError struct {
	stage string
	err   error
}

func (e *stageError) Error() string { return e.stage + ": " + e.err.Error() }
func (e *stageError) Unwrap() error { return e.err }

func at(stage string, err error) error {
	if err == nil {
		return nil
	}
	return &stageError{stage, err}
}

// Run is the gateway from its configuration on in to its summary on out; it returns the exit code of the process, 0 only after a
// summary. Anything else is one fatal message and 1. It changes the network namespace of the process and refuses a host's.
func Run(ctx context.Context, version string, in io.Reader, out io.Writer) int {
	return runWith(ctx, version, []string{"/proc/self/exe", ServeRole}, in, out)
}

// ServeRole is the argument that the binary is started with to call [Serve].
const ServeRole = "gateway-serve"

// runWith is told what to start as the serving process.
func runWith(ctx context.Context, version string, serving []string, in io.Reader, out io.Writer) int {
	messages := wire.NewWriter(out)
	err := run(ctx, version, serving, wire.NewReader(in, wire.MaxConfigLine), messages)
	if err == nil {
		return 0
	}
	lastWord(messages, err)
	return 1
}

// lastWord is said even if nobody reads it: then the process ends without.
func lastWord(messages *wire.Writer, err error) {
	fatal := wire.Fatal{Stage: "run", Reason: err.Error()}
	if staged := (*stageError)(nil); errors.As(err, &staged) {
		fatal = wire.Fatal{Stage: staged.stage, Reason: staged.err.Error()}
	}
	fatal.Reason = clip(fatal.Reason)
	said := make(chan struct{})
	go func() {
		defer close(said)
		_ = messages.Send(wire.GatewayMessage{Type: wire.TypeFatal, Fatal: &fatal}) // nothing is left to be done about it
	}()
	select {
	case <-said:
	case <-time.After(lastWordTime):
	}
}

// run waits for the watchdog and for the gateway, whichever ends first. It does not wait for the other one: the process exits.
func run(ctx context.Context, version string, serving []string, requests *wire.Reader, messages *wire.Writer) error {
	cfg, err := readConfig(requests)
	if err != nil {
		return at("config", err)
	}
	finish := make(chan struct{})
	ended := make(chan error, 2)
	go func() {
		dog := watchdog{timeout: milliseconds(cfg.HeartbeatTimeoutMs), deadline: milliseconds(cfg.DeadlineMs)}
		if err := dog.watch(requests); err != nil {
			ended <- err
			return
		}
		close(finish)
	}()
	go func() { ended <- supervise(ctx, version, serving, cfg, messages, finish) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		return at("signal", context.Cause(ctx))
	}
}

func milliseconds(n int64) time.Duration { return time.Duration(n) * time.Millisecond }

func readConfig(requests *wire.Reader) (*wire.GatewayConfig, error) {
	var first wire.GatewayRequest
	if err := requests.Next(&first); err != nil {
		return nil, err
	}
	cfg := first.Config
	switch {
	case first.Type != wire.TypeConfig || cfg == nil:
		return nil, fmt.Errorf("the first request is %q, not %q", first.Type, wire.TypeConfig)
	case cfg.Wire != wire.Version:
		return nil, fmt.Errorf("the runner speaks version %d, the gateway %d", cfg.Wire, wire.Version)
	case cfg.HeartbeatTimeoutMs <= 0:
		return nil, errors.New("no heartbeat timeout")
	case cfg.AgentUID <= 0 || cfg.AgentGID <= 0:
		return nil, fmt.Errorf("agent %d:%d: root is refused", cfg.AgentUID, cfg.AgentGID)
	}
	return cfg, nil
}

// gateway is what runs between configuration and summary.
type gateway struct {
	cfg      *wire.GatewayConfig
	policy   *policy.Policy
	serve    wire.ServeConfig
	listen   *listeners
	ledger   *ledger
	finder   *finder
	reaper   *reaper
	child    *child
	backend  *firewall.Backend
	firewall *firewall.Firewall
	packets  *packetLog

	baseline firewall.Counters // what the self-test cost
}

// supervise is the gateway's story: give up what it does not need, listen, start the process that serves, close, prove, say ready, record until told to finish, sum up.
func supervise(ctx context.Context, version string, serving []string, cfg *wire.GatewayConfig, messages *wire.Writer, finish <-chan struct{}) error {
	g := &gateway{cfg: cfg, ledger: newLedger(messages.Send), finder: newFinder(cfg.AgentUID, cfg.AgentGID), reaper: newReaper()}
	setUp, cancel := context.WithTimeout(ctx, setUpTime)
	defer cancel()
	if err := g.prepare(); err != nil {
		return at("config", err)
	}
	_, stopReaper := background(ctx, func(ctx context.Context) error { g.reaper.run(ctx); return nil })
	defer stopReaper()
	if err := g.open(); err != nil {
		return err
	}
	if err := g.start(serving); err != nil {
		return err
	}
	defer g.child.close()
	if err := g.close(setUp); err != nil {
		return err
	}
	if err := g.child.waitReady(setUp); err != nil {
		return at("run", err)
	}
	checks, err := g.prove(setUp)
	if err != nil {
		return at("self-test", err)
	}
	ready := g.ready(version, checks)
	if err := messages.Send(wire.GatewayMessage{Type: wire.TypeReady, Ready: &ready}); err != nil {
		return at("ready", err)
	}
	records, stopRecords := background(ctx, g.records(messages)...)
	defer stopRecords()
	select {
	case <-finish:
	case err := <-g.child.ended:
		return at("run", err)
	case err := <-records:
		return at("run", err)
	case err := <-g.packets.log.Failed():
		return at("nflog", err)
	}
	if err := g.child.finish(); err != nil {
		return at("run", err)
	}
	return at("summary", g.sumUp(ctx, messages, stopRecords, records))
}

// prepare reads what the container says about its surroundings, once: the agent's container shares these files.
func (g *gateway) prepare() error {
	var err error
	if g.policy, err = policy.Parse(g.cfg.Policy); err != nil {
		return err
	}
	servers, err := readWith("/etc/resolv.conf", parseResolvConf)
	if err != nil {
		return err
	}
	around, err := readWith("/proc/net/route", parseRoutes)
	if err != nil {
		return err
	}
	g.serve = wire.ServeConfig{GatewayConfig: *g.cfg, Resolvers: servers}
	if len(servers) > 0 {
		g.serve.InternalResolver = servers[0]
	}
	if len(g.cfg.DNS) > 0 {
		if g.serve.Resolvers, err = parseServers(g.cfg.DNS); err != nil {
			return err
		}
	}
	for _, s := range g.cfg.HostAddrs {
		addr, err := netip.ParseAddr(s)
		if err != nil {
			return fmt.Errorf("address of the host: %w", err)
		}
		g.serve.Own = append(g.serve.Own, addr)
	}
	if around.nextHop.IsValid() {
		g.serve.Own = append(g.serve.Own, around.nextHop)
	}
	return nil
}

// open chooses the firewall's back end, after which it is known what capabilities this process goes on with.
func (g *gateway) open() error {
	err := g.reaper.exec(func() error {
		var err error
		g.backend, err = firewall.Open()
		return err
	})
	if err != nil {
		return at("rules", err)
	}
	return at("privilege", limitPrivilege(g.backend.NeedsRaw()))
}

// start opens the listeners and starts the process that serves them. The rules come after it: they cost much more time, and it uses theirs.
func (g *gateway) start(serving []string) error {
	var err error
	if g.listen, err = listenAll(len(g.cfg.Models) > 0); err != nil {
		return at("listen", err)
	}
	defer g.listen.close()
	if g.child, err = startChild(g, serving); err != nil {
		return at("run", fmt.Errorf("start %s: %w", servingProcess, err))
	}
	g.finder.skip = g.child.process.Pid
	if err := g.child.configure(g.serve); err != nil {
		g.child.close()
		return at("config", err)
	}
	return nil
}

// close applies the rules and subscribes to what they refuse.
func (g *gateway) close(ctx context.Context) error {
	err := g.reaper.exec(func() error {
		var err error
		g.firewall, err = g.backend.Apply(ctx, g.listen.ports())
		return err
	})
	if err != nil {
		return at("rules", err)
	}
	g.packets, err = listenPackets(g.ledger, g.finder)
	return at("nflog", err)
}

// prove makes the self-test and takes the counters behind it: its attempts are nobody's.
func (g *gateway) prove(ctx context.Context) ([]reports.Check, error) {
	around, err := readWith("/proc/net/route", parseRoutes)
	if err != nil {
		return nil, err
	}
	port, err := readWith("/proc/net/udp", engineResolverPort)
	if err != nil {
		return nil, err
	}
	probes, err := selfTestProbes(g.policy, around, port)
	if err != nil {
		return nil, err
	}
	test := newSelfTest()
	g.ledger.divert(test.take)
	checks, err := test.run(ctx, probes)
	if err != nil {
		return checks, err
	}
	g.ledger.divert(nil)
	err = g.reaper.exec(func() error {
		var err error
		g.baseline, err = g.firewall.Counters(ctx)
		return err
	})
	return checks, err
}

func (g *gateway) ready(version string, checks []reports.Check) wire.Ready {
	r := wire.Ready{
		Wire: wire.Version, Version: version, SelfTest: checks,
		Backend: g.firewall.Backend(), Rules: g.firewall.Rules(), Resolvers: []string{},
	}
	if g.listen.model != nil {
		r.ModelAddr = g.listen.model.Addr().String()
	}
	for _, server := range g.serve.Resolvers {
		r.Resolvers = append(r.Resolvers, server.String())
	}
	return r
}

// records are the services that write messages.
func (g *gateway) records(messages *wire.Writer) []func(context.Context) error {
	services := []func(context.Context) error{
		g.ledger.run,
		func(ctx context.Context) error { return g.child.models.report(ctx, messages.Send) },
	}
	if g.cfg.MinFreeDiskBytes > 0 {
		services = append(services, func(ctx context.Context) error {
			tick := time.NewTicker(time.Second)
			defer tick.Stop()
			return watchDisk(ctx, g.cfg.MinFreeDiskBytes, tick.C, func() (wire.Disk, error) { return freeDisk("/") }, messages.Send)
		})
	}
	return services
}

// sumUp is the end: all decisions were made. The summary is the last line.
func (g *gateway) sumUp(ctx context.Context, messages *wire.Writer, stopRecords context.CancelFunc, records <-chan error) error {
	ctx, cancel := context.WithTimeout(ctx, finishTime)
	defer cancel()
	var counters firewall.Counters
	var intact bool
	err := g.reaper.exec(func() error {
		var err error
		counters, err = g.firewall.Counters(ctx)
		intact = g.firewall.Verify(ctx) == nil
		return err
	})
	if err != nil {
		return err
	}
	if err := g.packets.finish(counters.Denied, catchUpTime); err != nil {
		return err
	}
	stopRecords()
	if err := <-records; err != nil {
		return err
	}
	unseen, err := connectionsRefused()
	if err != nil {
		return err
	}
	summary, err := g.ledger.finish(counters.Denied - g.baseline.Denied + unseen)
	if err != nil {
		return err
	}
	summary.Stray, summary.RulesIntact = counters.Stray-g.baseline.Stray, intact
	summary.Usage, _ = g.child.models.said()
	return messages.Send(wire.GatewayMessage{Type: wire.TypeSummary, Summary: &summary})
}

// background runs services until one fails or stop is called, then waits for all; ended delivers the first error, or nil.
func background(ctx context.Context, services ...func(context.Context) error) (ended <-chan error, stop context.CancelFunc) {
	ctx, stop = context.WithCancel(ctx)
	group, running := errgroup.WithContext(ctx)
	for _, service := range services {
		group.Go(func() error { return service(running) })
	}
	done := make(chan error, 1)
	go func() { done <- group.Wait() }()
	return done, stop
}
