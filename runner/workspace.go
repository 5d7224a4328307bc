package runner

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/yolo-run/yolo-run/entrypoint/wire"
	"github.com/yolo-run/yolo-run/runner/internal/sandbox"
	"github.com/yolo-run/yolo-run/runner/internal/workspace"
)

// The modes of a workspace.
const (
	modeAuto    = "auto"
	modeOverlay = "overlay"
	modeCopy    = "copy"
)

// layers are the folders of the workspace's overlay, as the engine sees them, and the volumes that they lie in.
type layers struct {
	wire.Layers
	lowerPath   string // on the host; empty in copy mode
	lowerVolume string // that has the copy; empty in overlay mode
	upper       string // empty where there is no overlay
	merged      sandbox.Volume
}

// images are the images of the run's containers.
type images struct{ gateway, agent sandbox.Image }

// view is the copy-on-write view of a workspace, with the collector that reads it. Who makes one fills the first fields and waits for beats.
type view struct {
	session
	ws       *workspace.Workspace
	identity identity
	images   images

	layers    layers
	collector *collectorLink
	// entrypoint is the binary for the agent's container, out of the gateway's image.
	entrypoint bytes.Buffer
	beats      sync.WaitGroup
}

// mounted are the layers that mountinfo must show, nil where there is no overlay.
func (l *layers) mounted() *wire.Layers {
	if l.upper == "" {
		return nil
	}
	return &l.Layers
}

// buildWorkspace makes the copy-on-write view of the workspace and starts the collector, which proves that the engine sees our files. Where
// it does not, auto mode copies them.
func (r *run) buildWorkspace(ctx context.Context, beating context.Context) error {
	defer r.phase("workspace")()
	r.warnOfBorrowedObjects()
	r.beats.Go(func() { _, _ = r.ws.Hidden(ctx) }) // the walk takes a while on a large tree: who needs it waits for what is left of it
	mode, reason := r.chooseMode()
	if mode == modeOverlay {
		err := r.overlayWorkspace(ctx, beating)
		if err == nil {
			r.rep.Workspace.Mode = modeOverlay
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("overlay workspace: %w", context.Cause(ctx))
		}
		if r.cfg.WorkspaceMode == modeOverlay {
			return fmt.Errorf("overlay workspace: %w", err)
		}
		reason = err.Error()
		if err := r.unmountWorkspace(ctx); err != nil {
			return err
		}
	}
	return r.buildCopy(ctx, beating, reason)
}

// overlayWorkspace mounts the overlay over the workspace, or over a view of it in which it is the agent's. The view is ours only until the overlay is mounted.
func (v *view) overlayWorkspace(ctx, beating context.Context) (err error) {
	reason := v.ws.NeedsMap(v.identity.uid, v.identity.gid)
	if reason == "" {
		return v.mountWorkspace(ctx, beating, v.ws.Root(), "")
	}
	mapped, err := v.ws.Map(v.identity.uid, v.identity.gid)
	if err != nil && v.cfg.WorkspaceMode == modeOverlay { // asked for: the agent writes what it may
		v.log.Warn("an overlay does not suit the workspace", "reason", reason, "error", err)
		return v.mountWorkspace(ctx, beating, v.ws.Root(), "")
	}
	if err != nil {
		return fmt.Errorf("%s: %w", reason, err)
	}
	defer func() { err = errors.Join(err, mapped.Close()) }()
	if err := v.mountWorkspace(ctx, beating, mapped.Path(), ""); err != nil {
		return fmt.Errorf("%s, and a view of it as the agent's cannot be mounted: %w", reason, err)
	}
	return nil
}

// warnOfBorrowedObjects tells of what the agent's git will miss.
func (r *run) warnOfBorrowedObjects() {
	if err := r.ws.NotLent(); err != nil {
		attrs := []any{"error", err}
		if fault, ok := errors.AsType[*workspace.Error](err); ok {
			attrs = append(attrs, "hint", fault.Hint)
		}
		r.log.Warn("the agent does not get the repository that the workspace's .git leads to", attrs...)
	}
	mounts, err := r.cfg.MountList()
	r.fault(err) // Validate has passed it
	for _, dir := range r.ws.Borrows() {
		if !slices.ContainsFunc(mounts, func(m Mount) bool { return m.Source == m.Target && within(m.Source, dir) }) {
			r.log.Warn("the repository borrows objects that the agent's git will not find; mount them with --mount FOLDER:FOLDER, or clone without --reference", "folder", dir)
		}
	}
}

// chooseMode says how the workspace will be mounted as far as it is known before the engine was tried, and why not as an overlay.
func (r *run) chooseMode() (mode, reason string) {
	facts := r.engine.Facts()
	switch {
	case r.cfg.WorkspaceMode == modeCopy:
		return modeCopy, "asked for by --workspace-mode"
	case facts.Remote:
		return modeCopy, "the engine is reached over the network"
	case facts.Rootless:
		return modeCopy, "the engine is rootless"
	case facts.UserNSRemap:
		return modeCopy, "the engine maps users to others"
	case facts.Desktop:
		return modeCopy, "the engine runs in a virtual machine"
	case facts.Podman && isEmpty(r.ws.Root()):
		return modeCopy, podmanEmpty
	}
	if reason := r.ws.Unsuitable(); reason != "" && r.cfg.WorkspaceMode == modeAuto {
		return modeCopy, reason
	}
	return modeOverlay, ""
}

// podmanEmpty is why an empty workspace has no overlay on Podman, which gives a mounted volume that is empty to the first container's user.
const podmanEmpty = "Podman would give an empty overlay to root"

// canMountOverlay says whether it makes sense to try an overlay over the copy.
func (r *run) canMountOverlay() bool {
	facts := r.engine.Facts()
	return !facts.Rootless && !(facts.Podman && isEmpty(r.ws.Root())) // a rootless one's kernel refuses redirect_dir
}

func isEmpty(dir string) bool {
	entries, err := os.ReadDir(dir)
	return err == nil && len(entries) == 0
}

// maxEntrypoint bounds the binary that the agent's container is given, in bytes.
const maxEntrypoint = 128 << 20

// mountWorkspace makes the overlay over lower and starts the collector on it. Lower is the workspace, a view of it, or with a volume that volume's folder.
func (v *view) mountWorkspace(ctx, beating context.Context, lower, volume string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, buildDeadline, errors.New("the workspace took too long to mount"))
	defer cancel()
	upper, err := v.engine.Volume(ctx, v.id, "upper", v.identity.owner())
	if err != nil {
		return err
	}
	work, err := v.engine.Volume(ctx, v.id, "work", v.identity.owner())
	if err != nil {
		return err
	}
	l := layers{
		Layers: wire.Layers{Lower: lower, Upper: upper.Mountpoint, Work: work.Mountpoint},
		upper:  upper.Name, lowerVolume: volume,
	}
	if volume == "" {
		l.lowerPath = v.ws.Root()
	}
	if l.merged, err = v.engine.Overlay(ctx, v.id, "merged", l.Layers); err != nil {
		return err
	}
	return v.startCollector(ctx, beating, l)
}

// startCollector starts the collector on what was mounted and lets it prove that it sees that, and our files where they are not a copy.
func (v *view) startCollector(ctx, beating context.Context, l layers) error {
	v.layers = l
	container, err := v.engine.NewCollector(ctx, sandbox.CollectorOptions{
		RunID: v.id, Image: v.images.gateway,
		LowerPath: l.lowerPath, LowerVolume: l.lowerVolume, Upper: l.upper, Merged: l.merged.Name,
	})
	if err != nil {
		return err
	}
	v.collector = &collectorLink{container: container}
	// Now, because the engine would let us wait while a container of the image starts.
	v.entrypoint.Reset()
	if _, err := container.File(ctx, "/entrypoint", maxEntrypoint, &v.entrypoint); err != nil {
		return withHint(err, "is "+v.cfg.GatewayImage+" the gateway's image? make images in a checkout of yolo-run builds it")
	}
	if err := v.collector.start(ctx, v.log); err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { v.collector.stdout.CloseWithError(context.Cause(ctx)) })()
	probe, err := v.ws.Probe(v.collector, v.collector.stdout, l.mounted(), heartbeatTimeout, v.cfg.Timeout+deadlineSlack)
	if err != nil {
		return err
	}
	if l.lowerVolume == "" {
		if err := v.ws.CheckProbe(probe); err != nil {
			return err
		}
	}
	link := v.collector // the field may be another's by the time that the goroutine runs
	v.beats.Go(func() { link.beat(beating) })
	return nil
}

// unmountWorkspace takes back what mountWorkspace made.
func (v *view) unmountWorkspace(ctx context.Context) error {
	if v.collector != nil {
		if err := v.collector.container.Remove(ctx); err != nil {
			return err
		}
		v.collector = nil
	}
	return v.engine.RemoveVolumes(ctx, v.id)
}

// copyProgress logs how far the copy is, every few seconds.
func (r *run) copyProgress() func(files, bytes int64) {
	const every = 5 * time.Second
	next := time.Now().Add(every)
	return func(files, bytes int64) {
		if time.Now().After(next) {
			next = time.Now().Add(every)
			r.log.Info("copying the workspace", "files", files, "size", Bytes(bytes).String())
		}
	}
}
