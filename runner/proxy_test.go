package runner

import (
	"strings"
	"testing"
)

func TestTheProxyIsTheNamedOneOrTheEnvironments(t *testing.T) {
	for name, c := range map[string]struct {
		flag  string
		env   map[string]string
		want  upstreamProxy
		fault string
	}{
		"nothing":             {},
		"named":               {flag: "http://named:3128", env: map[string]string{"HTTPS_PROXY": "http://ambient:3128", "NO_PROXY": "a.example"}, want: upstreamProxy{url: "http://named:3128", from: "--upstream-proxy"}},
		"none":                {flag: "none", env: map[string]string{"HTTPS_PROXY": "http://ambient:3128"}},
		"environment":         {env: map[string]string{"HTTPS_PROXY": "http://u:p@ambient:3128", "NO_PROXY": "a.example"}, want: upstreamProxy{url: "http://u:p@ambient:3128", from: "HTTPS_PROXY", except: "a.example"}},
		"lower case":          {env: map[string]string{"https_proxy": "http://ambient:3128", "no_proxy": "b.example"}, want: upstreamProxy{url: "http://ambient:3128", from: "https_proxy", except: "b.example"}},
		"upper case first":    {env: map[string]string{"https_proxy": "http://lower:1", "HTTPS_PROXY": "http://upper:1"}, want: upstreamProxy{url: "http://upper:1", from: "HTTPS_PROXY"}},
		"without scheme":      {env: map[string]string{"HTTPS_PROXY": "ambient:3128"}, want: upstreamProxy{url: "http://ambient:3128", from: "HTTPS_PROXY"}},
		"for http only":       {env: map[string]string{"HTTP_PROXY": "http://ambient:3128", "ALL_PROXY": "http://ambient:3128"}},
		"loopback":            {env: map[string]string{"HTTPS_PROXY": "http://127.0.0.1:3128"}, fault: "loopback"},
		"localhost":           {env: map[string]string{"HTTPS_PROXY": "localhost:3128"}, fault: "loopback"},
		"loopback by IPv6":    {env: map[string]string{"HTTPS_PROXY": "http://[::1]:3128"}, fault: "loopback"},
		"mapped loopback":     {env: map[string]string{"HTTPS_PROXY": "http://[::ffff:127.0.0.1]:3128"}, fault: "loopback"},
		"the unspecified one": {env: map[string]string{"HTTPS_PROXY": "http://0.0.0.0:3128"}, fault: "loopback"},
		"over TLS":            {env: map[string]string{"HTTPS_PROXY": "https://u:canary@ambient:3128"}, fault: "http://"},
		"SOCKS":               {env: map[string]string{"HTTPS_PROXY": "socks5://u:canary@ambient:1080"}, fault: "http://"},
		"no URL":              {env: map[string]string{"HTTPS_PROXY": "http://u:canary@"}, fault: "must be"},
	} {
		machine := host{lookupEnv: func(name string) (string, bool) { v, ok := c.env[name]; return v, ok }}
		got, err := Config{UpstreamProxy: c.flag}.upstreamProxy(machine)
		if got != c.want || (err == nil) != (c.fault == "") {
			t.Errorf("%s: %+v, %v, want %+v", name, got, err, c.want)
		}
		if err != nil && (!strings.Contains(err.Error(), c.fault) || strings.Contains(err.Error(), "canary")) {
			t.Errorf("%s: %q does not say %q, or repeats a password", name, err, c.fault)
		}
	}
}
