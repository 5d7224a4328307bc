package sandbox

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/moby/moby/api/types/container"
)

// fromPodman puts what Podman's Docker-compatible API (5.4) says of a container into Docker's words, where it is what was asked for. A user-defined
// network is "bridge" there, and stands in the list of networks; a PID namespace of its own is "private"; mounts stand among the binds as well as in
// their own list, which is checked; capabilities are the difference to
// Podman's own default, which it does not tell: that none of the default is left, the programs in our containers find out for themselves.
func fromPodman(h *container.HostConfig, networks *container.NetworkSettings, want spec) {
	if want.pid == "" && h.PidMode == "private" {
		h.PidMode = ""
	}
	if h.NetworkMode == "bridge" && networks != nil && len(networks.Networks) == 1 && networks.Networks[want.network] != nil {
		h.NetworkMode = container.NetworkMode(want.network)
	}
	h.Binds = nil
	asked := capabilities(want.capAdd)
	missing := slices.ContainsFunc(capabilities(h.CapDrop), func(name string) bool { return slices.Contains(asked, name) })
	more := slices.ContainsFunc(capabilities(h.CapAdd), func(name string) bool { return !slices.Contains(asked, name) })
	if !missing && !more {
		h.CapAdd, h.CapDrop = want.capAdd, []string{"ALL"}
	}
}

// putByMount unpacks an archive at the root of a container. What lies below a mount goes there by an archive of its own: Podman would put it below
// the mount, where nobody sees it, and nothing would stand before the files that the agent must not see.
func (c *Container) putByMount(ctx context.Context, archive io.Reader) error {
	parts := map[string]*bytes.Buffer{}
	writers := map[string]*tar.Writer{}
	reader, writer := io.Pipe()
	split := make(chan error, 1)
	go func() {
		err := splitArchive(archive, func(mount string) *tar.Writer {
			if writers[mount] == nil {
				parts[mount] = new(bytes.Buffer)
				writers[mount] = tar.NewWriter(parts[mount])
			}
			return writers[mount]
		}, tar.NewWriter(writer), c.mounted)
		writer.CloseWithError(err)
		split <- err
	}()
	err := errors.Join(c.put(ctx, "/", reader), reader.Close(), <-split)
	for mount, w := range writers {
		err = errors.Join(err, w.Close())
		if err == nil {
			err = c.put(ctx, mount, parts[mount])
		}
	}
	return err
}

// splitArchive copies every entry of an archive to the writer of the mount that it lies below, under its name there, or to rest. The mounts' own entries are
// left out.
func splitArchive(archive io.Reader, below func(mount string) *tar.Writer, rest *tar.Writer, mounts []string) error {
	entries := tar.NewReader(archive)
	for {
		header, err := entries.Next()
		if errors.Is(err, io.EOF) {
			return rest.Close()
		}
		if err != nil {
			return err
		}
		w := rest
		if mount, name, ok := belowMount(mounts, header.Name); ok {
			if name == "" {
				continue // its owner was told when the volume was made
			}
			w, header.Name = below(mount), name
		}
		if err := w.WriteHeader(header); err != nil {
			return err
		}
		if _, err := io.CopyN(w, entries, header.Size); err != nil {
			return err
		}
	}
}

// belowMount returns the innermost mount that a name of an archive lies at or below, and its name there.
func belowMount(mounts []string, name string) (mount, rest string, ok bool) {
	name = path.Join("/", name)
	for _, m := range mounts {
		if below, inside := strings.CutPrefix(name+"/", m+"/"); inside && len(m) > len(mount) {
			mount, rest, ok = m, strings.TrimSuffix(below, "/"), true
		}
	}
	return mount, rest, ok
}
