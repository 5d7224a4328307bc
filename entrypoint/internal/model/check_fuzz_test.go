package model

import (
	"encoding/json"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/yolo-run/yolo-run/entrypoint/wire"
)

// FuzzInquire: in whatever the checker accepts, somebody who reads it with encoding/json and looks in the obvious places finds nothing that reaches
// the network, and what is sent in its place is the same but for the bound.
func FuzzInquire(f *testing.F) {
	for _, c := range accepted {
		f.Add(int(c.kind), c.text())
	}
	for _, c := range refused {
		f.Add(int(c.kind), c.text())
	}
	f.Fuzz(func(t *testing.T, k int, text string) {
		c := dialectCase{kind: kind(k), body: text}
		if c.kind < kindCount || c.kind > kindGenerate {
			return
		}
		q, fault := c.inquire(false)
		if fault != nil {
			if fault.reason == "" || fault.status/100 != 4 {
				t.Fatalf("%+v", fault)
			}
			return
		}
		q.lower(2048)
		sent, err := io.ReadAll(q.edits.reader())
		if err != nil || int64(len(sent)) != q.edits.size() {
			t.Fatal(err, len(sent), q.edits.size())
		}
		for _, text := range []string{c.text(), string(sent)} {
			var body map[string]any
			if err := json.Unmarshal([]byte(text), &body); err != nil {
				t.Fatalf("%q: %v", text, err)
			}
			if found := egress(c.dialect(), body); found != "" {
				t.Fatalf("%s in %q", found, text)
			}
		}
		if q.tokens < 0 {
			t.Fatalf("%d tokens", q.tokens)
		}
	})
}

// egress is a naive search for what must not be there.
func egress(d wire.Dialect, body map[string]any) string {
	get := func(m map[string]any, name string) any {
		for k, v := range m {
			if strings.EqualFold(strings.ReplaceAll(k, "_", ""), name) && v != nil {
				return v
			}
		}
		return nil
	}
	for _, closed := range []string{"mcpservers", "container", "websearchoptions", "plugins", "conversation", "prompt", "cachedcontent"} {
		if get(body, closed) != nil {
			return closed
		}
	}
	tools, ok := get(body, "tools").([]any)
	if one := get(body, "tools"); !ok && one != nil {
		tools = []any{one}
	}
	for _, tool := range tools {
		m, ok := tool.(map[string]any)
		if !ok {
			return "a tool that is none"
		}
		if d == wire.Gemini {
			for k, v := range m {
				if !strings.EqualFold(strings.ReplaceAll(k, "_", ""), "functiondeclarations") && v != nil {
					return k
				}
			}
			continue
		}
		kind, _ := get(m, "type").(string)
		if slices.ContainsFunc([]string{"web", "mcp", "code", "file", "image"}, func(s string) bool { return strings.HasPrefix(kind, s) }) {
			return kind
		}
	}
	var found string
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, e := range v {
				walk(e)
			}
		case map[string]any:
			for _, name := range map[wire.Dialect][]string{
				wire.Anthropic: {"content", "source"}, wire.OpenAI: {"imageurl", "file"}, wire.Gemini: {"parts", "functionresponse"},
			}[d] {
				walk(get(v, name))
			}
			kind, _ := get(v, "type").(string)
			if url, ok := get(v, "imageurl").(string); ok && !strings.HasPrefix(strings.ToLower(url), "data:") && d == wire.OpenAI {
				found = url
			}
			if d == wire.Anthropic && get(v, "source") != nil {
				if source, ok := get(v, "source").(map[string]any); ok && (get(source, "type") == "url" || get(source, "type") == "file") {
					found = kind
				}
			}
			if d == wire.Gemini && get(v, "filedata") != nil {
				found = "fileData"
			}
		}
	}
	turns := func(name string) {
		switch v := get(body, name).(type) {
		case []any:
			for _, turn := range v {
				m, _ := turn.(map[string]any)
				if kind, _ := get(m, "type").(string); kind == "shell_call_output" || kind == "tool_search_call" {
					continue
				}
				for _, part := range []string{"content", "output", "parts"} {
					walk(get(m, part))
				}
			}
		}
	}
	for _, name := range []string{"messages", "input", "contents"} {
		turns(name)
	}
	return found
}
