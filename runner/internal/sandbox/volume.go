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

// Volume creates an empty volume of the engine's own, for files of owner.
func (e *Engine) Volume(ctx context.Context, runID, role string, owner Owner) (Volume, error) {
	if !e.facts.Podman {
		return e.createVolume(ctx, runID, role, nil)
	}
	return e.createVolume(ctx, runID, role, map[string]string{"o": owner.options()})
}

// Owner is a user by numbers. To whom the root of a volume belongs Docker is told by an archive, and Podman, which does not unpack into volumes below the
// folder that it is given, when the volume is made; else it would belong to the first container's user.
type Owner struct{ UID, GID int }

func (o Owner) options() string { return fmt.Sprintf("uid=%d,gid=%d", o.UID, o.GID) }

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
var removalOrder = [][]string{{"agent", "gateway"}, {"collector", "loader"}, {"probe", "filler"}}

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

// ErrInUse says that a container uses a volume, so that it cannot be removed.
var ErrInUse = errors.New("a container uses the volume")

// cachePrefix begins the names of volumes that outlive their run; no run's ID is a name of theirs. labelCache is on them, which no image can bring.
const (
	cachePrefix = "yolo-run-agent-"
	labelCache  = "io.github.yolo-run.cache"
)

// Cache makes sure that there is a volume of this name that outlives the run, and returns its full name. It reports whether it was there before.
func (e *Engine) Cache(ctx context.Context, name string) (volume string, existed bool, err error) {
	volume = cachePrefix + name
	_, err = e.client.VolumeInspect(ctx, volume, client.VolumeInspectOptions{})
	if err == nil || !errdefs.IsNotFound(err) {
		return volume, err == nil, err
	}
	_, err = e.client.VolumeCreate(ctx, client.VolumeCreateOptions{Name: volume, Driver: "local", Labels: map[string]string{labelCache: name}})
	if err != nil {
		return volume, false, fmt.Errorf("create volume %s: %w", volume, err)
	}
	return volume, false, nil
}

// RemoveCache removes a volume that [Engine.Cache] returned; [ErrInUse] says that a container has it mounted.
func (e *Engine) RemoveCache(ctx context.Context, volume string) error {
	_, err := e.client.VolumeRemove(ctx, volume, client.VolumeRemoveOptions{})
	switch {
	case errdefs.IsConflict(err):
		return fmt.Errorf("%w: %s", ErrInUse, volume)
	case err != nil && !errdefs.IsNotFound(err):
		return fmt.Errorf("remove volume %s: %w", volume, err)
	}
	return nil
}

// RemoveCaches removes the volumes of [Engine.Cache] that no container uses, and returns how many.
func (e *Engine) RemoveCaches(ctx context.Context) (int, error) {
	list, err := e.client.VolumeList(ctx, client.VolumeListOptions{Filters: client.Filters{}.Add("label", labelCache)})
	if err != nil {
		return 0, fmt.Errorf("list volumes: %w", err)
	}
	removed := 0
	var errs []error
	for _, volume := range list.Items {
		if !strings.HasPrefix(volume.Name, cachePrefix) {
			continue
		}
		err := e.RemoveCache(ctx, volume.Name)
		if err == nil {
			removed++
		} else if !errors.Is(err, ErrInUse) {
			errs = append(errs, err)
		}
	}
	return removed, errors.Join(errs...)
}

func (e *Engine) removeContainer(ctx context.Context, nameOrID string) error {
	_, err := e.client.ContainerRemove(ctx, nameOrID, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
	if err != nil && !errdefs.IsNotFound(err) {
		return fmt.Errorf("remove container %s: %w", nameOrID, err)
	}
	return nil
}
