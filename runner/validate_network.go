package runner

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/net/idna"

	"github.com/yolo-run/yolo-run/entrypoint/policy"
)

// PolicySpec is the network policy as the gateway gets it: lists split into entries, names beyond ASCII in their xn-- form.
// All faults of the three lists are returned, joined, each a [UsageError].
func (c Config) PolicySpec() (policy.Spec, error) {
	f := &faults{}
	spec := policy.Spec{Egress: policy.Egress(c.Egress)}
	setDefault(&spec.Egress, policy.Enforce)
	spec.Allow = f.entries("--allowed-domain", c.AllowedDomains, func(s *policy.Spec, e []string) { s.Allow = e })
	spec.Deny = f.entries("--denied-domain", c.DeniedDomains, func(s *policy.Spec, e []string) { s.Deny = e })
	spec.Internal = f.entries("--allowed-internal", c.AllowedInternal, func(s *policy.Spec, e []string) { s.Internal = e })
	return spec, errors.Join(f.list...)
}

// entries parses every entry for itself, so that each fault names its flag and its entry.
func (f *faults) entries(option string, values []string, set func(*policy.Spec, []string)) []string {
	entries := []string{}
	for _, value := range values {
		for _, entry := range policy.SplitEntries(value) {
			ascii, err := toASCII(entry)
			if err == nil {
				spec := policy.Spec{Egress: policy.Enforce}
				set(&spec, []string{ascii})
				_, err = policy.Parse(spec)
			}
			if err != nil {
				if fault, ok := errors.AsType[*policy.EntryError](err); ok {
					err = fault.Err // the flag and the entry stand before it
				}
				f.add(option, entry, err)
				continue
			}
			entries = append(entries, ascii)
		}
	}
	return entries
}

// toASCII converts the name in an entry to its xn-- form by the rules for looking names up (RFC 5891, UTS 46).
func toASCII(entry string) (string, error) {
	if !strings.ContainsFunc(entry, func(r rune) bool { return r >= 0x80 }) {
		return entry, nil
	}
	rest, wildcard := strings.CutPrefix(entry, "*.")
	host, ports, hasPorts := strings.Cut(rest, ":")
	ascii, err := idna.Lookup.ToASCII(host)
	if err != nil {
		return "", fmt.Errorf("not an international name: %w", err)
	}
	if wildcard {
		ascii = "*." + ascii
	}
	if hasPorts {
		ascii += ":" + ports
	}
	return ascii, nil
}

func (c Config) validateNetwork(f *faults) {
	if _, err := c.PolicySpec(); err != nil {
		f.list = append(f.list, err)
	}
	c.validateNetworkName(f)
	for _, server := range c.DNS {
		if _, err := ParseResolver(server); err != nil {
			f.add("--dns", server, err)
		}
	}
	if c.UpstreamProxy != "" && c.UpstreamProxy != noProxy {
		if err := checkProxyURL(c.UpstreamProxy); err != nil {
			f.add("--upstream-proxy", redactURL(c.UpstreamProxy), err)
		}
	}
}

// validateNetworkName refuses networks that share the namespace of something else: the firewall would not be the agent's own.
func (c Config) validateNetworkName(f *faults) {
	name := c.Network
	if name == "" {
		return
	}
	kind, _, shared := strings.Cut(name, ":")
	if shared || slices.Contains([]string{"host", "none", "container", "private", "pasta", "slirp4netns"}, kind) {
		f.add("--network", name, withHint(
			errors.New("is not a network of its own"), "name a user-defined network (docker network create), or leave the flag out"))
		return
	}
	if !regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]*$`).MatchString(name) {
		f.addf("--network", name, "is not the name of a network")
	}
}

// ParseResolver reads the address of a DNS server, with port 53 unless it says another.
func ParseResolver(s string) (netip.AddrPort, error) {
	server, err := netip.ParseAddrPort(s)
	if err != nil {
		addr, err := netip.ParseAddr(strings.Trim(s, "[]"))
		if err != nil {
			return netip.AddrPort{}, errors.New("is not an address; write ADDRESS or ADDRESS:PORT")
		}
		server = netip.AddrPortFrom(addr, 53)
	}
	switch addr := server.Addr().Unmap(); {
	case addr.IsLoopback():
		return netip.AddrPort{}, errors.New("is this machine's own loopback, which a container cannot reach")
	case addr.IsUnspecified() || addr.IsMulticast() || addr.Zone() != "" || server.Port() == 0:
		return netip.AddrPort{}, errors.New("cannot be a DNS server")
	}
	return server, nil
}

// redactURL hides what could be a password. What does not parse as a URL is hidden whole.
func redactURL(s string) string {
	u, err := url.Parse(s)
	if err != nil || (u.Host == "" && strings.Contains(s, "@")) {
		return "xxxxx"
	}
	if u.User != nil {
		u.User = url.UserPassword("xxxxx", "xxxxx")
	}
	if u.RawQuery != "" { // where some services have their key
		u.RawQuery = "xxxxx"
	}
	return u.String()
}

// Secret is one parsed entry of Config.Secrets. Its value is read when the run needs it and never stands in the configuration.
type Secret struct {
	Name string
	File string // or
	Env  string
}

// ParseSecret reads NAME=file:PATH or NAME=env:VARIABLE.
func ParseSecret(entry string) (Secret, error) {
	// Whoever writes NAME=VALUE here has put a secret there: no message quotes more than the name.
	form := errors.New("must be NAME=file:PATH or NAME=env:VARIABLE")
	name, source, ok := strings.Cut(entry, "=")
	if !ok || !variablePattern().MatchString(name) {
		return Secret{}, form
	}
	kind, where, _ := strings.Cut(source, ":")
	switch {
	case kind == "file" && where != "":
		return Secret{Name: name, File: where}, nil
	case kind == "env" && variablePattern().MatchString(where):
		return Secret{Name: name, Env: where}, nil
	}
	return Secret{}, form
}

func (c Config) validateSecrets(f *faults, machine host) {
	for _, entry := range c.Secrets {
		name, _, ok := strings.Cut(entry, "=")
		if !ok || !variablePattern().MatchString(name) {
			name = "" // it may be the secret itself
		}
		secret, err := ParseSecret(entry)
		if err == nil {
			err = secret.check(machine)
		}
		if err != nil {
			f.add("--secret", name, err)
		}
	}
}

// check makes sure that the secret is there, without reading it.
func (s Secret) check(machine host) error {
	if s.Env != "" {
		if machine.getenv(s.Env) == "" {
			return fmt.Errorf("the variable %s is not set, or empty", s.Env)
		}
		return nil
	}
	file, err := machine.resolve(s.File)
	if err != nil {
		return fmt.Errorf("%s: %w", s.File, plainPathError(err))
	}
	in, err := os.Open(file)
	if err != nil {
		return fmt.Errorf("%s: %w", s.File, plainPathError(err))
	}
	return in.Close()
}
