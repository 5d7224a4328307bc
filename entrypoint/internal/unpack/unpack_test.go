package unpack_test

import (
	"archive/tar"
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/yolo-run/yolo-run/entrypoint/internal/unpack"
)

var when = time.Unix(1_700_000_000, 0)

// archive writes entries; a name that ends in a slash is a folder, one with an arrow a symlink.
func archive(t testing.TB, entries ...tar.Header) *bytes.Buffer {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, h := range entries {
		if h.ModTime.IsZero() {
			h.ModTime = when
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(bytes.Repeat([]byte("x"), int(h.Size))); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return &buf
}

func folder(name string, mode int64) tar.Header {
	return tar.Header{Typeflag: tar.TypeDir, Name: name, Mode: mode}
}

func file(name string, mode, size int64) tar.Header {
	return tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: mode, Size: size}
}

func link(name, target string) tar.Header {
	return tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: target, Mode: 0o777}
}

var roomy = unpack.Limits{Entries: 100, Bytes: 64 << 20}

func TestMain(m *testing.M) {
	unix.Umask(0o022)
	os.Exit(m.Run())
}

func TestTarWritesATreeIntoEveryFolder(t *testing.T) {
	t.Parallel()
	dirs := []string{t.TempDir(), t.TempDir()}
	in := archive(t, folder("./", 0o750), folder("./dir/", 0o555), file("./dir/small", 0o444, 10), file("./dir/large", 0o755, 3<<20),
		link("./dir/link", "../../elsewhere"), file("./empty", 0o600, 0), file("./bad\xff\nname", 0o644, 1))
	stats, err := unpack.Tar(t.Context(), in, dirs, roomy)
	if err != nil || stats.Entries != 7 || stats.Bytes != 11+3<<20 {
		t.Fatalf("%+v, %v", stats, err)
	}
	for _, dir := range dirs {
		for name, want := range map[string]struct {
			mode fs.FileMode
			size int64
		}{
			".": {0o750, -1}, "dir": {0o555, -1}, "dir/small": {0o444, 10}, "dir/large": {0o755, 3 << 20}, "empty": {0o600, 0}, "bad\xff\nname": {0o644, 1},
		} {
			info, err := os.Lstat(filepath.Join(dir, name))
			if err != nil || info.Mode().Perm() != want.mode || !info.ModTime().Equal(when) || want.size >= 0 && info.Size() != want.size {
				t.Errorf("%s: %v, %v", name, info, err)
			}
		}
		if target, err := os.Readlink(filepath.Join(dir, "dir/link")); err != nil || target != "../../elsewhere" {
			t.Errorf("link to %q, %v", target, err)
		}
	}
}

// Whatever an archive says: nothing outside, nothing through a symlink, nothing twice, nothing but files, folders and symlinks, nothing over the limits.
func TestTarRefuses(t *testing.T) {
	t.Parallel()
	outside := t.TempDir()
	for name, entries := range map[string][]tar.Header{
		"a path that climbs":         {file("../x", 0o644, 1)},
		"a path that climbs later":   {folder("a/", 0o755), file("a/../../x", 0o644, 1)},
		"an absolute path":           {file(outside+"/x", 0o644, 1)},
		"a path through a symlink":   {link("a", outside), file("a/x", 0o644, 1)},
		"a folder through a symlink": {link("a", outside), folder("a/x/", 0o755)},
		"a symlink for the folder":   {link("./", outside)},
		"a file over a symlink":      {link("a", outside+"/x"), file("a", 0o644, 1)},
		"a file twice":               {file("a", 0o644, 1), file("a", 0o644, 1)},
		"a hard link":                {{Typeflag: tar.TypeLink, Name: "a", Linkname: "/etc/passwd"}},
		"a device":                   {{Typeflag: tar.TypeChar, Name: "a", Devmajor: 1, Devminor: 3}},
		"a FIFO":                     {{Typeflag: tar.TypeFifo, Name: "a"}},
		"a file in no folder":        {file("a/x", 0o644, 1)},
		"an empty name":              {folder(".//", 0o755)},
		"too many":                   many(101),
		"too much":                   {file("a", 0o644, 40<<20), file("b", 0o644, 40<<20)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := unpack.Tar(t.Context(), archive(t, entries...), []string{t.TempDir()}, roomy); err == nil {
				t.Error("it was unpacked")
			}
			if entries, err := os.ReadDir(outside); err != nil || len(entries) > 0 {
				t.Errorf("outside: %v, %v", entries, err)
			}
		})
	}
	if _, err := unpack.Tar(t.Context(), archive(t, many(100)...), []string{t.TempDir()}, roomy); err != nil {
		t.Errorf("as many as the limit: %v", err)
	}
}

func many(n int) []tar.Header {
	var all []tar.Header
	for i := range n {
		all = append(all, file(strings.Repeat("x", i+1), 0o644, 1))
	}
	return all
}

func TestTarFailsOnAStreamThatStops(t *testing.T) {
	t.Parallel()
	whole := archive(t, file("a", 0o644, 1000), file("b", 0o644, 3<<20)).Bytes()
	for _, size := range []int{1, 511, 1000, 2000, 1 << 20} {
		if _, err := unpack.Tar(t.Context(), bytes.NewReader(whole[:size]), []string{t.TempDir()}, roomy); err == nil {
			t.Errorf("%d bytes of the archive were enough", size)
		}
	}
}

// No archive makes anything outside of its folder, or more than the limits say.
func FuzzTar(f *testing.F) {
	f.Add(archive(f, folder("./", 0o755), folder("d/", 0o755), file("d/x", 0o644, 3), link("l", "..")).Bytes())
	f.Add(archive(f, link("l", "/"), file("l/x", 0o644, 3)).Bytes())
	f.Fuzz(func(t *testing.T, data []byte) {
		dir := t.TempDir()
		in := filepath.Join(dir, "in")
		if err := os.Mkdir(in, 0o755); err != nil {
			t.Fatal(err)
		}
		_, _ = unpack.Tar(t.Context(), bytes.NewReader(data), []string{in}, unpack.Limits{Entries: 20, Bytes: 1 << 20})
		_ = os.Chmod(in, 0o755)
		entries, err := os.ReadDir(dir)
		if err != nil || len(entries) != 1 {
			t.Fatalf("beside the folder: %v, %v", entries, err)
		}
		if entries, _ = os.ReadDir(in); len(entries) > 20 {
			t.Errorf("%d entries", len(entries))
		}
	})
}
