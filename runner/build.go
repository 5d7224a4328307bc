package runner

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"path"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/yolo-run/yolo-run/entrypoint/wire"
	"github.com/yolo-run/yolo-run/runner/internal/agent"
	"github.com/yolo-run/yolo-run/runner/internal/sandbox"
)

// buildDeadline bounds everything from the first container to the agent's start, without copying the workspace.
const buildDeadline = 60 * time.Second

// build makes the sandbox: gateway and workspace side by side, then the agent's container, which joins both. Nothing of the agent's has run
// when it returns.
func (r *run) build(ctx context.Context) {
	defer r.phase("sandbox")()
	beating, stop := context.WithCancel(context.WithoutCancel(ctx))
	r.stopBeats = stop

	group, ctx := errgroup.WithContext(ctx)
	created := make(chan *sandbox.Container, 1)
	mounted, proved := make(chan struct{}), make(chan struct{})
	group.Go(func() error {
		defer close(proved)
		defer close(created)
		return r.buildGateway(ctx, beating, created)
	})
	group.Go(func() error {
		defer close(mounted)
		return r.buildWorkspace(ctx, beating)
	})
	group.Go(func() error {
		gateway := <-created
		<-mounted
		if gateway == nil || ctx.Err() != nil {
			return nil // the others say why
		}
		return r.buildBox(ctx, gateway, proved)
	})
	r.fault(group.Wait())
}

// buildGateway creates and starts the gateway and waits until it has proved itself closed. created gets the container as soon as it exists.
func (r *run) buildGateway(ctx, beating context.Context, created chan<- *sandbox.Container) error {
	defer r.phase("gateway")()
	ctx, cancel := context.WithTimeoutCause(ctx, buildDeadline, errors.New("the gateway took too long to start"))
	defer cancel()
	container, err := r.engine.NewGateway(ctx, sandbox.GatewayOptions{RunID: r.id, Image: r.images.gateway, Network: r.cfg.Network})
	if err != nil {
		return err
	}
	created <- container
	cfg, err := r.gatewayConfig()
	if err != nil {
		return err
	}
	if r.gateway, err = startGateway(ctx, container, cfg, r.onEvent, r.live.usage, r.log); err != nil {
		return err
	}
	r.beats.Go(func() { r.gateway.beat(beating) })
	if r.ready, err = r.gateway.waitReady(ctx); err != nil {
		return err
	}
	if r.ready.Version != r.cfg.Version {
		return fmt.Errorf("gateway image %s has version %s, this is %s: run make images, or name the right one by --gateway-image",
			r.cfg.GatewayImage, r.ready.Version, r.cfg.Version)
	}
	r.rep.SelfTest = r.ready.SelfTest
	return checkModelAddr(r.ready.ModelAddr, len(r.served))
}

func (r *run) gatewayConfig() (wire.GatewayConfig, error) {
	dns, err := r.resolvers()
	if err != nil {
		return wire.GatewayConfig{}, err
	}
	spec, err := r.cfg.PolicySpec()
	if err != nil {
		return wire.GatewayConfig{}, err
	}
	cfg := wire.GatewayConfig{
		Wire: wire.Version, RunID: r.id,
		Policy:   spec,
		AgentUID: r.identity.uid, AgentGID: r.identity.gid,
		DNS: dns, HostAddrs: r.hostAddrs(),
		HeartbeatTimeoutMs: heartbeatTimeout.Milliseconds(),
		DeadlineMs:         (r.cfg.Timeout + deadlineSlack).Milliseconds(),
		MinFreeDiskBytes:   int64(r.cfg.MinFreeDisk),
		CAPEM:              string(r.files.ca),
		Models:             r.models,
		AllowServerTools:   r.cfg.AllowServerTools,
		Budget:             r.cfg.budget(),
	}
	if cfg.Prices, err = agent.Prices(r.cfg.Prices); err != nil {
		return wire.GatewayConfig{}, err
	}
	cfg.UpstreamProxy, cfg.NoProxy = r.proxy.url, r.proxy.except
	return cfg, nil
}

// hostAddrs are this machine's addresses where it is the engine's, too: no allowed name may lead there.
func (r *run) hostAddrs() []string {
	if r.engine.Facts().Remote {
		return nil
	}
	addrs, err := net.InterfaceAddrs()
	r.warnIf("this machine's addresses are unknown", err)
	list := []string{}
	for _, addr := range addrs {
		if network, ok := addr.(*net.IPNet); ok {
			list = append(list, network.IP.String())
		}
	}
	return list
}

// buildBox creates the agent's container and puts all of its files into it by one archive. proved is closed when the gateway has said where it
// serves models, or is gone.
func (r *run) buildBox(ctx context.Context, gateway *sandbox.Container, proved <-chan struct{}) error {
	defer r.phase("container")()
	ctx, cancel := context.WithTimeoutCause(ctx, buildDeadline, errors.New("the agent's container took too long to make"))
	defer cancel()
	mounts, err := r.mounts(ctx)
	if err != nil {
		return err
	}
	box, err := r.newBox(ctx, sandbox.AgentOptions{
		RunID: r.id, Image: r.images.agent, Platform: r.cfg.Platform, Gateway: gateway,
		UID: r.identity.uid, GID: r.identity.gid, Merged: r.layers.merged.Name, Mounts: mounts, Limits: r.limits,
	})
	if err != nil && r.cfg.Platform != "" {
		return withHint(err, "is the image on this engine for "+r.cfg.Platform+"? Without --platform the engine's own is taken")
	}
	if err != nil {
		return err
	}
	r.box = box
	if len(r.served) > 0 { // their address goes into the archive
		<-proved
		if checkModelAddr(r.ready.ModelAddr, len(r.served)) != nil {
			return nil // the gateway's part says why
		}
	}
	reader, writer := io.Pipe()
	go func() { writer.CloseWithError(r.writeArchive(ctx, writer)) }()
	return errors.Join(box.PutArchive(ctx, "/", reader), reader.Close())
}

// withoutMounted leaves out the files for which --mount has a place: what is mounted there is the user's.
func (r *run) withoutMounted(files map[string]string) map[string]string {
	mounts, err := r.cfg.MountList()
	r.fault(err) // Validate has passed it
	maps.DeleteFunc(files, func(file, _ string) bool {
		return slices.ContainsFunc(mounts, func(m Mount) bool { return within(m.Target, file) })
	})
	return files
}

// writeArchive writes everything that the agent's container gets: our files, and those that stand before the workspace's own.
func (r *run) writeArchive(ctx context.Context, w io.Writer) error {
	env := r.files.env
	if len(r.files.ca) > 0 {
		env = append(agent.CAEnv(), env...)
	}
	cfg, extra := r.agent.Config(agent.Setup{
		Dir: path.Join("/workspace", filepath.ToSlash(r.ws.Sub())), UID: r.identity.uid, GID: r.identity.gid, Model: r.cfg.Model, Env: env,
		APIs: agentAPIs(r.served), Addr: r.ready.ModelAddr, Notice: r.notice, ServerTools: r.cfg.AllowServerTools,
	})
	cfg.Layers = r.layers.mounted()
	var err error
	if cfg.Placeholders, err = r.ws.Placeholders(ctx); err != nil {
		return err
	}
	archive := tar.NewWriter(w)
	err = agent.WriteFiles(archive, agent.Files{
		Entrypoint: &r.entrypoint, EntrypointSize: int64(r.entrypoint.Len()), Config: cfg,
		Prompt: bytes.NewReader(r.prompt), PromptSize: int64(len(r.prompt)), CA: r.files.ca, ModTime: r.started,
		Extra: r.withoutMounted(extra),
	})
	if err != nil {
		return err
	}
	if r.rep.Workspace.Hidden, err = r.ws.Hidden(ctx); err != nil {
		return err
	}
	if err := r.ownMounts(archive); err != nil {
		return err
	}
	if err := r.ws.WriteUpper(ctx, archive, r.identity.uid, r.identity.gid); err != nil {
		return err
	}
	return archive.Close()
}
