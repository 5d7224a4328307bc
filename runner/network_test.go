package runner_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"

	"github.com/yolo-run/yolo-run/entrypoint/policy"
	"github.com/yolo-run/yolo-run/reports"
	"github.com/yolo-run/yolo-run/runner"
)

func toAddr(addr string, port int) func(reports.Event) bool {
	return func(e reports.Event) bool { return e.Addr == addr && e.Port == port }
}

// The same rules hold on the engine's default bridge, which has no resolver of the engine's.
func TestTheDefaultBridgeIsClosedToo(t *testing.T) {
	t.Parallel()
	n := needInternet(t)
	addr := n.onBridge(t)
	r := try(t, `
curl -sf -m 5 -o /dev/null http://`+addr+`:8080/; echo control=$?
curl -sf -m 5 -o /dev/null http://`+addr+`:8099/seen; echo port=$?
curl -sf -m 5 -o /dev/null http://denied.test/; echo name=$?
curl -sf -m 5 -o /dev/null http://private.test/; echo private=$?
python3 -c "
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(2); s.connect(('`+addr+`', 9999))
try:
    s.send(b'x'); s.send(b'bridge'); print('udp=open', s.recv(10))
except OSError as e: print('udp=closed')"
`, func(cfg *runner.Config) {
		cfg.DNS = []string{addr}
		cfg.AllowedInternal = []string{addr + ":8080"}
		cfg.AllowedDomains = []string{"private.test"}
	})
	r.want(t, reports.NoChanges)
	if got := r.says(t, "control"); got != "0" {
		t.Errorf("control: the allowed port was not reached: %s", got)
	}
	for _, name := range []string{"port", "name", "private"} {
		if r.says(t, name) == "0" {
			t.Errorf("%s was reached", name)
		}
	}
	if got := r.says(t, "udp"); got != "closed" {
		t.Errorf("udp %s", got)
	}
	for what, match := range map[string]func(reports.Event) bool{
		"port": toAddr(addr, 8099), "udp": toAddr(addr, 9999), "name": deniedName(reports.LayerDNS, "denied.test"),
	} {
		if len(r.find(reports.Deny, match)) == 0 {
			t.Errorf("the denial of %s is not on record", what)
		}
	}
	if len(n.seen(t, "dns denied.test")) > 0 {
		t.Error("the denied name was looked up")
	}
}

// A network with IPv6 gives the gateway no IPv6: the address that the engine assigned is not there, and the agent cannot reach its neighbour at it.
func TestANetworkWithIPv6IsClosedToo(t *testing.T) {
	t.Parallel()
	n := needInternet(t)
	name, addr := n.onIPv6(t)
	r := try(t, `
grep -c . /proc/net/if_inet6 | sed 's/^/addresses=/'
curl -sf -m 5 -o /dev/null http://`+internetName+`:8080/; echo control=$?
curl -sf -g -m 5 -o /dev/null http://[`+addr+`]:8080/; echo literal=$?
python3 -c "
import socket
s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
try:
    s.sendto(b'x', ('`+addr+`', 9999)); print('udp=open')
except OSError as e: print('udp=closed')"
`, func(cfg *runner.Config) {
		cfg.Network = name
		cfg.AllowedInternal = []string{internetName + ":8080"}
	})
	r.want(t, reports.NoChanges)
	for what, want := range map[string]string{"addresses": "0", "control": "0", "udp": "closed"} {
		if got := r.says(t, what); got != want {
			t.Errorf("%s is %s, want %s", what, got, want)
		}
	}
	if r.says(t, "literal") == "0" {
		t.Error("the agent reached an IPv6 address")
	}
}

// onIPv6 connects the test's internet to a network of the test's own that has IPv6, and returns the network and the internet's address there.
func (n internet) onIPv6(t *testing.T) (name, addr string) {
	t.Helper()
	engine := needEngine(t)
	name = "yolo-run-test-ipv6"
	enabled := true
	_, err := engine.NetworkCreate(t.Context(), name, client.NetworkCreateOptions{
		Driver: "bridge", EnableIPv6: &enabled,
		IPAM: &network.IPAM{Config: []network.IPAMConfig{{Subnet: netip.MustParsePrefix("2001:db8:59::/64")}}}, // RFC 3849
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		_, err := engine.NetworkDisconnect(ctx, name, client.NetworkDisconnectOptions{Container: n.id, Force: true})
		_, removeErr := engine.NetworkRemove(ctx, name, client.NetworkRemoveOptions{})
		if err := errors.Join(err, removeErr); err != nil {
			t.Error(err)
		}
	})
	if _, err := engine.NetworkConnect(t.Context(), name, client.NetworkConnectOptions{Container: n.id}); err != nil {
		t.Fatal(err)
	}
	res, err := engine.ContainerInspect(t.Context(), n.id, client.ContainerInspectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	address := res.Container.NetworkSettings.Networks[name].GlobalIPv6Address
	if !address.IsValid() {
		t.Fatal("the test's internet has no IPv6 address")
	}
	eventually(t, 10*time.Second, func() []string { // the control; the kernel first makes sure that nobody else has the address
		conn, err := net.DialTimeout("tcp", net.JoinHostPort(address.String(), "8080"), time.Second)
		if err != nil {
			return []string{err.Error()}
		}
		_ = conn.Close()
		return nil
	})
	return name, address.String()
}

// onBridge connects the test's internet to the default bridge, too, and returns its address there.
func (n internet) onBridge(t *testing.T) string {
	t.Helper()
	engine := needEngine(t)
	if _, err := engine.NetworkConnect(t.Context(), "bridge", client.NetworkConnectOptions{Container: n.id}); err != nil {
		t.Fatal(err)
	}
	res, err := engine.ContainerInspect(t.Context(), n.id, client.ContainerInspectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for name, endpoint := range res.Container.NetworkSettings.Networks {
		// Podman has another name for it; those of other tests begin like ours.
		if !strings.HasPrefix(name, "yolo-run-test") && name != n.network && endpoint.IPAddress.IsValid() {
			return endpoint.IPAddress.String()
		}
	}
	t.Fatal("the test's internet has no address on the default bridge")
	return ""
}

// A service on the run's own network is reached by the name that the network knows it by, on the port that was allowed.
func TestServicesOfTheNetworkAreReachedByName(t *testing.T) {
	t.Parallel()
	n := needInternet(t)
	r := try(t, `
curl -sf -m 5 -o /dev/null http://`+internetName+`:8080/; echo allowed=$?
curl -sf -m 5 -o /dev/null http://`+internetName+`:8099/; echo port=$?
`, online(n), func(cfg *runner.Config) { cfg.AllowedInternal = []string{internetName + ":8080"} })
	r.want(t, reports.NoChanges)
	if r.says(t, "allowed") != "0" || r.says(t, "port") == "0" {
		t.Errorf("allowed port: %s, another port: %s", r.says(t, "allowed"), r.says(t, "port"))
	}
}

func TestAuditPassesAndRecordsWhatEnforceWouldDeny(t *testing.T) {
	t.Parallel()
	n := needInternet(t)
	r := try(t, `
curl -sf -m 5 -o /dev/null http://audited.test/; echo name=$?
curl -sf -m 5 -o /dev/null http://loopback.test/; echo special=$?
python3 -c "
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(2); s.connect(('`+internetAddr+`', 9999))
try:
    s.send(b'x'); s.send(b'audit'); s.recv(10); print('udp=open')
except OSError: print('udp=closed')"
`, online(n), func(cfg *runner.Config) { cfg.Egress = string(policy.Audit) })
	r.want(t, reports.NoChanges)
	if r.says(t, "name") != "0" || r.says(t, "special") == "0" || r.says(t, "udp") != "closed" {
		t.Errorf("name %s, special %s, udp %s", r.says(t, "name"), r.says(t, "special"), r.says(t, "udp"))
	}
	if r.Network.WouldDeny == 0 || len(r.find(reports.WouldDeny, func(e reports.Event) bool { return e.Name == "audited.test" })) == 0 {
		t.Errorf("what enforce would deny is not on record: %+v", r.Network)
	}
}

func TestEgressNoneResolvesNothing(t *testing.T) {
	t.Parallel()
	n := needInternet(t)
	r := try(t, `curl -sf -m 5 -o /dev/null http://none.allowed.test/; echo name=$?`, online(n, "none.allowed.test"),
		func(cfg *runner.Config) { cfg.Egress = string(policy.None) })
	r.want(t, reports.NoChanges)
	if r.says(t, "name") == "0" || len(n.seen(t, "none.allowed.test")) > 0 {
		t.Error("a name was resolved")
	}
}
