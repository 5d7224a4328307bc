package confine

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/yolo-run/yolo-run/entrypoint/wire"
)

func TestPlaceholdersMustShowWhatWasPutThere(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	sum := sha256.Sum256([]byte("clean"))
	empty, clean := wire.Placeholder{Path: []byte("sub/file")}, wire.Placeholder{Path: []byte("sub/file"), Size: 5, SHA256: hex.EncodeToString(sum[:])}
	file := filepath.Join(dir, "sub/file")
	put := func(text string) func() error {
		return func() error { return os.WriteFile(file, []byte(text), 0o600) }
	}
	for _, c := range []struct {
		name string
		make func() error
		want wire.Placeholder
		fine bool
	}{
		{"an empty file", put(""), empty, true},
		{"the secret itself", put("secret"), empty, false},
		{"what was put there", put("clean"), clean, true},
		{"as many other bytes", put("token"), clean, false},
		{"nothing in place of a clean one", put(""), clean, false},
		{"nothing at all", func() error { return nil }, empty, true},
		{"a symlink to it", func() error {
			return errors.Join(os.WriteFile(dir+"/secret", []byte("x"), 0o600), os.Symlink("../secret", file))
		}, empty, false},
		{"a pipe", func() error { return syscall.Mkfifo(file, 0o600) }, empty, false},
		{"a folder", func() error { return os.Mkdir(file, 0o700) }, empty, false},
	} {
		if err := errors.Join(os.RemoveAll(filepath.Dir(file)), os.Mkdir(filepath.Dir(file), 0o700), c.make()); err != nil {
			t.Fatal(err)
		}
		if err := checkPlaceholders(dir, []wire.Placeholder{c.want}); (err == nil) != c.fine {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if err := checkPlaceholders(dir+"/none", []wire.Placeholder{empty}); err == nil {
		t.Error("a workspace that is not there passed")
	}
}
