package runner

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"os/exec"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/yolo-run/yolo-run/entrypoint/policy"
	"github.com/yolo-run/yolo-run/entrypoint/wire"
	"github.com/yolo-run/yolo-run/reports"
	"github.com/yolo-run/yolo-run/reports/render"
	"github.com/yolo-run/yolo-run/runner/internal/sandbox"
	"github.com/yolo-run/yolo-run/runner/internal/workspace"
)

// checkResult is one line of the doctor's.
type checkResult struct {
	name string
	ok   bool
	text string
	hint string
}

// Doctor makes every check that a run depends on and prints one line for each: engine, kernel, images, firewall (rules, NFLOG and self-test of a real
// gateway), overlay, git, proxy. The error, if any, says how many failed.
func Doctor(ctx context.Context, cfg Config, s Streams) error {
	named := cfg.Agent != "" || cfg.Image != ""
	cfg.SetDefaults()
	log := NewLogger(s.Err, LogOptions{Level: slog.LevelWarn, Colour: Colour(s.Err, os.Getenv)})
	d := &doctor{session: session{cfg: cfg, id: newRunID(), log: log}, named: named}
	d.run(ctx)
	failed := 0
	table := tabwriter.NewWriter(s.Out, 0, 0, 2, ' ', 0)
	for _, c := range d.results {
		mark := "ok"
		if !c.ok {
			mark = "FAILED"
			failed++
		}
		fmt.Fprintf(table, "%s\t%s\t%s\n", c.name, mark, render.Log(c.text))
		if c.hint != "" {
			fmt.Fprintf(table, "\t\t→ %s\n", c.hint)
		}
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d checks failed", failed, len(d.results))
	}
	return nil
}

type doctor struct {
	session
	named   bool // agent or image were: its image is checked too
	ws      *workspace.Workspace
	results []checkResult
}

// check records one result; it reports whether what builds on it makes sense.
func (d *doctor) check(name, text string, err error) bool {
	c := checkResult{name: name, ok: err == nil, text: text}
	if err != nil {
		c.text, c.hint = err.Error(), Hint(err)
	}
	d.results = append(d.results, c)
	return err == nil
}

func (d *doctor) run(ctx context.Context) {
	d.git(ctx)
	d.workspace(ctx, thisHost())
	d.settings(thisHost())
	d.keys(thisHost())
	var err error
	d.engine, err = sandbox.Open(ctx, "", d.log)
	if !d.check("engine", "", engineError(err)) {
		return
	}
	f := d.engine.Facts()
	d.results[len(d.results)-1].text = fmt.Sprintf("%s at %s, %d CPUs, %s", f.Version, f.Host, f.CPUs, Bytes(f.Memory).Human())
	d.check("kernel", f.Kernel+", "+f.OS, nil)
	if !f.Seccomp {
		err = errors.New("the engine has no seccomp")
	}
	d.check("seccomp", "moby's default profile, hardened", err)
	err = nil
	if f.NoLimits {
		err = errors.New(noLimits)
	}
	d.check("limits", "memory, processors, processes", err)
	d.sandbox(ctx)
	if d.named {
		_, err := d.image(ctx, d.cfg.Image, d.cfg.Platform)
		d.check("agent image", d.cfg.Image, err)
	}
	d.proxy()
}

func (d *doctor) git(ctx context.Context) {
	out, err := exec.CommandContext(ctx, "git", "--version").Output()
	if err != nil {
		err = withHint(fmt.Errorf("git: %w", err), "install git: the patch is made with it")
	}
	d.check("git", strings.TrimSpace(string(out)), err)
}

// settings has a line for each fault for which a run would not begin, but for those of the lines around it.
func (d *doctor) settings(machine host) {
	f := &faults{}
	root := d.cfg.validateWorkspace(&faults{}, machine)
	d.cfg.validateSettings(f, machine, root)
	f.list = slices.DeleteFunc(f.list, func(err error) bool {
		fault, ok := errors.AsType[*UsageError](err)
		return ok && fault.Option == "--user"
	})
	for _, err := range f.list {
		d.check("settings", "", err)
	}
	if len(f.list) == 0 {
		d.check("settings", "no fault", nil)
	}
}

func (d *doctor) workspace(ctx context.Context, machine host) {
	f := &faults{}
	d.cfg.validateWorkspace(f, machine)
	fault := errors.Join(f.list...)
	if fault != nil && d.cfg.Workspace != Defaults().Workspace {
		d.check("workspace", "", fault)
		return
	}
	ws, err := workspace.Open(ctx, workspace.Options{Dir: d.cfg.Workspace, Logger: d.log})
	if !d.check("workspace", "", workspaceError(d.cfg.Workspace, err)) {
		return
	}
	d.ws = ws
	uid, gid := ws.Owner()
	who, err := chooseIdentity(d.cfg.User, uid, gid, "")
	text := fmt.Sprintf("%s, agent would be %d:%d", ws.Root(), who.uid, who.gid)
	if reason := ws.Unsuitable(); reason != "" {
		text += ", copied (" + reason + ")"
	}
	if fault != nil { // nobody said that runs would be here
		text = "runs go elsewhere: " + fault.Error()
	}
	d.results[len(d.results)-1].text = text
	if err != nil {
		d.check("user", "", err)
	}
}

func (d *doctor) proxy() {
	text := noProxy
	proxy, err := d.cfg.upstreamProxy(thisHost())
	switch {
	case err != nil: // a run would go on without it
		text = "not used: " + err.Error()
	case proxy.url != "":
		text = redactURL(proxy.url) + ", by " + proxy.from
	}
	d.check("upstream proxy", text, nil)
}

// sandbox makes what a run would make, but for the agent, and takes it down again.
func (d *doctor) sandbox(ctx context.Context) {
	image, err := d.image(ctx, d.cfg.GatewayImage, "")
	if !d.check("gateway image", d.cfg.GatewayImage, err) {
		return
	}
	state, err := openState(d.id, d.engine.Facts().Host)
	if !d.check("state folder", stateFolder(), err) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, buildDeadline)
	defer cancel()
	defer func() {
		d.check("clean-up", "nothing left", errors.Join(d.engine.RemoveRun(context.WithoutCancel(ctx), d.id), state.close()))
	}()
	d.overlay(ctx, image)
	d.firewall(ctx, image)
}

// overlay mounts the workspace as a run does and lets the collector prove that the engine sees the same files.
func (d *doctor) overlay(ctx context.Context, image sandbox.Image) {
	if d.ws == nil {
		return
	}
	v := &view{session: d.session, ws: d.ws, images: images{gateway: image}}
	uid, gid := d.ws.Owner()
	v.identity, _ = chooseIdentity(d.cfg.User, uid, gid, "") // a bad --user has its own line
	beating, stop := context.WithCancel(ctx)
	defer v.beats.Wait()
	defer stop()
	err := v.overlayWorkspace(ctx, beating)
	text := "mounted, and the engine sees this folder"
	if err != nil { // no fault: it is slower, and closes nothing less
		text = "not here, runs copy the workspace: " + err.Error()
	}
	d.check("overlay", text, nil)
}

// firewall starts a real gateway with an empty policy and reports what it proved.
func (d *doctor) firewall(ctx context.Context, image sandbox.Image) {
	container, err := d.engine.NewGateway(ctx, sandbox.GatewayOptions{RunID: d.id, Image: image, Network: d.cfg.Network})
	if !d.check("gateway", "created", err) {
		return
	}
	begun := time.Now()
	link, err := startGateway(ctx, container, wire.GatewayConfig{
		Wire: wire.Version, RunID: d.id, Policy: policy.Spec{Egress: policy.Enforce}, AgentUID: fallbackID, AgentGID: fallbackID,
		HeartbeatTimeoutMs: heartbeatTimeout.Milliseconds(), DeadlineMs: buildDeadline.Milliseconds(),
		DNS: d.cfg.DNS, MinFreeDiskBytes: math.MaxInt64, // any disk has less: the answer says how much
	}, func(reports.Event) {}, func(reports.Usage) {}, d.log)
	if !d.check("gateway start", "running", err) {
		return
	}
	ready, err := link.waitReady(ctx)
	if !d.check("firewall", "", err) {
		return
	}
	d.results[len(d.results)-1].text = fmt.Sprintf("%d rules by iptables (%s), NFLOG, ready after %s",
		ready.Rules, ready.Backend, time.Since(begun).Round(time.Millisecond))
	for _, c := range ready.SelfTest {
		d.check("  "+c.Name, c.Result, nil)
	}
	d.disk(ctx, link)
	_, err = link.finish(ctx)
	d.check("record", "closed with its summary", err)
}

// disk reports what the engine's disk has free.
func (d *doctor) disk(ctx context.Context, link *gatewayLink) {
	select {
	case disk := <-link.disk:
		var err error
		if disk.FreeBytes < int64(d.cfg.MinFreeDisk) {
			err = withHint(fmt.Errorf("%s free on the engine's disk, a run needs %s", Bytes(disk.FreeBytes).Human(), d.cfg.MinFreeDisk),
				"free some (docker system df), or lower --min-free-disk")
		}
		d.check("disk", Bytes(disk.FreeBytes).Human()+" free on the engine's disk", err)
	case <-link.ended:
	case <-ctx.Done():
	}
}
