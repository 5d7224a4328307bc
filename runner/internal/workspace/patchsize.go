package workspace

import (
	"bufio"
	"encoding/binary"
	"fmt"

	"github.com/bluekeyes/go-gitdiff/gitdiff"
)

// What a stored patch may be: more than what Collect makes of its own bounds, less than what hurts. A few bytes of a forged one can stand for gigabytes, all
// of which git holds in memory.
const (
	maxPatchText     = 2 << 30
	maxPatchFile     = 1 << 30
	maxPatchContents = 2 << 30
	maxPatchRepeats  = 4 // a file that becomes a symlink is there twice, and may be the source of a rename
)

// checkContents refuses patches that would unfold to more than the bounds, without unfolding them.
func checkContents(files []*gitdiff.File) error {
	var total int64
	repeats := map[string]int{}
	for _, f := range files {
		for _, name := range []string{f.OldName, f.NewName} {
			if repeats[name]++; name != "" && repeats[name] > 2*maxPatchRepeats {
				return fmt.Errorf("%q is in the patch too often", name)
			}
		}
		for _, b := range []*gitdiff.BinaryFragment{f.BinaryFragment, f.ReverseBinaryFragment} {
			size := unfolded(b)
			if total += size; size > maxPatchFile || total > maxPatchContents {
				return fmt.Errorf("the patch stands for more than %d bytes", int64(maxPatchContents))
			}
		}
	}
	return nil
}

// unfolded is how many bytes a binary fragment makes of itself: what it inflates to, and for a delta what that says it makes. What is no delta has no
// more than that: git refuses it.
func unfolded(b *gitdiff.BinaryFragment) int64 {
	if b == nil {
		return 0
	}
	if b.Size > maxPatchFile || b.Method != gitdiff.BinaryPatchDelta {
		return b.Size
	}
	in := bufio.NewReaderSize(b.Data(), 64)
	if _, err := binary.ReadUvarint(in); err != nil { // the size of the old version
		return b.Size
	}
	target, err := binary.ReadUvarint(in)
	switch {
	case err != nil:
		return b.Size
	case target > maxPatchFile:
		return maxPatchFile + 1
	}
	return b.Size + int64(target)
}
