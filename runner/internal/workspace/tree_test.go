package workspace_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/yolo-run/yolo-run/runner/internal/workspace"
)

// snapshot is a tree as git would store it: path to kind, executable bit and content. git's own folders are left out.
func snapshot(t testing.TB, root string) map[string]string {
	t.Helper()
	out := map[string]string{}
	must(t, filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		must(t, err)
		switch {
		case e.Name() == ".git" && e.IsDir():
			return fs.SkipDir
		case e.IsDir(), e.Name() == ".git":
			return nil
		case e.Type() == fs.ModeSymlink:
			target, err := os.Readlink(path)
			out[rel] = "-> " + target
			return err
		case !e.Type().IsRegular():
			return nil
		}
		info, err := e.Info()
		must(t, err)
		out[rel] = fmt.Sprintf("%v %s", info.Mode()&0o100 != 0, read(t, path))
		return nil
	}))
	return out
}

// diffSnapshots lists the paths in which two trees differ.
func diffSnapshots(a, b map[string]string) []string {
	var out []string
	for path, content := range a {
		if other, ok := b[path]; !ok || other != content {
			out = append(out, path)
		}
	}
	for path := range b {
		if _, ok := a[path]; !ok {
			out = append(out, path)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// extractUpper does what the engine does with the archive for the agent's container: it replaces, and follows no symlink.
func extractUpper(t testing.TB, w *workspace.Workspace, merged string) {
	t.Helper()
	var archive bytes.Buffer
	tw := tar.NewWriter(&archive)
	uid, gid := w.Owner()
	must(t, w.WriteUpper(t.Context(), tw, uid, gid))
	must(t, tw.Close())
	extract(t, &archive, "workspace/", merged)
}

func extract(t testing.TB, archive io.Reader, prefix, dir string) {
	t.Helper()
	tr := tar.NewReader(archive)
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		must(t, err)
		rel, ok := strings.CutPrefix(h.Name, prefix)
		if !ok {
			t.Fatalf("entry %q outside of %q", h.Name, prefix)
		}
		name := filepath.Join(dir, rel)
		if info, err := os.Lstat(name); err == nil && !(info.IsDir() && h.Typeflag == tar.TypeDir) {
			must(t, os.RemoveAll(name))
		}
		switch h.Typeflag {
		case tar.TypeDir:
			must(t, os.MkdirAll(name, 0o755))
			must(t, os.Chmod(name, h.FileInfo().Mode()))
		case tar.TypeSymlink:
			must(t, os.Symlink(h.Linkname, name))
		case tar.TypeReg:
			content, err := io.ReadAll(tr)
			must(t, err)
			must(t, os.WriteFile(name, content, h.FileInfo().Mode()))
			must(t, os.Chmod(name, h.FileInfo().Mode()))
		default:
			t.Fatalf("entry %q of type %q", h.Name, h.Typeflag)
		}
		must(t, os.Lchown(name, h.Uid, h.Gid))
	}
}
