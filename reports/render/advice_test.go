package render

import (
	"testing"

	"github.com/yolo-run/yolo-run/reports"
)

func TestFlag(t *testing.T) {
	p := reports.Policy{
		Egress: "enforce", AllowedDomains: []string{"github.com", "db.corp.test:5432", "198.51.100.1:443"}, DeniedDomains: []string{"gist.github.com"},
	}
	tests := []struct {
		name string
		d    reports.Destination
		want string
	}{
		{"a name that was looked up", reports.Destination{Name: "evil.test", Layer: reports.LayerDNS}, "--allowed-domain evil.test"},
		{"a usual port", reports.Destination{Name: "evil.test", Port: 443, Layer: reports.LayerTLS}, "--allowed-domain evil.test"},
		{"another port", reports.Destination{Name: "evil.test", Port: 8443, Layer: reports.LayerTCP}, "--allowed-domain evil.test:8443"},
		{"another port of an allowed name", reports.Destination{Name: "github.com", Port: 22, Layer: reports.LayerTCP}, "--allowed-domain github.com:22"},
		{"an address", reports.Destination{Addr: "198.51.100.7", Port: 443, Layer: reports.LayerTCP}, "--allowed-domain 198.51.100.7:443"},
		{"a private address", reports.Destination{Addr: "10.0.0.7", Port: 80, Layer: reports.LayerTCP}, "--allowed-internal 10.0.0.7:80"},
		{
			"an allowed name with a private address",
			reports.Destination{Name: "db.corp.test", Addr: "10.0.0.7", Port: 5432, Layer: reports.LayerTCP},
			"--allowed-internal db.corp.test:5432",
		},
		{"a name in another spelling", reports.Destination{Name: "EVIL.test.", Layer: reports.LayerDNS}, "--allowed-domain evil.test"},

		{"a metadata address", reports.Destination{Addr: "169.254.169.254", Port: 80, Layer: reports.LayerTCP}, ""},
		{"an allowed name with a metadata address", reports.Destination{Name: "github.com", Addr: "169.254.169.254", Port: 443, Layer: reports.LayerTLS}, ""},
		{"a name on the deny list", reports.Destination{Name: "gist.github.com", Layer: reports.LayerDNS}, ""},
		{"an allowed name that was refused for another reason", reports.Destination{Name: "github.com", Port: 443, Layer: reports.LayerTLS}, ""},
		{"an allowed address", reports.Destination{Addr: "198.51.100.1", Port: 443, Layer: reports.LayerTCP}, ""},
		{"a datagram", reports.Destination{Addr: "198.51.100.7", Port: 53, Layer: reports.LayerUDP}, ""},
		{"an echo request", reports.Destination{Addr: "198.51.100.7", Layer: reports.LayerICMP}, ""},
		{"no name", reports.Destination{Name: "a b; rm -rf /", Layer: reports.LayerDNS}, ""},
		{"a name with a newline", reports.Destination{Name: "evil.test\n", Port: 443, Layer: reports.LayerTLS}, ""},
		{"a port that is none", reports.Destination{Name: "evil.test", Port: 65536 + 443, Layer: reports.LayerTCP}, ""},
		{"the rest", reports.Destination{Folded: true, Layer: reports.LayerOther}, ""},
		{"nothing", reports.Destination{}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := Flag(p, tt.d); got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

func TestFlagDependsOnTheMode(t *testing.T) {
	d := reports.Destination{Name: "evil.test", Layer: reports.LayerDNS}
	for egress, want := range map[string]string{
		"enforce": "--allowed-domain evil.test", "audit": "--allowed-domain evil.test", "none": "",
	} {
		if got := Flag(reports.Policy{Egress: egress}, d); got != want {
			t.Errorf("%s: %q, want %q", egress, got, want)
		}
	}
	if got := Flag(reports.Policy{Egress: "enforce", AllowedDomains: []string{"*"}}, d); got != "" {
		t.Errorf("a policy that is none: %q", got)
	}
}
