// Package sandbox is the containers of a run: the gateway, the agent, the collector, and their volumes.
//
// It is the only importer of testcontainers and of the moby client. Its invariant: a container that is started was inspected
// before, and is what was asked for; whatever the engine, the image or the library did to the request is an error.
package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/moby/moby/api/types/system"
	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"
	tclog "github.com/testcontainers/testcontainers-go/log"

	"github.com/yolo-run/yolo-run/reports"
)

// Errors of [Open] that a user can do something about.
var (
	ErrNoEngine   = errors.New("no container engine answers")
	ErrPermission = errors.New("no permission on the engine's socket")
)

// Engine is a connection to a container engine. It is safe for concurrent use.
type Engine struct {
	provider *testcontainers.DockerProvider
	client   client.APIClient
	host     string
	facts    Facts
}

// Facts are what the engine says of itself.
type Facts struct {
	reports.Engine
	Memory      int64 // bytes of the engine's machine
	CPUs        int
	UserNSRemap bool // containers' root is another user on the host
	Desktop     bool // the engine runs in a virtual machine of its own
	Seccomp     bool
	NoLimits    bool   // the engine cannot limit memory or processes, as a rootless one without cgroups cannot
	Podman      bool   // the engine is Podman's Docker-compatible service
	Remote      bool   // the engine is reached over the network: it cannot see our files
	Socket      string // path of the engine's socket, empty for a remote one
}

// Open connects to the engine at host, or where that is empty at the one that the docker command would use. It returns [ErrNoEngine] or
// [ErrPermission], wrapped with the address, when there is none to talk to.
func Open(ctx context.Context, host string, logger *slog.Logger) (*Engine, error) {
	if host == "" {
		var err error
		if host, err = findHost(os.Getenv); err != nil {
			return nil, err
		}
	}
	socket, remote, err := dial(ctx, host)
	if err != nil {
		return nil, err
	}
	provider, err := newProvider(host, logger)
	if err != nil {
		return nil, fmt.Errorf("%w at %s: %w", ErrNoEngine, host, err)
	}
	e := &Engine{provider: provider, client: provider.Client(), host: host}
	if err := e.ask(ctx); err != nil {
		return nil, errors.Join(err, provider.Close())
	}
	e.facts.Socket, e.facts.Remote = socket, remote
	return e, nil
}

// Facts returns what the engine said of itself when it was opened.
func (e *Engine) Facts() Facts { return e.facts }

// Close ends the connection. Containers go on.
func (e *Engine) Close() error { return e.provider.Close() }

// dial proves that somebody listens at host: testcontainers answers a wrong address by talking to another engine.
func dial(ctx context.Context, host string) (socket string, remote bool, err error) {
	u, err := url.Parse(host)
	if err != nil {
		return "", false, fmt.Errorf("engine address %q: %w", host, err)
	}
	network, address := u.Scheme, u.Host
	switch u.Scheme {
	case "unix":
		address = u.Path
		socket = u.Path
	case "tcp", "http", "https":
		network, remote = "tcp", true
	default:
		return "", false, fmt.Errorf("engine address %q: scheme %q is not supported, use unix:// or tcp://", host, u.Scheme)
	}
	dialer := net.Dialer{Timeout: 5 * time.Second}
	conn, err := dialer.DialContext(ctx, network, address)
	if errors.Is(err, os.ErrPermission) {
		return "", false, fmt.Errorf("%w: %s", ErrPermission, address)
	}
	if err != nil {
		return "", false, fmt.Errorf("%w at %s: %w", ErrNoEngine, host, err)
	}
	return socket, remote, conn.Close()
}

// providerName selects our registration; see [pinned].
const providerName = "yolo-run"

// registration is process-wide because testcontainers' registry of providers is: the first engine of a process stays its engine.
var registration struct {
	sync.Mutex
	host string
}

// pinned tells testcontainers the engine's address, so that a broken one is an error and never the local socket instead.
type pinned struct{ host string }

func (p pinned) Initialize(context.Context) (testcontainers.RuntimeConfig, error) {
	return testcontainers.RuntimeConfig{DockerHost: p.host, DefaultBridgeNetwork: "bridge"}, nil
}

func newProvider(host string, logger *slog.Logger) (*testcontainers.DockerProvider, error) {
	registration.Lock()
	defer registration.Unlock()
	if registration.host == "" {
		if err := pin(host, logger); err != nil {
			return nil, err
		}
	}
	if registration.host != host {
		return nil, fmt.Errorf("this process already uses the engine at %s", registration.host)
	}
	provider, err := testcontainers.ProviderDefault.GetProvider(testcontainers.WithLogger(libraryLog{logger}))
	if err != nil {
		return nil, err
	}
	docker, ok := provider.(*testcontainers.DockerProvider)
	if !ok {
		return nil, fmt.Errorf("unexpected provider %T", provider)
	}
	if got := docker.Client().DaemonHost(); got != host {
		return nil, errors.Join(fmt.Errorf("the library found another engine, at %s", got), docker.Close())
	}
	return docker, nil
}

// behindTLS says whether the docker command would speak TLS with the engine.
func behindTLS(host string) bool {
	return os.Getenv("DOCKER_TLS_VERIFY") != "" && strings.HasPrefix(host, "tcp://")
}

func pin(host string, logger *slog.Logger) error {
	// The library reads these once. Ryuk would need the engine's socket inside a container; a prefix would swap our images.
	settings := map[string]string{"TESTCONTAINERS_PROVIDER": providerName, "TESTCONTAINERS_HUB_IMAGE_NAME_PREFIX": ""}
	if behindTLS(host) {
		// With a pinned address it leaves the settings of TLS aside. Its own provider reads them as the docker command does; that it did not
		// find another engine is checked afterwards.
		settings = map[string]string{"TESTCONTAINERS_PROVIDER": "docker", "DOCKER_HOST": host, "TESTCONTAINERS_HUB_IMAGE_NAME_PREFIX": ""}
		if os.Getenv("DOCKER_CERT_PATH") == "" {
			settings["DOCKER_CERT_PATH"] = os.Getenv("HOME") + "/.docker"
		}
	}
	if os.Getenv("TESTCONTAINERS_RYUK_DISABLED") == "" {
		settings["TESTCONTAINERS_RYUK_DISABLED"] = "true"
	}
	for name, value := range settings {
		if err := os.Setenv(name, value); err != nil {
			return err
		}
	}
	tclog.SetDefault(libraryLog{logger})
	factory := func() testcontainers.RuntimeProvider { return pinned{host} }
	if err := testcontainers.RegisterProvider(providerName, factory); err != nil {
		return err
	}
	registration.host = host
	return nil
}

// libraryLog carries testcontainers' log lines to ours, at debug.
type libraryLog struct{ log *slog.Logger }

var _ tclog.Logger = libraryLog{}

func (l libraryLog) Printf(format string, args ...any) {
	l.log.Debug("testcontainers", "message", strings.TrimSpace(fmt.Sprintf(format, args...)))
}

// Answers returns [ErrNoEngine], wrapped with the address, when the engine is gone, however long it was there.
func (e *Engine) Answers(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	if _, err := e.client.Ping(ctx, client.PingOptions{}); err != nil {
		return fmt.Errorf("%w at %s any more: %w", ErrNoEngine, e.host, err)
	}
	return nil
}

// ask fills in the facts.
func (e *Engine) ask(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	res, err := e.client.Info(ctx, client.InfoOptions{})
	if err != nil {
		return fmt.Errorf("ask the engine at %s: %w", e.host, err)
	}
	info := res.Info
	e.facts = Facts{
		Engine: reports.Engine{
			Version: info.ServerVersion, OS: info.OperatingSystem, Kernel: info.KernelVersion, Host: e.host,
		},
		Memory: info.MemTotal, CPUs: info.NCPU,
		NoLimits: !info.MemoryLimit || !info.PidsLimit,
		Desktop:  strings.Contains(info.OperatingSystem, "Docker Desktop"),
	}
	if e.facts.Podman, err = e.isPodman(ctx); err != nil {
		return err
	}
	for _, option := range info.SecurityOptions {
		e.facts.Rootless = e.facts.Rootless || strings.Contains(option, "name=rootless")
		e.facts.UserNSRemap = e.facts.UserNSRemap || strings.Contains(option, "name=userns")
		e.facts.Seccomp = e.facts.Seccomp || strings.Contains(option, "name=seccomp")
	}
	// Rootless Podman says that it can, of a machine whose cgroups only root may use.
	e.facts.NoLimits = e.facts.NoLimits || e.facts.Podman && e.facts.Rootless && info.CgroupVersion == "1"
	return nil
}

func (e *Engine) isPodman(ctx context.Context) (bool, error) {
	version, err := e.client.ServerVersion(ctx, client.ServerVersionOptions{})
	if err != nil {
		return false, fmt.Errorf("ask the engine at %s for its version: %w", e.host, err)
	}
	return slices.ContainsFunc(version.Components, func(c system.ComponentVersion) bool { return c.Name == "Podman Engine" }), nil
}

// drain reads what is left of a response and closes it, so that its connection can serve again.
func drain(body io.ReadCloser) error {
	_, err := io.Copy(io.Discard, io.LimitReader(body, 1<<20))
	return errors.Join(err, body.Close())
}
