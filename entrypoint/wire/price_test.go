package wire

import "testing"

func TestFindPrice(t *testing.T) {
	table := []Price{
		{Model: "claude-opus-5", Input: 5},
		{Model: "claude-opus-5-5", Input: 4},
		{Model: "claude-opus-4", Input: 15},
		{Model: "gemini-pro", Above: 200_000, Input: 4},
		{Model: "gemini-pro", Input: 2},
		{Model: "gemini-flash", Input: 1},
		{Model: "gpt-5", Input: 3},
	}
	for _, tc := range []struct {
		model  string
		prompt int64
		want   float64 // 0: none
	}{
		{"claude-opus-5", 1, 5},
		{"claude-opus-5-20260724", 1, 5},
		{"claude-opus-5@20260724", 1, 5},
		{"claude-opus-5-latest", 1, 5},
		{"claude-opus-5-5", 1, 4},
		{"claude-opus-5-5-20261001", 1, 4},
		{"claude-opus-5-6", 1, 0},
		{"claude-opus-4-1-20250805", 1, 0},
		{"claude-opus-4-20250514", 1, 15},
		{"claude-opus-5x", 1, 0},
		{"claude-opus-5-", 1, 0},
		{"claude-opus-5-fast", 1, 0},
		{"gpt-5-mini", 1, 0},
		{"gpt-5-2025-08-07", 1, 3},
		{"gpt-5.1", 1, 0},
		{"my-gpt-5", 1, 0},
		{"gemini-pro", 200_000, 2},
		{"gemini-pro", 200_001, 4},
		{"gemini-pro-preview", 0, 2},
		{"gemini-pro-preview-05-06", 300_000, 4},
		{"gemini-pro-preview-tts", 1, 0},
		{"gemini-flash-preview-09-2025", 1, 1},
		{"gemini-flash-001", 1, 1},
		{"gemini-flash-lite", 1, 0},
		{"", 1, 0},
	} {
		got, ok := FindPrice(table, tc.model, tc.prompt)
		if ok != (tc.want > 0) || got.Input != tc.want {
			t.Errorf("%q with a prompt of %d: %v (%v), want %v", tc.model, tc.prompt, got.Input, ok, tc.want)
		}
	}
	if _, ok := FindPrice([]Price{{}}, "", 0); ok {
		t.Error("a row without a name holds for everything")
	}
}
