package wire_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/yolo-run/yolo-run/entrypoint/wire"
)

func TestValidPath(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]bool{
		"a": true, "a/b": true, "...": true, "a/..b": true, "new\nline": true, "\xff": true, "-": true,
		"": false, "/a": false, "a/": false, "a//b": false, ".": false, "..": false, "a/../b": false, "a/.": false, "a\x00b": false,
		strings.Repeat("x", wire.MaxCollectPath):   true,
		strings.Repeat("x", wire.MaxCollectPath+1): false,
	} {
		if got := wire.ValidPath([]byte(path)); got != want {
			t.Errorf("ValidPath(%.40q) = %v, want %v", path, got, want)
		}
	}
}

func TestCollectReaderReadsContentsBetweenLines(t *testing.T) {
	t.Parallel()
	var stream bytes.Buffer
	content := "bytes\nthat {look} like lines\n"
	lines := []wire.CollectMessage{
		{Type: wire.TypeContent, Content: &wire.CollectContent{Side: wire.SideNew, Size: int64(len(content))}},
		{Type: wire.TypeContentEnd, ContentEnd: &wire.CollectContentEnd{}},
	}
	for range 2 { // the first is read, the second is skipped
		for i, m := range lines {
			if err := wire.NewWriter(&stream).Send(m); err != nil {
				t.Fatal(err)
			}
			if i == 0 {
				stream.WriteString(content)
			}
		}
	}
	r := wire.NewCollectReader(&stream)
	mustNext(t, r, wire.TypeContent)
	got, err := io.ReadAll(r.Body())
	if err != nil || string(got) != content {
		t.Fatalf("body %q, %v", got, err)
	}
	mustNext(t, r, wire.TypeContentEnd)
	mustNext(t, r, wire.TypeContent)
	mustNext(t, r, wire.TypeContentEnd)
	if _, err := r.Next(); !errors.Is(err, io.EOF) {
		t.Fatalf("after the end: %v", err)
	}
}

func mustNext(t *testing.T, r *wire.CollectReader, want string) {
	t.Helper()
	m, err := r.Next()
	if err != nil || m.Type != want {
		t.Fatalf("message %q, %v; want %q", m.Type, err, want)
	}
}

func TestCollectReaderRefuses(t *testing.T) {
	t.Parallel()
	for name, stream := range map[string]string{
		"a path that climbs":       `{"type":"change","change":{"path":"Li4vYQ==","new":{"kind":"file","perm":420,"size":1}}}`,
		"an absolute path":         `{"type":"change","change":{"path":"L2E=","new":{"kind":"file","perm":420,"size":1}}}`,
		"a change of nothing":      `{"type":"change","change":{"path":"YQ=="}}`,
		"an unknown kind":          `{"type":"change","change":{"path":"YQ==","new":{"kind":"door"}}}`,
		"a link without target":    `{"type":"change","change":{"path":"YQ==","new":{"kind":"symlink"}}}`,
		"a file with a target":     `{"type":"change","change":{"path":"YQ==","new":{"kind":"file","target":"YQ=="}}}`,
		"a negative size":          `{"type":"content","content":{"index":0,"side":"new","size":-1}}`,
		"a huge size":              `{"type":"content","content":{"index":0,"side":"new","size":9223372036854775807}}`,
		"a third side":             `{"type":"content","content":{"index":0,"side":"left","size":1}}`,
		"a note with an escape":    `{"type":"change","change":{"path":"YQ==","notes":["\u001b[2J"]}}`,
		"a type without its value": `{"type":"end"}`,
		"a fatal message":          `{"type":"fatal","fatal":{"stage":"walk","reason":"disk"}}`,
		"no JSON":                  `hello`,
		"a line without an end":    ``,
		"a line over the bound":    strings.Repeat(" ", wire.MaxMessageLine+1),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			end := "\n"
			if stream == "" {
				stream, end = `{"type":"end","end":{}}`, ""
			}
			if m, err := wire.NewCollectReader(strings.NewReader(stream + end)).Next(); err == nil {
				t.Fatalf("accepted: %+v", m)
			}
		})
	}
}

func TestCollectRequestsAreChecked(t *testing.T) {
	t.Parallel()
	for request, ok := range map[string]bool{
		`{"type":"fetch","want":[{"index":0,"side":"new"}]}`:  true,
		`{"type":"fetch","want":[{"index":-1,"side":"new"}]}`: false,
		`{"type":"fetch","want":[{"index":0,"side":"both"}]}`: false,
		`{"type":"probe","wire":1,"name":"YQ=="}`:             true,
		`{"type":"probe","wire":2,"name":"YQ=="}`:             false,
		`{"type":"probe","wire":1,"name":"Li4vYQ=="}`:         false,
		`{"type":"heartbeat"}`:                                true,
		`{"type":"shell"}`:                                    false,
	} {
		if _, err := wire.NewCollectRequests(strings.NewReader(request + "\n")).Next(); (err == nil) != ok {
			t.Errorf("%s: %v, want accepted: %v", request, err, ok)
		}
	}
}

func TestCollectReaderNoticesShortContents(t *testing.T) {
	t.Parallel()
	r := wire.NewCollectReader(strings.NewReader(`{"type":"content","content":{"index":0,"side":"new","size":10}}` + "\nfour"))
	mustNext(t, r, wire.TypeContent)
	if _, err := io.ReadAll(r.Body()); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Fatalf("short contents: %v", err)
	}
}

// FuzzCollectStream: whatever comes, the reader ends, and what it lets through is within its bounds.
func FuzzCollectStream(f *testing.F) {
	f.Add([]byte(`{"type":"probe","probe":{"wire":1,"root":{"dev":1,"ino":2,"ctimeNs":3}}}` + "\n"))
	f.Add([]byte(`{"type":"change","change":{"path":"YS9i","old":{"kind":"file","perm":420,"size":3,"ident":"x"},"notes":["n"]}}` + "\n" +
		`{"type":"end","end":{"changes":1,"folders":1}}` + "\n"))
	f.Add([]byte(`{"type":"content","content":{"index":0,"side":"new","size":3}}` + "\nabc" + `{"type":"content-end","contentEnd":{}}` + "\n"))
	f.Add([]byte(`{"type":"content","content":{"index":0,"side":"old","size":0,"error":"gone"}}` + "\n"))
	f.Add([]byte(`{"type":"fatal","fatal":{"stage":"a","reason":"b"}}` + "\n"))
	f.Fuzz(func(t *testing.T, stream []byte) {
		r := wire.NewCollectReader(bytes.NewReader(stream))
		for {
			m, err := r.Next()
			if err != nil {
				return
			}
			if err := m.Validate(); err != nil {
				t.Fatalf("let through: %v", err)
			}
			if m.Content != nil {
				n, err := io.Copy(io.Discard, r.Body())
				if n > m.Content.Size || (err == nil && n != m.Content.Size) {
					t.Fatalf("content of %d bytes has %d: %v", m.Content.Size, n, err)
				}
			}
		}
	})
}

// FuzzCollectRequests: the collector reads the runner's lines with the same care.
func FuzzCollectRequests(f *testing.F) {
	f.Add([]byte(`{"type":"probe","wire":1,"name":"YQ==","heartbeatTimeoutMs":15000}` + "\n" + `{"type":"heartbeat"}` + "\n"))
	f.Add([]byte(`{"type":"fetch","want":[{"index":0,"side":"new"}]}` + "\n"))
	f.Fuzz(func(t *testing.T, stream []byte) {
		r := wire.NewCollectRequests(bytes.NewReader(stream))
		for {
			req, err := r.Next()
			if err != nil {
				return
			}
			if err := req.Validate(); err != nil {
				t.Fatalf("let through: %v", err)
			}
		}
	})
}
