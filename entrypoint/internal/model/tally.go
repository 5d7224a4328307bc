package model

import (
	"bytes"
	"encoding/json"
)

// anthropicTally: message_start has the prompt, message_delta the answer so far and, in newer versions, the prompt again.
type anthropicTally struct {
	said  counts
	final bool
	bytes int64
}

type anthropicUsage struct {
	Input    *int64 `json:"input_tokens"`
	Created  *int64 `json:"cache_creation_input_tokens"`
	Read     *int64 `json:"cache_read_input_tokens"`
	Output   *int64 `json:"output_tokens"`
	Creation struct {
		Hour int64 `json:"ephemeral_1h_input_tokens"`
	} `json:"cache_creation"`
	// Iterations are the turns that the provider took by itself, such as compaction; the totals need not have them.
	Iterations []anthropicUsage `json:"iterations"`
}

func (t *anthropicTally) take(message []byte) {
	var m struct {
		Type    string
		Usage   *anthropicUsage
		Message struct{ Usage *anthropicUsage }
		Content json.RawMessage
		Delta   struct {
			Text, Thinking string
			PartialJSON    string `json:"partial_json"`
		}
	}
	if !decode(message, &m) {
		return
	}
	t.bytes += int64(len(m.Delta.Text) + len(m.Delta.Thinking) + len(m.Delta.PartialJSON) + len(m.Content))
	if u := m.Message.Usage; u != nil {
		t.merge(u)
	}
	if u := m.Usage; u != nil {
		t.merge(u)
		t.final = m.Type == "message_delta" || m.Type == "message"
	}
}

func (t *anthropicTally) merge(u *anthropicUsage) {
	now := u.counts()
	if u.Input == nil { // a later message says only what changed
		now.input, now.cached, now.write, now.write1h = t.said.input, t.said.cached, t.said.write, t.said.write1h
	}
	now.output = max(now.output, t.said.output)
	var turns counts
	for _, i := range u.Iterations {
		c := i.counts()
		turns.input += c.input
		turns.cached += c.cached
		turns.write += c.write
		turns.write1h += c.write1h
		turns.output += c.output
	}
	if turns.input > now.input {
		now.input, now.cached, now.write, now.write1h = turns.input, turns.cached, turns.write, turns.write1h
	}
	now.output = max(now.output, turns.output)
	t.said = now
}

func (u *anthropicUsage) counts() counts {
	at := func(n *int64) int64 {
		if n == nil {
			return 0
		}
		return *n
	}
	c := counts{cached: at(u.Read), write1h: u.Creation.Hour, output: at(u.Output)}
	c.write = max(at(u.Created)-c.write1h, 0)
	c.input = at(u.Input) + at(u.Created) + c.cached
	return c
}

func (t *anthropicTally) sum() (counts, bool) { return t.said, t.final }
func (t *anthropicTally) shown() int64        { return t.bytes }

// responsesTally: the last event has the whole response, and its usage.
type responsesTally struct {
	said  counts
	final bool
	bytes int64
}

type responsesUsage struct {
	Input   int64 `json:"input_tokens"`
	Output  int64 `json:"output_tokens"`
	Details struct {
		Cached int64 `json:"cached_tokens"`
		Write  int64 `json:"cache_write_tokens"` // of models that charge for it
	} `json:"input_tokens_details"`
}

func (t *responsesTally) take(message []byte) {
	var m struct {
		Usage    *responsesUsage
		Response struct{ Usage *responsesUsage }
		Delta    json.RawMessage
		Output   json.RawMessage
	}
	if !decode(message, &m) {
		return
	}
	t.bytes += int64(len(m.Delta) + len(m.Output))
	for _, u := range []*responsesUsage{m.Usage, m.Response.Usage} {
		if u != nil {
			t.said, t.final = counts{input: u.Input, cached: u.Details.Cached, write: u.Details.Write, output: u.Output}, true
		}
	}
}

func (t *responsesTally) sum() (counts, bool) { return t.said, t.final }
func (t *responsesTally) shown() int64        { return t.bytes }

// chatTally: a last chunk without choices has the usage, or every chunk the usage so far.
type chatTally struct {
	said  counts
	any   bool
	final bool
	bytes int64
}

func (t *chatTally) take(message []byte) {
	var m struct {
		Usage *struct {
			Prompt     int64 `json:"prompt_tokens"`
			Completion int64 `json:"completion_tokens"`
			Total      int64 `json:"total_tokens"`
			Details    struct {
				Cached int64 `json:"cached_tokens"`
				Write  int64 `json:"cache_write_tokens"`
			} `json:"prompt_tokens_details"`
			Hit int64 `json:"prompt_cache_hit_tokens"` // DeepSeek
		}
		Choices []struct {
			Delta, Message json.RawMessage
			Finish         string `json:"finish_reason"`
		}
	}
	if bytes.Equal(bytes.TrimSpace(message), []byte("[DONE]")) {
		t.final = t.any
	}
	if !decode(message, &m) {
		return
	}
	goesOn := false
	for _, c := range m.Choices {
		t.bytes += int64(len(c.Delta) + len(c.Message))
		goesOn = goesOn || len(c.Delta) > 0 && c.Finish == ""
	}
	if u := m.Usage; u != nil {
		// Some count what the model thought only in the total.
		t.said = counts{input: u.Prompt, cached: max(u.Details.Cached, u.Hit), write: u.Details.Write, output: max(u.Completion, u.Total-u.Prompt)}
		t.any, t.final = true, !goesOn
	}
}

func (t *chatTally) sum() (counts, bool) { return t.said, t.final }
func (t *chatTally) shown() int64        { return t.bytes }

// geminiTally: every chunk has the usage so far; one that says why the answer ended has the last word. Without alt=sse a stream is one array.
type geminiTally struct {
	said  counts
	final bool
	bytes int64
}

type geminiChunk struct {
	Usage *struct {
		Prompt   int64 `json:"promptTokenCount"`
		Answer   int64 `json:"candidatesTokenCount"`
		Thoughts int64 `json:"thoughtsTokenCount"`
		Cached   int64 `json:"cachedContentTokenCount"`
		Tools    int64 `json:"toolUsePromptTokenCount"`
		Total    int64 `json:"totalTokenCount"`
	} `json:"usageMetadata"`
	Candidates []struct {
		Content json.RawMessage
		Finish  string `json:"finishReason"`
	}
	Feedback *struct {
		Blocked string `json:"blockReason"`
	} `json:"promptFeedback"`
}

func (t *geminiTally) take(message []byte) {
	chunks := make([]geminiChunk, 1)
	if bytes.HasPrefix(bytes.TrimSpace(message), []byte("[")) {
		if !decode(message, &chunks) {
			return
		}
	} else if !decode(message, &chunks[0]) {
		return
	}
	for _, c := range chunks {
		ended := c.Feedback != nil && c.Feedback.Blocked != ""
		for _, candidate := range c.Candidates {
			t.bytes += int64(len(candidate.Content))
			ended = ended || candidate.Finish != ""
		}
		if u := c.Usage; u != nil {
			input := u.Prompt + u.Tools
			t.said = counts{input: input, cached: u.Cached, output: max(u.Answer+u.Thoughts, u.Total-input)}
			t.final = ended
		}
	}
}

func (t *geminiTally) sum() (counts, bool) { return t.said, t.final }
func (t *geminiTally) shown() int64        { return t.bytes }
