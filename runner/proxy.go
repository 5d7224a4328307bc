package runner

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"strings"
)

// noProxy is the value of --upstream-proxy that switches the environment's off.
const noProxy = "none"

// upstreamProxy is the proxy that allowed connections go through.
type upstreamProxy struct {
	url    string // http://[USER:PASSWORD@]HOST:PORT, empty for none
	from   string // the flag or the variable that names it
	except string // what does not go through it, in the form of NO_PROXY
}

// upstreamProxy is the one that --upstream-proxy names, else that of the environment, by the variables that other clients of HTTPS follow. The
// error says why that of the environment cannot be used; one that is named is a fault of the configuration instead.
func (c Config) upstreamProxy(machine host) (upstreamProxy, error) {
	switch c.UpstreamProxy {
	case noProxy:
		return upstreamProxy{}, nil
	case "":
	default:
		return upstreamProxy{url: c.UpstreamProxy, from: "--upstream-proxy"}, nil
	}
	from, value := firstSet(machine, "HTTPS_PROXY", "https_proxy")
	if value == "" {
		return upstreamProxy{}, nil
	}
	if !strings.Contains(value, "://") { // as other clients take it
		value = "http://" + value
	}
	if err := checkProxyURL(value); err != nil {
		return upstreamProxy{}, fmt.Errorf("%s %s: %w", from, redactURL(value), err)
	}
	_, except := firstSet(machine, "NO_PROXY", "no_proxy")
	return upstreamProxy{url: value, from: from, except: except}, nil
}

func firstSet(machine host, names ...string) (name, value string) {
	for _, name := range names {
		if value := strings.TrimSpace(machine.getenv(name)); value != "" {
			return name, value
		}
	}
	return "", ""
}

// warnOfProxy says what a proxy of the environment changes; nobody has asked for it by name.
func warnOfProxy(log *slog.Logger, proxy upstreamProxy, err error) {
	switch {
	case err != nil:
		log.Warn("the environment's proxy is not used: allowed connections go out directly", "reason", err.Error(),
			"hint", "name one that a container reaches by --upstream-proxy, or say --upstream-proxy none")
	case proxy.url != "" && proxy.from != "--upstream-proxy":
		log.Info("allowed connections go through the environment's proxy, which looks names up and checks no address", "proxy", redactURL(proxy.url),
			"by", proxy.from, "hint", "--upstream-proxy none")
	}
}

func checkProxyURL(s string) error {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Host == "" || u.Hostname() == "":
		return errors.New("must be http://[USER:PASSWORD@]HOST:PORT or none")
	case u.Scheme != "http":
		return errors.New("must begin with http://: the proxy itself is spoken to without TLS")
	case (u.Path != "" && u.Path != "/") || u.RawQuery != "" || u.Fragment != "":
		return errors.New("must end after the port")
	case isLoopbackHost(u.Hostname()):
		return errors.New("is this machine's own loopback, which a container cannot reach")
	}
	return nil
}

// isLoopbackHost reports whether the host of a URL is this machine itself.
func isLoopbackHost(host string) bool {
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	addr = addr.Unmap()
	return err == nil && (addr.IsLoopback() || addr.IsUnspecified())
}
