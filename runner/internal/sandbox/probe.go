package sandbox

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/mount"
	"github.com/moby/moby/client"
)

// ProbeOptions describe a container that is never started: the files of its image are read through it.
type ProbeOptions struct {
	RunID    string
	Image    Image
	Platform string
	// Volume is mounted at Dir, if it is named. An empty one gets the image's files there from the engine.
	Volume, Dir string
}

// NewProbe creates a container to look into an image, or to fill a volume from one.
func (e *Engine) NewProbe(ctx context.Context, o ProbeOptions) (*Container, error) {
	s := spec{
		role: "probe", image: o.Image.ID, platform: o.Platform, entrypoint: []string{"/never-started"}, user: "0:0",
		network: "none", memory: 64 << 20, pids: 16,
	}
	if o.Volume != "" {
		s.role = "filler"
		s.mounts = []mount.Mount{{Type: mount.TypeVolume, Source: o.Volume, Target: o.Dir}}
	}
	return e.create(ctx, o.RunID, s)
}

// maxLinks bounds a chain of symlinks, as the kernel does.
const maxLinks = 40

// Exists reports whether a path leads to a regular file of the container, which need not run. Symlinks are followed by the engine, inside
// the container's files.
func (c *Container) Exists(ctx context.Context, path string) (bool, error) {
	for range maxLinks {
		res, err := c.engine.client.ContainerStatPath(ctx, c.ID, client.ContainerStatPathOptions{Path: path})
		if errdefs.IsNotFound(err) {
			return false, nil
		}
		if err != nil {
			return false, fmt.Errorf("look for %s in %s container: %w", path, c.role, err)
		}
		if res.Stat.Mode&os.ModeSymlink == 0 || res.Stat.LinkTarget == path {
			return res.Stat.Mode.IsRegular(), nil
		}
		path = res.Stat.LinkTarget
	}
	return false, nil
}

// Archive returns a folder of the container, which need not run, as a tar stream that the caller closes.
func (c *Container) Archive(ctx context.Context, dir string) (io.ReadCloser, error) {
	res, err := c.engine.client.CopyFromContainer(ctx, c.ID, client.CopyFromContainerOptions{SourcePath: dir})
	if err != nil {
		return nil, fmt.Errorf("read %s of %s container: %w", dir, c.role, err)
	}
	return res.Content, nil
}
