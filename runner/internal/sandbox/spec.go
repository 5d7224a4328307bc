package sandbox

import (
	"context"
	"fmt"
	"net/netip"
	"strconv"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"

	"github.com/yolo-run/yolo-run/entrypoint/wire"
	"github.com/yolo-run/yolo-run/reports"
)

// spec is a container as it must be. create asks for it, inspect compares the result with it.
type spec struct {
	role       string
	image      string // ID
	platform   string
	entrypoint []string
	user       string
	stdin      bool

	network  string // network mode
	pid      string // PID mode
	dns      []netip.Addr
	capAdd   []string
	mounts   []mount.Mount
	tmpfs    map[string]string
	sysctls  map[string]string
	readOnly bool

	memory int64
	cpus   float64
	pids   int64
	shm    int64
	oomAdj int
}

func (s spec) config(c *container.Config) {
	c.Entrypoint = s.entrypoint
	c.Cmd = []string{}
	c.User = s.user
	c.WorkingDir = "/" // the image's would be created as root where it is missing
	c.StopSignal = "SIGTERM"
	c.Healthcheck = &container.HealthConfig{Test: []string{"NONE"}} // an image's would run beside the agent, as its user
	c.OpenStdin, c.StdinOnce, c.AttachStdin = s.stdin, s.stdin, s.stdin
	c.AttachStdout, c.AttachStderr = true, true
	if s.pid == "" {
		c.Hostname = "yolo-run" // a container that joins a network namespace has its owner's
	}
}

func (s spec) hostConfig(h *container.HostConfig, security []string) {
	h.NetworkMode = container.NetworkMode(s.network)
	h.PidMode = container.PidMode(s.pid)
	h.IpcMode = "private"
	h.CapDrop = []string{"ALL"}
	h.CapAdd = s.capAdd
	h.SecurityOpt = security
	h.ReadonlyRootfs = s.readOnly
	h.LogConfig = container.LogConfig{Type: "none"} // output is attached; a log of it would fill the engine's disk
	h.RestartPolicy = container.RestartPolicy{Name: container.RestartPolicyDisabled}
	h.Mounts = s.mounts
	h.Tmpfs = s.tmpfs
	h.Sysctls = s.sysctls
	h.OomScoreAdj = s.oomAdj
	h.ShmSize = s.shm
	h.Memory, h.MemorySwap = s.memory, s.memory // no swap: the limit is the limit
	h.NanoCPUs = int64(s.cpus * 1e9)
	h.PidsLimit = &s.pids
	h.Ulimits = []*container.Ulimit{{Name: "core", Soft: 0, Hard: 0}}
	noInit := false
	h.Init = &noInit
	if len(s.dns) > 0 {
		h.DNS = s.dns
	}
	if s.pid == "" && s.network != "none" {
		h.DNSSearch = []string{"."} // no search list: one name is one lookup
	}
}

// GatewayOptions describe the container that owns the network.
type GatewayOptions struct {
	RunID   string
	Image   Image
	Network string // a user-defined network, or empty for the engine's default bridge
}

// The gateway's own limits.
const (
	gatewayMemory = 512 << 20
	gatewayPIDs   = 1024
)

// gatewayCapabilities: none of them reaches a file (no DAC_*). The gateway gives up the last two before anything else runs in it: NET_RAW unless the rules
// need the legacy back end of iptables, and SETPCAP, which giving up takes.
var gatewayCapabilities = []string{"NET_ADMIN", "SETUID", "SETGID", "SYS_PTRACE", "NET_RAW", "SETPCAP"}

// NewGateway creates the gateway's container. It is root inside.
func (e *Engine) NewGateway(ctx context.Context, o GatewayOptions) (*Container, error) {
	network := o.Network
	if network == "" {
		network = "bridge"
	}
	return e.create(ctx, o.RunID, spec{
		role: "gateway", image: o.Image.ID, entrypoint: []string{"/entrypoint", "gateway"}, user: "0:0", stdin: true,
		network: network,
		capAdd:  gatewayCapabilities,
		sysctls: map[string]string{
			"net.ipv6.conf.all.disable_ipv6":     "1",
			"net.ipv6.conf.default.disable_ipv6": "1",
		},
		tmpfs:    map[string]string{"/run": "rw,noexec,nosuid,nodev,size=1m"}, // the lock of legacy iptables
		readOnly: true, memory: gatewayMemory, pids: gatewayPIDs,
	})
}

// CollectorOptions describe the container that compares the trees. Empty names are not mounted.
type CollectorOptions struct {
	RunID       string
	Image       Image
	LowerPath   string // the workspace on the host
	LowerVolume string // or a volume that has a copy of it
	Upper       string // volumes
	Merged      string
}

// NewCollector creates the container that sees the workspace before and after, has no network, and can read every file of the two.
func (e *Engine) NewCollector(ctx context.Context, o CollectorOptions) (*Container, error) {
	lower := volumeMount(o.LowerVolume, "/lower", true)
	if o.LowerPath != "" {
		lower = bindMount(o.LowerPath, "/lower", true)
	}
	mounts := []mount.Mount{lower, volumeMount(o.Merged, "/merged", true)}
	if o.Upper != "" {
		mounts = append(mounts, volumeMount(o.Upper, "/upper", true))
	}
	return e.create(ctx, o.RunID, spec{
		role: "collector", image: o.Image.ID, entrypoint: []string{"/entrypoint", "collect"}, user: "0:0", stdin: true,
		network: "none", capAdd: []string{"DAC_READ_SEARCH"}, mounts: mounts,
		readOnly: true, memory: 512 << 20, pids: 64,
	})
}

// LoaderOptions describe the container that fills volumes.
type LoaderOptions struct {
	RunID    string
	Image    Image
	UID, GID int               // whom the files will belong to
	Volumes  map[string]string // where each is mounted: its name
}

// loaderMemory is for what was written and waits for the disk, which counts as the container's: its own is 50 MB.
const loaderMemory = 4 << 30

// NewLoader creates the container that fills volumes from its standard input. It has no network and no capability: files belong to the agent because
// it runs as the agent's user, to whom the folders must be given before it starts.
func (e *Engine) NewLoader(ctx context.Context, o LoaderOptions) (*Container, error) {
	if o.UID <= 0 || o.GID <= 0 {
		return nil, fmt.Errorf("loader as %d:%d: neither may be 0", o.UID, o.GID)
	}
	var mounts []mount.Mount
	for dir, volume := range o.Volumes {
		mounts = append(mounts, volumeMount(volume, dir, false))
	}
	return e.create(ctx, o.RunID, spec{
		role: "loader", image: o.Image.ID, entrypoint: []string{"/entrypoint", "load"}, stdin: true,
		user:    strconv.Itoa(o.UID) + ":" + strconv.Itoa(o.GID),
		network: "none", mounts: mounts, memory: loaderMemory, pids: 64,
	})
}

// AgentOptions describe the container that the agent runs in.
type AgentOptions struct {
	RunID    string
	Image    Image
	Platform string
	Gateway  *Container
	UID, GID int
	Merged   string // volume at /workspace
	Mounts   []Mount
	Limits   reports.Limits
}

// Mount is a further folder or file of the host in the agent's container.
type Mount struct {
	Source, Target string
	Volume         bool // Source is a volume's name
	Writable       bool
}

// NewAgent creates the agent's container: any image, never root, no capability, in the gateway's network and PID namespaces.
func (e *Engine) NewAgent(ctx context.Context, o AgentOptions) (*Container, error) {
	if o.UID <= 0 || o.GID <= 0 {
		return nil, fmt.Errorf("agent as %d:%d: neither may be 0", o.UID, o.GID)
	}
	mounts := []mount.Mount{volumeMount(o.Merged, "/workspace", false)}
	for _, m := range o.Mounts {
		if m.Volume {
			mounts = append(mounts, volumeMount(m.Source, m.Target, !m.Writable))
		} else {
			mounts = append(mounts, bindMount(m.Source, m.Target, !m.Writable))
		}
	}
	gateway := "container:" + o.Gateway.ID
	return e.create(ctx, o.RunID, spec{
		role: "agent", image: o.Image.ID, platform: o.Platform, entrypoint: []string{wire.EntrypointPath, "agent"},
		user:    strconv.Itoa(o.UID) + ":" + strconv.Itoa(o.GID), // without the group the image's would add its own
		network: gateway, pid: gateway, mounts: mounts,
		memory: o.Limits.MemoryBytes, cpus: o.Limits.CPUs, pids: o.Limits.PIDs, shm: o.Limits.ShmBytes,
		oomAdj: 500, // when the machine runs out of memory, the agent goes before the gateway
	})
}

func volumeMount(name, target string, readOnly bool) mount.Mount {
	// NoCopy: an empty volume would be filled by the image's files at its target.
	return mount.Mount{
		Type: mount.TypeVolume, Source: name, Target: target, ReadOnly: readOnly,
		VolumeOptions: &mount.VolumeOptions{NoCopy: true},
	}
}

func bindMount(path, target string, readOnly bool) mount.Mount {
	return mount.Mount{
		Type: mount.TypeBind, Source: path, Target: target, ReadOnly: readOnly,
		BindOptions: &mount.BindOptions{Propagation: mount.PropagationRPrivate},
	}
}
