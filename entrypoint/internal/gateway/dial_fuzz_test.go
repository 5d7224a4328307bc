package gateway

import (
	"bytes"
	"io"
	"strings"
	"testing"
)

// FuzzConnectAnswer is what a proxy may answer: only a whole 2xx opens a tunnel, and not an octet behind the head is taken from it.
func FuzzConnectAnswer(f *testing.F) {
	for _, seed := range []string{
		"HTTP/1.1 200 Connection established\r\n\r\n220 ready", "HTTP/1.0 200 OK\r\nX: y\r\n\r\n", "HTTP/1.1 407 No\r\nContent-Length: 9\r\n\r\n",
		"HTTP/1.1 204 \r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "HTTP/1.1 200 OK\n\n", "HTTP/2 200\r\n\r\n", "HTTP/0.0 200 0000\r\n\r\n", "SSH-2.0\r\n\r\n", "\r\n\r\n", "",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, answer []byte) {
		in := bytes.NewReader(answer)
		err := connectThrough(&tapedConn{r: in}, nil, "allowed.example:443")
		if err != nil {
			return
		}
		head, behind, found := strings.Cut(string(answer), "\r\n\r\n")
		if !found || !strings.HasPrefix(head, "HTTP/1.") {
			t.Fatalf("%q opened a tunnel", answer)
		}
		if rest, _ := io.ReadAll(in); string(rest) != behind {
			t.Fatalf("%q is left of the tunnel, want %q", rest, behind)
		}
	})
}
