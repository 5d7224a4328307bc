package runner_test

import (
	"testing"

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
		if name != n.network && endpoint.IPAddress.IsValid() { // Podman has another name for it
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
