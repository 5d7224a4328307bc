package model

import (
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"

	"github.com/yolo-run/yolo-run/entrypoint/wire"
)

// dialectCase is a body, without its first brace and the fields that every one needs.
type dialectCase struct {
	name string
	kind kind
	body string // $ stands for what every request has
}

func (c dialectCase) dialect() wire.Dialect {
	switch c.kind {
	case kindMessages:
		return wire.Anthropic
	case kindGenerate, kindCount:
		return wire.Gemini
	default:
		return wire.OpenAI
	}
}

func (c dialectCase) text() string {
	common := map[kind]string{
		kindMessages: `"model":"claude-test","max_tokens":100`, kindResponses: `"model":"gpt-test"`, kindCompact: `"model":"gpt-test"`,
		kindChat: `"model":"gpt-test"`, kindGenerate: `"labels":{}`, kindCount: `"labels":{}`,
	}[c.kind]
	return strings.Replace(c.body, "$", common, 1)
}

func (c dialectCase) inquire(open bool) (*inquiry, *fault) {
	id := ""
	if c.dialect() == wire.Gemini {
		id = "gemini-test"
	}
	return inquire(c.dialect(), c.kind, id, []byte(c.text()), open)
}

// accepted are what the vendors' own clients send.
var accepted = []dialectCase{
	{"plain text", kindMessages, `{$,"system":"be good","messages":[{"role":"user","content":"hi"}]}`},
	{"client tools", kindMessages, `{$,"tools":[{"name":"Bash","input_schema":{"type":"object","properties":{"url":{"type":"string"},"type":{"type":"web_search"}}}},{"type":"custom","name":"x"},
		{"type":"bash_20250124","name":"bash"},{"type":"text_editor_20250728","name":"e"},{"type":"memory_20250818","name":"m"},{"type":null,"name":"n"}],"messages":[]}`},
	{"tools called with what is closed elsewhere", kindMessages, `{$,"messages":[{"role":"assistant","content":[{"type":"tool_use","id":"t","name":"x","input":{"type":"image","source":{"type":"url","url":"https://x.example"},"mcp_servers":[]}}]},
		{"role":"user","content":[{"type":"tool_result","tool_use_id":"t","content":[{"type":"text","text":"\"source\":{\"type\":\"url\"}"},{"type":"image","source":{"type":"base64","media_type":"image/png","data":"aGk="}}]}]}]}`},
	{"a result in words", kindMessages, `{$,"messages":[{"role":"user","content":[{"type":"tool_result","tool_use_id":"t","content":"hi","is_error":true}]}]}`},
	{"a document", kindMessages, `{$,"messages":[{"role":"user","content":[{"type":"document","title":"t","source":{"type":"content","content":[{"type":"text","text":"x"}]}},{"type":"document","source":{"type":"text","media_type":"text/plain","data":"x"}}]}]}`},
	{"thinking", kindMessages, `{$,"thinking":{"type":"enabled","budget_tokens":50},"messages":[{"role":"assistant","content":[{"type":"thinking","thinking":"x","signature":"s"},{"type":"redacted_thinking","data":"x"}]}],"metadata":{"user_id":"u"},"context_management":{"edits":[]}}`},
	{"tool search", kindMessages, `{$,"tools":[{"type":"tool_search_tool_regex_20251119","name":"s"},{"name":"x","defer_loading":true,"input_schema":{}}],"messages":[{"role":"user","content":[{"type":"tool_result","tool_use_id":"t","content":[{"type":"tool_reference","tool_name":"x"}]}]}]}`},

	{"plain text", kindResponses, `{$,"input":"hi","instructions":"be good"}`},
	{"what Codex sends", kindResponses, `{$,"instructions":"i","input":[{"type":"message","role":"developer","content":[{"type":"input_text","text":"x"}]},{"type":"reasoning","id":"rs_1","summary":[{"type":"summary_text","text":"s"}],"content":null,"encrypted_content":"abc"},
		{"type":"function_call","name":"shell","arguments":"{\"file_id\":\"x\"}","call_id":"c"},{"type":"function_call_output","call_id":"c","output":"out"},{"type":"custom_tool_call","call_id":"d","name":"apply_patch","input":"x"},{"type":"custom_tool_call_output","call_id":"d","output":"ok"},
		{"type":"local_shell_call","call_id":"e","status":"completed","action":{"type":"exec","command":["ls"]}},{"type":"function_call_output","call_id":"f","output":[{"type":"input_image","image_url":"data:image/png;base64,aGk="}]},{"type":"compaction","encrypted_content":"x"}],
		"tools":[{"type":"function","name":"shell","strict":false,"parameters":{"type":"object","properties":{"type":{"type":"string"}}}},{"type":"custom","name":"apply_patch","format":{"type":"grammar","syntax":"lark","definition":"x"}},{"type":"local_shell"},
		{"type":"namespace","name":"n","description":"d","tools":[{"type":"function","name":"f"}]},{"type":"tool_search","execution":"client","description":"d","parameters":{}}],
		"tool_choice":"auto","parallel_tool_calls":true,"reasoning":{"effort":"high"},"store":false,"stream":true,"include":["reasoning.encrypted_content"],"prompt_cache_key":"k","text":{"verbosity":"low"},"client_metadata":{"x":"y"},"background":false,"prompt":null}`},
	{"a shell of the client's", kindResponses, `{$,"input":"hi","tools":[{"type":"shell","environment":{"type":"local"}},{"type":"apply_patch"}]}`},
	{"a file that is there", kindResponses, `{$,"input":[{"role":"user","content":[{"type":"input_file","filename":"x.pdf","file_data":"data:application/pdf;base64,aGk="}]}]}`},
	{"a shorter conversation", kindCompact, `{$,"input":[{"role":"user","content":"x"}],"instructions":"i","tools":[],"parallel_tool_calls":false}`},

	{"plain text", kindChat, `{$,"messages":[{"role":"system","content":"x"},{"role":"user","content":[{"type":"text","text":"https://x.example"}]}]}`},
	{"tools and pictures", kindChat, `{$,"tools":[{"type":"function","function":{"name":"web_search","parameters":{"type":"object","properties":{"file_id":{}}}}}],"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,aGk="}}]},
		{"role":"assistant","content":null,"tool_calls":[{"id":"c","type":"function","function":{"name":"x","arguments":"{}"}}]},{"role":"tool","tool_call_id":"c","content":"ok"}],"stream":true,"stream_options":{"include_usage":false}}`},
	{"a file that is there", kindChat, `{$,"messages":[{"role":"user","content":[{"type":"file","file":{"filename":"x","file_data":"data:application/pdf;base64,aGk="}},{"type":"input_audio","input_audio":{"data":"aGk=","format":"wav"}}]}]}`},

	{"plain text", kindGenerate, `{$,"contents":[{"role":"user","parts":[{"text":"hi"}]}],"systemInstruction":{"parts":[{"text":"x"}]}}`},
	{"tools", kindGenerate, `{$,"contents":[{"role":"model","parts":[{"functionCall":{"name":"x","args":{"fileData":{"fileUri":"x"}}},"thoughtSignature":"s"}]},{"role":"user","parts":[{"functionResponse":{"id":"1","name":"x","response":{"output":"x","fileUri":"y"},"parts":[{"inlineData":{"mimeType":"image/png","data":"aGk="}}]}}]}],
		"tools":[{"functionDeclarations":[{"name":"google_search","parametersJsonSchema":{"googleSearch":{}}}]}],"toolConfig":{"functionCallingConfig":{"mode":"AUTO"}},"generationConfig":{"temperature":1,"thinkingConfig":{"includeThoughts":true}},"safetySettings":[]}`},
	{"the other spelling", kindGenerate, `{$,"contents":{"parts":{"inline_data":{"mime_type":"image/png","data":"aGk="}}},"system_instruction":{"parts":[]},"tools":[{"function_declarations":[]}],"generation_config":{"max_output_tokens":5}}`},
	{"counting", kindCount, `{$,"contents":[{"parts":[{"text":"x"}]}],"generateContentRequest":{"model":"models/x","contents":[]}}`},
}

// refused are what the provider would do or fetch by itself; open says that the switch lets it pass.
var refused = []struct {
	dialectCase
	names string // what the refusal names
	open  bool
}{
	{dialectCase{"web search", kindMessages, `{$,"messages":[],"tools":[{"type":"web_search_20250305","name":"web_search"}]}`}, "web_search_20250305", true},
	{dialectCase{"web fetch", kindMessages, `{$,"messages":[],"tools":[{"name":"a"},{"type":"web_fetch_20250910","name":"f"}]}`}, "web_fetch", true},
	{dialectCase{"code execution", kindMessages, `{$,"messages":[],"tools":[{"type":"code_execution_20250825","name":"c"}]}`}, "code_execution", true},
	{dialectCase{"an escaped name", kindMessages, `{$,"messages":[],"t\u006fols":[{"ty\u0070e":"web\u005fsearch_20250305","name":"c"}]}`}, "web_search", true},
	{dialectCase{"capital letters", kindMessages, `{$,"messages":[],"Tools":[{"Type":"web_search_20250305","name":"c"}]}`}, "web_search", true},
	{dialectCase{"one tool instead of a list", kindMessages, `{$,"messages":[],"tools":{"type":"web_search_20250305"}}`}, "web_search", true},
	{dialectCase{"a long s", kindMessages, `{$,"messages":[],"toolſ":[{"type":"web_search_20250305"}]}`}, "cannot be told", false},
	{dialectCase{"tools twice", kindMessages, `{$,"messages":[],"tools":[],"tools":[{"type":"web_search_20250305"}]}`}, "twice", false},
	{dialectCase{"tools twice, escaped", kindMessages, `{$,"messages":[],"tools":[],"tool\u0073":[{"type":"web_search_20250305"}]}`}, "twice", false},
	{dialectCase{"tools twice, folded", kindMessages, `{$,"messages":[],"tools":[],"TOOLS":[{"type":"web_search_20250305"}]}`}, "cannot be told", false},
	{dialectCase{"a type that is a list", kindMessages, `{$,"messages":[],"tools":[{"type":["web_search_20250305"]}]}`}, "not a string", false},
	{dialectCase{"remote MCP", kindMessages, `{$,"messages":[],"mcp_servers":[{"type":"url","url":"https://x.example"}]}`}, "mcp_servers", true},
	{dialectCase{"a container", kindMessages, `{$,"messages":[],"container":{"skills":[]}}`}, "container", true},
	{dialectCase{"a field that nobody knows", kindMessages, `{$,"messages":[],"web_access":true}`}, "web_access", true},
	{dialectCase{"a picture by URL", kindMessages, `{$,"messages":[{"role":"user","content":[{"type":"image","source":{"type":"url","url":"https://x.example/secret"}}]}]}`}, `source type "url"`, true},
	{dialectCase{"a picture by URL in a result", kindMessages, `{$,"messages":[{"role":"user","content":[{"type":"tool_result","tool_use_id":"t","content":[{"type":"image","source":{"type":"url","url":"https://x.example"}}]}]}]}`}, "url", true},
	{dialectCase{"a picture by URL in a document", kindMessages, `{$,"messages":[{"role":"user","content":[{"type":"document","source":{"type":"content","content":[{"type":"image","source":{"type":"url","url":"https://x.example"}}]}}]}]}`}, "url", true},
	{dialectCase{"a URL in a source that says otherwise", kindMessages, `{$,"messages":[{"role":"user","content":[{"type":"image","source":{"type":"base64","data":"","url":"https://x.example"}}]}]}`}, "url", true},
	{dialectCase{"a source where none belongs", kindMessages, `{$,"messages":[{"role":"user","content":[{"type":"text","text":"x","source":{"type":"url","url":"https://x.example"}}]}]}`}, "url", true},
	{dialectCase{"a picture by URL in the system prompt", kindMessages, `{$,"messages":[],"system":[{"type":"image","source":{"type":"url","url":"https://x.example"}}]}`}, "url", true},
	{dialectCase{"a file", kindMessages, `{$,"messages":[{"role":"user","content":[{"type":"document","source":{"type":"file","file_id":"f"}}]}]}`}, "file", true},
	{dialectCase{"an upload", kindMessages, `{$,"messages":[{"role":"user","content":[{"type":"container_upload","file_id":"f"}]}]}`}, "container_upload", true},
	{dialectCase{"no model", kindMessages, `{"messages":[]}`}, "no model", false},

	{dialectCase{"web search", kindResponses, `{$,"input":"x","tools":[{"type":"web_search"}]}`}, "web_search", true},
	{dialectCase{"web search that says it is local", kindResponses, `{$,"input":"x","tools":[{"type":"web_search","external_web_access":false}]}`}, "web_search", true},
	{dialectCase{"web search in a namespace", kindResponses, `{$,"input":"x","tools":[{"type":"namespace","tools":[{"type":"web_search"}]}]}`}, "web_search", true},
	{dialectCase{"web search among further tools", kindResponses, `{$,"input":[{"type":"additional_tools","role":"developer","tools":[{"type":"web_search"}]}]}`}, "web_search", true},
	{dialectCase{"web search that a search found", kindResponses, `{$,"input":[{"type":"tool_search_output","tools":[{"type":"mcp","server_url":"https://x.example"}]}]}`}, `"mcp"`, true},
	{dialectCase{"remote MCP", kindResponses, `{$,"input":"x","tools":[{"type":"mcp","server_url":"https://x.example"}]}`}, `"mcp"`, true},
	{dialectCase{"file search", kindResponses, `{$,"input":"x","tools":[{"type":"file_search"}]}`}, "file_search", true},
	{dialectCase{"code interpreter", kindResponses, `{$,"input":"x","tools":[{"type":"code_interpreter","container":{"type":"auto"}}]}`}, "code_interpreter", true},
	{dialectCase{"pictures made", kindResponses, `{$,"input":"x","tools":[{"type":"image_generation"}]}`}, "image_generation", true},
	{dialectCase{"a shell at the provider", kindResponses, `{$,"input":"x","tools":[{"type":"shell"}]}`}, "shell at the provider", true},
	{dialectCase{"a shell in a container", kindResponses, `{$,"input":"x","tools":[{"type":"shell","environment":{"type":"container_auto"}}]}`}, "shell at the provider", true},
	{dialectCase{"a picture by URL", kindResponses, `{$,"input":[{"role":"user","content":[{"type":"input_image","image_url":"https://x.example"}]}]}`}, "image_url", true},
	{dialectCase{"a picture by URL in a result", kindResponses, `{$,"input":[{"type":"function_call_output","call_id":"c","output":[{"type":"input_image","image_url":"https://x.example"}]}]}`}, "image_url", true},
	{dialectCase{"a screenshot by URL", kindResponses, `{$,"input":[{"type":"computer_call_output","call_id":"c","output":{"type":"computer_screenshot","image_url":"https://x.example"}}]}`}, "image_url", true},
	{dialectCase{"a file by URL", kindResponses, `{$,"input":[{"role":"user","content":[{"type":"input_file","file_url":"https://x.example"}]}]}`}, "file_url", true},
	{dialectCase{"a file", kindResponses, `{$,"input":[{"role":"user","content":[{"type":"input_file","file_id":"f"}]}]}`}, "file_id", true},
	{dialectCase{"data that is a URL", kindResponses, `{$,"input":[{"role":"user","content":[{"type":"input_file","file_data":"\u0068ttps://x.example"}]}]}`}, "file_data", true},
	{dialectCase{"a template", kindResponses, `{$,"prompt":{"id":"pmpt_1"}}`}, "prompt", true},
	{dialectCase{"a conversation", kindResponses, `{$,"input":"x","conversation":"conv_1"}`}, "conversation", true},
	{dialectCase{"in the background", kindResponses, `{$,"input":"x","background":true}`}, "background", false},
	{dialectCase{"a model that searches", kindResponses, `{"model":"o4-mini-deep-research-2025-06-26","input":"x"}`}, "searches", true},
	{dialectCase{"web search when shortening", kindCompact, `{$,"input":"x","tools":[{"type":"web_search"}]}`}, "web_search", true},

	{dialectCase{"web search", kindChat, `{$,"messages":[],"web_search_options":{}}`}, "web_search_options", true},
	{dialectCase{"plugins", kindChat, `{$,"messages":[],"plugins":[{"id":"web"}]}`}, "plugins", true},
	{dialectCase{"a switch of others", kindChat, `{$,"messages":[],"enable_search":true}`}, "enable_search", true},
	{dialectCase{"a tool of others", kindChat, `{$,"messages":[],"tools":[{"type":"builtin_function","function":{"name":"$web_search"}}]}`}, "builtin_function", true},
	{dialectCase{"a model that searches", kindChat, `{"model":"gpt-4o-search-preview","messages":[]}`}, "searches", true},
	{dialectCase{"a model of others that searches", kindChat, `{"model":"groq/compound","messages":[]}`}, "searches", true},
	{dialectCase{"a model with a suffix", kindChat, `{"model":"openai/gpt-4o:online","messages":[]}`}, ":online", true},
	{dialectCase{"a model with two suffixes", kindChat, `{"model":"openai/gpt-4o:online:nitro","messages":[]}`}, ":online", true},
	{dialectCase{"a picture by URL", kindChat, `{$,"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"http://x.example"}}]}]}`}, "image_url", true},
	{dialectCase{"a picture by URL, short", kindChat, `{$,"messages":[{"role":"user","content":[{"type":"image_url","image_url":"http://x.example"}]}]}`}, "image_url", true},
	{dialectCase{"a film", kindChat, `{$,"messages":[{"role":"user","content":[{"type":"video_url","video_url":{"url":"http://x.example"}}]}]}`}, "video_url", true},
	{dialectCase{"a file", kindChat, `{$,"messages":[{"role":"user","content":[{"type":"file","file":{"file_id":"f"}}]}]}`}, "file_id", true},
	{dialectCase{"data that is a URL", kindChat, `{$,"messages":[{"role":"user","content":[{"type":"file","file":{"file_data":"https://x.example"}}]}]}`}, "file_data", true},

	{dialectCase{"search", kindGenerate, `{$,"contents":[],"tools":[{"googleSearch":{}}]}`}, "googleSearch", true},
	{dialectCase{"search, the other spelling", kindGenerate, `{$,"contents":[],"tools":[{"google_search":{}}]}`}, "google_search", true},
	{dialectCase{"URLs in the text", kindGenerate, `{$,"contents":[],"tools":[{"functionDeclarations":[],"urlContext":{}}]}`}, "urlContext", true},
	{dialectCase{"code execution", kindGenerate, `{$,"contents":[],"tools":[{"codeExecution":{}}]}`}, "codeExecution", true},
	{dialectCase{"one tool instead of a list", kindGenerate, `{$,"contents":[],"tools":{"googleSearch":{}}}`}, "googleSearch", true},
	{dialectCase{"a file", kindGenerate, `{$,"contents":[{"parts":[{"fileData":{"fileUri":"https://youtu.be/x"}}]}]}`}, "fileData", true},
	{dialectCase{"a file, the other spelling", kindGenerate, `{$,"contents":[{"parts":[{"file_data":{"file_uri":"https://x.example"}}]}]}`}, "file_data", true},
	{dialectCase{"a file in the instruction", kindGenerate, `{$,"contents":[],"system_instruction":{"parts":[{"fileData":{"fileUri":"gs://x"}}]}}`}, "fileData", true},
	{dialectCase{"a file in a result", kindGenerate, `{$,"contents":[{"parts":[{"functionResponse":{"name":"x","response":{},"parts":[{"fileData":{"fileUri":"https://x.example"}}]}}]}]}`}, "fileData", true},
	{dialectCase{"both spellings", kindGenerate, `{$,"contents":[],"generationConfig":{"maxOutputTokens":1,"max_output_tokens":100000}}`}, "cannot be told", false},
	{dialectCase{"another model", kindGenerate, `{$,"contents":[],"model":"models/gemini-ultra"}`}, "not the one", false},
	{dialectCase{"a cache", kindGenerate, `{$,"contents":[],"cachedContent":"cachedContents/x"}`}, "cachedContent", true},
	{dialectCase{"search when counting", kindCount, `{$,"generateContentRequest":{"contents":[],"tools":[{"googleSearch":{}}]}}`}, "googleSearch", true},

	{dialectCase{"something behind it", kindChat, `{$,"messages":[]} {"tools":[]}`}, "not valid JSON", false},
	{dialectCase{"a list", kindChat, `[{$}]`}, "not a JSON object", false},
	{dialectCase{"bad UTF-8", kindChat, "{$,\"messages\":[{\"role\":\"\xff\"}]}"}, "not valid JSON", false},
	{dialectCase{"a comment", kindChat, `{$,/*,*/"messages":[]}`}, "not valid JSON", false},
	{dialectCase{"a name that is half a character", kindChat, `{$,"\ud800":1}`}, "not valid JSON", false},
	{dialectCase{"too deep", kindChat, `{$,"metadata":` + strings.Repeat("[", 600) + strings.Repeat("]", 600) + `}`}, "too deeply", false},
	{dialectCase{"a bound in words", kindChat, `{$,"messages":[],"max_tokens":"100000"}`}, "whole number", false},
	{dialectCase{"a bound below nothing", kindChat, `{$,"messages":[],"max_tokens":-1}`}, "whole number", false},
	{dialectCase{"a bound that only some know", kindChat, `{$,"messages":[],"maxTokens":1}`}, `spelled "max_tokens"`, false},
	{dialectCase{"a bound in capitals", kindResponses, `{$,"MAX_OUTPUT_TOKENS":1}`}, `spelled "max_output_tokens"`, false},
	{dialectCase{"a bound of another vendor's", kindResponses, `{$,"maxOutputTokens":1}`}, `spelled "max_output_tokens"`, false},
	{dialectCase{"a bound in capitals, Google", kindGenerate, `{$,"contents":[],"generationConfig":{"MaxOutputTokens":1}}`}, `spelled "maxOutputTokens"`, false},
	{dialectCase{"a configuration in capitals", kindGenerate, `{$,"contents":[],"GenerationConfig":{}}`}, `spelled "generationConfig"`, false},
	{dialectCase{"a stream that is none", kindMessages, `{$,"messages":[],"Stream":true}`}, `spelled "stream"`, false},
	{dialectCase{"usage that is not asked for", kindChat, `{$,"messages":[],"stream":true,"stream_options":{"includeUsage":true}}`}, `spelled "include_usage"`, false},
	{dialectCase{"more answers than one", kindChat, `{$,"messages":[],"N":5}`}, `spelled "n"`, false},
	{dialectCase{"a tool that begins like the client's", kindMessages, `{$,"messages":[],"tools":[{"type":"bash_code_execution_20250825","name":"x"}]}`}, "bash_code_execution", true},
	{dialectCase{"very many answers", kindChat, `{$,"messages":[],"n":100000}`}, "number of answers", false},
}

func TestWhatTheVendorsClientsSendIsAccepted(t *testing.T) {
	for _, c := range accepted {
		if _, f := c.inquire(false); f != nil {
			t.Errorf("%s: %s", c.name, f.reason)
		}
	}
}

func TestWhatAProviderWouldDoByItselfIsRefused(t *testing.T) {
	for _, c := range refused {
		_, f := c.inquire(false)
		switch {
		case f == nil:
			t.Errorf("%s: accepted", c.name)
			continue
		case !strings.Contains(f.reason, c.names) || !f.deny || f.status/100 != 4:
			t.Errorf("%s: %d %q, want %q", c.name, f.status, f.reason, c.names)
		case (f.advice == "--allow-server-tools") != c.open:
			t.Errorf("%s: the advice is %q", c.name, f.advice)
		}
		if _, f := c.inquire(true); (f == nil) != c.open {
			t.Errorf("%s with the switch: %+v", c.name, f)
		}
	}
}

func TestARefusedBodyStaysHereAndSaysWhy(t *testing.T) {
	r := newRig(t, nil)
	got := r.do("POST", "/anthropic/v1/messages", `{"model":"m","messages":[],"tools":[{"type":"web_search_20250305"}]}`)
	if got.status != statusRefused || !strings.Contains(got.body, `"invalid_request_error"`) || !strings.Contains(got.body, "--allow-server-tools") || got.header.Get("X-Should-Retry") != "false" {
		t.Errorf("%+v", got)
	}
	if sent, _ := r.sent(); len(sent) != 0 {
		t.Error("it was sent")
	}
	if e := r.last(1); e.Verdict != "deny" || !strings.Contains(e.Reason, "web_search_20250305") {
		t.Errorf("event %+v", e)
	}
	open := newRig(t, nil, func(c *Config) { c.AllowServerTools = true })
	if got := open.do("POST", "/anthropic/v1/messages", `{"model":"m","messages":[],"tools":[{"type":"web_search_20250305"}]}`); got.status != http.StatusOK {
		t.Errorf("control: %+v", got)
	}
}

func TestWhatCostsMoreThanThePricesIsNoted(t *testing.T) {
	for _, c := range []dialectCase{
		{"", kindMessages, `{$,"messages":[],"speed":"fast"}`},
		{"", kindMessages, `{$,"messages":[],"inference_geo":"us"}`},
		{"", kindMessages, `{$,"messages":[],"fallbacks":[{"model":"claude-dear"}]}`},
		{"", kindResponses, `{$,"service_tier":"priority"}`},
		{"", kindChat, `{$,"messages":[],"service_tier":["priority"]}`},
		{"", kindGenerate, `{$,"contents":[],"serviceTier":"priority"}`},
		{"", kindGenerate, `{$,"contents":[{"parts":[{"inlineData":{"mimeType":"audio/mp3","data":"AAAA"}}]}]}`},
	} {
		if q, f := c.inquire(false); f != nil || q.dear == "" {
			t.Errorf("%s: %+v %+v", c.body, q, f)
		}
	}
	for _, c := range accepted {
		if q, f := c.inquire(false); f != nil || q.dear != "" {
			t.Errorf("control: %s: %s", c.body, q.dear)
		}
	}
}

func TestLoweringABound(t *testing.T) {
	tests := []struct {
		dialectCase
		want string
	}{
		{dialectCase{"", kindMessages, `{"model":"m","max_tokens" : 64000,"messages":[]}`}, `{"model":"m","max_tokens" : 2000,"messages":[]}`},
		{dialectCase{"", kindMessages, `{"model":"m","messages":[]}`}, `{"max_tokens":2000,"model":"m","messages":[]}`},
		{dialectCase{"", kindResponses, `{"model":"m","max_output_tokens":null,"input":""}`}, `{"model":"m","max_output_tokens":2000,"input":""}`},
		{dialectCase{"", kindResponses, `{"model":"m"}`}, `{"max_output_tokens":2000,"model":"m"}`},
		{dialectCase{"", kindCompact, `{"model":"m"}`}, `{"model":"m"}`},
		{dialectCase{"", kindChat, `{"model":"m","max_tokens":5000,"max_completion_tokens":6000}`}, `{"model":"m","max_tokens":2000,"max_completion_tokens":2000}`},
		{dialectCase{"", kindChat, `{"model":"m","stream":true}`}, `{"stream_options":{"include_usage":true},"max_completion_tokens":2000,"model":"m","stream":true}`},
		{dialectCase{"", kindChat, `{"model":"m","stream":true,"stream_options":{},"max_tokens":9000}`}, `{"model":"m","stream":true,"stream_options":{"include_usage":true},"max_tokens":2000}`},
		{dialectCase{"", kindChat, `{"model":"m","stream":true,"stream_options":{"include_usage":false,"x":1},"max_tokens":9000}`}, `{"model":"m","stream":true,"stream_options":{"include_usage":true,"x":1},"max_tokens":2000}`},
		{dialectCase{"", kindGenerate, `{"contents":[]}`}, `{"generationConfig":{"maxOutputTokens":2000},"contents":[]}`},
		{dialectCase{"", kindGenerate, `{"contents":[],"generationConfig":null}`}, `{"contents":[],"generationConfig":{"maxOutputTokens":2000}}`},
		{dialectCase{"", kindGenerate, `{"generation_config":{"topK":1}}`}, `{"generation_config":{"maxOutputTokens":2000,"topK":1}}`},
		{dialectCase{"", kindGenerate, `{"generationConfig":{"max_output_tokens":1e5}}`}, `{"generationConfig":{"max_output_tokens":2000}}`},
	}
	for _, tt := range tests {
		q, f := tt.inquire(false)
		if f != nil {
			t.Errorf("%s: %s", tt.body, f.reason)
			continue
		}
		q.lower(2000)
		got, err := io.ReadAll(q.edits.reader())
		if err != nil || string(got) != tt.want || q.edits.size() != int64(len(got)) {
			t.Errorf("%s became %s, want %s", tt.body, got, tt.want)
		}
	}
}

func TestWhatABoundIsWorthIsKnown(t *testing.T) {
	for body, loose := range map[string]bool{
		`{$,"messages":[],"max_tokens":5}`: false, `{$,"messages":[],"max_completion_tokens":5}`: true, `{$,"messages":[]}`: true,
	} {
		q, f := dialectCase{"", kindChat, body}.inquire(false)
		if f != nil || q.bound.loose != loose {
			t.Errorf("%s: %+v, %v", body, q, f)
		}
		l := newLedger(wire.Budget{MaxTokens: 100_000}, nil)
		if ticket, f := l.reserve(t.Context(), "a", q); f != nil || loose != (ticket.amount.tokens > usualOutput) {
			t.Errorf("%s: %+v, %v", body, ticket, f)
		}
	}
}

// TestWhatDoesNotShowItsSizeIsTakenForLarge: a few bytes can be a thousand pages.
func TestWhatDoesNotShowItsSizeIsTakenForLarge(t *testing.T) {
	for _, c := range []dialectCase{
		{"a document", kindMessages, `{$,"messages":[{"role":"user","content":[{"type":"document","source":{"type":"base64","media_type":"Application/PDF","data":"JVBERi0="}}]}]}`},
		{"a document as a URL", kindResponses, `{$,"input":[{"role":"user","content":[{"type":"input_file","file_data":"data:application/pdf;base64,JVBERi0="}]}]}`},
		{"a document by its name", kindChat, `{$,"messages":[{"role":"user","content":[{"type":"file","file":{"filename":"x.pdf","file_data":"JVBERi0="}}]}]}`},
		{"sound", kindGenerate, `{$,"contents":[{"parts":[{"inlineData":{"mimeType":"audio/mp3","data":"JVBERi0="}}]}]}`},
	} {
		if q, f := c.inquire(false); f != nil || q.most < mostPerItem {
			t.Errorf("%s: at most %d tokens, %v", c.name, q.most, f)
		}
	}
	picture := dialectCase{"", kindMessages, `{$,"messages":[{"role":"user","content":[{"type":"image","source":{"type":"base64","media_type":"image/png","data":"iVBORw0="}}]}]}`}
	if q, f := picture.inquire(false); f != nil || q.most > 10_000 {
		t.Errorf("control: a picture: at most %d tokens, %v", q.most, f)
	}
}

// TestALargeBodyIsNotCopied: a request has room for itself in the gateway's memory, not for another one.
func TestALargeBodyIsNotCopied(t *testing.T) {
	const size = 24 << 20
	var names strings.Builder
	for i := 0; names.Len() < size; i++ {
		fmt.Fprintf(&names, `"%d%s":1,`, i, strings.Repeat("A_", 1000))
	}
	for name, body := range map[string]string{
		"a name":           `{"model":"m","messages":[],"` + strings.Repeat(`\u0061`, size/6) + `":1}`,
		"many names":       `{` + names.String() + `"model":"m","messages":[]}`,
		"a model":          `{"messages":[],"model":"` + strings.Repeat(`a\n`, size/3) + `"}`,
		"a type":           `{"model":"m","messages":[{"role":"user","content":[{"type":"` + strings.Repeat(`a\n`, size/3) + `"}]}]}`,
		"a tier":           `{"model":"m","messages":[],"service_tier":"` + strings.Repeat(`a\n`, size/3) + `"}`,
		"control: content": `{"model":"m","messages":[{"role":"user","content":"` + strings.Repeat(`a\n`, size/3) + `"}]}`,
	} {
		text := []byte(body)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, f := inquire(wire.Anthropic, kindMessages, "", text, false)
		runtime.ReadMemStats(&after)
		if took := after.TotalAlloc - before.TotalAlloc; took > size {
			t.Errorf("%s of %d MB took %d MB more", name, size>>20, took>>20)
		}
		if strings.HasPrefix(name, "control") && f != nil {
			t.Errorf("%s: %s", name, f.reason)
		}
	}
}

func TestPicturesAreNotReadAsText(t *testing.T) {
	picture := `{$,"messages":[{"role":"user","content":[{"type":"image","source":{"type":"base64","media_type":"image/png","data":"` + strings.Repeat("iVBORw0KGgo", 20_000) + `"}}]}]}`
	q, f := dialectCase{"", kindMessages, picture}.inquire(false)
	if f != nil || q.tokens < 1000 || q.tokens > 20_000 {
		t.Errorf("%d tokens, %v", q.tokens, f)
	}
	q, f = dialectCase{"", kindMessages, strings.Replace(picture, "image/png", "text/plain", 1)}.inquire(false)
	if f != nil || q.tokens < 50_000 {
		t.Errorf("control: %d tokens, %v", q.tokens, f)
	}
}
