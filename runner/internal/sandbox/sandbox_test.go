package sandbox

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
)

func TestHostIsFoundAsTheDockerCommandFindsIt(t *testing.T) {
	home := t.TempDir()
	meta := map[string]any{"Endpoints": map[string]any{"docker": map[string]any{"Host": "tcp://198.51.100.7:2375"}}}
	// The folder's name is the SHA-256 of the context's name, as in docker's store.
	writeJSON(t, filepath.Join(home, ".docker/contexts/meta/b71199ebd070b36beab7317920c2c2f1d777df8d05e5527d8458fda57cb17a7a/meta.json"), meta)
	writeJSON(t, filepath.Join(home, ".docker/config.json"), map[string]any{"currentContext": "missing"})
	for _, c := range []struct {
		name string
		env  map[string]string
		want string
		err  string
	}{
		{"DOCKER_HOST wins", map[string]string{"HOME": home, "DOCKER_HOST": "unix:///x.sock"}, "unix:///x.sock", ""},
		{"a context that is missing is an error", map[string]string{"HOME": home}, "", `context "missing"`},
		{"a context", map[string]string{"HOME": home, "DOCKER_CONTEXT": "remote"}, "tcp://198.51.100.7:2375", ""},
		{"default is no context", map[string]string{"HOME": home, "DOCKER_CONTEXT": "default"}, "unix:///var/run/docker.sock", ""},
		{"no configuration", map[string]string{"HOME": t.TempDir()}, "unix:///var/run/docker.sock", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := findHost(func(name string) string { return c.env[name] })
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Fatalf("error %v, want %q", err, c.err)
				}
				return
			}
			if err != nil || got != c.want {
				t.Fatalf("%q %v, want %q", got, err, c.want)
			}
		})
	}
}

func writeJSON(t *testing.T, path string, v any) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// testcontainers answers a wrong address by using the local socket; Open must not.
func TestABrokenAddressIsAnErrorAndNotAnotherEngine(t *testing.T) {
	free, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := "tcp://" + free.Addr().String()
	if err := free.Close(); err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{address, "unix:///no/such.sock"} {
		if _, err := Open(t.Context(), host, slog.New(slog.DiscardHandler)); !errors.Is(err, ErrNoEngine) {
			t.Errorf("%s: %v, want ErrNoEngine", host, err)
		}
	}
	for _, host := range []string{"ssh://x", "npipe://x", "::"} {
		if _, err := Open(t.Context(), host, slog.New(slog.DiscardHandler)); err == nil {
			t.Errorf("%s was opened", host)
		}
	}
}

func TestWhatIsPulled(t *testing.T) {
	for ref, want := range map[string]bool{
		"golang:1.26": true, "library/golang": true, "registry.example.com/a/b:1": true, "localhost:5000/a": true, "localhost/a": true,
		"yolo-run/base:dev": false, "somebody/image": false, "sha256:abc": false,
	} {
		if got := hasRegistry(ref); got != want {
			t.Errorf("%s: pulled %v, want %v", ref, got, want)
		}
	}
}

func TestMountsThatNobodyAskedForAreRefused(t *testing.T) {
	s := spec{mounts: []mount.Mount{volumeMount("merged", "/workspace", false), bindMount("/src", "/dst", true)}, tmpfs: map[string]string{"/run": "rw"}}
	good := []container.MountPoint{
		{Type: mount.TypeVolume, Name: "merged", Source: "/var/lib/x", Destination: "/workspace", RW: true},
		{Type: mount.TypeBind, Source: "/src", Destination: "/dst", RW: false},
	}
	point := func(typ mount.Type, source, destination string, rw bool) container.MountPoint {
		return container.MountPoint{Type: typ, Source: source, Name: source, Destination: destination, RW: rw}
	}
	for _, c := range []struct {
		name   string
		mounts []container.MountPoint
		ok     bool
	}{
		{"as asked", good, true},
		{"an image's volume elsewhere", append(good[:2:2], point(mount.TypeVolume, "anonymous", "/data", true)), true},
		{"an image's volume in the workspace", append(good[:2:2], point(mount.TypeVolume, "anonymous", "/workspace/src", true)), false},
		{"an image's volume above ours", append(good[:2:2], point(mount.TypeVolume, "anonymous", "/home", true)), false},
		{"another bind", append(good[:2:2], point(mount.TypeBind, "/", "/host", false)), false},
		{"one is missing", good[:1], false},
		{"writable instead of read-only", []container.MountPoint{good[0], point(mount.TypeBind, "/src", "/dst", true)}, false},
		{"another source", []container.MountPoint{good[0], point(mount.TypeBind, "/etc", "/dst", false)}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := checkMounts(c.mounts, s); (err == nil) != c.ok {
				t.Errorf("%v, want ok %v", err, c.ok)
			}
		})
	}
}

func TestSecurityOptionsAreRecognised(t *testing.T) {
	options, release, err := new(Engine).securityOptions()
	if err != nil || !hasSecurity(options, options) {
		t.Fatalf("our own options do not pass: %v", err)
	}
	release()
	for _, bad := range [][]string{
		nil,
		{"no-new-privileges"},
		{"no-new-privileges", "seccomp=unconfined"},
		{"no-new-privileges", options[1], "seccomp=unconfined"},
		{"no-new-privileges", `seccomp={"defaultAction":"SCMP_ACT_ALLOW"}`},
		{"no-new-privileges=false", options[1]},
	} {
		if hasSecurity(bad, options) {
			t.Errorf("%.60q passed", bad)
		}
	}
}
