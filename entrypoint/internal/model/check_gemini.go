package model

// gemini checks the body of generateContent, streamGenerateContent and countTokens. Every place is checked by the names of its fields: an object
// of Google's says by them what it is.
func (c *checker) gemini(root node, depth int) {
	f := c.fields(root)
	names := []string{"contents", "systeminstruction", "tools", "toolconfig", "safetysettings", "generationconfig", "labels", "model", "servicetier", "store"}
	if c.q.kind == kindCount && depth == 0 {
		names = append(names, "generatecontentrequest")
	}
	c.only(f, "the request", names...)
	c.spelled(f, "generationConfig", "generation_config", "model")
	if inner := f["generatecontentrequest"]; inner.kind() == '{' && depth == 0 {
		c.gemini(inner, 1)
	}
	c.objects(f["systeminstruction"], "systemInstruction", c.turn)
	c.objects(f["contents"], "contents", c.turn)
	c.objects(f["tools"], "tools", func(t node) { c.only(c.fields(t), "a tool", "functiondeclarations") })
	c.generationConfig(root, f["generationconfig"])
	c.dearUnless(f["servicetier"], "standard", "flex", "STANDARD", "FLEX")
	if m := f["model"]; c.q.kind == kindGenerate && !m.absent() && m.text() != c.q.model && m.text() != "models/"+c.q.model {
		c.refuse("the model in the path is not the one in the body")
	}
}

func (c *checker) turn(n node) {
	f := c.fields(n)
	c.only(f, "contents", "role", "parts")
	c.objects(f["parts"], "parts", func(p node) { c.geminiPart(p, 0) })
}

func (c *checker) geminiPart(n node, depth int) {
	f := c.fields(n)
	c.only(f, "a part", "text", "thought", "thoughtsignature", "inlinedata", "functioncall", "functionresponse", "executablecode",
		"codeexecutionresult", "videometadata", "mediaresolution", "partmetadata")
	if data := f["inlinedata"]; data.kind() == '{' {
		d := c.fields(data)
		c.only(d, "inlineData", "mimetype", "data", "displayname")
		c.mediaOf(d["mimetype"].text(), d["data"])
	}
	if response := f["functionresponse"]; response.kind() == '{' {
		r := c.fields(response)
		c.only(r, "a functionResponse", "id", "name", "response", "parts", "willcontinue", "scheduling")
		if depth > 0 && !r["parts"].absent() {
			c.refuse("parts are nested too deeply")
			return
		}
		c.objects(r["parts"], "parts", func(p node) { c.geminiPart(p, depth+1) })
	}
}

func (c *checker) generationConfig(root, config node) {
	const limit = `"maxOutputTokens":%`
	switch v := config.value(); v.kind {
	case '{':
		g := c.fields(config)
		c.spelled(g, "maxOutputTokens", "max_output_tokens", "candidateCount", "candidate_count")
		c.limit(g["maxoutputtokens"])
		c.count(g["candidatecount"])
		c.limitBy(config, limit)
	case 'n':
		c.q.bound.insert = &edit{int(v.start), int(v.end), "{" + limit + "}"}
	case 0:
		c.limitBy(root, `"generationConfig":{`+limit+`}`)
	default:
		c.refuse("generationConfig is not an object")
	}
}
