package firewall

import (
	"encoding/hex"
	"net/netip"
	"testing"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

const (
	ipv4UDP  = "4500002300010000401100000a000001c633640130390035" + "000f0000" + "61747465"
	ipv4ICMP = "45000024000100004001000001020304c6336401" + "0800ffff00010001"
	ipv6TCP  = "6000000000140640" + "20010db8000000000000000000000001" + "20010db8000000000000000000000002" + "30390050" + "00000000"
	ipv6Hop  = "60000000001c0040" + "20010db8000000000000000000000001" + "20010db8000000000000000000000002" + "1100010400000000" + "3039003500080000"
)

func TestParsePacket(t *testing.T) {
	addr := netip.MustParseAddrPort
	tests := []struct {
		name, hex string
		want      Packet
		ok        bool
	}{
		{"UDP", ipv4UDP, Packet{Proto: ProtoUDP, Src: addr("10.0.0.1:12345"), Dst: addr("198.51.100.1:53")}, true},
		{"ICMP", ipv4ICMP, Packet{Proto: ProtoICMP, Src: addr("1.2.3.4:0"), Dst: addr("198.51.100.1:0"), Type: 8}, true},
		{"TCP over IPv6", ipv6TCP, Packet{Proto: ProtoTCP, Src: addr("[2001:db8::1]:12345"), Dst: addr("[2001:db8::2]:80")}, true},
		{"UDP behind hop-by-hop options", ipv6Hop, Packet{Proto: ProtoUDP, Src: addr("[2001:db8::1]:12345"), Dst: addr("[2001:db8::2]:53")}, true},
		{
			"later fragment has no ports",
			"4500002300010001401100000a000001c633640130390035",
			Packet{Proto: ProtoUDP, Src: addr("10.0.0.1:0"), Dst: addr("198.51.100.1:0")},
			true,
		},
		{"cut before the ports", ipv4UDP[:44], Packet{Proto: ProtoUDP, Src: addr("10.0.0.1:0"), Dst: addr("198.51.100.1:0")}, true},
		{"cut in the header", ipv4UDP[:30], Packet{}, false},
		{"header length below the minimum", "44" + ipv4UDP[2:], Packet{}, false},
		{"neither 4 nor 6", "55" + ipv4UDP[2:], Packet{}, false},
		{"empty", "", Packet{}, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, ok := parsePacket(unhex(t, test.hex))
			if ok != test.ok || got != test.want {
				t.Errorf("got %+v, %v; want %+v, %v", got, ok, test.want, test.ok)
			}
		})
	}
}

func FuzzPacket(f *testing.F) {
	for _, seed := range []string{ipv4UDP, ipv4ICMP, ipv6TCP, ipv6Hop, "", "4f", "60"} {
		f.Add(unhex(f, seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		p, ok := parsePacket(b)
		if ok != p.Src.IsValid() || ok != p.Dst.IsValid() {
			t.Errorf("%x: ok is %v, addresses %v and %v", b, ok, p.Src, p.Dst)
		}
		if cut, _ := parsePacket(b[:min(len(b), snapLength)]); len(b) <= snapLength && cut != p {
			t.Errorf("%x: not deterministic", b)
		}
	})
}
