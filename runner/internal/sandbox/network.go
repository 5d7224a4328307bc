package sandbox

import (
	"context"
	"errors"
	"fmt"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/client"
)

// ErrNetwork says that a network cannot be used.
var ErrNetwork = errors.New("network cannot be used")

// CheckNetwork makes sure that name is a user-defined bridge or overlay network of the engine. A missing one would be replaced by the default
// bridge without a word.
func (e *Engine) CheckNetwork(ctx context.Context, name string) error {
	res, err := e.client.NetworkInspect(ctx, name, client.NetworkInspectOptions{})
	if errdefs.IsNotFound(err) {
		return fmt.Errorf("%w: the engine has none named %q", ErrNetwork, name)
	}
	if err != nil {
		return fmt.Errorf("inspect network %q: %w", name, err)
	}
	if driver := res.Network.Driver; driver != "bridge" && driver != "overlay" {
		return fmt.Errorf("%w: %q has the driver %q, only bridge and overlay are supported", ErrNetwork, name, driver)
	}
	return nil
}
