package model

import "slices"

// responses checks the body of v1/responses and of v1/responses/compact.
func (c *checker) responses(root node) {
	f := c.fields(root)
	c.only(f, "the request", "model", "input", "instructions", "tools", "toolchoice", "paralleltoolcalls", "reasoning", "store", "stream",
		"streamoptions", "include", "promptcachekey", "promptcacheretention", "promptcacheoptions", "text", "metadata", "clientmetadata", "servicetier", "temperature",
		"topp", "maxoutputtokens", "maxtoolcalls", "truncation", "user", "safetyidentifier", "toplogprobs", "contextmanagement", "previousresponseid",
		"background")
	c.spelled(f, "model", "max_output_tokens", "stream")
	c.q.model, c.q.stream = f["model"].text(), f["stream"].isTrue()
	if c.q.kind == kindResponses { // compact knows no bound
		c.limit(f["maxoutputtokens"])
		c.limitBy(root, `"max_output_tokens":%`)
	}
	if b := f["background"]; !b.absent() && !b.isFalse() {
		c.refuse("an answer in the background could be neither fetched nor metered")
	}
	for _, name := range []string{"previousresponseid", "prompt", "conversation"} {
		if !f[name].absent() {
			c.q.hidden = f[name].name()
		}
	}
	c.dearUnless(f["servicetier"], "auto", "default", "flex")
	c.cacheOptions(f["promptcacheoptions"])
	c.objects(f["tools"], "tools", func(t node) { c.openaiTool(t, 0) })
	c.objects(f["input"], "input content", c.item)
}

// cacheOptions: what is written to be kept longer than half an hour costs more.
func (c *checker) cacheOptions(n node) {
	ttl := c.fields(n)["ttl"]
	c.q.longCache = !ttl.absent() && ttl.text() != "30m"
}

// item is one turn, call or result of a conversation.
func (c *checker) item(n node) {
	f := c.fields(n)
	kind := c.kindOf(f["type"])
	if !slices.Contains([]string{
		"", "message", "agent_message", "reasoning", "function_call", "function_call_output", "custom_tool_call", "custom_tool_call_output",
		"local_shell_call", "local_shell_call_output", "shell_call", "shell_call_output", "apply_patch_call", "apply_patch_call_output",
		"computer_call", "computer_call_output", "tool_search_call", "tool_search_output", "additional_tools",
		"compaction", "compaction_summary", "compaction_trigger", "context_compaction", "item_reference",
	}, kind) {
		c.close("the input type " + quote(kind))
	}
	if kind == "item_reference" || kind == "" && f["role"].absent() {
		c.q.hidden = "item_reference"
	}
	c.objects(f["tools"], "tools", func(t node) { c.openaiTool(t, 0) })
	for _, name := range []string{"content", "output", "summary"} {
		if kind == "shell_call_output" || kind == "tool_search_call" {
			break // what a command printed, what is looked for
		}
		c.objects(f[name], name+" content", c.part)
	}
}

// part is one piece of a turn or of a tool's result, in both of OpenAI's APIs.
func (c *checker) part(n node) {
	f := c.fields(n)
	kind := c.kindOf(f["type"])
	if !slices.Contains([]string{
		"input_text", "output_text", "text", "refusal", "summary_text", "reasoning_text", "encrypted_content", "thinking", "redacted_thinking",
		"input_image", "image_url", "input_file", "file", "input_audio", "computer_screenshot",
	}, kind) {
		c.close("the content type " + quote(kind))
	}
	c.openaiFile(f)
	for _, name := range []string{"file", "inputaudio"} {
		if f[name].kind() == '{' {
			c.openaiFile(c.fields(f[name]))
		}
	}
	image := f["imageurl"]
	if image.kind() == '{' {
		image = c.fields(image)["url"]
	}
	c.dataURL(image, "an image_url")
}

// openaiFile is where data stands, or what it is known by to the provider.
func (c *checker) openaiFile(f map[string]node) {
	for _, name := range []string{"fileurl", "fileid", "url"} {
		if !f[name].absent() {
			c.close("a " + f[name].name())
		}
	}
	c.inline(f["filedata"], "file_data")
	c.inline(f["data"], "data")
}

// openaiTool accepts what the client runs.
func (c *checker) openaiTool(n node, depth int) {
	f := c.fields(n)
	switch kind := c.kindOf(f["type"]); kind {
	case "function", "custom", "local_shell", "apply_patch", "computer", "computer_use_preview", "tool_search":
	case "shell":
		if c.kindOf(c.fields(f["environment"])["type"]) != "local" {
			c.close("a shell at the provider")
		}
	case "namespace":
		if depth > 0 {
			c.refuse("a namespace in a namespace")
			return
		}
		c.objects(f["tools"], "tools", func(t node) { c.openaiTool(t, depth+1) })
	default:
		c.close("the tool type " + quote(kind))
	}
}

// chat checks the body of v1/chat/completions. Many servers speak it, so that the list of fields is longer than OpenAI's own.
func (c *checker) chat(root node) {
	f := c.fields(root)
	c.only(f, "the request", "model", "messages", "tools", "toolchoice", "functions", "functioncall", "paralleltoolcalls", "stream", "streamoptions",
		"temperature", "topp", "n", "stop", "maxtokens", "maxcompletiontokens", "presencepenalty", "frequencypenalty", "logitbias", "logprobs",
		"toplogprobs", "responseformat", "seed", "user", "safetyidentifier", "servicetier", "store", "metadata", "reasoningeffort", "reasoning",
		"verbosity", "modalities", "audio", "prediction", "promptcachekey", "promptcacheretention", "promptcacheoptions", "usage",
		// of llama.cpp, vLLM, DeepSeek and others: how to draw words, how to fill in the template
		"thinking", "enablethinking", "chattemplatekwargs", "topk", "minp", "repetitionpenalty", "repeatpenalty", "cacheprompt", "reasoningformat",
		"includereasoning", "randomseed", "safeprompt", "promptmode")
	c.spelled(f, "model", "max_tokens", "max_completion_tokens", "n", "stream", "stream_options")
	c.q.model, c.q.stream = f["model"].text(), f["stream"].isTrue()
	c.limit(f["maxtokens"])
	c.limit(f["maxcompletiontokens"])
	c.limitBy(root, `"max_completion_tokens":%`)
	c.q.bound.loose = f["maxtokens"].absent() // the newer name is not known to all
	c.count(f["n"])
	c.dearUnless(f["servicetier"], "auto", "default", "flex")
	c.cacheOptions(f["promptcacheoptions"])
	c.objects(f["tools"], "tools", func(t node) {
		if kind := c.kindOf(c.fields(t)["type"]); kind != "function" && kind != "custom" {
			c.close("the tool type " + quote(kind))
		}
	})
	c.objects(f["messages"], "messages", func(m node) { c.objects(c.fields(m)["content"], "content", c.part) })
	if f["stream"].isTrue() && c.fault == nil {
		c.wantUsage(f["streamoptions"])
	}
}

// wantUsage makes a stream say at its end what it cost.
func (c *checker) wantUsage(options node) {
	const want = `"include_usage":true`
	switch {
	case options.kind() == '{':
		inner := c.fields(options)
		c.spelled(inner, "include_usage")
		asked := inner["includeusage"]
		switch v := asked.value(); {
		case v.kind == 0:
			c.q.edits.list = append(c.q.edits.list, *insertion(options, want))
		case v.kind != 't':
			c.q.edits.put(int(v.start), int(v.end), "true")
		}
	case options.value().kind == 'n':
		v := options.value()
		c.q.edits.put(int(v.start), int(v.end), "{"+want+"}")
	case options.absent():
		c.q.edits.list = append(c.q.edits.list, *insertion(c.root, `"stream_options":{`+want+`}`))
	default:
		c.refuse("stream_options is not an object")
	}
}
