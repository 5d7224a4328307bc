package runner

import (
	"archive/tar"
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/yolo-run/yolo-run/entrypoint/wire"
	"github.com/yolo-run/yolo-run/runner/internal/sandbox"
)

// mounts makes what --mount asks for. On an engine that sees our files, a folder that is not rw is an overlay: what the agent writes there is
// thrown away, and a socket of the host in it has nobody on its other end.
func (r *run) mounts(ctx context.Context) ([]sandbox.Mount, error) {
	list := []sandbox.Mount{}
	if objects := r.ws.ObjectsDir(); objects != "" && r.rep.Workspace.Mode == modeOverlay {
		list = append(list, sandbox.Mount{Source: objects, Target: wire.GitObjects})
	}
	if r.agentFiles != nil {
		list = append(list, r.agentFiles.mount())
	}
	wanted, err := r.cfg.MountList()
	if err != nil || len(wanted) == 0 {
		return list, err
	}
	if r.layers.lowerPath == "" && r.engine.Facts().Remote {
		return nil, withHint(fmt.Errorf("--mount %s: the engine does not see this machine's files", wanted[0].Source),
			"copy what the agent needs into the workspace")
	}
	if r.engine.Facts().UserNSRemap {
		r.log.Warn("the engine maps users to others: of what --mount shows, the agent can read and write what everybody may")
	}
	for i, m := range wanted {
		if m.Mode == MountRW {
			r.log.Warn("the agent can write to a folder of this machine", "source", m.Source, "target", m.Target)
		}
		if m.Mode == MountRW || !m.Dir {
			list = append(list, sandbox.Mount{Source: m.Source, Target: m.Target, Writable: m.Mode == MountRW})
			continue
		}
		volume, err := r.overlayMount(ctx, i, m.Source)
		if err != nil {
			return nil, fmt.Errorf("--mount %s: %w", m.Source, err)
		}
		list = append(list, sandbox.Mount{Source: volume, Volume: true, Target: m.Target, Writable: m.Mode == MountCOW})
	}
	return list, nil
}

func (r *run) overlayMount(ctx context.Context, i int, source string) (string, error) {
	upper, err := r.engine.Volume(ctx, r.id, fmt.Sprintf("mount%d-upper", i), r.identity.owner())
	if err != nil {
		return "", err
	}
	work, err := r.engine.Volume(ctx, r.id, fmt.Sprintf("mount%d-work", i), r.identity.owner())
	if err != nil {
		return "", err
	}
	merged, err := r.engine.Overlay(ctx, r.id, fmt.Sprintf("mount%d", i), wire.Layers{
		Lower: source, Upper: upper.Mountpoint, Work: work.Mountpoint,
	})
	return merged.Name, err
}

// ownMounts gives the agent the folders that it may write to and that are thrown away: the root of such a volume would belong to root.
func (r *run) ownMounts(archive *tar.Writer) error {
	wanted, err := r.cfg.MountList()
	if err != nil {
		return err
	}
	for _, m := range wanted {
		if m.Mode != MountCOW {
			continue
		}
		info, err := os.Stat(m.Source)
		if err != nil {
			return err
		}
		err = archive.WriteHeader(&tar.Header{
			Typeflag: tar.TypeDir, Name: strings.TrimPrefix(m.Target, "/") + "/", Mode: int64(info.Mode().Perm()),
			Uid: r.identity.uid, Gid: r.identity.gid, ModTime: info.ModTime(),
		})
		if err != nil {
			return err
		}
	}
	return nil
}
