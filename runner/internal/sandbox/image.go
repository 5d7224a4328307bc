package sandbox

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/containerd/platforms"
	"github.com/moby/moby/api/types/image"
	"github.com/moby/moby/client"
)

// ErrImage says that an image is not there and cannot be had.
var ErrImage = errors.New("image not found")

// Image is an image that the engine has.
type Image struct {
	ID     string // sha256:…, what containers are created from
	Digest string // of the registry's manifest, empty for one that was built here
	Arch   string // such as amd64
	Brings Agent
}

// Agent is what an image says by its labels of the agent that it brings; all empty when it brings none.
type Agent struct {
	Name    string
	Version string
	Libc    string // that its program needs: glibc, musl, or static for none
}

func agentOf(res image.InspectResponse) Agent {
	if res.Config == nil {
		return Agent{}
	}
	return labelled(res.Config.Labels)
}

// labelled reads labels, which any image can have, and anything in them; reports show the version.
func labelled(labels map[string]string) Agent {
	word := regexp.MustCompile(`^[0-9A-Za-z][0-9A-Za-z.+-]{0,63}$`)
	label := func(name string) string {
		if value := labels["yolo-run."+name]; word.MatchString(value) {
			return value
		}
		return ""
	}
	return Agent{Name: label("agent"), Version: label("agent-version"), Libc: label("libc")}
}

// Pull says when an image is asked of its registry.
type Pull string

// The values of --pull.
const (
	PullMissing Pull = "missing"
	PullAlways  Pull = "always"
	PullNever   Pull = "never"
)

// Image makes sure that the engine has the image and returns it. A name without a registry is never pulled: it would be somebody's on the
// public hub. progress is called with the state of a pull, about once a layer.
func (e *Engine) Image(ctx context.Context, ref, platform string, pull Pull, progress func(status string)) (Image, error) {
	res, err := e.client.ImageInspect(ctx, ref)
	have := err == nil && isFor(res.InspectResponse, platform)
	if err != nil && !errdefs.IsNotFound(err) {
		return Image{}, fmt.Errorf("inspect image %s: %w", ref, err)
	}
	wanted := (pull == PullAlways || !have) && pull != PullNever
	if wanted && hasRegistry(ref) {
		if err := e.pull(ctx, ref, platform, progress); err != nil {
			return Image{}, fmt.Errorf("%w: %s cannot be pulled: %w", ErrImage, ref, err)
		}
		if res, err = e.client.ImageInspect(ctx, ref); err != nil {
			return Image{}, fmt.Errorf("inspect image %s: %w", ref, err)
		}
		have = isFor(res.InspectResponse, platform)
	}
	if !have {
		return Image{}, fmt.Errorf("%w: %s", ErrImage, strings.TrimSpace(ref+" "+platform))
	}
	found := Image{ID: res.ID, Arch: res.Architecture, Brings: agentOf(res.InspectResponse)}
	if len(res.RepoDigests) > 0 {
		_, found.Digest, _ = strings.Cut(res.RepoDigests[0], "@")
	}
	return found, nil
}

// isFor reports whether an image is for the platform, OS/ARCH[/VARIANT]; an empty one is any.
func isFor(res image.InspectResponse, platform string) bool {
	if platform == "" {
		return true
	}
	want, err := platforms.Parse(platform)
	return err == nil && res.Os == want.OS && res.Architecture == want.Architecture && (want.Variant == "" || res.Variant == want.Variant)
}

func (e *Engine) pull(ctx context.Context, ref, platform string, progress func(string)) error {
	var options client.ImagePullOptions
	if platform != "" {
		p, err := platforms.Parse(platform)
		if err != nil {
			return fmt.Errorf("platform %q: %w", platform, err)
		}
		options.Platforms = append(options.Platforms, p)
	}
	stream, err := e.client.ImagePull(ctx, ref, options)
	if err != nil {
		return err
	}
	last := ""
	for message, err := range stream.JSONMessages(ctx) {
		if err != nil {
			return err
		}
		if message.Error != nil {
			return message.Error
		}
		if status := strings.TrimSpace(message.Status + " " + message.ID); status != last && message.Progress == nil {
			progress(status)
			last = status
		}
	}
	return nil
}

// hasRegistry reports whether the first part of a reference is a host: it has a dot or a port, or is localhost (distribution/reference).
// A digest alone is an image of this engine.
func hasRegistry(ref string) bool {
	first, rest, found := strings.Cut(ref, "/")
	if !found || rest == "" {
		return !found && isOfficial(ref)
	}
	return strings.ContainsAny(first, ".:") || first == "localhost" || first == "library"
}

// isOfficial reports whether a name without a slash, such as golang:1.26, means an official image of the public hub, which is
// curated: nobody else can publish there.
func isOfficial(ref string) bool {
	return !strings.HasPrefix(ref, "sha256:") && ref != ""
}
