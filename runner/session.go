package runner

import (
	"context"
	"errors"
	"log/slog"
	"strings"

	"github.com/yolo-run/yolo-run/runner/internal/sandbox"
)

// session is what every step needs, be it of a run or of the doctor's.
type session struct {
	cfg    Config
	id     string
	log    *slog.Logger
	engine *sandbox.Engine
}

// image looks for an image, and pulls it where that is asked for.
func (s *session) image(ctx context.Context, ref, platform string) (sandbox.Image, error) {
	image, err := s.engine.Image(ctx, ref, platform, sandbox.Pull(s.cfg.Pull), func(status string) {
		s.log.Info("pulling", "image", ref, "status", status)
	})
	if errors.Is(err, sandbox.ErrImage) {
		return image, withHint(err, s.imageHint(ref))
	}
	return image, err
}

// imageHint says what to do about an image that is not there.
func (s *session) imageHint(ref string) string {
	first, _, hasFolder := strings.Cut(ref, "/")
	switch {
	case strings.HasPrefix(ref, "yolo-run/"+s.cfg.Agent+"-musl:"):
		return "build it in a checkout of yolo-run: make images AGENTS=" + s.cfg.Agent + "-musl"
	case strings.HasPrefix(ref, "yolo-run/"+s.cfg.Agent+":"):
		return "build it in a checkout of yolo-run: make images AGENTS=" + s.cfg.Agent
	case first == "yolo-run":
		return "build it in a checkout of yolo-run: make images"
	case s.cfg.Pull == string(sandbox.PullNever):
		return "pull or build it, or leave --pull never out"
	case hasFolder && first != "localhost" && !strings.ContainsAny(first, ".:"):
		return "a name like this is only looked for on this engine; to pull it, write the registry's host in front, as in registry.example.com/" + ref
	}
	return "check the name, and that the engine reaches the registry"
}
