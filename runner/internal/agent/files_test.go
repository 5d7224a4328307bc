package agent

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/yolo-run/yolo-run/entrypoint/wire"
)

type entry struct {
	header *tar.Header
	body   []byte
}

func TestWriteFiles(t *testing.T) {
	at := time.Unix(1_700_000_000, 0)
	prompt := append(bytes.Repeat([]byte{0, 0xff, '\r', '\n'}, 1<<20), 0) // NUL, no newline at its end
	config := wire.AgentConfig{Wire: wire.Version, Argv: []string{"make"}, Dir: "/workspace", Env: []string{"A=b"}, UID: 1000, GID: 1001, Stdin: true}
	entries := extract(t, Files{
		Entrypoint: strings.NewReader("ELF and more"), EntrypointSize: 3, Prompt: bytes.NewReader(prompt), PromptSize: int64(len(prompt)),
		Config: config, CA: []byte("PEM"), ModTime: at,
	})
	tests := []struct {
		name     string
		mode     int64
		uid, gid int
		body     string // not looked at when empty
	}{
		{".yolo-run/", 0o755, 0, 0, ""},
		{".yolo-run/entrypoint", 0o755, 0, 0, "ELF"},
		{".yolo-run/agent.json", 0o444, 0, 0, ""},
		{".yolo-run/prompt", 0o444, 0, 0, string(prompt)},
		{".yolo-run/out/", 0o700, 1000, 1001, ""},
		{".yolo-run/ca.pem", 0o444, 0, 0, "PEM"},
		{"etc/", 0o755, 0, 0, ""},
		{"etc/passwd", 0o644, 0, 0, ""},
		{"etc/group", 0o644, 0, 0, ""},
		{"home/", 0o755, 0, 0, ""},
		{"home/agent/", 0o700, 1000, 1001, ""},
		{"home/agent/.gitconfig", 0o644, 1000, 1001, gitConfig},
		{"tmp/", 0o1777, 0, 0, ""},
	}
	if len(entries) != len(tests) {
		t.Errorf("%d entries, want %d", len(entries), len(tests))
	}
	for i, tt := range tests {
		e := entries[i]
		h := e.header
		if h.Name != tt.name || h.Mode != tt.mode || h.Uid != tt.uid || h.Gid != tt.gid || !h.ModTime.Equal(at) {
			t.Errorf("entry %d: %s %o %d:%d %v, want %+v", i, h.Name, h.Mode, h.Uid, h.Gid, h.ModTime, tt)
		}
		if folder := strings.HasSuffix(tt.name, "/"); folder != (h.Typeflag == tar.TypeDir) {
			t.Errorf("%s is of type %c", h.Name, h.Typeflag)
		}
		if tt.body != "" && string(e.body) != tt.body {
			t.Errorf("%s: %d bytes differ", h.Name, len(e.body))
		}
	}
	var got wire.AgentConfig
	if err := json.Unmarshal(entries[2].body, &got); err != nil || !reflect.DeepEqual(got, config) {
		t.Errorf("agent.json is %+v, %v", got, err)
	}
}

// An archive that names a file and not a folder above it would go through a symlink of the image.
func TestEveryFolderComesBeforeWhatIsInIt(t *testing.T) {
	seen := map[string]bool{"./": true}
	for _, e := range extract(t, smallest()) {
		if dir := path.Dir(strings.TrimSuffix(e.header.Name, "/")) + "/"; !seen[dir] {
			t.Errorf("%s before %s", e.header.Name, dir)
		}
		seen[e.header.Name] = true
	}
}

func TestWithoutCAThereIsNone(t *testing.T) {
	for _, e := range extract(t, smallest()) {
		if strings.Contains(e.header.Name, "ca.pem") {
			t.Error("an empty bundle would make every client distrust everything")
		}
	}
}

func TestAnEmptyPromptIsAnEmptyFile(t *testing.T) {
	i := slices.IndexFunc(extract(t, smallest()), func(e entry) bool { return e.header.Name == ".yolo-run/prompt" && e.header.Size == 0 })
	if i < 0 {
		t.Error("no empty prompt")
	}
}

func TestUsersAreFoundByTheirFirstLine(t *testing.T) {
	for _, id := range []int{1000, 65534} {
		if got := lookup(passwd(id, id), id); got != User {
			t.Errorf("UID %d is %q", id, got)
		}
		if got := lookup(group(id), id); got != User {
			t.Errorf("GID %d is %q", id, got)
		}
		if got := lookup(passwd(id, id), 0); got != "root" {
			t.Errorf("UID 0 is %q", got)
		}
	}
	for line := range strings.Lines(string(passwd(1000, 1001)) + string(group(1001))) {
		if n := strings.Count(line, ":"); n != 6 && n != 3 {
			t.Errorf("%q has %d fields", line, n+1)
		}
	}
}

// lookup is getpwuid(3) and getgrgid(3): the third field is the number in both files.
func lookup(file []byte, id int) string {
	for line := range strings.Lines(string(file)) {
		if f := strings.Split(line, ":"); f[2] == strconv.Itoa(id) {
			return f[0]
		}
	}
	return ""
}

func TestGitTakesTheConfiguration(t *testing.T) {
	home := t.TempDir()
	if err := os.WriteFile(filepath.Join(home, ".gitconfig"), []byte(gitConfig), 0o600); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{
		"user.name": "yolo-run agent", "user.email": "agent@yolo-run.invalid", "safe.directory": "*", "init.defaultBranch": "main",
	} {
		cmd := exec.CommandContext(t.Context(), "git", "config", "--global", key)
		cmd.Env = append(os.Environ(), "HOME="+home, "XDG_CONFIG_HOME="+home, "GIT_CONFIG_GLOBAL="+filepath.Join(home, ".gitconfig"))
		out, err := cmd.Output()
		if err != nil || strings.TrimSpace(string(out)) != want {
			t.Errorf("%s is %q, %v", key, out, err)
		}
	}
}

func TestWriteFilesRefuses(t *testing.T) {
	broken := errors.New("broken")
	tests := []struct {
		name   string
		change func(*Files)
		want   string
		is     error
	}{
		{"root's user", func(f *Files) { f.Config.UID = 0 }, "0:1000", nil},
		{"root's group", func(f *Files) { f.Config.GID = 0 }, "1000:0", nil},
		{"a short entrypoint", func(f *Files) { f.EntrypointSize = 99 }, "/.yolo-run/entrypoint: 3 bytes of 99", io.ErrUnexpectedEOF},
		{"a short prompt", func(f *Files) { f.Prompt, f.PromptSize = strings.NewReader("x"), 2 }, "/.yolo-run/prompt: 1 bytes of 2", io.ErrUnexpectedEOF},
		{"no prompt of a size", func(f *Files) { f.PromptSize = 2 }, "/.yolo-run/prompt", nil},
		{"a prompt that cannot be read", func(f *Files) { f.Prompt, f.PromptSize = failingReader{broken}, 2 }, "/.yolo-run/prompt", broken},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := smallest()
			tt.change(&f)
			err := WriteFiles(tar.NewWriter(io.Discard), f)
			if err == nil || !strings.Contains(err.Error(), tt.want) || tt.is != nil && !errors.Is(err, tt.is) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
	if err := WriteFiles(tar.NewWriter(io.Discard), smallest()); err != nil {
		t.Errorf("the control: %v", err)
	}
}

func smallest() Files {
	return Files{Entrypoint: strings.NewReader("ELF"), EntrypointSize: 3, Config: wire.AgentConfig{UID: 1000, GID: 1000}}
}

// extract writes the archive and reads it back.
func extract(t *testing.T, f Files) []entry {
	t.Helper()
	var buf bytes.Buffer
	tw := tar.NewWriter(&buf)
	if err := WriteFiles(tw, f); err != nil {
		t.Fatal(err)
	}
	if err := tw.Close(); err != nil {
		t.Fatal(err)
	}
	var out []entry
	tr := tar.NewReader(&buf)
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(tr)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, entry{h, body})
	}
}

type failingReader struct{ err error }

func (r failingReader) Read([]byte) (int, error) { return 0, r.err }

func TestExtraFilesBelongToWhoeverTheyAreFor(t *testing.T) {
	f := smallest()
	f.Extra = map[string]string{Home + "/.a/b/one": "1", Home + "/.a/two": "2", wire.Dir + "/three": "3"}
	found := map[string]*tar.Header{}
	seen := map[string]bool{"./": true}
	for _, e := range extract(t, f) {
		found["/"+e.header.Name] = e.header
		if dir := path.Dir(strings.TrimSuffix(e.header.Name, "/")) + "/"; !seen[dir] {
			t.Errorf("%s before %s", e.header.Name, dir)
		}
		seen[e.header.Name] = true
	}
	uid := f.Config.UID
	for name, want := range map[string]struct {
		mode int64
		uid  int
	}{
		Home + "/.a/": {0o700, uid}, Home + "/.a/b/": {0o700, uid}, Home + "/.a/b/one": {0o600, uid}, Home + "/.a/two": {0o600, uid}, wire.Dir + "/three": {0o444, 0},
	} {
		if h := found[name]; h == nil || h.Mode != want.mode || h.Uid != want.uid {
			t.Errorf("%s: %+v, want %+v", name, h, want)
		}
	}
	for _, path := range []string{"/etc/passwd", Home + "/../x", wire.Dir + "/out/x", wire.Dir + "/../x", Home, ""} {
		f := smallest()
		f.Extra = map[string]string{path: "x"}
		if err := WriteFiles(tar.NewWriter(io.Discard), f); err == nil {
			t.Errorf("a file at %q is written", path)
		}
	}
}
