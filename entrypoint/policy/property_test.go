package policy_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/idna"
	"pgregory.net/rapid"

	"github.com/yolo-run/yolo-run/entrypoint/policy"
	"github.com/yolo-run/yolo-run/reports"
)

// label draws from few words, some of them parts of others, so that names often share labels and never only look as if they did.
func label() *rapid.Generator[string] {
	return rapid.SampledFrom([]string{"a", "b", "ab", "b-a", "x", "xn--a", "_a", "1", "com"})
}

// name draws a normalised host name.
func name() *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		labels := append(rapid.SliceOfN(label(), 0, 3).Draw(t, "labels"), rapid.SampledFrom([]string{"com", "ab", "x"}).Draw(t, "last"))
		return strings.Join(labels, ".")
	})
}

func port() *rapid.Generator[uint16] { return rapid.SampledFrom([]uint16{22, 80, 443, 8443}) }

// entry draws an entry for a name, with its ports perhaps.
func entry() *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		front := rapid.SampledFrom([]string{"", "*."}).Draw(t, "wildcard")
		back := rapid.SampledFrom([]string{"", ":443", ":22,8443"}).Draw(t, "ports")
		return front + name().Draw(t, "entry") + back
	})
}

// matches is the rule of the documentation, written a second time: label for label from the right.
func matches(entry, name string, port uint16, implied []uint16) bool {
	host, list, named := strings.Cut(entry, ":")
	ports := implied
	switch {
	case named && list == "443":
		ports = []uint16{443}
	case named:
		ports = []uint16{22, 8443}
	}
	if ports != nil && !slices.Contains(ports, port) {
		return false
	}
	have := strings.Split(name, ".")
	want, wildcard := strings.CutPrefix(host, "*.")
	labels := strings.Split(want, ".")
	if !wildcard {
		return slices.Equal(have, labels)
	}
	return len(have) > len(labels) && slices.Equal(have[len(have)-len(labels):], labels)
}

func TestMatchingIsByLabelAndDenyBeatsAllow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := policy.Spec{
			Allow: rapid.SliceOfN(entry(), 0, 6).Draw(t, "allow"),
			Deny:  rapid.SliceOfN(entry(), 0, 3).Draw(t, "deny"),
		}
		p, err := policy.Parse(s)
		if err != nil {
			t.Fatal(err)
		}
		host, open := name().Draw(t, "host"), false
		for _, port := range []uint16{22, 80, 443, 8443} {
			want := slices.ContainsFunc(s.Allow, func(e string) bool { return matches(e, host, port, []uint16{80, 443}) }) &&
				!slices.ContainsFunc(s.Deny, func(e string) bool { return matches(e, host, port, nil) })
			if got := p.Connect(host, port).Verdict == reports.Allow; got != want {
				t.Fatalf("%+v allows %s:%d: %t, want %t", s, host, port, got, want)
			}
			open = open || want
		}
		if got := p.Name(host).Verdict == reports.Allow; got != open {
			t.Fatalf("%+v allows the name %s: %t, want %t", s, host, got, open)
		}
	})
}

func TestOneOtherLabelIsAnotherName(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		host := name().Draw(t, "host")
		labels := strings.Split(host, ".")
		i := rapid.IntRange(0, len(labels)-1).Draw(t, "which")
		labels[i] += "z"
		p, err := policy.Parse(policy.Spec{Allow: []string{host}})
		if err != nil {
			t.Fatal(err)
		}
		for _, other := range []string{strings.Join(labels, "."), host + ".z", "z." + host, "z" + host, host + "z"} {
			if v := p.Connect(other, 443); v.Verdict != reports.Deny {
				t.Fatalf("a rule for %s decides %s: %+v", host, other, v)
			}
		}
		if v := p.Connect(host, 443); v.Verdict != reports.Allow {
			t.Fatalf("a rule for %s does not allow it: %+v", host, v)
		}
	})
}

func TestMoreDeniesNeverOpenAnything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := policy.Spec{Allow: rapid.SliceOfN(entry(), 1, 6).Draw(t, "allow")}
		less, err := policy.Parse(s)
		if err != nil {
			t.Fatal(err)
		}
		s.Deny = rapid.SliceOfN(entry(), 1, 3).Draw(t, "deny")
		more, err := policy.Parse(s)
		if err != nil {
			t.Fatal(err)
		}
		host, port := name().Draw(t, "host"), port().Draw(t, "port")
		if more.Connect(host, port).Verdict == reports.Allow && less.Connect(host, port).Verdict != reports.Allow {
			t.Fatalf("%+v allows %s:%d, which it denies without its deny list", s, host, port)
		}
	})
}

func TestSpellingsOfANameGetOneVerdict(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		host := name().Draw(t, "host")
		spelling := []byte(host)
		for i := range spelling {
			if rapid.Bool().Draw(t, "upper") {
				spelling[i] = strings.ToUpper(host[i : i+1])[0]
			}
		}
		other := string(spelling) + rapid.SampledFrom([]string{"", "."}).Draw(t, "dot")
		if got, err := policy.Normalize(other); err != nil || got != host {
			t.Fatalf("Normalize(%q) = %q, %v, want %q", other, got, err, host)
		}
	})
}

func TestNormalisationIsIdempotent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.OneOf(rapid.String(), name(), rapid.StringMatching(`[-a-zA-Z0-9._*:\[\]]{0,40}`)).Draw(t, "text")
		once, err := policy.Normalize(s)
		if err != nil {
			return
		}
		if twice, err := policy.Normalize(once); err != nil || twice != once {
			t.Fatalf("Normalize(%q) = %q, and of that %q, %v", s, once, twice, err)
		}
	})
}

// What people cannot tell apart are different letters: none of them is ever the name that it looks like, as itself or as its xn-- form.
func TestLookAlikesNeverMatch(t *testing.T) {
	alike := map[byte]string{
		'a': "аɑａ", 'b': "Ьｂ", 'c': "сϲｃ", 'e': "еｅ", 'm': "ｍ", 'o': "оοо０", 'x': "хⅹ", '1': "lＩ", '.': "。．｡",
	}
	rapid.Check(t, func(t *rapid.T) {
		host := name().Draw(t, "host")
		i := rapid.IntRange(0, len(host)-1).Draw(t, "where")
		letters := []rune(alike[host[i]])
		if len(letters) == 0 {
			return
		}
		other := host[:i] + string(rapid.SampledFrom(letters).Draw(t, "letter")) + host[i+1:]
		p, err := policy.Parse(policy.Spec{Allow: []string{host, "*." + host}})
		if err != nil {
			t.Fatal(err)
		}
		if v := p.Connect(other, 443); v.Verdict != reports.Deny {
			t.Fatalf("a rule for %s decides %s: %+v", host, other, v)
		}
		if v := p.Connect(host, 443); v.Verdict != reports.Allow {
			t.Fatalf("control: a rule for %s does not allow it: %+v", host, v)
		}
		// The xn-- form of the whole, as a client would ask.
		if ascii, err := idna.Lookup.ToASCII(other); err == nil && ascii != host && !strings.HasSuffix(ascii, "."+host) {
			if v := p.Connect(ascii, 443); v.Verdict != reports.Deny {
				t.Fatalf("a rule for %s decides %s, that is %s: %+v", host, ascii, other, v)
			}
		}
	})
}

// The modes differ in what they make of a name that no entry allows, never in what an entry denies or in addresses that stay closed.
func TestModesOpenNothingThatIsDenied(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := policy.Spec{
			Egress: rapid.SampledFrom([]policy.Egress{policy.Enforce, policy.Audit, policy.None}).Draw(t, "egress"),
			Allow:  rapid.SliceOfN(entry(), 0, 4).Draw(t, "allow"),
			Deny:   rapid.SliceOfN(entry(), 1, 3).Draw(t, "deny"),
		}
		p, err := policy.Parse(s)
		if err != nil {
			t.Fatal(err)
		}
		host, port := name().Draw(t, "host"), port().Draw(t, "port")
		v := p.Connect(host, port).Verdict
		denied := slices.ContainsFunc(s.Deny, func(e string) bool { return matches(e, host, port, nil) })
		allowed := slices.ContainsFunc(s.Allow, func(e string) bool { return matches(e, host, port, []uint16{80, 443}) })
		switch {
		case s.Egress == policy.None && v != reports.Deny:
			t.Fatalf("%+v: %s:%d is %s without any egress", s, host, port, v)
		case s.Egress == policy.Enforce && (v == reports.Allow) != (allowed && !denied), v == reports.WouldDeny && s.Egress != policy.Audit:
			t.Fatalf("%+v: %s:%d is %s", s, host, port, v)
		case s.Egress == policy.Audit && v == reports.Allow && (denied || !allowed):
			t.Fatalf("%+v: audit records %s:%d as allowed", s, host, port)
		}
		metadata := p.Resolved(host, netip.MustParseAddrPort("169.254.169.254:80"), nil).Verdict
		if metadata != reports.Deny {
			t.Fatalf("%+v: a metadata address is %s", s, metadata)
		}
	})
}

// TestNoAddressHidesInsideAnother carries every special IPv4 address in every IPv6 form.
func TestNoAddressHidesInsideAnother(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		inner := rapid.SampledFrom([]string{"0.0.0.0", "10.1.2.3", "127.0.0.1", "169.254.169.254", "168.63.129.16", "192.168.1.1", "198.18.0.1", "224.0.0.1"}).Draw(t, "inner")
		v4 := netip.MustParseAddr(inner).As4()
		v6 := [16]byte{}
		form := rapid.SampledFrom([]string{"mapped", "compatible", "nat64", "local nat64", "6to4", "teredo", "isatap"}).Draw(t, "form")
		copy(v6[12:], v4[:])
		switch form {
		case "mapped":
			v6[10], v6[11] = 0xff, 0xff
		case "nat64":
			copy(v6[:], []byte{0, 0x64, 0xff, 0x9b})
		case "local nat64":
			copy(v6[:], []byte{0, 0x64, 0xff, 0x9b, 0, 1})
		case "6to4":
			copy(v6[:], []byte{0x20, 0x02, v4[0], v4[1], v4[2], v4[3]})
		case "teredo":
			copy(v6[:], []byte{0x20, 0x01, 0, 0, 8, 8, 8, 8, 0, 0, 0, 0, ^v4[0], ^v4[1], ^v4[2], ^v4[3]})
		case "isatap":
			copy(v6[:], []byte{0x26, 0x06, 0x47, 0, 0, 0, 0, 0, 0x02 & rapid.Byte().Draw(t, "u"), 0, 0x5e, 0xfe})
		}
		addr := netip.AddrFrom16(v6)
		if _, special := policy.Special(addr); !special {
			t.Fatalf("%s as %s (%s) is not special", inner, form, addr)
		}
		p, err := policy.Parse(policy.Spec{Allow: []string{"example.com", "[::/0]:443", "0.0.0.0/0:443"}})
		if err != nil {
			t.Fatal(err)
		}
		dst := netip.AddrPortFrom(addr, 443)
		if v := p.Resolved("example.com", dst, nil); v.Verdict != reports.Deny {
			t.Fatalf("Resolved(%s) = %+v, want deny", addr, v)
		}
		if v := p.Literal(dst); v.Verdict != reports.Deny {
			t.Fatalf("Literal(%s) = %+v, want deny", addr, v)
		}
	})
}
