package gateway

import (
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/miekg/dns"

	"github.com/yolo-run/yolo-run/entrypoint/policy"
	"github.com/yolo-run/yolo-run/reports"
)

const (
	// syntheticTTL, in seconds, is short only for the sake of people who look at it: an address stays the name's for the whole run.
	syntheticTTL = 60
	// dnsHeader is the size of a message without any record (RFC 1035, 4.1.1).
	dnsHeader = 12
	// ednsSize is the size over UDP that fits every path (DNS flag day 2020).
	ednsSize = 1232
)

// answer returns the reply to one message, nil when it deserves none.
func (s *dnsServer) answer(packet []byte, q query) []byte {
	req := new(dns.Msg)
	if err := req.Unpack(packet); err != nil {
		// The parser's own words may quote the packet: equal faults shall merge into one event.
		s.deny(q, "", "", "malformed DNS query")
		return formatError(packet)
	}
	if req.Response {
		s.deny(q, "", "", "a DNS response where a query belongs")
		return nil // an answer to an answer could go on for ever
	}
	reply := s.decide(req, q)
	reply.RecursionAvailable = true // or resolvers take an empty answer for a lame delegation
	if req.IsEdns0() != nil {
		reply.SetEdns0(ednsSize, false)
	}
	out, err := reply.Pack()
	if err != nil {
		return nil
	}
	return out
}

// decide refuses what is not one ordinary question and asks the policy about the rest.
func (s *dnsServer) decide(req *dns.Msg, q query) *dns.Msg {
	reply := new(dns.Msg)
	switch {
	case req.Opcode != dns.OpcodeQuery:
		s.deny(q, "", "", "DNS opcode "+opcode(req.Opcode))
		return reply.SetRcode(req, dns.RcodeNotImplemented)
	case len(req.Question) != 1:
		s.deny(q, "", "", fmt.Sprintf("%d questions in one DNS query", len(req.Question)))
		return reply.SetRcode(req, dns.RcodeFormatError)
	case req.Question[0].Qclass != dns.ClassINET:
		s.deny(q, "", "", "DNS class "+dns.Class(req.Question[0].Qclass).String())
		return reply.SetRcode(req, dns.RcodeRefused)
	}
	question := req.Question[0]
	// The parser hands out names in presentation form: what is not printable stands there as \DDD, a dot inside a label as \. ;
	// the policy refuses the backslash, so that such a name is denied and still shown as what it is.
	shown := question.Name
	if shown != "." {
		shown = strings.TrimSuffix(shown, ".")
	}
	name, err := policy.Normalize(question.Name)
	if err == nil {
		shown = name
	}
	if localhost(name) {
		return s.address(req, question, netip.AddrFrom4([4]byte{127, 0, 0, 1}))
	}
	v := s.policy.Name(question.Name)
	if v.Verdict != reports.Allow {
		s.record(q, v, shown, dns.Type(question.Qtype).String())
	}
	if v.Verdict == reports.Deny {
		return reply.SetRcode(req, dns.RcodeNameError)
	}
	if question.Qtype != dns.TypeA {
		// Not "does not exist": the name has an address, and nothing else. HTTPS and SVCB would carry keys for an encrypted
		// client hello and addresses that are not ours.
		return reply.SetReply(req)
	}
	a, ok := s.pool.addr(name)
	if !ok {
		if !s.full.Swap(true) {
			s.deny(q, "", "", fmt.Sprintf("more than %d names in one run: no synthetic address is left", s.pool.max))
		}
		return reply.SetRcode(req, dns.RcodeServerFailure)
	}
	return s.address(req, question, a)
}

// address answers a question of type A with a; of another type, with nothing.
func (s *dnsServer) address(req *dns.Msg, question dns.Question, a netip.Addr) *dns.Msg {
	reply := new(dns.Msg).SetReply(req)
	if question.Qtype == dns.TypeA {
		reply.Answer = []dns.RR{&dns.A{
			Hdr: dns.RR_Header{Name: question.Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: syntheticTTL},
			A:   net.IP(a.AsSlice()),
		}}
	}
	return reply
}

func (s *dnsServer) deny(q query, name, qtype, reason string) {
	s.record(q, policy.Verdict{Verdict: reports.Deny, Reason: reason}, name, qtype)
}

// record runs before the reply is sent, while the process that asked still waits for it.
func (s *dnsServer) record(q query, v policy.Verdict, name, qtype string) {
	s.rec.Record(reports.Event{
		Verdict: v.Verdict,
		Layer:   reports.LayerDNS,
		Proto:   q.proto,
		Name:    name,
		QType:   qtype,
		Rule:    v.Rule,
		Reason:  v.Reason,
		Process: s.attr.Process(q.proto, q.client, netip.AddrPort{}), // what was asked is lost in the redirect
	})
}

// localhost is answered here as RFC 6761, 6.3, wants it, for programs that do not look into /etc/hosts: it is the agent's own.
func localhost(name string) bool { return name == "localhost" || strings.HasSuffix(name, ".localhost") }

func opcode(op int) string {
	if s, ok := dns.OpcodeToString[op]; ok {
		return s
	}
	return fmt.Sprint(op)
}

// formatError answers a message of which only the header can be read, nil when not even that or when it is no query.
func formatError(packet []byte) []byte {
	const response = 0x80
	if len(packet) < dnsHeader || packet[2]&response != 0 {
		return nil
	}
	return []byte{packet[0], packet[1], response | packet[2]&0x79, 0x80 | dns.RcodeFormatError, 0, 0, 0, 0, 0, 0, 0, 0}
}
