package model

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// conversation is a request of some size, as agents send them: turns with calls of tools and what these printed.
func conversation(bytes int) string {
	turn := `,{"role":"assistant","content":[{"type":"text","text":"I look at the file."},{"type":"tool_use","id":"t","name":"Read","input":{"path":"a.go"}}]},` +
		`{"role":"user","content":[{"type":"tool_result","tool_use_id":"t","content":[{"type":"text","text":"` + strings.Repeat(`func main() { println(\"hello\") }\n`, 50) + `"}]}]}`
	return `{"model":"claude-test","max_tokens":8000,"stream":true,"messages":[{"role":"user","content":"hi"}` + strings.Repeat(turn, bytes/len(turn)) + `]}`
}

// BenchmarkRequest compares a request through the proxy with one that goes to the same upstream directly.
func BenchmarkRequest(b *testing.B) {
	handlers := map[string]http.HandlerFunc{
		"answer": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, answers[0].text)
		},
		"stream": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			for i := range 200 {
				fmt.Fprintf(w, "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"word %d\"}}\n\n", i)
				w.(http.Flusher).Flush()
			}
			_, _ = io.WriteString(w, answers[1].text)
		},
	}
	for _, name := range []string{"answer", "stream"} {
		for _, size := range []int{1 << 10, 200 << 10} {
			body := conversation(size)
			r := newRig(b, nil)
			r.upstream.Config.Handler = handlers[name] // without the rig's own record
			for _, way := range []string{"direct", "proxied"} {
				b.Run(fmt.Sprintf("%s/%dKiB/%s", name, size>>10, way), func(b *testing.B) {
					url := r.upstream.URL + "/v1/messages"
					if way == "proxied" {
						url = r.url + "/anthropic/v1/messages"
					}
					for b.Loop() {
						resp, err := http.Post(url, "application/json", strings.NewReader(body))
						if err != nil {
							b.Fatal(err)
						}
						if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != http.StatusOK {
							b.Fatal(err, resp.Status)
						}
						resp.Body.Close()
					}
				})
			}
		}
	}
}

// BenchmarkInquire is the check of a body alone.
func BenchmarkInquire(b *testing.B) {
	for _, size := range []int{1 << 10, 200 << 10, 4 << 20} {
		c := dialectCase{kind: kindMessages, body: conversation(size)}
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) {
			b.SetBytes(int64(len(c.body)))
			for b.Loop() {
				if _, f := c.inquire(false); f != nil {
					b.Fatal(f.reason)
				}
			}
		})
	}
}
