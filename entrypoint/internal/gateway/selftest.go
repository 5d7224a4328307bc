package gateway

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sys/unix"

	"github.com/yolo-run/yolo-run/entrypoint/internal/firewall"
	"github.com/yolo-run/yolo-run/entrypoint/policy"
	"github.com/yolo-run/yolo-run/reports"
)

// The results of a [reports.Check].
const (
	refused     = "refused"     // our rule or our proxy saw the attempt and denied it
	unreachable = "unreachable" // the kernel has no way to make it
	failed      = "failed"
)

// selfTestTime bounds the whole self-test. It takes some milliseconds when everything is refused.
const selfTestTime = 2 * time.Second

// selfTestName can never be resolved (RFC 6761, section 6.4), whatever the policy.
const selfTestName = "yolo-run-self-test.invalid"

// probe is one attempt that must be refused. It is made without the mark, as the agent's would be.
type probe struct {
	name    string
	network string
	addr    string
	control func(fd int) error
	payload []byte
	denied  func(reports.Event) bool // recognises the record of the refusal
}

// selfTest makes attempts and waits for the records of their refusal: that a call failed proves nothing, that a rule of ours counted it
// does. It makes each attempt once, so that a hole would let one packet out.
type selfTest struct {
	records chan reports.Event
}

func newSelfTest() *selfTest { return &selfTest{records: make(chan reports.Event, 256)} }

// take receives what is recorded while the test runs, from any goroutine.
func (s *selfTest) take(e reports.Event) {
	select {
	case s.records <- e:
	default: // far more than the test makes: the records that are missed make it fail
	}
}

type outcome struct {
	probe int
	err   error
}

// run makes all attempts at once. The error says that the firewall is not closed.
func (s *selfTest) run(ctx context.Context, probes []probe) ([]reports.Check, error) {
	ctx, cancel := context.WithTimeout(ctx, selfTestTime)
	defer cancel()
	outcomes := make(chan outcome, len(probes))
	for i, p := range probes {
		go func() { outcomes <- outcome{i, p.attempt(ctx)} }()
	}
	checks := make([]reports.Check, len(probes))
	for i, p := range probes {
		checks[i] = reports.Check{Name: p.name, Result: failed, Detail: "no record of a refusal"}
	}
	for open := len(probes); open > 0; {
		select {
		case e := <-s.records:
			for i, p := range probes {
				if checks[i].Result == failed && p.denied(e) {
					checks[i].Result, checks[i].Detail = refused, e.Reason
					open--
					break
				}
			}
		case o := <-outcomes:
			if checks[o.probe].Result == failed && noWay(o.err) {
				checks[o.probe].Result, checks[o.probe].Detail = unreachable, o.err.Error()
				open--
			}
		case <-ctx.Done():
			return checks, judge(checks)
		}
	}
	return checks, judge(checks)
}

// judge wants nothing failed, and at least one attempt that met a rule: a namespace in which nothing can be attempted proves nothing.
func judge(checks []reports.Check) error {
	var faults []error
	met := 0
	for _, c := range checks {
		switch c.Result {
		case refused:
			met++
		case failed:
			faults = append(faults, fmt.Errorf("%s: %s", c.Name, c.Detail))
		}
	}
	if met == 0 {
		faults = append(faults, errors.New("no attempt met a rule"))
	}
	return errors.Join(faults...)
}

// noWay reports whether the kernel made no packet at all. EPERM and EHOSTUNREACH are also what our own rejection looks like.
func noWay(err error) bool {
	for _, reason := range []error{unix.ENETUNREACH, unix.EADDRNOTAVAIL, unix.EAFNOSUPPORT, unix.EPROTONOSUPPORT, unix.EACCES, unix.ENODEV} {
		if errors.Is(err, reason) {
			return true
		}
	}
	return false
}

// attempt makes the probe's call. Its error is only of interest where there was no way to make it.
func (p probe) attempt(ctx context.Context) error {
	if p.network == "ping" {
		return ping(p.addr)
	}
	d := net.Dialer{Control: func(_, _ string, c syscall.RawConn) error {
		if p.control == nil {
			return nil
		}
		var err error
		return errors.Join(c.Control(func(fd uintptr) { err = p.control(int(fd)) }), err)
	}}
	conn, err := d.DialContext(ctx, p.network, p.addr)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if p.payload != nil {
		if _, err := conn.Write(p.payload); err != nil {
			return err
		}
	}
	if strings.HasPrefix(p.network, "tcp") {
		// Stay until the proxy resets: its record is made before.
		stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
		defer stop()
		_, err = conn.Read(make([]byte, 1))
	}
	return err
}

// ping sends an echo request from a ping socket, which needs no capability where the engine opened net.ipv4.ping_group_range.
func ping(addr string) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, unix.IPPROTO_ICMP)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	echo := []byte{8, 0, 0, 0, 0, 0, 0, 1}
	return unix.Sendto(fd, echo, 0, &unix.SockaddrInet4{Addr: netip.MustParseAddr(addr).As4()})
}

// selfTestProbes are the attempts of DESIGN: documentation addresses where possible, one packet each to the special ones.
func selfTestProbes(p *policy.Policy, r routes, resolverPort uint16) ([]probe, error) {
	const atDevice = "device." + selfTestName
	question, err := new(dns.Msg).SetQuestion(selfTestName+".", dns.TypeA).Pack()
	deviceQuestion, deviceErr := new(dns.Msg).SetQuestion(atDevice+".", dns.TypeA).Pack()
	if err := errors.Join(err, deviceErr); err != nil {
		return nil, fmt.Errorf("question of the self-test: %w", err)
	}
	const nowhere = "198.51.100.254"
	literal := netip.MustParseAddrPort(nowhere + ":9")
	if p.Literal(literal).Verdict != reports.Deny { // audit mode, or a rule about this very network
		literal = netip.MustParseAddrPort("240.0.0.1:9")
	}
	resolver := fmt.Sprintf("%s:%d", firewall.EngineResolver, resolverPort)
	boundTo := func(device string) func(int) error {
		return func(fd int) error { return unix.SetsockoptString(fd, unix.SOL_SOCKET, unix.SO_BINDTODEVICE, device) }
	}
	datagram := func(name, addr string, control func(int) error) probe {
		return probe{name: name, network: "udp", addr: addr, control: control, payload: []byte("self-test"), denied: deniedAt("udp", addr)}
	}
	stream := func(name, addr string) probe {
		return probe{name: name, network: "tcp4", addr: addr, denied: deniedAt("tcp", addr)}
	}
	probes := []probe{
		stream("literal address", literal.String()),
		datagram("udp", nowhere+":9", nil),
		{name: "foreign resolver", network: "udp4", addr: nowhere + ":53", payload: question, denied: asked(selfTestName)},
		datagram("engine's resolver", resolver, nil),
		datagram("loopback device", nowhere+":10", boundTo("lo")),
		datagram("ipv6", "[2001:db8::1]:9", nil),
		{name: "icmp", network: "ping", addr: nowhere, denied: pinged(nowhere)},
		stream("metadata", "169.254.169.254:80"),
		datagram("multicast", "224.0.0.251:5353", nil),
	}
	if r.nextHop.IsValid() {
		probes = append(probes,
			datagram("next hop", netip.AddrPortFrom(r.nextHop, 9).String(), nil),
			probe{name: "network device", network: "udp4", addr: nowhere + ":53", control: boundTo(r.device), payload: deviceQuestion, denied: stoppedAtDevice(atDevice)})
	}
	return probes, nil
}

func deniedAt(proto, addr string) func(reports.Event) bool {
	want := netip.MustParseAddrPort(addr)
	return func(e reports.Event) bool {
		return e.Verdict == reports.Deny && e.Proto == proto && e.Addr == want.Addr().String() && e.Port == int(want.Port())
	}
}

// stoppedAtDevice: the redirected question of a socket that stays with its device was stopped there; a kernel that led it to our DNS would do as well.
func stoppedAtDevice(name string) func(reports.Event) bool {
	came := asked(name)
	return func(e reports.Event) bool { return e.Layer == reports.LayerUDP && e.Reason == reasonDevice || came(e) }
}

func pinged(addr string) func(reports.Event) bool {
	return func(e reports.Event) bool { return e.Layer == reports.LayerICMP && e.Addr == addr }
}

// asked: whatever the verdict, the question came to our DNS instead of leaving.
func asked(name string) func(reports.Event) bool {
	return func(e reports.Event) bool {
		return e.Layer == reports.LayerDNS && strings.TrimSuffix(e.Name, ".") == name
	}
}
