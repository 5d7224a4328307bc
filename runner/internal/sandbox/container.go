package sandbox

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"
)

// Container is one container of a run. Its methods must not be called concurrently, but for [Container.Kill].
type Container struct {
	ID   string
	role string

	engine  *Engine
	mounted []string // the targets of its mounts
	library testcontainers.Container
	conn    *client.HijackedResponse
	waiter  client.ContainerWaitResult
	copied  chan error // closed after the output was copied to its end
}

// Exit is how a container ended.
type Exit struct {
	Code  int
	Error string // of the engine, such as a command that could not be started
}

// create makes a container through testcontainers and checks that what came out is what was asked for.
func (e *Engine) create(ctx context.Context, runID string, s spec) (*Container, error) {
	security, release, err := e.securityOptions()
	if err != nil {
		return nil, err
	}
	defer release()
	library, err := e.provider.CreateContainer(ctx, testcontainers.ContainerRequest{
		Name:          objectName(runID, s.role),
		Image:         s.image,
		ImagePlatform: s.platform,
		Labels:        map[string]string{labelRun: runID},
		// The modifiers are pure: the library runs the host's twice.
		ConfigModifier:     s.config,
		HostConfigModifier: func(h *container.HostConfig) { s.hostConfig(h, security) },
	})
	if library == nil {
		return nil, fmt.Errorf("create %s container: %w", s.role, err)
	}
	c := &Container{ID: library.GetContainerID(), role: s.role, engine: e, library: library}
	for _, m := range s.mounts {
		c.mounted = append(c.mounted, m.Target)
	}
	if err == nil {
		err = c.inspect(ctx, s, security)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("create %s container: %w", s.role, err), c.Remove(context.WithoutCancel(ctx)))
	}
	return c, nil
}

// Start attaches to the container and starts it. What it writes goes to stdout and stderr until it ends; the writer for its standard input is
// returned when it has one. Attached before the start, so that nothing is lost (the library's log consumer loses lines).
func (c *Container) Start(ctx context.Context, stdout, stderr io.Writer) (io.WriteCloser, error) {
	// Both outlive ctx, which bounds the start only: the streams end with the container.
	life := context.WithoutCancel(ctx)
	res, err := c.engine.client.ContainerAttach(life, c.ID, client.ContainerAttachOptions{
		Stream: true, Stdin: true, Stdout: true, Stderr: true,
	})
	if err != nil {
		return nil, fmt.Errorf("attach to %s container: %w", c.role, err)
	}
	c.conn = &res.HijackedResponse
	if !c.engine.facts.Podman {
		c.waiter = c.engine.client.ContainerWait(life, c.ID, client.ContainerWaitOptions{Condition: container.WaitConditionNextExit})
	}
	c.copied = make(chan error, 1)
	go func() {
		_, err := stdcopy.StdCopy(stdout, stderr, c.conn.Reader)
		c.copied <- err
	}()
	if err := c.library.Start(ctx); err != nil {
		return nil, fmt.Errorf("start %s container: %w", c.role, err)
	}
	if c.engine.facts.Podman {
		// Podman looks every quarter of a second whether the container runs, and waits for ever for the end of one that it never saw running.
		c.waiter = c.engine.client.ContainerWait(life, c.ID, client.ContainerWaitOptions{Condition: container.WaitConditionNotRunning})
	}
	return stdin{c.conn}, nil
}

// stdin is the container's standard input; closing it closes only this direction.
type stdin struct{ conn *client.HijackedResponse }

func (s stdin) Write(p []byte) (int, error) { return s.conn.Conn.Write(p) }
func (s stdin) Close() error                { return s.conn.CloseWrite() }

// outputGrace is how long output may still come after a container ended. It comes at once; only a dead engine lets us wait.
const outputGrace = 5 * time.Second

// ErrLost says that nobody knows whether a container has ended: the engine broke its answer off.
var ErrLost = errors.New("the engine no longer says how it is")

// Wait waits until the container ended and all of its output was written.
func (c *Container) Wait(ctx context.Context) (Exit, error) {
	select {
	case res := <-c.waiter.Result:
		exit := Exit{Code: int(res.StatusCode)}
		if res.Error != nil {
			exit.Error = res.Error.Message
		}
		return exit, c.flush(ctx)
	case err := <-c.waiter.Error:
		return Exit{}, fmt.Errorf("wait for %s container: %w: %w", c.role, ErrLost, err)
	case <-ctx.Done():
		return Exit{}, context.Cause(ctx)
	}
}

func (c *Container) flush(ctx context.Context) error {
	select {
	case err := <-c.copied:
		if err != nil {
			return fmt.Errorf("output of %s container: %w", c.role, err)
		}
		return nil
	case <-time.After(outputGrace):
		return fmt.Errorf("output of %s container did not end", c.role)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// OOMKilled reports whether the kernel killed a process of the container for its memory limit, as the engine saw it.
func (c *Container) OOMKilled(ctx context.Context) (bool, error) {
	res, err := c.library.Inspect(ctx)
	if err != nil {
		return false, fmt.Errorf("inspect %s container: %w", c.role, err)
	}
	return res.State.OOMKilled, nil
}

// Running asks the engine whether the container runs. One that the engine does not know does not.
func (c *Container) Running(ctx context.Context) (bool, error) {
	res, err := c.library.Inspect(ctx)
	if errdefs.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("inspect %s container: %w", c.role, err)
	}
	return res.State.Running, nil
}

// Kill sends a signal, such as TERM, to the container's first process. That it is dead already is no error.
func (c *Container) Kill(ctx context.Context, signal string) error {
	_, err := c.engine.client.ContainerKill(ctx, c.ID, client.ContainerKillOptions{Signal: signal})
	if err != nil && !errdefs.IsNotFound(err) && !errdefs.IsConflict(err) {
		return fmt.Errorf("send %s to %s container: %w", signal, c.role, err)
	}
	return nil
}

// PutArchive extracts a tar stream, owners included, at a folder of the container, which need not run.
func (c *Container) PutArchive(ctx context.Context, dir string, archive io.Reader) error {
	if c.engine.facts.Podman && dir == "/" {
		return c.putByMount(ctx, archive)
	}
	return c.put(ctx, dir, archive)
}

func (c *Container) put(ctx context.Context, dir string, archive io.Reader) error {
	_, err := c.engine.client.CopyToContainer(ctx, c.ID, client.CopyToContainerOptions{
		DestinationPath: dir, Content: archive, AllowOverwriteDirWithFile: true, // CopyUIDGID would give all to the container's user
	})
	if err != nil {
		return fmt.Errorf("put files into %s container: %w", c.role, err)
	}
	return nil
}

// File writes the content of one regular file of the container to w, at most limit bytes of it, and returns how many.
func (c *Container) File(ctx context.Context, path string, limit int64, w io.Writer) (n int64, err error) {
	res, err := c.engine.client.CopyFromContainer(ctx, c.ID, client.CopyFromContainerOptions{SourcePath: path})
	if err != nil {
		return 0, fmt.Errorf("read %s of %s container: %w", path, c.role, err)
	}
	defer func() { err = errors.Join(err, drain(res.Content)) }()
	archive := tar.NewReader(res.Content)
	header, err := archive.Next()
	if err != nil {
		return 0, fmt.Errorf("read %s of %s container: %w", path, c.role, err)
	}
	if header.Typeflag != tar.TypeReg || header.Size > limit {
		return 0, fmt.Errorf("read %s of %s container: not a regular file of at most %d bytes", path, c.role, limit)
	}
	return io.CopyN(w, archive, header.Size)
}

// Remove kills the container if it still runs and removes it with its anonymous volumes.
func (c *Container) Remove(ctx context.Context) error {
	if c.conn != nil {
		defer c.conn.Close()
	}
	err := c.engine.removeContainer(ctx, c.ID)
	return err
}
