package model

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/yolo-run/yolo-run/entrypoint/wire"
)

// inquiry is a request to a model, as far as the gateway must understand it. It holds on to no part of the document but its text.
type inquiry struct {
	kind  kind
	model string
	edits edits
	bound bound // on the answer

	tokens    int64  // of the prompt, estimated
	most      int64  // that it can be
	answers   int64  // to one question, as a rule 1
	stream    bool   // the answer comes as it is made
	longCache bool   // what it writes to the cache may be kept longer than usual
	dear      string // what makes it cost more than the table's prices, if anything
	hidden    string // what makes its prompt larger than what it sends, if anything
}

// bound is how long a request allows its answer to be, in tokens.
type bound struct {
	tokens int64  // 0 where the request does not say
	floor  int64  // what the model may think: an answer must be allowed more
	spans  []edit // where the request says so
	insert *edit  // how it would say so; nil where it cannot
	loose  bool   // not every server that speaks this dialect keeps to it
}

// lower makes a request allow n tokens.
func (q *inquiry) lower(n int64) {
	said := strconv.FormatInt(n, 10)
	for _, span := range q.bound.spans {
		q.edits.put(span.from, span.to, said)
	}
	if len(q.bound.spans) == 0 && q.bound.insert != nil {
		q.edits.put(q.bound.insert.from, q.bound.insert.to, strings.ReplaceAll(q.bound.insert.with, "%", said))
	}
	q.bound.tokens = n
}

// canLower reports whether lower would change anything.
func (q *inquiry) canLower() bool { return len(q.bound.spans) > 0 || q.bound.insert != nil }

// checker walks through a request's body. What it does not know is refused, but for places that are the agent's own: what tools are called with and
// what they answer, JSON schemas, metadata.
//
// Closed without --allow-server-tools is what the provider would do or fetch by itself:
//
//	anthropic  tools that are not the client's to run (web_search, web_fetch, code_execution, mcp_toolset, advisor …), mcp_servers, container,
//	           images and documents by url or file, container_upload, what such tools answered
//	openai     tools but function, custom, local_shell, shell with a local environment, apply_patch, computer, tool_search, namespace of such;
//	           image_url but data:, file_url, file_id, prompt, conversation; web_search_options, models that always search
//	gemini     tools but functionDeclarations, fileData, cachedContent
//
// A field of the request itself that is in no list is closed too: that is how vendors add such things.
type checker struct {
	q     *inquiry
	root  node
	media int64 // bytes of what is not text
	items int64 // how many there are
	large int64 // of them: those whose size does not show in their bytes
	open  bool  // --allow-server-tools
	fault *fault
}

// inquire reads and checks the body of a request. id is the model in its path, where it stands there.
func inquire(d wire.Dialect, k kind, id string, body []byte, open bool) (*inquiry, *fault) {
	doc, err := parse(body)
	if err != nil {
		return nil, denied(http.StatusBadRequest, "the request's body cannot be checked: "+err.Error())
	}
	q := &inquiry{kind: k, model: id, edits: edits{text: body}, answers: 1}
	c := &checker{q: q, root: doc.root(), open: open}
	if c.root.kind() != '{' {
		return nil, denied(http.StatusBadRequest, "the request's body is not a JSON object")
	}
	switch {
	case d == wire.Anthropic:
		c.anthropic(c.root)
	case k == kindChat:
		c.chat(c.root)
	case d == wire.OpenAI:
		c.responses(c.root)
	case d == wire.Gemini:
		c.gemini(c.root, 0)
	}
	if c.fault == nil {
		c.checkModel()
	}
	if c.fault != nil {
		return nil, c.fault
	}
	q.tokens, q.most = estimate(body, c.media, c.items), atMost(body, c.media, c.items-c.large, c.large)
	return q, nil
}

// close refuses what the switch opens.
func (c *checker) close(what string) {
	if c.fault == nil && !c.open {
		c.fault = needsSwitch(what)
	}
}

// refuse refuses what nothing opens.
func (c *checker) refuse(format string, args ...any) {
	if c.fault == nil {
		c.fault = denied(http.StatusBadRequest, fmt.Sprintf(format, args...))
	}
}

func (c *checker) checkModel() {
	m := strings.ToLower(c.q.model)
	switch {
	case m == "":
		c.refuse("the request names no model")
	case len(m) > maxText:
		c.refuse("the model's name is too long")
	case slices.Contains(strings.Split(m, ":"), "online"):
		c.close("the suffix :online")
	}
	for _, part := range []string{"search-preview", "search-api", "deep-research", "sonar", "compound"} {
		if strings.Contains(m, part) {
			c.close("a model that searches by itself")
		}
	}
}

// fields are those of an object by their folded names: servers read names without regard to letter case, and Google's with and without
// underscores. Objects whose fields matter must have names that only differ otherwise.
func (c *checker) fields(object node) map[string]node {
	found := map[string]node{}
	object.each(func(f node) {
		name, plain := fold(f.name())
		if _, twice := found[name]; twice || !plain {
			c.refuse("the field %q cannot be told from others", clip(f.name()))
		}
		found[name] = f
	})
	return found
}

// fold is the name without letter case and underscores, and whether it is ASCII: there are letters that only some parsers fold into it.
func fold(name string) (folded string, plain bool) {
	for i := range len(name) {
		if name[i] >= 0x80 {
			return name, false
		}
	}
	return strings.ReplaceAll(strings.ToLower(name), "_", ""), true
}

// spelled refuses what says how much a request costs in another spelling than the vendor's. One server takes it for the same, another passes it over:
// then the answer had no bound, or came in another way than it was counted.
func (c *checker) spelled(fields map[string]node, names ...string) {
	for _, name := range names {
		folded, _ := fold(name)
		if f, ok := fields[folded]; ok && !slices.Contains(names, f.name()) {
			c.refuse("the field %q is spelled %q", clip(f.name()), name)
		}
	}
}

// only closes every field that is not in a list, nor set to null.
func (c *checker) only(fields map[string]node, where string, names ...string) {
	for name, f := range fields {
		if !slices.Contains(names, name) && !f.absent() {
			c.close(fmt.Sprintf("the field %q of %s", clip(f.name()), where))
		}
	}
}

// kindOf is the string in a field, by which objects say what they are. Anything but a string is refused: it could be read as one.
func (c *checker) kindOf(f node) string {
	if !f.absent() && f.kind() != '"' {
		c.refuse("a type that is not a string")
	}
	return f.text()
}

// objects calls fn for the objects in a list, or for a single one in its place, which some servers take. Text is passed over where it may stand.
func (c *checker) objects(n node, what string, fn func(node)) {
	switch n.kind() {
	case '[':
		n.each(func(e node) {
			if e.kind() == '{' {
				fn(e)
			} else if e.kind() != '"' || !strings.HasSuffix(what, "content") {
				c.refuse("an element of %s is not an object", what)
			}
		})
	case '{':
		fn(n)
	case 0:
	case '"':
		if !strings.HasSuffix(what, "content") {
			c.refuse("%s is not a list", what)
		}
	default:
		c.refuse("%s is not a list", what)
	}
}

// limit notes where a request bounds its answer.
func (c *checker) limit(f node) {
	if f.value().kind == 0 {
		return
	}
	n, ok := f.number()
	if !ok && !f.absent() {
		c.refuse("the bound on the answer's length is not a whole number")
	}
	v := f.value()
	c.q.bound.tokens = max(c.q.bound.tokens, n)
	c.q.bound.spans = append(c.q.bound.spans, edit{from: int(v.start), to: int(v.end)})
}

// limitBy notes how a request could bound its answer: by a first field of an object. A % stands for the number.
func (c *checker) limitBy(object node, field string) {
	c.q.bound.insert = insertion(object, field)
}

// dearUnless notes a field with a value that the table of prices does not know.
func (c *checker) dearUnless(f node, usual ...string) {
	if !f.absent() && !slices.Contains(usual, f.text()) {
		c.q.dear = quote(f.name()) + " " + quote(f.text())
	}
}

// maxAnswers is how many answers one request may ask for.
const maxAnswers = 128

func (c *checker) count(f node) {
	if f.absent() {
		return
	}
	n, ok := f.number()
	if !ok || n > maxAnswers {
		c.refuse("the number of answers is not one up to %d", maxAnswers)
	}
	c.q.answers = max(n, 1)
}

// mediaOf counts what costs by what it shows, not by its length: pictures, sound, film, printed pages.
func (c *checker) mediaOf(kind string, data node) {
	kind = strings.ToLower(kind)
	for _, prefix := range []string{"image/", "audio/", "video/", "application/pdf"} {
		if strings.HasPrefix(kind, prefix) && data.kind() == '"' {
			c.mediaIn(data, prefix != "image/")
			break
		}
	}
	if strings.HasPrefix(kind, "audio/") {
		c.q.dear = "sound" // up to three times that of text
	}
}

// mediaIn counts data of a kind that is known.
func (c *checker) mediaIn(data node, large bool) {
	c.media += int64(len(data.raw()))
	c.items++
	if large {
		c.large++
	}
}

// dataURL accepts a URL that holds what it names, and closes every other one.
func (c *checker) dataURL(n node, what string) {
	if n.absent() {
		return
	}
	rest, ok := strings.CutPrefix(strings.ToLower(n.head()), "data:")
	if !ok {
		c.close(what + " that is not a data: URL")
		return
	}
	kind, _, _ := strings.Cut(rest, ",")
	if strings.HasSuffix(kind, ";base64") {
		c.mediaOf(kind, n)
	}
}

// inline accepts data that stands in the request itself: base64, or a data: URL.
func (c *checker) inline(n node, what string) {
	if n.absent() {
		return
	}
	if strings.HasPrefix(strings.ToLower(n.head()), "data:") {
		c.dataURL(n, what)
		return
	}
	if n.kind() != '"' || strings.Contains(n.head(), ":") {
		c.close(what + " that is not in the request itself")
		return
	}
	c.mediaIn(n, true) // sound, or a document: the name beside it says which
}
