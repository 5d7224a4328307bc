package model

import (
	"net/http"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sync/semaphore"

	"github.com/yolo-run/yolo-run/entrypoint/wire"
)

const (
	eventStream = "text/event-stream; charset=utf-8"
	jsonType    = "application/json"
)

// answers are what the vendors send, shortened.
var answers = []struct {
	name    string
	dialect wire.Dialect
	kind    kind
	media   string
	text    string
	want    counts
	guessed bool
}{
	{
		"a message", wire.Anthropic, kindMessages, jsonType,
		`{"type":"message","content":[{"type":"text","text":"\"usage\":{\"output_tokens\":999}"}],"usage":{"input_tokens":10,"cache_creation_input_tokens":30,"cache_read_input_tokens":500,"cache_creation":{"ephemeral_5m_input_tokens":10,"ephemeral_1h_input_tokens":20},"output_tokens":7,"service_tier":"standard"}}`,
		counts{input: 540, cached: 500, write: 10, write1h: 20, output: 7},
		false,
	},
	{
		"a stream of a message", wire.Anthropic, kindMessages, eventStream,
		"event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"model\":\"m\",\"usage\":{\"input_tokens\":10,\"cache_creation_input_tokens\":5,\"cache_read_input_tokens\":100,\"output_tokens\":1}}}\n\n" +
			"event: ping\ndata: {\"type\": \"ping\"}\n\n: comment\n\n" +
			"event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"hi\"}}\n\n" +
			"event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":42}}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
		counts{input: 115, cached: 100, write: 5, output: 42},
		false,
	},
	{
		"a stream that corrects its prompt", wire.Anthropic, kindMessages, eventStream,
		"data: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":10,\"output_tokens\":1}}}\n\n" +
			"data: {\"type\":\"message_delta\",\"usage\":{\"input_tokens\":25,\"cache_creation_input_tokens\":0,\"cache_read_input_tokens\":5,\"output_tokens\":42}}\n\n",
		counts{input: 30, cached: 5, output: 42},
		false,
	},
	{
		"a conversation that was made shorter on the way", wire.Anthropic, kindMessages, jsonType,
		`{"type":"message","usage":{"input_tokens":100,"output_tokens":10,"iterations":[{"type":"compaction","input_tokens":5000,"output_tokens":800},{"type":"message","input_tokens":100,"output_tokens":10}]}}`,
		counts{input: 5100, output: 810},
		false,
	},
	{
		"half a stream", wire.Anthropic, kindMessages, eventStream,
		"data: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":10,\"output_tokens\":1}}}\n\ndata: {\"type\":\"content_block_delta\",\"delta\":{\"text\":\"" + strings.Repeat("x", 300) + "\"}}\n\n",
		counts{input: 10, output: 100},
		true,
	},
	{
		"a response", wire.OpenAI, kindResponses, jsonType,
		`{"object":"response","output":[],"usage":{"input_tokens":100,"input_tokens_details":{"cached_tokens":60},"output_tokens":20,"output_tokens_details":{"reasoning_tokens":15},"total_tokens":120}}`,
		counts{input: 100, cached: 60, output: 20},
		false,
	},
	{
		"a stream of a response", wire.OpenAI, kindResponses, eventStream,
		"event: response.created\r\ndata: {\"type\":\"response.created\",\"response\":{\"usage\":null}}\r\n\r\nevent: response.output_text.delta\r\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\"hi\"}\r\n\r\n" +
			"event: response.completed\r\ndata: {\"type\":\"response.completed\",\"response\":{\"usage\":{\"input_tokens\":100,\"input_tokens_details\":{\"cached_tokens\":60},\"output_tokens\":20}}}\r\n\r\n",
		counts{input: 100, cached: 60, output: 20},
		false,
	},
	{
		"a stream that was cut by a filter", wire.OpenAI, kindResponses, eventStream,
		"data: {\"type\":\"response.incomplete\",\"response\":{\"usage\":{\"input_tokens\":9,\"output_tokens\":2}}}\n\n",
		counts{input: 9, output: 2},
		false,
	},
	{"a shorter conversation", wire.OpenAI, kindCompact, jsonType, `{"object":"response.compaction","usage":{"input_tokens":9,"output_tokens":2}}`, counts{input: 9, output: 2}, false},
	{
		"a chat", wire.OpenAI, kindChat, jsonType, `{"choices":[{"message":{"content":"x"}}],"usage":{"prompt_tokens":11,"completion_tokens":3,"total_tokens":14,"prompt_tokens_details":{"cached_tokens":4}}}`,
		counts{input: 11, cached: 4, output: 3},
		false,
	},
	{
		"a response that was written to the cache", wire.OpenAI, kindResponses, jsonType,
		`{"usage":{"input_tokens":100,"input_tokens_details":{"cached_tokens":60,"cache_write_tokens":30},"output_tokens":20}}`,
		counts{input: 100, cached: 60, write: 30, output: 20},
		false,
	},
	{
		"a chat that was written to the cache", wire.OpenAI, kindChat, jsonType,
		`{"choices":[{"message":{"content":"x"}}],"usage":{"prompt_tokens":100,"completion_tokens":3,"prompt_tokens_details":{"cached_tokens":4,"cache_write_tokens":90}}}`,
		counts{input: 100, cached: 4, write: 90, output: 3},
		false,
	},
	{
		"a stream with the usage so far", wire.OpenAI, kindChat, eventStream,
		`data: {"choices":[{"delta":{"content":"hi"}}],"usage":{"prompt_tokens":11,"completion_tokens":1}}` + "\n\n" + `data: {"choices":[{"delta":{"content":"."}}],"usage":{"prompt_tokens":11,"completion_tokens":2}}` + "\n\ndata: [DONE]\n\n",
		counts{input: 11, output: 2},
		false,
	},
	{
		"half a stream with the usage so far", wire.OpenAI, kindChat, eventStream,
		`data: {"choices":[{"delta":{"content":"` + strings.Repeat("x", 286) + `"}}],"usage":{"prompt_tokens":11,"completion_tokens":1}}` + "\n\n",
		counts{input: 11, output: 100},
		true,
	},
	{
		"a stream of a chat", wire.OpenAI, kindChat, eventStream,
		"data: {\"choices\":[{\"delta\":{\"content\":\"hi\"}}],\"usage\":null}\n\ndata: {\"choices\":[],\"usage\":{\"prompt_tokens\":11,\"completion_tokens\":3,\"total_tokens\":20}}\n\ndata: [DONE]\n\n",
		counts{input: 11, output: 9},
		false,
	},
	{
		"a chat of somebody who does not count", wire.OpenAI, kindChat, jsonType, `{"choices":[{"message":{"content":"` + strings.Repeat("x", 288) + `"}}]}`,
		counts{input: 1000, output: 101},
		true,
	},
	{
		"content", wire.Gemini, kindGenerate, jsonType,
		`{"candidates":[{"content":{"parts":[{"text":"x"}]},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":10,"cachedContentTokenCount":4,"candidatesTokenCount":2,"thoughtsTokenCount":30,"toolUsePromptTokenCount":5,"totalTokenCount":47}}`,
		counts{input: 15, cached: 4, output: 32},
		false,
	},
	{
		"a stream of content", wire.Gemini, kindGenerate, eventStream,
		"data: {\"candidates\":[{\"content\":{}}],\"usageMetadata\":{\"promptTokenCount\":10,\"totalTokenCount\":12}}\r\n\r\ndata: {\"candidates\":[{\"content\":{},\"finishReason\":\"STOP\"}],\"usageMetadata\":{\"promptTokenCount\":10,\"candidatesTokenCount\":7,\"thoughtsTokenCount\":3}}\r\n\r\n",
		counts{input: 10, output: 10},
		false,
	},
	{
		"a list of content", wire.Gemini, kindGenerate, jsonType,
		`[{"candidates":[{"content":{}}],"usageMetadata":{"promptTokenCount":10}},` + "\r\n" + `{"candidates":[{"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":10,"candidatesTokenCount":7}}]`,
		counts{input: 10, output: 7},
		false,
	},
	{"a prompt that was refused", wire.Gemini, kindGenerate, jsonType, `{"promptFeedback":{"blockReason":"SAFETY"},"usageMetadata":{"promptTokenCount":10}}`, counts{input: 10}, false},
	{"numbers that cannot be", wire.OpenAI, kindResponses, jsonType, `{"usage":{"input_tokens":-5,"input_tokens_details":{"cached_tokens":60},"output_tokens":99999999999999}}`, counts{output: maxCount}, false},
	{"no JSON", wire.OpenAI, kindResponses, "text/html", `<html>` + strings.Repeat(" ", 294), counts{input: 1000, output: 100}, true},
	{
		"a stream that is called something else", wire.OpenAI, kindResponses, "text/plain",
		"data: {\"delta\":\"" + strings.Repeat("x", 2000) + "\"}\n\ndata: {\"delta\":\"" + strings.Repeat("x", 959) + "\"}\n\n",
		counts{input: 1000, output: 1000},
		true,
	},
}

func measure(text string, d wire.Dialect, k kind, media string, step int) (counts, bool) {
	room := semaphore.NewWeighted(maxAllMetered)
	m := newMeter(d, k, room)
	m.open(http.Header{"Content-Type": {media}})
	for len(text) > 0 {
		n := min(step, len(text))
		m.add([]byte(text[:n]))
		text = text[n:]
	}
	c, guessed := m.close(true, 1000, 5000)
	if !room.TryAcquire(maxAllMetered) {
		panic("room was not given back")
	}
	return c, guessed
}

func TestUsageIsReadInEveryDialect(t *testing.T) {
	for _, a := range answers {
		for _, step := range []int{1, 7, 1 << 20} {
			if got, guessed := measure(a.text, a.dialect, a.kind, a.media, step); got != a.want || guessed != a.guessed {
				t.Errorf("%s in steps of %d: %+v, guessed %v; want %+v", a.name, step, got, guessed, a.want)
			}
		}
	}
}

// TestAnswersOfManyElementsAreNotUnfolded: what an upstream sends may not fill the gateway's memory either.
func TestAnswersOfManyElementsAreNotUnfolded(t *testing.T) {
	const size = 12 << 20
	for _, c := range []struct {
		name, before, element, after string
		dialect                      wire.Dialect
		kind                         kind
	}{
		{"choices", `{"choices":[`, `{},`, `{}]}`, wire.OpenAI, kindChat},
		{"chunks", `[`, `{},`, `{}]`, wire.Gemini, kindGenerate},
		{"turns", `{"usage":{"iterations":[`, `1,`, `1]}}`, wire.Anthropic, kindMessages},
	} {
		text := []byte(c.before + strings.Repeat(c.element, size/len(c.element)) + c.after)
		tally := newTally(c.dialect, c.kind)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		tally.take(text)
		runtime.ReadMemStats(&after)
		if took := after.TotalAlloc - before.TotalAlloc; took > size {
			t.Errorf("%s: %d MB took %d MB", c.name, size>>20, took>>20)
		}
	}
}

func TestAnAnswerThatDoesNotFitIsGuessed(t *testing.T) {
	huge := `{"usage":{"input_tokens":1,"output_tokens":1},"x":"` + strings.Repeat("x", maxMetered) + `"}`
	if got, guessed := measure(huge, wire.OpenAI, kindResponses, jsonType, 1<<16); !guessed || got.output != 5000 || got.input != 1000 {
		t.Errorf("%+v, %v", got, guessed)
	}
	room := semaphore.NewWeighted(10)
	m := newMeter(wire.OpenAI, kindResponses, room)
	m.add([]byte(`{"usage":{"input_tokens":1,"output_tokens":1}}`))
	if c, guessed := m.close(true, 7, 100); !guessed || c.input != 7 || !room.TryAcquire(10) {
		t.Errorf("without room: %+v", c)
	}
}

// FuzzMeter: whatever comes, in whatever pieces, makes one sum that makes sense.
func FuzzMeter(f *testing.F) {
	for _, a := range answers {
		f.Add(string(a.dialect), int(a.kind), a.media == eventStream, a.text, uint8(5))
	}
	f.Fuzz(func(t *testing.T, d string, k int, stream bool, text string, step uint8) {
		media := jsonType
		if stream {
			media = eventStream
		}
		whole, _ := measure(text, wire.Dialect(d), kind(k), media, 1<<20)
		pieces, _ := measure(text, wire.Dialect(d), kind(k), media, int(step)+1)
		if whole != pieces {
			t.Fatalf("%+v in one piece, %+v in many", whole, pieces)
		}
		if whole != whole.bounded() || whole.input < 0 || whole.output < 0 {
			t.Fatalf("%+v", whole)
		}
	})
}
