package runner

import (
	"context"
	"encoding/json"
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
	has, err := r.traitsOf(ctx, r.images.agent)
	if err != nil {
		return sandbox.Image{}, err
	}
	if r.agent.Bash && !has.Bash {
		r.log.Warn("the agent cannot run commands: it wants bash or zsh, and the image has neither", "agent", r.agent.Name, "image", r.cfg.Image)
	}
	libc := has.Libc
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

// traits are what an agent needs to know of an image.
type traits struct {
	Libc string `json:"libc"` // glibc, musl, none
	Bash bool   `json:"bash"` // or zsh
}

// traitsOf looks into an image that is not the agent's. What is in an image never changes, so that the answer is kept.
func (r *run) traitsOf(ctx context.Context, image sandbox.Image) (has traits, err error) {
	memo := filepath.Join(stateFolder(), "image-"+hexOf(image.ID))
	if known, err := os.ReadFile(memo); err == nil && json.Unmarshal(known, &has) == nil && has.Libc != "" {
		return has, nil
	}
	has = traits{}
	probe, err := r.engine.NewProbe(ctx, sandbox.ProbeOptions{RunID: r.id, Image: image, Platform: r.cfg.Platform})
	if err != nil {
		return traits{}, err
	}
	defer func() { err = errors.Join(err, probe.Remove(context.WithoutCancel(ctx))) }()
	if has.Libc, err = libcIn(ctx, probe, image.Arch); err != nil {
		return traits{}, fmt.Errorf("find the libc of %s: %w", r.cfg.Image, err)
	}
	for _, shell := range []string{"/bin/bash", "/usr/bin/bash", "/bin/zsh", "/usr/bin/zsh"} {
		there, err := probe.Exists(ctx, shell)
		if err != nil {
			return traits{}, err
		}
		has.Bash = has.Bash || there
	}
	text, err := json.Marshal(has)
	if err != nil {
		return traits{}, err
	}
	r.warnIf("what the image has is not kept", os.WriteFile(memo, text, 0o600))
	return has, nil
}

// libcIn looks for the dynamic linkers. An image may have both: Alpine one that stands in for glibc's, Debian the musl of cross-compilers.
func libcIn(ctx context.Context, probe *sandbox.Container, arch string) (string, error) {
	glibcLoader, muslLoader, err := loaders(arch)
	if err != nil {
		return "", err
	}
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
