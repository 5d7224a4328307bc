package workspace

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bluekeyes/go-gitdiff/gitdiff"
)

// deltaTo is a binary fragment of a few bytes that says how much it makes.
func deltaTo(t *testing.T, target uint64) *gitdiff.BinaryFragment {
	t.Helper()
	data := binary.AppendUvarint(binary.AppendUvarint(nil, 10), target)
	var packed bytes.Buffer
	w := zlib.NewWriter(&packed)
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return &gitdiff.BinaryFragment{Method: gitdiff.BinaryPatchDelta, Size: int64(len(data)), RawData: packed.Bytes()}
}

func TestPatchesThatUnfoldToTooMuchAreRefused(t *testing.T) {
	t.Parallel()
	literal := func(size int64) *gitdiff.BinaryFragment {
		return &gitdiff.BinaryFragment{Method: gitdiff.BinaryPatchLiteral, Size: size}
	}
	many := func(n int, b *gitdiff.BinaryFragment) []*gitdiff.File {
		var files []*gitdiff.File
		for i := range n {
			files = append(files, &gitdiff.File{NewName: strings.Repeat("x", i+1), BinaryFragment: b})
		}
		return files
	}
	for _, tc := range []struct {
		name  string
		files []*gitdiff.File
		fine  bool
	}{
		{"sixteen files of 64 MiB", many(16, literal(64<<20)), true},
		{"deltas to as much", many(16, deltaTo(t, 64<<20)), true},
		{"a literal too large", many(1, literal(3<<30)), false},
		{"a delta too large", many(1, deltaTo(t, 3<<30)), false},
		{"a delta to more than there are numbers", many(1, deltaTo(t, 1<<63+5)), false},
		{"a hundred deltas", many(100, deltaTo(t, 64<<20)), false},
		{"the way back", []*gitdiff.File{{NewName: "x", ReverseBinaryFragment: literal(3 << 30)}}, false},
		{"a delta that is none", []*gitdiff.File{{NewName: "x", BinaryFragment: &gitdiff.BinaryFragment{Method: gitdiff.BinaryPatchDelta, Size: 9, RawData: []byte("no zlib")}}}, true},
		{"one file again and again", []*gitdiff.File{
			{OldName: "x", NewName: "x"}, {OldName: "x", NewName: "x"}, {OldName: "x", NewName: "x"}, {OldName: "x", NewName: "x"}, {OldName: "x", NewName: "x"},
		}, false},
		{"a file that becomes a symlink", []*gitdiff.File{{OldName: "x"}, {NewName: "x"}}, true},
	} {
		if err := checkContents(tc.files); (err == nil) != tc.fine {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
}

// A patch of 200 bytes that says it is three gigabytes is refused before git makes room for them.
func TestReadPatchRefusesALiteralOfGigabytes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "old"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	w, err := Open(t.Context(), Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	const honest = "diff --git a/new b/new\nnew file mode 100644\nindex 0000000000000000000000000000000000000000..f76dd238ade08917e6712764a16a22005a50573d\n" +
		"GIT binary patch\nliteral 1\nIcmZPo000310RR91\n\nliteral 0\nHcmV?d00001\n\n"
	for size, fine := range map[string]bool{"literal 1\n": true, "literal 3221225472\n": false} {
		c, err := w.ReadPatch(t.Context(), strings.NewReader(strings.Replace(honest, "literal 1\n", size, 1)))
		if err == nil {
			err = c.Close()
		} else if !fine && !strings.Contains(err.Error(), "stands for more") {
			t.Errorf("%s is refused because of %v", size, err)
		}
		if (err == nil) != fine {
			t.Errorf("%s: %v", size, err)
		}
	}
}
