package wire

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
)

// The folders of the loader's container: it writes the archive into both, where the second one is mounted.
const (
	LoadDir  = "/load"
	LoadTwin = "/load-twin"
)

// Bounds of what the loader takes. The runner's own are lower: these are for a runner that errs.
const (
	MaxLoadEntries = 10_000_000
	MaxLoadBytes   = 1 << 40
)

// Loaded is the loader's one line: what it wrote, or why it stopped. The runner compares the numbers with what it sent, because an archive that was cut
// off between two entries looks like a whole one.
type Loaded struct {
	Wire    int    `json:"wire"`
	Entries int64  `json:"entries"` // folders, files, symlinks
	Bytes   int64  `json:"bytes"`   // of files
	Error   string `json:"error,omitempty"`
}

// ReadLoaded reads the loader's line and nothing after it.
func ReadLoaded(r io.Reader) (Loaded, error) {
	var l Loaded
	data, err := io.ReadAll(io.LimitReader(r, 64<<10))
	if err != nil {
		return l, fmt.Errorf("read the loader's answer: %w", err)
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&l); err != nil {
		return l, fmt.Errorf("read the loader's answer: %w", err)
	}
	if l.Wire != Version {
		return l, fmt.Errorf("loader speaks version %d, not %d", l.Wire, Version)
	}
	return l, nil
}
