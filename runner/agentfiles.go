package runner

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/yolo-run/yolo-run/runner/internal/sandbox"
)

// agentFiles are the files of an agent in an image that is not the agent's own: a volume that was filled once from the agent's image, compared
// with it, and mounted read-only. It outlives the run. What marks it as complete is put in last, and looked at before each start.
type agentFiles struct {
	image  sandbox.Image // that has the files
	folder string        // where, there and in the agent's container
	volume string
}

// markerName is the file at the root of a volume that says what is in it: the image's ID and the digest of the files, a line each.
const markerName = ".complete"

// ensure makes sure that there is a volume. One that was there before is looked at when the agent's container has it.
func (f *agentFiles) ensure(ctx context.Context, r *run) error {
	return locked("agent-files", func() (err error) {
		var existed bool
		f.volume, existed, err = r.engine.Cache(ctx, f.image.Brings.Name+"-"+hexOf(f.image.ID)[:12])
		if err != nil || existed {
			return err
		}
		return f.fill(ctx, r)
	})
}

// renew fills the volume again, unless somebody else has done it meanwhile. No container may use it.
func (f *agentFiles) renew(ctx context.Context, r *run) error {
	r.log.Warn("the agent's files are not complete and are copied again", "agent", r.agent.Name, "volume", f.volume)
	return locked("agent-files", func() error { return f.fill(ctx, r) })
}

// fillDeadline bounds one copy of an agent, 400 MB or less.
const fillDeadline = 3 * time.Minute

// fill copies the files, at the second attempt into a volume that is new.
func (f *agentFiles) fill(ctx context.Context, r *run) error {
	ctx, cancel := context.WithTimeoutCause(ctx, fillDeadline, errors.New("copying the agent's files took too long"))
	defer cancel()
	r.log.Info("copying the agent's files for other images, once", "agent", r.agent.Name, "version", f.image.Brings.Version)
	complete, err := f.copy(ctx, r)
	if err != nil || complete {
		return err
	}
	if err := r.engine.RemoveCache(ctx, f.volume); err != nil {
		return withHint(err, "the agent's files in it are not complete: wait for the other runs, then try again")
	}
	if complete, err = f.copy(ctx, r); err == nil && !complete {
		err = fmt.Errorf("the engine did not copy the files of %s as they are in its image", r.agent.Name)
	}
	return err
}

// copy lets the engine copy the files into the volume if that is empty, compares them with the image's, and marks them as complete if they
// are the same.
func (f *agentFiles) copy(ctx context.Context, r *run) (complete bool, err error) {
	if f.volume, _, err = r.engine.Cache(ctx, f.image.Brings.Name+"-"+hexOf(f.image.ID)[:12]); err != nil {
		return false, err
	}
	options := sandbox.ProbeOptions{RunID: r.id, Image: f.image, Platform: r.cfg.Platform}
	original, err := r.engine.NewProbe(ctx, options)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, original.Remove(context.WithoutCancel(ctx))) }()
	options.Volume, options.Dir = f.volume, f.folder
	filler, err := r.engine.NewProbe(ctx, options)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, filler.Remove(context.WithoutCancel(ctx))) }()
	if complete, err = f.complete(ctx, filler); err != nil || complete {
		return complete, err
	}
	var want, got string
	group, reading := errgroup.WithContext(ctx)
	group.Go(func() (err error) { want, err = f.digest(reading, original); return err })
	group.Go(func() (err error) { got, err = f.digest(reading, filler); return err })
	if err := group.Wait(); err != nil || want != got {
		return false, err
	}
	return true, f.mark(ctx, filler, want)
}

func (f *agentFiles) digest(ctx context.Context, c *sandbox.Container) (digest string, err error) {
	stream, err := c.Archive(ctx, f.folder)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, stream.Close()) }()
	return digestTree(stream, markerName)
}

func (f *agentFiles) mark(ctx context.Context, c *sandbox.Container, digest string) error {
	text := f.image.ID + "\n" + digest + "\n"
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: markerName, Mode: 0o444, Size: int64(len(text)), ModTime: time.Now()})
	if err != nil {
		return err
	}
	if _, err := w.Write([]byte(text)); err != nil {
		return err
	}
	return errors.Join(w.Close(), c.PutArchive(ctx, f.folder, &archive))
}

// complete reports whether the volume that a container has mounted was filled to its end from the agent's image. A marker that cannot be read
// is none: what follows is a copy, whose errors count.
func (f *agentFiles) complete(ctx context.Context, c *sandbox.Container) (bool, error) {
	const limit = 1 << 10
	var marker bytes.Buffer
	if _, err := c.File(ctx, path.Join(f.folder, markerName), limit, &marker); err != nil {
		return false, context.Cause(ctx)
	}
	id, digest, _ := strings.Cut(marker.String(), "\n")
	return id == f.image.ID && len(strings.TrimSpace(digest)) == digestLength, nil
}

// mount is how the agent's container gets the files.
func (f *agentFiles) mount() sandbox.Mount {
	return sandbox.Mount{Source: f.volume, Volume: true, Target: f.folder}
}

// locked does something that only one run of this user may do at a time.
func locked(name string, do func() error) error {
	file, err := os.OpenFile(filepath.Join(stateFolder(), name+".lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer file.Close() // and with it the lock
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX); err != nil {
		return fmt.Errorf("lock %s: %w", file.Name(), err)
	}
	return do()
}

// newBox creates the agent's container. Where a volume brings the agent's files and they are not complete, they are copied and the container is
// made anew.
func (r *run) newBox(ctx context.Context, options sandbox.AgentOptions) (*sandbox.Container, error) {
	box, err := r.engine.NewAgent(ctx, options)
	if err != nil || r.agentFiles == nil {
		return box, err
	}
	complete, err := r.agentFiles.complete(ctx, box)
	if err == nil && complete {
		return box, nil
	}
	if err := errors.Join(err, box.Remove(context.WithoutCancel(ctx))); err != nil {
		return nil, err
	}
	if err := r.agentFiles.renew(ctx, r); err != nil {
		return nil, err
	}
	return r.engine.NewAgent(ctx, options)
}
