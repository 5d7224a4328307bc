package runner

import (
	"bufio"
	"errors"
	"net/netip"
	"os"
	"strings"

	"github.com/yolo-run/yolo-run/entrypoint/wire"
	"github.com/yolo-run/yolo-run/reports"
)

// onEvent takes one decision of the gateway. It is called from one goroutine.
func (r *run) onEvent(e reports.Event) {
	r.mu.Lock()
	err := r.events.Add(e)
	r.mu.Unlock()
	if err != nil {
		r.log.Debug("network.jsonl", "error", err)
	}
	if e.Verdict == reports.Deny {
		r.live.denied(e)
	}
}

// networkReport sums up what the gateway saw; without its summary the record is not complete.
func (r *run) networkReport(summary *wire.Summary) reports.Network {
	r.mu.Lock()
	defer r.mu.Unlock()
	var totals *reports.Totals
	if summary != nil {
		totals = &reports.Totals{Allowed: summary.Allowed, Denied: summary.Denied, WouldDeny: summary.WouldDeny, Events: summary.Events}
	}
	network, err := r.events.Finish(totals)
	if err != nil {
		r.faults = append(r.faults, err)
	}
	network.Egress = r.cfg.Egress
	if r.proxy.url != "" {
		network.Upstream = redactURL(r.proxy.url)
	}
	return network
}

// resolvers are those that the gateway asks for public names: --dns, else those of its own resolv.conf. On a user-defined network
// that names only the engine's resolver, which is not asked for public names; then they are this machine's, as on the default bridge.
func (r *run) resolvers() ([]string, error) {
	if len(r.cfg.DNS) > 0 || r.cfg.Network == "" {
		return r.cfg.DNS, nil
	}
	if r.engine.Facts().Remote {
		return nil, withHint(errors.New("the resolvers of a remote engine are unknown"), "name them with --dns")
	}
	for _, path := range []string{"/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"} {
		if list := nameservers(path); len(list) > 0 {
			return list, nil
		}
	}
	return nil, withHint(errors.New("this machine's resolv.conf names no resolver that a container can reach"), "name one with --dns")
}

// nameservers returns the addresses of a resolv.conf(5) that a container can use, too.
func nameservers(path string) []string {
	file, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer file.Close()
	var list []string
	for lines := bufio.NewScanner(file); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) < 2 || fields[0] != "nameserver" {
			continue
		}
		if addr, err := netip.ParseAddr(fields[1]); err == nil && addr.Is4() && !addr.IsLoopback() {
			list = append(list, addr.String())
		}
	}
	return list
}
