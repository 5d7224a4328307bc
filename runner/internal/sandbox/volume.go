package sandbox

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/client"
	"golang.org/x/sync/errgroup"

	"github.com/yolo-run/yolo-run/entrypoint/wire"
)

// labelRun marks everything that belongs to a run. It informs people; nothing is ever removed because of it, because the labels of an image become
// those of its containers.
const labelRun = "io.github.yolo-run.run"

// Volume is a volume of the engine.
type Volume struct {
	Name       string
	Mountpoint string // on the engine's machine
}

// Volume creates an empty volume of the engine's own.
func (e *Engine) Volume(ctx context.Context, runID, role string) (Volume, error) {
	return e.createVolume(ctx, runID, role, nil)
}

// Overlay creates a volume that is a copy-on-write view of layers. Nothing is mounted before a container that uses it starts.
// Without redirect_dir a folder could not be renamed without copying it; userxattr would refuse that rename at all (overlayfs.rst).
func (e *Engine) Overlay(ctx context.Context, runID, role string, layers wire.Layers) (Volume, error) {
	return e.createVolume(ctx, runID, role, map[string]string{
		"type":   "overlay",
		"device": "overlay",
		"o": "lowerdir=" + layers.Lower + ",upperdir=" + layers.Upper + ",workdir=" + layers.Work +
			",redirect_dir=on,metacopy=off,index=off,nosuid,nodev",
	})
}

func (e *Engine) createVolume(ctx context.Context, runID, role string, options map[string]string) (Volume, error) {
	name := objectName(runID, role)
	res, err := e.client.VolumeCreate(ctx, client.VolumeCreateOptions{
		Name: name, Driver: "local", DriverOpts: options, Labels: map[string]string{labelRun: runID},
	})
	if err != nil {
		return Volume{}, fmt.Errorf("create volume %s: %w", name, err)
	}
	return Volume{Name: name, Mountpoint: res.Volume.Mountpoint}, nil
}

// removalOrder has the roles of containers that are removed side by side, each list in its order: Podman refuses to remove a container whose
// namespaces another one uses.
var removalOrder = [][]string{{"agent", "gateway"}, {"collector", "loader"}}

// objectName is the name of a run's container or volume. Names are all that the clean-up needs to know.
func objectName(runID, role string) string { return namePrefix(runID) + role }

func namePrefix(runID string) string { return "yolo-run-" + runID + "-" }

// RemoveRun removes every container and volume of a run, in whatever state they are. What is not there is no error.
func (e *Engine) RemoveRun(ctx context.Context, runID string) error {
	var group errgroup.Group
	for _, roles := range removalOrder {
		group.Go(func() error {
			var errs []error
			for _, role := range roles {
				errs = append(errs, e.removeContainer(ctx, objectName(runID, role)))
			}
			return errors.Join(errs...)
		})
	}
	return errors.Join(group.Wait(), e.RemoveVolumes(ctx, runID))
}

// RemoveVolumes removes the volumes of a run. Containers that use them must be gone.
func (e *Engine) RemoveVolumes(ctx context.Context, runID string) error {
	list, err := e.client.VolumeList(ctx, client.VolumeListOptions{Filters: client.Filters{}.Add("name", namePrefix(runID))})
	if err != nil {
		return fmt.Errorf("list volumes: %w", err)
	}
	var errs []error
	for _, volume := range list.Items {
		if !strings.HasPrefix(volume.Name, namePrefix(runID)) {
			continue // the engine's filter matches anywhere in the name
		}
		_, err := e.client.VolumeRemove(ctx, volume.Name, client.VolumeRemoveOptions{Force: true})
		if err != nil && !errdefs.IsNotFound(err) {
			errs = append(errs, fmt.Errorf("remove volume %s: %w", volume.Name, err))
		}
	}
	return errors.Join(errs...)
}

func (e *Engine) removeContainer(ctx context.Context, nameOrID string) error {
	_, err := e.client.ContainerRemove(ctx, nameOrID, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
	if err != nil && !errdefs.IsNotFound(err) {
		return fmt.Errorf("remove container %s: %w", nameOrID, err)
	}
	return nil
}
