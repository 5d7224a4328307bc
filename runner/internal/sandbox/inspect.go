package sandbox

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
)

// inspect compares the created container with what was asked for. The library falls back to another network in silence, an image brings a user, a
// health check and volumes, an engine ignores what it does not know: here all of it becomes an error, before anything runs.
func (c *Container) inspect(ctx context.Context, s spec, security []string) error {
	got, err := c.library.Inspect(ctx)
	if err != nil {
		return fmt.Errorf("inspect: %w", err)
	}
	if got.Config == nil || got.HostConfig == nil {
		return errors.New("inspect: the engine's answer has no configuration")
	}
	h := got.HostConfig
	if c.engine.facts.Podman {
		fromPodman(h, got.NetworkSettings, s)
	}
	var faults []error
	check := func(what string, ok bool) {
		if !ok {
			faults = append(faults, fmt.Errorf("the engine made it with another %s than was asked for", what))
		}
	}
	check("image", got.Image == s.image)
	check("user", got.Config.User == s.user)
	check("entrypoint", slices.Equal(got.Config.Entrypoint, s.entrypoint) && len(got.Config.Cmd) == 0)
	check("health check", got.Config.Healthcheck != nil && slices.Equal(got.Config.Healthcheck.Test, []string{"NONE"}))
	check("network", string(h.NetworkMode) == s.network)
	check("PID namespace", string(h.PidMode) == s.pid)
	check("IPC namespace", h.IpcMode == "private")
	check("user namespace", h.UsernsMode == "")
	check("privileges", !h.Privileged && len(h.GroupAdd) == 0 && len(h.Devices) == 0 && len(h.Binds) == 0)
	check("capabilities", slices.Equal(h.CapDrop, []string{"ALL"}) && slices.Equal(capabilities(h.CapAdd), capabilities(s.capAdd)))
	check("security options", hasSecurity(h.SecurityOpt, security))
	check("port", len(h.PortBindings) == 0 && !h.PublishAllPorts)
	check("read-only root", h.ReadonlyRootfs == s.readOnly)
	if !c.engine.facts.NoLimits { // which the user is told
		check("memory limit", h.Memory == s.memory)
		check("process limit", h.PidsLimit != nil && *h.PidsLimit == s.pids)
	}
	faults = append(faults, checkMounts(got.Mounts, s))
	return errors.Join(faults...)
}

// capabilities sorts a list and gives every name its prefix; engines answer with or without it.
func capabilities(list []string) []string {
	out := make([]string, 0, len(list))
	for _, name := range list {
		out = append(out, "CAP_"+strings.TrimPrefix(strings.ToUpper(name), "CAP_"))
	}
	slices.Sort(out)
	return out
}

// hasSecurity reports whether every option is there as it was asked for, and none that takes one back.
func hasSecurity(got, want []string) bool {
	for _, option := range want {
		if !slices.Contains(got, option) {
			return false
		}
	}
	return !slices.ContainsFunc(got, func(option string) bool {
		return strings.HasSuffix(option, "unconfined") || strings.HasPrefix(option, "no-new-privileges") && strings.HasSuffix(option, "false")
	})
}

// checkMounts allows what was asked for, and the anonymous volumes that an image's VOLUME makes unless they hide something of ours.
func checkMounts(got []container.MountPoint, s spec) error {
	want := map[string]mount.Mount{}
	for _, m := range s.mounts {
		want[path.Clean(m.Target)] = m
	}
	seen := 0
	for _, m := range got {
		asked, ok := want[path.Clean(m.Destination)]
		switch {
		case ok && m.RW == !asked.ReadOnly && m.Type == asked.Type && (m.Source == asked.Source || m.Name == asked.Source):
			seen++
		case !ok && m.Type == mount.TypeVolume && !hidesOurs(m.Destination) && !below(m.Destination, want):
		case !ok && m.Type == mount.TypeTmpfs && s.tmpfs[m.Destination] != "":
		default:
			return fmt.Errorf("the engine mounts something at %q that was not asked for (a VOLUME of the image?)", m.Destination)
		}
	}
	if seen != len(s.mounts) {
		return fmt.Errorf("the engine made %d of %d mounts", seen, len(s.mounts))
	}
	return nil
}

// below reports whether a folder lies in one that was asked to be mounted, and would hide a part of it.
func below(target string, asked map[string]mount.Mount) bool {
	for dir := path.Dir(path.Clean(target)); dir != "/" && dir != "."; dir = path.Dir(dir) {
		if _, ok := asked[dir]; ok {
			return true
		}
	}
	return false
}

// hidesOurs reports whether a volume there would take the place of files that yolo-run puts into the agent's container.
func hidesOurs(target string) bool {
	target = path.Clean(target)
	for _, ours := range []string{"/workspace", "/.yolo-run", "/home/agent", "/etc", "/proc", "/sys", "/dev"} {
		if target == ours || strings.HasPrefix(target, ours+"/") || strings.HasPrefix(ours, target+"/") || target == "/" {
			return true
		}
	}
	return false
}
