package policy

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// list is one of the three lists of a [Spec], by the name of its option.
type list string

const (
	allowList    list = "allowed-domain"
	denyList     list = "denied-domain"
	internalList list = "allowed-internal"
)

// rule is one parsed entry: a name (host, perhaps with subdomains) or a range of addresses, with its ports.
type rule struct {
	text       string // the normalised entry
	host       string // empty for addresses
	subdomains bool   // host was written *.host: its subdomains at any depth, not itself
	prefix     netip.Prefix
	ports      []uint16 // sorted; empty means every port, which only a deny entry can say
}

// matchesName compares by label. name must be normalised.
func (r rule) matchesName(name string) bool {
	if r.host == "" {
		return false
	}
	if r.subdomains {
		return strings.HasSuffix(name, "."+r.host)
	}
	return name == r.host
}

// matchesAddr expects an unmapped address without zone.
func (r rule) matchesAddr(a netip.Addr) bool { return r.prefix.IsValid() && r.prefix.Contains(a) }

func (r rule) opens(port uint16) bool { return len(r.ports) == 0 || slices.Contains(r.ports, port) }

// parseRule reads one entry in the grammar of docs/policy.md.
func parseRule(l list, entry string) (rule, error) {
	target, ports, hasPorts, err := cutPorts(strings.TrimSpace(entry))
	if err != nil {
		return rule{}, err
	}
	r, err := parseTarget(target)
	if err != nil {
		return rule{}, err
	}
	r.text = r.target()
	if hasPorts {
		if r.ports, err = parsePorts(ports); err != nil {
			return rule{}, err
		}
		r.text += ":" + joinPorts(r.ports)
	} else if err := r.impliedPorts(l); err != nil {
		return rule{}, err
	}
	return r, r.reachable(l)
}

// cutPorts splits an entry before its port list. The brackets of [address]:port are removed.
func cutPorts(s string) (target, ports string, hasPorts bool, err error) {
	switch {
	case s == "":
		return "", "", false, errors.New("it is empty")
	case strings.Contains(s, "://"):
		return "", "", false, errors.New("it has a scheme: write the host alone")
	case strings.ContainsAny(s, "@?#"):
		return "", "", false, errors.New("it is a URL: write the host alone")
	case s[0] == '[':
		return cutBracket(s)
	}
	// The colons before the slash of a CIDR belong to its address.
	from := max(strings.IndexByte(s, '/'), 0)
	head, tail := s[:from], s[from:]
	if from == 0 && strings.Count(s, ":") > 1 {
		return "", "", false, errors.New("an IPv6 address needs brackets, as in [2001:db8::1]:443")
	}
	tail, ports, hasPorts = strings.Cut(tail, ":")
	return head + tail, ports, hasPorts, nil
}

func cutBracket(s string) (target, ports string, hasPorts bool, err error) {
	target, rest, closed := strings.Cut(s[1:], "]")
	if !closed {
		return "", "", false, errors.New("the bracket is not closed")
	}
	if !strings.Contains(target, ":") {
		return "", "", false, errors.New("brackets are for IPv6 addresses")
	}
	ports, hasPorts = strings.CutPrefix(rest, ":")
	if rest != "" && !hasPorts {
		return "", "", false, errors.New("after the bracket comes :port")
	}
	return target, ports, hasPorts, nil
}

// parseTarget reads what stands before the ports: a name, *.name, an address or a CIDR.
func parseTarget(s string) (rule, error) {
	if strings.Contains(s, "/") {
		return parseCIDR(s)
	}
	if addr, err := netip.ParseAddr(s); err == nil {
		if addr.Zone() != "" {
			return rule{}, errors.New("an address has no zone here")
		}
		addr = addr.Unmap()
		return rule{prefix: netip.PrefixFrom(addr, addr.BitLen())}, nil
	}
	base, subdomains := strings.CutPrefix(s, "*.")
	switch {
	case s == "*" || subdomains && base == "":
		return rule{}, errors.New("it allows everything: name a domain, as in *.example.com")
	case strings.Contains(base, "*"):
		return rule{}, errors.New("a wildcard stands for whole labels at the front, as in *.example.com")
	case strings.Contains(s, ":"):
		return rule{}, errors.New("it is not an IPv6 address")
	case strings.Contains(s, ","):
		return rule{}, errors.New("ports come after a colon, as in example.com:80,443")
	}
	host, err := Normalize(base)
	if err != nil {
		return rule{}, err
	}
	return rule{host: host, subdomains: subdomains}, nil
}

func parseCIDR(s string) (rule, error) {
	addr, _, _ := strings.Cut(s, "/")
	if _, err := netip.ParseAddr(addr); err != nil {
		return rule{}, errors.New("it has a path: write the host alone")
	}
	prefix, err := netip.ParsePrefix(s)
	if err != nil {
		return rule{}, errors.New("it is not a CIDR, as in 10.0.0.0/8")
	}
	if prefix.Addr().Is4In6() {
		return rule{}, errors.New("write an IPv4 range as IPv4")
	}
	if prefix != prefix.Masked() {
		return rule{}, fmt.Errorf("it has bits behind its mask: write %s", prefix.Masked())
	}
	return rule{prefix: prefix}, nil
}

func parsePorts(s string) ([]uint16, error) {
	var ports []uint16
	for f := range strings.SplitSeq(s, ",") {
		n, err := strconv.ParseUint(f, 10, 16)
		if err != nil || n == 0 || strconv.FormatUint(n, 10) != f {
			return nil, fmt.Errorf("port %q: want 1 to 65535", f)
		}
		ports = append(ports, uint16(n))
	}
	slices.Sort(ports)
	return slices.Compact(ports), nil
}

func joinPorts(ports []uint16) string {
	texts := make([]string, len(ports))
	for i, p := range ports {
		texts[i] = strconv.Itoa(int(p))
	}
	return strings.Join(texts, ",")
}

// target is the normalised form of the entry without its ports.
func (r rule) target() string {
	if r.host != "" {
		if r.subdomains {
			return "*." + r.host
		}
		return r.host
	}
	text := r.prefix.String()
	if r.prefix.IsSingleIP() {
		text = r.prefix.Addr().String()
	}
	if r.prefix.Addr().Is6() {
		return "[" + text + "]"
	}
	return text
}

// impliedPorts fills in the ports of an entry that names none, or says that it must.
func (r *rule) impliedPorts(l list) error {
	switch {
	case l == denyList: // every port
		return nil
	case l == internalList || r.host == "":
		return fmt.Errorf("it needs a port, as in %s:5432", r.target())
	}
	r.ports = []uint16{80, 443}
	return nil
}

// reachable refuses entries that could never allow anything, before somebody wonders why they do not.
func (r rule) reachable(l list) error {
	if l == denyList || r.host != "" {
		return nil
	}
	why, special := specialPrefix(r.prefix)
	switch {
	case !special:
		return nil
	case !privatePrefix(r.prefix):
		return fmt.Errorf("it is %s, never reachable", why)
	case l == allowList:
		return fmt.Errorf("it is %s: write it in %s", why, internalList)
	}
	return nil
}

// SplitEntries splits a list of entries at white space and commas. A piece of digits alone after a comma is one more port of the
// entry before it, as in "a.example:80,443, b.example". It does not check the entries.
func SplitEntries(s string) []string {
	var entries []string
	for i, field := range strings.Split(s, ",") {
		for j, piece := range strings.Fields(field) {
			if i > 0 && j == 0 && len(entries) > 0 && digits(piece) {
				entries[len(entries)-1] += "," + piece
				continue
			}
			entries = append(entries, piece)
		}
	}
	return entries
}

// Suggest returns the option that would allow what was denied, as in "--allowed-domain example.com:8443", or "" where none could.
// name is a host name or an address; port 0 stands for a name that was only looked up.
func Suggest(name string, port uint16) string {
	if addr, err := netip.ParseAddr(name); err == nil {
		return suggestAddr(addr.Unmap().WithZone(""), port)
	}
	host, err := Normalize(name)
	switch {
	case err != nil:
		return ""
	case port == 0 || port == 80 || port == 443:
		return fmt.Sprintf("--%s %s", allowList, host)
	}
	return fmt.Sprintf("--%s %s:%d", allowList, host, port)
}

func suggestAddr(addr netip.Addr, port uint16) string {
	_, special := Special(addr)
	switch {
	case port == 0:
		return ""
	case !special:
		return fmt.Sprintf("--%s %s", allowList, netip.AddrPortFrom(addr, port))
	case private(addr):
		return fmt.Sprintf("--%s %s", internalList, netip.AddrPortFrom(addr, port))
	}
	return ""
}
