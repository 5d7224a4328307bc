package runner_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/yolo-run/yolo-run/reports"
	"github.com/yolo-run/yolo-run/runner"
)

// A resolver that answers nobody makes names fail. It opens nothing, and no other resolver is asked instead.
func TestADeadResolverOpensNothing(t *testing.T) {
	t.Parallel()
	n := needInternet(t)
	r := try(t, `
curl -sf -m 20 -o /dev/null http://dead.allowed.test/; echo name=$?
curl -s -m 5 -o /dev/null http://`+internetAddr+`:8099/; echo literal=$?
curl -sf -m 5 -o /dev/null http://alias1:8080/; echo control=$?
`, online(n, "*.allowed.test"), func(cfg *runner.Config) {
		cfg.DNS = []string{internetAddr + ":5399"}
		cfg.AllowedInternal = []string{"alias1:8080"}
	})
	r.want(t, reports.NoChanges)
	if r.says(t, "name") == "0" || r.says(t, "literal") == "0" {
		t.Errorf("reached: name %s, literal address %s", r.says(t, "name"), r.says(t, "literal"))
	}
	if got := r.says(t, "control"); got != "0" {
		t.Errorf("control: a name of the network, which its own resolver knows: %s", got)
	}
	if got := n.seen(t, "dead.allowed.test"); len(got) > 0 {
		t.Errorf("another resolver was asked: %q", got)
	}
	var found *reports.Event
	for i, e := range r.events {
		if e.Name == "dead.allowed.test" && e.Port == 80 {
			found = &r.events[i]
		}
	}
	if found == nil || found.Reason == "" {
		t.Errorf("the attempt is not on record with what became of it: %+v", found)
	}
}

// An engine without seccomp is one that says so: here the real one, with its word changed on the way.
func TestAnEngineWithoutSeccompRunsNothing(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		change func([]byte) []byte
		code   int
	}{
		{"without", func(info []byte) []byte {
			return bytes.ReplaceAll(info, []byte("name=seccomp"), []byte("name=nothing"))
		}, 125},
		{"control", func(info []byte) []byte { return info }, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := launchIn(t, []string{"DOCKER_HOST=unix://" + engineBehind(t, c.change)}, `echo ran; exit 0`)
			said, _ := io.ReadAll(p.lines)
			code, _ := p.end(t)
			if code != c.code {
				t.Errorf("exit code %d, want %d:\n%s", code, c.code, said)
			}
			if refused := strings.Contains(string(said), "seccomp") && !strings.Contains(string(said), "│ ran"); refused != (c.code == 125) {
				t.Errorf("the command said:\n%s", said)
			}
			if left := p.runIDs(t); len(left) > 0 {
				t.Errorf("runs left state: %q", left)
			}
		})
	}
}

// engineBehind is the socket of an engine that answers as the real one does, but for what change makes of its description.
func engineBehind(t *testing.T, change func([]byte) []byte) string {
	t.Helper()
	needEngine(t)
	engine := strings.TrimPrefix(os.Getenv("DOCKER_HOST"), "unix://")
	if engine == "" {
		engine = "/var/run/docker.sock"
	}
	path := filepath.Join(t.TempDir(), "e.sock")
	ln, err := new(net.ListenConfig).Listen(t.Context(), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	target := &url.URL{Scheme: "http", Host: "engine"}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", engine)
		}},
		FlushInterval: -1,
		ModifyResponse: func(res *http.Response) error {
			if !strings.HasSuffix(res.Request.URL.Path, "/info") {
				return nil
			}
			info, err := io.ReadAll(res.Body)
			if err != nil {
				return err
			}
			info = change(info)
			res.Body = io.NopCloser(bytes.NewReader(info))
			res.ContentLength = int64(len(info))
			res.Header.Set("Content-Length", strconv.Itoa(len(info)))
			return nil
		},
	}
	server := &http.Server{Handler: proxy} //nolint:gosec // no stranger calls
	go func() { _ = server.Serve(ln) }()
	t.Cleanup(func() { _ = server.Close() })
	return path
}
