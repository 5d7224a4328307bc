package runner_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/yolo-run/yolo-run/reports"
	"github.com/yolo-run/yolo-run/runner/internal/vendor"
)

// ask is a function of a script that asks the model once and prints the status of the answer.
const ask = `ask() {
  curl -sS -o /tmp/answer -w '%{http_code}' -H 'Content-Type: application/json' -H "Authorization: Bearer $OPENAI_API_KEY" "$OPENAI_BASE_URL/chat/completions" \
    -d '{"model": "gpt-5-mini", "max_tokens": 100, "messages": [{"role": "user", "content": "hello"}], "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]}'
}
`

// A script gets the model that it was given, by a placeholder; what only lies in the environment of yolo-run is none.
func TestAScriptAsksTheModelThatItWasGiven(t *testing.T) {
	n := needInternet(t)
	m := n.model(t, vendor.Script{Turns: []vendor.Turn{{Text: "Good day.", Usage: vendor.Usage{Input: 100, CacheRead: 40, Output: 7}}}, Repeat: true})
	ambient := keyMark + strings.Repeat("a", 32)
	t.Setenv("ANTHROPIC_API_KEY", ambient)
	r := try(t, ask+`
echo "key=$OPENAI_API_KEY"; echo "other=$ANTHROPIC_API_KEY$ANTHROPIC_BASE_URL"
echo "status=$(ask)"; echo "text=$(jq -r '.choices[0].message.content' /tmp/answer)"
echo "wrong=$(curl -sS -o /dev/null -w '%{http_code}' "${OPENAI_BASE_URL%/openai/v1}/anthropic/v1/models")"
echo "notice=$(grep -c 'but your model' $YOLO_NOTICE_FILE)"`, m.served(t, realAgents[1]))
	r.want(t, reports.NoChanges)
	for name, want := range map[string]string{"key": "yolo-run-placeholder", "other": "", "status": "200", "text": "Good day.", "wrong": "404", "notice": "1"} {
		if got := r.says(t, name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	requests := m.log(t)
	if len(requests) != 1 || requests[0].Header.Get("Authorization") != "Bearer "+m.key {
		t.Errorf("the vendor was asked %d times: %+v", len(requests), requests)
	}
	u := r.Usage
	if u.Requests != 1 || u.InputTokens != 140 || u.CachedInputTokens != 40 || u.OutputTokens != 7 || len(u.Models) != 1 || u.CostUSD <= 0 {
		t.Errorf("usage %+v", u)
	}
	for _, key := range []string{m.key, ambient} {
		for _, file := range filesWith(t, r.out, key) {
			t.Errorf("%s holds a key", file)
		}
	}
}

// filesWith returns the files below dir that hold text.
func filesWith(t *testing.T, dir, text string) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if strings.Contains(string(data), text) {
			found = append(found, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
