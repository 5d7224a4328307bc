package runner_test

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"
	"golang.org/x/sys/unix"
)

const (
	internetName = "yolo-run-test-internet"
	internetNet  = "198.51.100.0/24" // RFC 5737: it can be nobody's
	internetAddr = "198.51.100.53"
)

func baseImage() string { return "yolo-run/base:" + version() }

// needEngine is how a test gets the engine: without one it fails, never skips. `go test -short` leaves such tests out.
func needEngine(t testing.TB) *client.Client {
	t.Helper()
	if testing.Short() {
		t.Skip("needs a container engine; run without -short")
	}
	engine, err := client.New(client.FromEnv)
	if err == nil {
		_, err = engine.Ping(t.Context(), client.PingOptions{})
	}
	if err == nil {
		_, err = engine.ImageInspect(t.Context(), baseImage())
	}
	if err != nil {
		t.Fatalf("this test needs a container engine and yolo-run's images (make test starts and builds them): %v", err)
	}
	t.Cleanup(func() { _ = engine.Close() })
	return engine
}

// internet is the container network that stands in for the internet, with one server that is everybody (runner/internal/internet).
type internet struct {
	network string
	id      string
}

var theInternet struct {
	sync.Once
	internet
	lock *os.File // held as long as this process lives
	err  error
}

// needInternet starts the internet once for all tests of the package; TestMain ends it.
func needInternet(t testing.TB) internet {
	t.Helper()
	engine := needEngine(t)
	theInternet.Do(func() {
		theInternet.internet, theInternet.err = startInternet(context.Background(), engine)
	})
	if theInternet.err != nil {
		t.Fatalf("start the test's internet: %v", theInternet.err)
	}
	return theInternet.internet
}

func startInternet(ctx context.Context, engine *client.Client) (internet, error) {
	if err := lockInternet(); err != nil {
		return internet{}, err
	}
	if err := removeInternet(ctx, engine); err != nil {
		return internet{}, err
	}
	_, err := engine.NetworkCreate(ctx, internetName, client.NetworkCreateOptions{
		Driver: "bridge",
		IPAM:   &network.IPAM{Config: []network.IPAMConfig{{Subnet: netip.MustParsePrefix(internetNet)}}},
	})
	if err != nil {
		return internet{}, err
	}
	created, err := engine.ContainerCreate(ctx, client.ContainerCreateOptions{
		Name:       internetName,
		Config:     &container.Config{Image: baseImage(), Entrypoint: []string{"/internet", internetAddr}},
		HostConfig: &container.HostConfig{NetworkMode: internetName},
		NetworkingConfig: &network.NetworkingConfig{EndpointsConfig: map[string]*network.EndpointSettings{
			internetName: {IPAMConfig: &network.EndpointIPAMConfig{IPv4Address: netip.MustParseAddr(internetAddr)}, Aliases: aliases()},
		}},
	})
	if err != nil {
		return internet{}, err
	}
	archive, err := internetBinary(ctx)
	if err != nil {
		return internet{}, err
	}
	_, err = engine.CopyToContainer(ctx, created.ID, client.CopyToContainerOptions{DestinationPath: "/", Content: archive})
	if err != nil {
		return internet{}, err
	}
	if _, err := engine.ContainerStart(ctx, created.ID, client.ContainerStartOptions{}); err != nil {
		return internet{}, err
	}
	n := internet{network: internetName, id: created.ID}
	return n, n.waitUp(ctx)
}

// aliases are further names that the network's own resolver knows the internet by.
func aliases() []string {
	list := make([]string, 60)
	for i := range list {
		list[i] = fmt.Sprintf("alias%d", i)
	}
	return list
}

// lockInternet keeps a second test process from taking the same addresses.
func lockInternet() error {
	file, err := os.OpenFile(filepath.Join(os.TempDir(), internetName+".lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	theInternet.lock = file
	return unix.Flock(int(file.Fd()), unix.LOCK_EX)
}

func internetBinary(ctx context.Context) (io.Reader, error) {
	dir, err := os.MkdirTemp("", "internet")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "internet")
	build := exec.CommandContext(ctx, "go", "build", "-o", path, "./internal/internet")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build the internet: %w\n%s", err, out)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	if err := w.WriteHeader(&tar.Header{Name: "internet", Mode: 0o755, Size: int64(len(data))}); err != nil {
		return nil, err
	}
	if _, err := w.Write(data); err != nil {
		return nil, err
	}
	return &archive, w.Close()
}

func (n internet) waitUp(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	var err error
	for ctx.Err() == nil {
		if _, err = n.get(ctx, "/seen"); err == nil {
			return nil
		}
	}
	return err
}

func (n internet) get(ctx context.Context, path string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+internetAddr+":8099"+path, nil)
	if err != nil {
		return nil, err
	}
	res, err := (&http.Client{Transport: &http.Transport{Proxy: nil, DisableKeepAlives: true}}).Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	return io.ReadAll(res.Body)
}

// seen returns what reached the internet so far and contains text.
func (n internet) seen(t testing.TB, text string) []string {
	t.Helper()
	data, err := n.get(t.Context(), "/seen")
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	if err := json.Unmarshal(data, &all); err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(all, func(s string) bool { return !strings.Contains(s, text) })
}

// caFile writes the certificate authority of this internet to a file.
func (n internet) caFile(t testing.TB) string {
	t.Helper()
	data, err := n.get(t.Context(), "/ca")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func removeInternet(ctx context.Context, engine *client.Client) error {
	_, err := engine.ContainerRemove(ctx, internetName, client.ContainerRemoveOptions{Force: true})
	if err != nil && !errdefs.IsNotFound(err) {
		return err
	}
	_, err = engine.NetworkRemove(ctx, internetName, client.NetworkRemoveOptions{})
	if err != nil && !errdefs.IsNotFound(err) {
		return err
	}
	return nil
}

func TestMain(m *testing.M) {
	// What CI sets would colour the output and send outputs and summaries of the tests' runs to the job that runs the tests.
	for _, name := range []string{"CI", "GITHUB_ACTIONS", "RUNNER_TEMP", "HTTPS_PROXY", "https_proxy"} {
		_ = os.Unsetenv(name)
	}
	code := m.Run()
	if binary.path != "" {
		_ = os.RemoveAll(filepath.Dir(binary.path))
	}
	if theInternet.id != "" {
		engine, err := client.New(client.FromEnv)
		if err == nil {
			err = removeInternet(context.Background(), engine)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "remove the test's internet:", err)
			code = 1
		}
	}
	os.Exit(code)
}
