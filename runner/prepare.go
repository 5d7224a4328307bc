package runner

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/yolo-run/yolo-run/entrypoint/policy"
	"github.com/yolo-run/yolo-run/reports"
	"github.com/yolo-run/yolo-run/runner/internal/agent"
	"github.com/yolo-run/yolo-run/runner/internal/ci"
	"github.com/yolo-run/yolo-run/runner/internal/sandbox"
	"github.com/yolo-run/yolo-run/runner/internal/workspace"
)

// prepare finds every fault that can be known before a container exists. It returns an error, with its hint, or a run that may begin.
func prepare(ctx context.Context, cfg Config, s Streams) (_ *run, err error) {
	cfg.SetDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	r := &run{view: view{session: session{cfg: cfg, id: newRunID()}}, streams: s, started: time.Now()}
	defer func() {
		if err != nil {
			r.abandon()
		}
	}()
	if err := r.prepareInput(ctx); err != nil {
		return nil, err
	}
	if r.out, err = openOutput(r.cfg, r.id); err != nil {
		return nil, err
	}
	r.prepareScreen()
	if err := r.maskSecrets(); err != nil {
		return nil, err
	}
	defer r.phase("preflight")()
	if err := r.prepareEngine(ctx); err != nil {
		return nil, err
	}
	if r.state, err = openState(r.id, r.engine.Facts().Host); err != nil {
		return nil, withHint(fmt.Errorf("state of the run: %w", err), "set XDG_STATE_HOME to a folder that can be written")
	}
	if err := r.prepareAgentFiles(ctx); err != nil {
		return nil, err
	}
	if err := r.prepareOutput(); err != nil {
		return nil, err
	}
	r.prepareReport()
	return r, nil
}

// prepareInput reads what the run works on: prompt, secrets, agent, workspace.
func (r *run) prepareInput(ctx context.Context) error {
	var err error
	if r.prompt, err = r.cfg.ReadPrompt(r.streams.In); err != nil {
		return err
	}
	if err := r.prepareModels(); err != nil {
		return err
	}
	r.proxy, r.proxyFault = r.cfg.upstreamProxy(thisHost())
	if r.notice, err = r.cfg.noticeText(thisHost(), len(r.served) > 0); err != nil {
		return &UsageError{Option: "--notice", Value: r.cfg.Notice, Err: err}
	}
	if r.agent, err = agent.Resolve(r.cfg.Agent, r.cfg.Command); err != nil {
		return &UsageError{Option: "--agent", Value: r.cfg.Agent, Err: err}
	}
	r.ws, err = workspace.Open(ctx, workspace.Options{Dir: r.cfg.Workspace, Hide: r.cfg.Hide, Logger: slog.New(slog.DiscardHandler)})
	return workspaceError(r.cfg.Workspace, err)
}

// prepareModels reads the keys of the models that the run serves, beside the secrets that --secret names.
func (r *run) prepareModels() error {
	var err, keyErr error
	r.secrets, err = secretValues(r.cfg)
	r.served, keyErr = r.cfg.modelAPIs(thisHost())
	if err := errors.Join(err, keyErr); err != nil {
		return err
	}
	var keys []string
	if r.models, keys, err = readKeys(r.served, thisHost()); err != nil {
		return err
	}
	for _, key := range keys {
		if len(key) >= minKey && !slices.Contains(r.secrets, key) {
			r.secrets = append(r.secrets, key)
		}
	}
	return nil
}

// minKey is the length of the shortest key that is taken for one, in bytes. A server of one's own is often given a word that no log and no
// patch can do without, such as none or x.
const minKey = 8

// warnOfEnv says what --env does that somebody may not have meant.
func (r *run) warnOfEnv() {
	for _, name := range unsetEnv(r.cfg.Env) {
		r.log.Warn("the agent does not get a variable that is not set here", "name", name)
	}
	for _, entry := range r.cfg.Env {
		name, _, _ := strings.Cut(entry, "=")
		for _, api := range agent.APIs() {
			if _, isKey := api.Key(name); isKey {
				r.log.Warn("the agent can read a key", "name", name, "instead", "--secret "+name+"=env:"+name)
			}
		}
	}
}

// warnOfUploads names allowed hosts where data could be left for anybody, because the agent can bring an account of its own.
func (r *run) warnOfUploads() {
	spec, err := r.cfg.PolicySpec()
	if err != nil || spec.Egress == policy.None {
		return // Validate has passed it
	}
	for _, entry := range spec.Allow {
		if kind := policy.Uploads(entry); kind != "" {
			r.log.Warn("an allowed host takes uploads from anyone: data can leave by it", "host", entry, "kind", kind)
		}
	}
}

// sayModels says where the agent's requests go, and what --mount shows it beside its work.
func (r *run) sayModels() {
	for _, s := range r.served {
		attrs := []any{"api", s.Name, "upstream", s.upstream}
		if s.from != "" {
			attrs = append(attrs, "by", s.from)
		}
		if s.key != nil {
			attrs = append(attrs, "key", s.key.Variable, "from", s.key.from)
		}
		r.log.Info("the gateway serves a model", attrs...)
		if s.key != nil && strings.HasPrefix(s.upstream, "http://") {
			r.log.Warn("a key is sent in clear text: whoever is on the way can read it", "key", s.key.Variable, "upstream", s.upstream, "instead", "an https:// URL")
		}
	}
	if r.cfg.mountsInto(r.agent.ConfigDir) {
		r.log.Warn("the agent can read the login that is mounted", "folder", r.agent.ConfigDir)
	}
}

// maskSecrets keeps CI from showing what was handed in as a secret, whoever prints it.
func (r *run) maskSecrets() error {
	for _, secret := range r.secrets {
		if err := r.github.Mask(secret); err != nil {
			return err
		}
	}
	return nil
}

// workspaceError says whether the user named the wrong folder or the machine lacks something.
func workspaceError(dir string, err error) error {
	if err == nil {
		return nil
	}
	hint := ""
	if fault, ok := errors.AsType[*workspace.Error](err); ok {
		hint = fault.Hint
	}
	if errors.Is(err, workspace.ErrNoGit) {
		return withHint(err, hint)
	}
	return &UsageError{Option: "--workspace", Value: dir, Err: err, Hint: hint}
}

// prepareScreen makes what the user and CI see of the run.
func (r *run) prepareScreen() {
	r.github = ci.Detect(os.Getenv, r.streams.Out)
	options := r.cfg.logOptions(r.streams.Err)
	r.colour, r.screen = options.Colour, newScreen(r.streams.Err)
	r.streams.Err = r.screen
	r.log = NewLogger(r.screen, options)
}

// prepareOutput takes the output folder, now that the run is sure to begin, and lets the log go there too.
func (r *run) prepareOutput() (err error) {
	if err := r.out.take(); err != nil {
		return err
	}
	if r.files, err = openRunFiles(r.out, r.cfg, r.agent.Format); err != nil {
		return err
	}
	record := NewLogger(r.files.log, LogOptions{Level: slog.LevelDebug, JSON: true}).Handler()
	r.record = slog.New(record)
	r.log = slog.New(slog.NewMultiHandler(r.log.Handler(), record))
	if r.cfg.LogFormat == "json" {
		r.record = r.log
	}
	r.warnOfEnv()
	r.warnOfUploads()
	warnOfProxy(r.log, r.proxy, r.proxyFault)
	r.sayModels()
	r.events = reports.NewCollector(r.files.network)
	r.live = newLiveView(r)
	return nil
}

// prepareEngine connects to the engine, cleans up after dead runs, and makes sure of everything that the run needs of it.
func (r *run) prepareEngine(ctx context.Context) (err error) {
	if r.engine, err = sandbox.Open(ctx, "", r.log); err != nil {
		return engineError(err)
	}
	facts := r.engine.Facts()
	if !facts.Seccomp {
		return withHint(errors.New("the engine has no seccomp"), "use an engine and a kernel with seccomp: without it the sandbox is not closed")
	}
	if _, err := cleanDead(ctx, r.engine, r.log); err != nil {
		r.log.Warn("remains of dead runs could not be removed", "error", err)
	}
	ownerUID, ownerGID := r.ws.Owner()
	if r.identity, err = chooseIdentity(r.cfg.User, ownerUID, ownerGID, facts.Socket); err != nil {
		return &UsageError{Option: "--user", Value: r.cfg.User, Err: err}
	}
	r.limits = r.chooseLimits(facts)
	if facts.NoLimits {
		r.log.Warn(noLimits)
	}
	if r.cfg.Network != "" {
		if err := r.engine.CheckNetwork(ctx, r.cfg.Network); err != nil {
			return &UsageError{Option: "--network", Value: r.cfg.Network, Err: err, Hint: "list them with: docker network ls"}
		}
	}
	// The gateway runs on the engine's own platform, whatever the agent does.
	if r.images.gateway, err = r.image(ctx, r.cfg.GatewayImage, ""); err != nil {
		return err
	}
	r.images.agent, err = r.image(ctx, r.cfg.Image, r.cfg.Platform)
	return err
}

// noLimits is said of engines that take limits and do not keep them.
const noLimits = "the engine cannot limit memory and processes: the agent can use all of this machine's, and what it leaves running can outlive its end " +
	"until --timeout (rootless engines need cgroup v2 for limits)"

func engineError(err error) error {
	switch {
	case errors.Is(err, sandbox.ErrPermission):
		return withHint(err, "add your user to the socket's group (usermod -aG docker USER, then log in again), or use a rootless engine")
	case errors.Is(err, sandbox.ErrNoEngine):
		return withHint(err, "start one (systemctl start docker, or make images in a checkout of yolo-run), or set DOCKER_HOST")
	}
	if err != nil && os.Getenv("DOCKER_HOST") != "" {
		return withHint(err, "set DOCKER_HOST to unix:///PATH or tcp://HOST:PORT, or leave it out")
	}
	return err
}

// chooseLimits clamps what was asked for to what the engine has: 80 % of its memory, all of its processors.
func (r *run) chooseLimits(facts sandbox.Facts) reports.Limits {
	l := reports.Limits{
		TimeoutMs: r.cfg.Timeout.Milliseconds(), MemoryBytes: int64(r.cfg.Memory), CPUs: r.cfg.CPUs,
		PIDs: r.cfg.PIDs, ShmBytes: int64(r.cfg.ShmSize), MinFreeDiskBytes: int64(r.cfg.MinFreeDisk),
	}
	if most := facts.Memory / 5 * 4; facts.Memory > 0 && l.MemoryBytes > most {
		r.log.Info("memory limit lowered to 80 % of the engine's", "asked", r.cfg.Memory.Human(), "limit", Bytes(most).Human())
		l.MemoryBytes = most
	}
	if most := float64(facts.CPUs); facts.CPUs > 0 && l.CPUs > most {
		l.CPUs = most
	}
	return l
}

// prepareReport fills in what is known before the run.
func (r *run) prepareReport() {
	r.rep = reports.Report{
		Schema: reports.Schema, ID: r.id, Version: r.cfg.Version, FailOn: r.cfg.FailOn, StartedAt: r.started.UTC(),
		Engine:    r.engine.Facts().Engine,
		Sandbox:   reports.Sandbox{UID: r.identity.uid, GID: r.identity.gid, Limits: r.limits},
		Agent:     reports.Agent{Name: r.agent.Name, Version: r.agentVersion, Model: r.cfg.Model, Command: r.agent.Argv, Image: r.cfg.Image, ImageDigest: r.images.agent.Digest},
		Workspace: reports.Workspace{Path: r.ws.Root()},
		Policy:    r.policyReport(),
	}
	if r.rep.Agent.ImageDigest == "" {
		r.rep.Agent.ImageDigest = r.images.agent.ID
	}
}

func (r *run) policyReport() reports.Policy {
	spec, err := r.cfg.PolicySpec()
	r.fault(err) // Validate has passed it
	parsed, err := policy.Parse(spec)
	r.fault(err)
	if parsed != nil {
		spec = parsed.Spec()
	}
	p := reports.Policy{
		Egress: string(spec.Egress), AllowedDomains: spec.Allow, DeniedDomains: spec.Deny, AllowedInternal: spec.Internal,
		ConfigSHA256: r.cfg.ConfigSHA256,
	}
	p.SHA256, err = p.Digest()
	r.fault(err)
	return p
}

// abandon undoes prepare when it fails: what it made is empty.
func (r *run) abandon() {
	if r.state != nil {
		_ = r.state.close()
	}
	if r.engine != nil {
		_ = r.engine.Close()
	}
	if r.out == nil {
		return
	}
	r.files.close()
	r.out.abandon()
}

// failsOn reports whether --fail-on has a rule.
func (r *run) failsOn(rule string) bool { return slices.Contains(r.cfg.FailOn, rule) }
