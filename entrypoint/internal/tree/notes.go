package tree

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/yolo-run/yolo-run/entrypoint/wire"
)

// groupWrite is left out of comparisons of modes: who rewrites a file sets it by umask, not by intent.
const groupWrite = 0o022

// leafNotes says what of a change a patch cannot carry.
func (w *walker) leafNotes(v versions, c wire.CollectChange) []string {
	var notes []string
	if now := c.New; now != nil && !c.Same {
		if special(now.Kind) {
			return []string{"a " + string(now.Kind) + " cannot be carried"}
		}
		if v.upper.isFile() && v.upper.Nlink > 1 {
			notes = append(notes, "a hard link is carried as a file of its own")
		}
	}
	if old := c.Old; old != nil && !c.Same && c.New == nil && special(old.Kind) {
		notes = append(notes, "the removal of a "+string(old.Kind)+" is not carried")
	}
	if v.merged.isFile() {
		notes = append(notes, modeNote(v)...)
		notes = append(notes, w.xattrNote(v)...)
	}
	return notes
}

// special is what git has no mode for.
func special(k wire.Kind) bool {
	return k == wire.KindFIFO || k == wire.KindSocket || k == wire.KindDevice
}

// modeNote compares the bits beside the executable one, which git carries. A new file is expected to have what a checkout gives it.
func modeNote(v versions) []string {
	want := uint32(0o644)
	if v.merged.executable() {
		want = 0o755
	}
	if v.lower.isFile() {
		want = v.lower.perm() &^ 0o111
		if v.merged.executable() {
			want |= v.merged.perm() & 0o111
		}
	}
	if (want^v.merged.perm())&^(groupWrite|0o011) == 0 {
		return nil
	}
	return []string{fmt.Sprintf("mode %04o: of a mode only the executable bit is carried", v.merged.perm())}
}

// xattrNote compares the extended attributes that an ordinary user can set. Only what is in upper can have new ones.
func (w *walker) xattrNote(v versions) []string {
	if v.upper == nil {
		return nil
	}
	now, err := xattrs(join(w.roots.Merged, v.rel))
	if err != nil || len(now) == 0 {
		return nil // a file system without them
	}
	if v.lower.isFile() {
		old, err := xattrs(join(w.roots.Lower, v.rel))
		if err == nil && slices.Equal(old, now) {
			return nil
		}
	}
	return []string{"extended attributes are not carried"}
}

// xattrs returns name=value of the attributes in the user namespace, sorted.
func xattrs(name string) ([]string, error) {
	size, err := unix.Llistxattr(name, nil)
	if size == 0 || err != nil {
		return nil, err
	}
	buf := make([]byte, size)
	if size, err = unix.Llistxattr(name, buf); err != nil {
		return nil, err
	}
	var out []string
	value := make([]byte, 64<<10) // XATTR_SIZE_MAX
	for attr := range bytes.SplitSeq(buf[:size], []byte{0}) {
		if !strings.HasPrefix(string(attr), "user.") {
			continue
		}
		n, err := unix.Lgetxattr(name, string(attr), value)
		if err != nil && !errors.Is(err, unix.ENODATA) {
			return nil, err
		}
		out = append(out, string(attr)+"="+string(value[:max(n, 0)]))
	}
	slices.Sort(out)
	return out, nil
}

// folderNotes says what of a folder a patch cannot carry: folders exist in a patch only through their files.
func (w *walker) folderNotes(v versions, l listing) error {
	var notes []string
	switch {
	case v.lower == nil && l.nowEmpty:
		notes = append(notes, "an empty folder is not carried")
	case v.merged == nil && l.lowerEmpty && !v.replaced:
		notes = append(notes, "the removal of an empty folder is not carried")
	case v.lower != nil && v.merged != nil && l.nowEmpty && !l.lowerEmpty:
		notes = append(notes, "a folder that was emptied is removed with its last file")
	}
	if v.lower != nil && v.merged != nil && (v.lower.perm()^v.merged.perm())&^groupWrite != 0 {
		notes = append(notes, fmt.Sprintf("mode %04o of a folder is not carried", v.merged.perm()))
	}
	if len(notes) == 0 {
		return nil
	}
	return w.note(v, notes...)
}
