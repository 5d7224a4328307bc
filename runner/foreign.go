package runner

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/yolo-run/yolo-run/runner/internal/agent"
	"github.com/yolo-run/yolo-run/runner/internal/sandbox"
)

// The libcs that an agent's program may need of the image around it. [libcStatic] needs none.
const (
	libcGlibc  = "glibc"
	libcMusl   = "musl"
	libcStatic = "static"
	libcNone   = "none"
)

// loaders are the dynamic linkers of both libcs: a program names the one that it was built for by this path.
func loaders(arch string) (glibc, musl string, err error) {
	switch arch {
	case "amd64":
		return "/lib64/ld-linux-x86-64.so.2", "/lib/ld-musl-x86_64.so.1", nil
	case "arm64":
		return "/lib/ld-linux-aarch64.so.1", "/lib/ld-musl-aarch64.so.1", nil
	}
	return "", "", fmt.Errorf("agents are not built for %s", arch)
}

// prepareAgentFiles sees to it that the agent's program is in its container. An image that has it by its label is taken as it is; into any
// other one, such as a project's own tool chain, a volume brings the agent's files.
func (r *run) prepareAgentFiles(ctx context.Context) error {
	if !r.agent.Brought() {
		return nil
	}
	if has := r.images.agent.Brings; has.Name == r.agent.Name {
		r.agentVersion = has.Version
		return nil
	}
	image, err := r.image(ctx, r.cfg.ownImage(r.agent.Name), r.cfg.Platform)
	if err != nil {
		return err
	}
	if image.Brings.Libc != libcStatic {
		if image, err = r.imageForLibc(ctx, image); err != nil {
			return err
		}
	}
	if image.Brings.Name != r.agent.Name {
		return withHint(fmt.Errorf("image %s does not have the files of %s", image.ID, r.agent.Name), "build it anew: make images AGENTS="+r.agent.Name)
	}
	r.agentVersion = image.Brings.Version
	r.agentFiles = &agentFiles{image: image, folder: agent.Root}
	return r.agentFiles.ensure(ctx, r)
}

// imageForLibc returns the image whose build of the agent runs in the run's image: glibc's or another one.
func (r *run) imageForLibc(ctx context.Context, glibc sandbox.Image) (sandbox.Image, error) {
	libc, err := r.libcOf(ctx, r.images.agent)
	if err != nil {
		return sandbox.Image{}, err
	}
	refused := func(why, hint string) error {
		return &UsageError{Option: "--image", Value: r.cfg.Image, Err: fmt.Errorf("%s cannot run in it: %s", r.agent.Name, why), Hint: hint}
	}
	switch {
	case libc == glibc.Brings.Libc:
		return glibc, nil
	case libc == libcMusl && r.agent.Musl:
		return r.image(ctx, r.cfg.ownImage(r.agent.Name+"-musl"), r.cfg.Platform)
	case libc == libcMusl:
		return sandbox.Image{}, refused("the image has musl as its libc, as Alpine has, and there is no build for that",
			"take a variant of the image that is based on Debian, Ubuntu or Fedora")
	}
	return sandbox.Image{}, refused("the image has no libc that is known, and the agent needs one",
		"take an image with glibc or musl; --agent shell, --agent codex and programs without a libc run in any")
}

// libcOf finds out which libc an image has. The answer of an image never changes, so that it is kept.
func (r *run) libcOf(ctx context.Context, image sandbox.Image) (string, error) {
	memo := filepath.Join(stateFolder(), "libc-"+hexOf(image.ID))
	if known, err := os.ReadFile(memo); err == nil {
		switch libc := string(known); libc {
		case libcGlibc, libcMusl, libcNone:
			return libc, nil
		}
	}
	libc, err := r.probeLibc(ctx, image)
	if err != nil {
		return "", fmt.Errorf("find the libc of %s: %w", r.cfg.Image, err)
	}
	r.warnIf("the libc of the image is not kept", os.WriteFile(memo, []byte(libc), 0o600))
	return libc, nil
}

// probeLibc looks for the dynamic linkers. An image may have both: Alpine one that stands in for glibc's, Debian the musl of cross-compilers.
func (r *run) probeLibc(ctx context.Context, image sandbox.Image) (_ string, err error) {
	glibcLoader, muslLoader, err := loaders(image.Arch)
	if err != nil {
		return "", err
	}
	probe, err := r.engine.NewProbe(ctx, sandbox.ProbeOptions{RunID: r.id, Image: image, Platform: r.cfg.Platform})
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, probe.Remove(context.WithoutCancel(ctx))) }()
	glibc, err := probe.Exists(ctx, glibcLoader)
	if err != nil {
		return "", err
	}
	musl, err := probe.Exists(ctx, muslLoader)
	if err != nil {
		return "", err
	}
	if glibc && musl {
		if musl, err = probe.Exists(ctx, "/etc/alpine-release"); err != nil {
			return "", err
		}
	}
	switch {
	case musl:
		return libcMusl, nil
	case glibc:
		return libcGlibc, nil
	}
	return libcNone, nil
}

// hexOf is the digest of an image's ID without its algorithm.
func hexOf(id string) string {
	_, digest, _ := strings.Cut(id, ":")
	return digest
}
