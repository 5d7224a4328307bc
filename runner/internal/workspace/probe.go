package workspace

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"github.com/yolo-run/yolo-run/entrypoint/wire"
)

// ErrElsewhere means that the engine's containers do not see the folder that the runner sees, so that an overlay over it would be of something else.
var ErrElsewhere = errors.New("the engine does not see this workspace")

// randomEntry picks a name that somebody who only guessed the folder could not know. git's own folder changes while git looks at it.
func randomEntry(root string) (string, error) {
	entries, err := os.ReadDir(root)
	if err != nil {
		return "", notReadable(root, err)
	}
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		if e.Name() != ".git" {
			names = append(names, e.Name())
		}
	}
	if len(names) == 0 {
		return "", nil
	}
	return names[rand.IntN(len(names))], nil //nolint:gosec // no secret: nobody can know it before the run
}

// CheckProbe reports whether what the collector saw through its mount is what the host sees now: device, inode and time of the last change of the
// root and of the entry. The error is [ErrElsewhere].
func (w *Workspace) CheckProbe(p wire.CollectProbe) error {
	if p.Wire != wire.Version {
		return fmt.Errorf("collector speaks version %d, not %d", p.Wire, wire.Version)
	}
	if err := sameInode(w.root, p.Root); err != nil {
		return err
	}
	if w.probe == "" {
		return nil
	}
	if p.Entry == nil {
		return fmt.Errorf("%w: %q is not there", ErrElsewhere, w.probe)
	}
	// A layer is named by a path, which may lead elsewhere for the engine than the one that was mounted for the collector.
	if p.Layers && (p.Merged == nil || p.Merged.CtimeNs != p.Entry.CtimeNs) {
		return fmt.Errorf("%w: the overlay shows another %q", ErrElsewhere, w.probe)
	}
	return sameInode(filepath.Join(w.root, w.probe), *p.Entry)
}

func sameInode(path string, seen wire.CollectStat) error {
	here, err := statInode(path)
	if err != nil {
		return fmt.Errorf("stat %q: %w", path, err)
	}
	if here != seen {
		return fmt.Errorf("%w: %q is another file there", ErrElsewhere, path)
	}
	return nil
}

// Probe sends the collector its first line and returns the answer, for [Workspace.CheckProbe]. The collector checks that exactly these layers are
// mounted; nil: none are. It lives until the deadline, and as long as a line comes within heartbeat. out is read no further than the answer.
func (w *Workspace) Probe(in io.Writer, out io.Reader, layers *wire.Layers, heartbeat, deadline time.Duration) (wire.CollectProbe, error) {
	err := wire.NewWriter(in).Send(wire.CollectRequest{
		Type: wire.TypeProbe, Wire: wire.Version, Name: []byte(w.probe), Layers: layers,
		HeartbeatTimeoutMs: heartbeat.Milliseconds(), DeadlineMs: deadline.Milliseconds(),
	})
	if err != nil {
		return wire.CollectProbe{}, fmt.Errorf("probe collector: %w", err)
	}
	m, err := wire.NewCollectReader(oneByte{out}).Next()
	switch {
	case err != nil:
		return wire.CollectProbe{}, fmt.Errorf("probe collector: %w", err)
	case m.Fatal != nil:
		return wire.CollectProbe{}, fmt.Errorf("collector gave up at stage %s: %s", m.Fatal.Stage, m.Fatal.Reason)
	case m.Probe == nil:
		return wire.CollectProbe{}, fmt.Errorf("probe collector: %q is no answer", m.Type)
	case layers != nil && !m.Probe.Layers:
		return wire.CollectProbe{}, errors.New("probe collector: the layers were not checked")
	}
	return *m.Probe, nil
}

// oneByte keeps a buffered reader from reading ahead.
type oneByte struct{ r io.Reader }

func (o oneByte) Read(p []byte) (int, error) { return o.r.Read(p[:min(len(p), 1)]) }
