package wire

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
)

// The folders of the collector's container, all mounted read-only. Without CollectUpper the two trees are compared in full.
const (
	CollectLower  = "/lower"  // the workspace as it was
	CollectUpper  = "/upper"  // the overlay's upper folder: a hint where to look, never a source of contents
	CollectMerged = "/merged" // the workspace as the agent left it
)

// GitObjects is where the objects of a repository that lies outside of the workspace are mounted in the agent's container, read-only. The private
// git directory that the agent gets names it as an alternate.
const GitObjects = Dir + "/git-objects"

// Bounds of the collector's protocol.
const (
	MaxCollectPath    = 4096      // bytes of a path or of a symlink's target: PATH_MAX
	MaxCollectChanges = 1_000_000 // change records of one collection
	MaxCollectWant    = 512       // contents asked for by one line
	MaxCollectContent = 1 << 40   // bytes of one file; the runner asks only for what it is ready to take
	maxCollectNotes   = 16
	maxCollectNote    = 512
)

// CollectRequest is one line on the collector's standard input. The first must be a "probe". Heartbeats may stand anywhere; of the others
// each is sent after the one before it was answered.
type CollectRequest struct {
	Type string `json:"type"` // probe, heartbeat, collect, fetch, finish

	// Of a probe: the protocol's version, an entry below the root to look at (may be empty), and the layers that must be mounted at
	// [CollectMerged] (nil: not checked). The collector exits when no line came for HeartbeatTimeoutMs, and DeadlineMs after the probe.
	Wire               int     `json:"wire,omitempty"`
	Name               []byte  `json:"name,omitempty"`
	Layers             *Layers `json:"layers,omitempty"`
	HeartbeatTimeoutMs int64   `json:"heartbeatTimeoutMs,omitempty"`
	DeadlineMs         int64   `json:"deadlineMs,omitempty"`

	// Of a fetch: at most [MaxCollectWant].
	Want []CollectWant `json:"want,omitempty"`
}

// The types of a [CollectRequest] beside [TypeHeartbeat] and [TypeFinish].
const (
	TypeProbe   = "probe"   // answered by a "probe"
	TypeCollect = "collect" // answered by "change"s and an "end"
	TypeFetch   = "fetch"   // answered by a "content" for each that is wanted
)

// CollectWant asks for the contents of one side of a change: the regular file that [CollectChange] number Index shows there.
type CollectWant struct {
	Index int  `json:"index"` // from 0, in the order of the answer to "collect"
	Side  Side `json:"side"`
}

// Side is one of the two trees.
type Side string

// The two trees.
const (
	SideOld Side = "old"
	SideNew Side = "new"
)

// CollectMessage is one line on the collector's standard output. Exactly the pointer that Type names is set. A "content" without an error is
// followed by exactly Size bytes and by a "content-end".
type CollectMessage struct {
	Type       string             `json:"type"`
	Probe      *CollectProbe      `json:"probe,omitempty"`
	Change     *CollectChange     `json:"change,omitempty"`
	End        *CollectEnd        `json:"end,omitempty"`
	Content    *CollectContent    `json:"content,omitempty"`
	ContentEnd *CollectContentEnd `json:"contentEnd,omitempty"`
	Fatal      *Fatal             `json:"fatal,omitempty"`
}

// The types of a [CollectMessage] beside [TypeProbe] and [TypeFatal].
const (
	TypeChange     = "change"
	TypeEnd        = "end"
	TypeContent    = "content"
	TypeContentEnd = "content-end"
)

// CollectProbe is what the collector sees at [CollectLower], for the runner to compare with what it sees itself.
type CollectProbe struct {
	Wire   int          `json:"wire"`
	Root   CollectStat  `json:"root"`
	Entry  *CollectStat `json:"entry,omitempty"`  // of the name that was asked for; nil when there is none
	Layers bool         `json:"layers,omitempty"` // the mount at [CollectMerged] shows exactly the layers that were named
	Merged *CollectStat `json:"merged,omitempty"` // of the same name there, when layers were named
}

// CollectStat identifies one inode in one moment, as in stat(2).
type CollectStat struct {
	Dev     uint64 `json:"dev"`
	Ino     uint64 `json:"ino"`
	CtimeNs int64  `json:"ctimeNs"`
}

// CollectChange is one path whose two versions differ, or about which something has to be said (Notes). A nil side means that there is nothing,
// or a folder: folders stand here only when they have Notes.
type CollectChange struct {
	Path []byte        `json:"path"` // relative, any byte but NUL
	Old  *CollectEntry `json:"old,omitempty"`
	New  *CollectEntry `json:"new,omitempty"`
	// Same: both sides are what git would store as one; only Notes differ.
	Same bool `json:"same,omitempty"`
	// Notes say what a patch cannot carry. They are the collector's own words.
	Notes []string `json:"notes,omitempty"`
}

// CollectEntry is one version of a path.
type CollectEntry struct {
	Kind   Kind   `json:"kind"`
	Perm   uint32 `json:"perm"`             // the low twelve bits of st_mode
	Size   int64  `json:"size"`             // bytes of a regular file
	Target []byte `json:"target,omitempty"` // of a symlink
	// Ident is equal for two files only if they are one inode of the lower layer and so have the same contents; empty: nothing is known.
	Ident string `json:"ident,omitempty"`
}

// Kind is a type of file.
type Kind string

// The kinds of a [CollectEntry].
const (
	KindFile    Kind = "file"
	KindSymlink Kind = "symlink"
	KindDir     Kind = "dir"
	KindFIFO    Kind = "fifo"
	KindSocket  Kind = "socket"
	KindDevice  Kind = "device"
)

// CollectEnd closes the answer to "collect".
type CollectEnd struct {
	Changes int64 `json:"changes"`
	Folders int64 `json:"folders"` // how many were compared
}

// CollectContent announces the contents of one file, or says why there are none.
type CollectContent struct {
	Index int    `json:"index"`
	Side  Side   `json:"side"`
	Size  int64  `json:"size"`
	Error string `json:"error,omitempty"`
}

// CollectContentEnd follows the bytes. With an Error they are not the file's (it changed while it was read) and must not be used.
type CollectContentEnd struct {
	Error string `json:"error,omitempty"`
}

// ValidPath reports whether p is a relative path in its shortest form that a file of a tree can have: no empty component, no "." and "..", no NUL.
func ValidPath(p []byte) bool {
	if len(p) == 0 || len(p) > MaxCollectPath || bytes.IndexByte(p, 0) >= 0 {
		return false
	}
	for part := range bytes.SplitSeq(p, []byte("/")) {
		switch string(part) {
		case "", ".", "..":
			return false
		}
	}
	return true
}

// Validate checks a request's bounds.
func (r *CollectRequest) Validate() error {
	switch r.Type {
	case TypeHeartbeat, TypeCollect, TypeFinish:
		return nil
	case TypeProbe:
		if r.Wire != Version {
			return fmt.Errorf("probe: wire version %d, not %d", r.Wire, Version)
		}
		if len(r.Name) > 0 && !ValidPath(r.Name) {
			return errors.New("probe: bad name")
		}
		return nil
	case TypeFetch:
		if len(r.Want) > MaxCollectWant {
			return fmt.Errorf("fetch: %d contents at once, more than %d", len(r.Want), MaxCollectWant)
		}
		for _, w := range r.Want {
			if err := w.validate(); err != nil {
				return fmt.Errorf("fetch: %w", err)
			}
		}
		return nil
	default:
		return fmt.Errorf("unknown request %q", r.Type)
	}
}

// Validate checks that a message is complete and within its bounds.
func (m *CollectMessage) Validate() error {
	switch {
	case m.Type == TypeProbe && m.Probe != nil, m.Type == TypeFatal && m.Fatal != nil, m.Type == TypeContentEnd && m.ContentEnd != nil:
		return nil
	case m.Type == TypeEnd && m.End != nil:
		if m.End.Changes < 0 || m.End.Changes > MaxCollectChanges {
			return fmt.Errorf("end: %d changes", m.End.Changes)
		}
		return nil
	case m.Type == TypeContent && m.Content != nil:
		return m.Content.validate()
	case m.Type == TypeChange && m.Change != nil:
		return m.Change.validate()
	default:
		return fmt.Errorf("unknown or empty message %q", m.Type)
	}
}

func (w CollectWant) validate() error {
	if w.Index < 0 || w.Index >= MaxCollectChanges {
		return fmt.Errorf("index %d", w.Index)
	}
	if w.Side != SideOld && w.Side != SideNew {
		return fmt.Errorf("side %q", w.Side)
	}
	return nil
}

func (c *CollectContent) validate() error {
	if err := (CollectWant{Index: c.Index, Side: c.Side}).validate(); err != nil {
		return fmt.Errorf("content: %w", err)
	}
	switch {
	case c.Size < 0 || c.Size > MaxCollectContent:
		return fmt.Errorf("content: %d bytes", c.Size)
	case c.Error != "" && c.Size != 0:
		return errors.New("content: both bytes and an error")
	}
	return nil
}

func (c *CollectChange) validate() error {
	if !ValidPath(c.Path) {
		return fmt.Errorf("change: bad path %q", c.Path)
	}
	if c.Old == nil && c.New == nil && len(c.Notes) == 0 {
		return fmt.Errorf("change: %q says nothing", c.Path)
	}
	if len(c.Notes) > maxCollectNotes {
		return fmt.Errorf("change: %q has %d notes", c.Path, len(c.Notes))
	}
	for _, n := range c.Notes {
		if len(n) > maxCollectNote || strings.ContainsFunc(n, isControl) {
			return fmt.Errorf("change: %q has a bad note", c.Path)
		}
	}
	return errors.Join(c.Old.validate(c.Path), c.New.validate(c.Path))
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }

func (e *CollectEntry) validate(path []byte) error {
	if e == nil {
		return nil
	}
	link := e.Kind == KindSymlink
	switch e.Kind {
	case KindFile, KindSymlink, KindDir, KindFIFO, KindSocket, KindDevice:
	default:
		return fmt.Errorf("change: %q is of unknown kind %q", path, e.Kind)
	}
	switch {
	case e.Perm&^0o7777 != 0:
		return fmt.Errorf("change: %q has mode %o", path, e.Perm)
	case e.Size < 0 || len(e.Ident) > 128:
		return fmt.Errorf("change: %q has a bad size or identity", path)
	case link != (len(e.Target) > 0) || len(e.Target) > MaxCollectPath || bytes.IndexByte(e.Target, 0) >= 0:
		return fmt.Errorf("change: %q has a bad link target", path)
	}
	return nil
}
