package model

import (
	"bytes"
	"slices"
	"strings"
)

// anthropic checks the body of v1/messages and of v1/messages/count_tokens.
func (c *checker) anthropic(root node) {
	f := c.fields(root)
	c.only(f, "the request", "model", "messages", "system", "tools", "toolchoice", "maxtokens", "stream", "thinking", "metadata", "stopsequences",
		"temperature", "topk", "topp", "servicetier", "contextmanagement", "outputconfig", "outputformat", "inferencegeo", "speed", "cachecontrol",
		"diagnostics", "fallbacks", "fallbackcredittoken")
	c.spelled(f, "model", "max_tokens", "stream")
	c.q.model, c.q.stream = f["model"].text(), f["stream"].isTrue()
	c.q.longCache = bytes.Contains(c.q.edits.text, []byte(`"1h"`)) // at any block
	c.limit(f["maxtokens"])
	c.limitBy(root, `"max_tokens":%`)
	c.floor(f["thinking"])
	c.dearUnless(f["speed"], "standard")
	c.dearUnless(f["servicetier"], "auto", "standard_only")
	c.dearUnless(f["inferencegeo"], "global")
	c.dearUnless(f["fallbacks"]) // to models of other prices
	c.blocks(f["system"], "system content", 0)
	c.objects(f["messages"], "messages", func(m node) { c.blocks(c.fields(m)["content"], "content", 0) })
	c.objects(f["tools"], "tools", c.anthropicTool)
}

// floor: an answer must be longer than what the model may think.
func (c *checker) floor(thinking node) {
	if thinking.kind() != '{' {
		return
	}
	if n, ok := c.fields(thinking)["budgettokens"].number(); ok {
		c.q.bound.floor = n
	}
}

func (c *checker) anthropicTool(tool node) {
	f := c.fields(tool)
	kind := c.kindOf(f["type"])
	if kind == "" || kind == "custom" {
		return
	}
	// The client runs these, whose names end in a date: bash_code_execution would be another thing. The search is among the tools of the request
	// itself.
	const searchPrefix = "tool_search_tool_"
	for _, prefix := range []string{"bash_", "text_editor_", "computer_", "memory_", searchPrefix} {
		if rest, ok := strings.CutPrefix(kind, prefix); ok && (prefix == searchPrefix || strings.Trim(rest, "0123456789") == "") {
			return
		}
	}
	c.close("the tool type " + quote(kind))
}

// blocks checks the content of a message, and what stands inside results of tools and documents. What a tool is called with (input) is passed
// over.
func (c *checker) blocks(content node, where string, depth int) {
	if depth > maxContent {
		c.refuse("content is nested too deeply")
		return
	}
	c.objects(content, where, func(b node) {
		f := c.fields(b)
		kind := c.kindOf(f["type"])
		if !slices.Contains([]string{
			"text", "image", "document", "search_result", "tool_use", "tool_result", "thinking", "redacted_thinking", "tool_reference", "compaction",
			"server_tool_use", "tool_search_tool_result", "tool_search_tool_search_result", "tool_search_tool_result_error",
		}, kind) {
			c.close("the content type " + quote(kind))
		}
		c.source(f["source"], depth)
		c.blocks(f["content"], "content", depth+1)
	})
}

// maxContent is how deep content may stand in content: a document in the result of a tool is the third level.
const maxContent = 8

// source is where a picture or document comes from. A search result's is text.
func (c *checker) source(n node, depth int) {
	if n.kind() != '{' {
		return
	}
	f := c.fields(n)
	switch kind := c.kindOf(f["type"]); kind {
	case "base64":
		c.mediaOf(f["mediatype"].text(), f["data"])
	case "text":
	case "content":
		c.blocks(f["content"], "content", depth+1)
	default:
		c.close("the source type " + quote(kind))
	}
	for _, name := range []string{"url", "fileid"} {
		if !f[name].absent() {
			c.close("a source with " + name)
		}
	}
}

// quote shows a word of the agent's.
func quote(s string) string { return `"` + clip(s) + `"` }
