package runner

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/yolo-run/yolo-run/entrypoint/wire"
	"github.com/yolo-run/yolo-run/runner/internal/sandbox"
)

// buildCopy gives the agent a copy of the workspace: below an overlay, so that what it changes is found without comparing all of it. An engine that cannot
// mount one gets two copies, one of which the agent works on.
func (r *run) buildCopy(ctx, beating context.Context, reason string) error {
	r.rep.Workspace.Mode, r.rep.Workspace.ModeReason = modeCopy, reason
	r.log.Info("copying the workspace", "reason", reason)
	begun := time.Now()
	defer func() { r.copyTook = time.Since(begun) }()
	if r.canMountOverlay() {
		volumes, err := r.copyWorkspace(ctx, "lower")
		if err != nil {
			return fmt.Errorf("copy the workspace: %w", err)
		}
		err = r.mountWorkspace(ctx, beating, volumes[0].Mountpoint, volumes[0].Name)
		if err == nil || ctx.Err() != nil {
			return err
		}
		r.rep.Workspace.ModeReason += "; and the copy has no overlay: " + err.Error()
		r.log.Warn("the engine mounts no overlay: the workspace is copied twice", "error", err)
		if err := r.unmountWorkspace(ctx); err != nil {
			return err
		}
	}
	volumes, err := r.copyWorkspace(ctx, "lower", "merged")
	if err != nil {
		return fmt.Errorf("copy the workspace: %w", err)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, buildDeadline, errors.New("the collector took too long to start"))
	defer cancel()
	return r.startCollector(ctx, beating, layers{lowerVolume: volumes[0].Name, merged: volumes[1]})
}

// copyWorkspace streams the workspace into one or two volumes of these roles, through a container that takes the archive apart. The engine's own way to put files into a
// container takes four times as long.
func (r *run) copyWorkspace(ctx context.Context, roles ...string) (_ []sandbox.Volume, err error) {
	o := sandbox.LoaderOptions{RunID: r.id, Image: r.images.gateway, UID: r.identity.uid, GID: r.identity.gid, Volumes: map[string]string{}}
	var volumes []sandbox.Volume
	var folders []string
	for i, role := range roles {
		volume, err := r.engine.Volume(ctx, r.id, role, r.identity.owner())
		if err != nil {
			return nil, err
		}
		volumes = append(volumes, volume)
		folders = append(folders, []string{wire.LoadDir, wire.LoadTwin}[i])
		o.Volumes[folders[i]] = volume.Name
	}
	loader, err := r.engine.NewLoader(ctx, o)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, loader.Remove(context.WithoutCancel(ctx))) }()
	mountPoints, err := ownedFolders(r.identity, folders)
	if err != nil {
		return nil, err
	}
	if err := loader.PutArchive(ctx, "/", mountPoints); err != nil {
		return nil, err
	}
	return volumes, r.stream(ctx, loader)
}

// ownedFolders is an archive of folders that belong to the agent: how an engine is told the owner of a volume's root.
func ownedFolders(id identity, names []string) (io.Reader, error) {
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	for _, name := range names {
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: strings.TrimPrefix(name, "/") + "/", Mode: 0o700, Uid: id.uid, Gid: id.gid}); err != nil {
			return nil, err
		}
	}
	return &archive, w.Close()
}

// stream sends the archive and compares what the loader says it wrote with it.
func (r *run) stream(ctx context.Context, loader *sandbox.Container) error {
	var said bytes.Buffer
	in, err := loader.Start(ctx, &said, logLines(r.log, "loader"))
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { _ = loader.Kill(context.WithoutCancel(ctx), "KILL") })()
	counted := &countedArchive{Writer: in}
	buffer := bufio.NewWriterSize(counted, 256<<10)
	archive := tar.NewWriter(buffer)
	sent, err := r.ws.WriteCopy(ctx, archive, r.identity.uid, r.identity.gid, r.copyProgress())
	if err == nil {
		err = errors.Join(archive.Close(), buffer.Flush())
	}
	if err != nil && counted.err == nil {
		return errors.Join(err, loader.Kill(context.WithoutCancel(ctx), "KILL")) // the reason is on our side
	}
	err = errors.Join(err, in.Close())
	exit, waitErr := loader.Wait(ctx)
	if waitErr != nil {
		return errors.Join(err, waitErr)
	}
	loaded, readErr := wire.ReadLoaded(&said)
	switch {
	case readErr != nil:
		return withHint(errors.Join(err, fmt.Errorf("loader ended with exit code %d %s: %w", exit.Code, exit.Error, readErr)),
			"is "+r.cfg.GatewayImage+" of this version? make images in a checkout of yolo-run builds it")
	case loaded.Error != "":
		return fmt.Errorf("loader: %s", loaded.Error)
	case err != nil:
		return err
	case exit.Code != 0 || loaded.Entries != sent.Entries || loaded.Bytes != sent.Bytes:
		return fmt.Errorf("loader wrote %d entries of %d bytes, %d of %d were sent (exit code %d)",
			loaded.Entries, loaded.Bytes, sent.Entries, sent.Bytes, exit.Code)
	}
	return nil
}

// countedArchive knows whether it was the receiver that failed.
type countedArchive struct {
	io.Writer
	err error
}

func (c *countedArchive) Write(p []byte) (int, error) {
	n, err := c.Writer.Write(p)
	c.err = errors.Join(c.err, err)
	return n, err
}
