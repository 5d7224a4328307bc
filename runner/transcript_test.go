package runner

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
)

// What is in the file is whole whenever the run ends; what is no object of JSON is in agent.log.
func TestTheTranscriptIsWrittenAsItComes(t *testing.T) {
	r := newLiveRun(t, "claude")
	r.print(t, `{"type":"system"}`+"\nnpm warn\n"+`{"type":"us`)
	if got := r.file(t, fileTranscript); got != `{"type":"system"}`+"\n" {
		t.Errorf("after a line and a half: %q", got)
	}
	r.print(t, `er"}`+"\r\n", `{"type":"result","result":"a`+"\u202e\xff"+`b"}`+"\n", `{"type":"cut`)
	r.live.close()
	want := `{"type":"system"}` + "\n" + `{"type":"user"}` + "\n" + `{"type":"result","result":"a\u202e\ufffdb"}` + "\n"
	if got := r.file(t, fileTranscript); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got := r.file(t, fileAgent); !strings.Contains(got, "npm warn\n") || !strings.HasSuffix(got, `{"type":"cut`) {
		t.Errorf("agent.log %q", got)
	}
	if got := r.screen.String(); !strings.Contains(got, "  │ npm warn\n") || !strings.Contains(got, `  │ {"type":"cut`) {
		t.Errorf("printed %q", got)
	}
}

func TestAgentsThatPrintTextHaveNoTranscript(t *testing.T) {
	r := newLiveRun(t, "shell")
	r.print(t, `{"type":"system"}`+"\n")
	r.live.close()
	if _, err := os.Stat(r.dir + "/" + fileTranscript); !os.IsNotExist(err) {
		t.Errorf("there is one: %v", err)
	}
	if got := r.screen.String(); got != `  │ {"type":"system"}`+"\n" {
		t.Errorf("printed %q", got)
	}
	if got := r.live.report(); got.Format != "" || got.Steps != nil {
		t.Errorf("%+v", got)
	}
}

// A line that is too long is not JSON any more when it is cut: it is left out, and counted.
func TestTheTranscriptSaysWhatItDoesNotHave(t *testing.T) {
	r := newLiveRun(t, "gemini")
	r.print(t, `{"type":"init"}`+"\n", `{"content":"`)
	for range maxRecord >> 20 {
		r.print(t, strings.Repeat("x", 1<<20))
	}
	r.print(t, `"}`+"\n"+`{"type":"result"}`+"\n")
	r.live.close()
	lines := strings.Split(strings.TrimSpace(r.file(t, fileTranscript)), "\n")
	if len(lines) != 3 || lines[1] != `{"type":"result"}` {
		t.Fatalf("%.200q", lines)
	}
	var cut struct {
		Type         string
		Lines, Bytes int64
	}
	if err := json.Unmarshal([]byte(lines[2]), &cut); err != nil || cut.Type != "yolo-run.cut" || cut.Lines != 1 || cut.Bytes != maxRecord+14 {
		t.Errorf("%s: %+v, %v", lines[2], cut, err)
	}
	if !strings.Contains(r.screen.String(), "transcript.jsonl does not have all") {
		t.Errorf("printed %s", r.screen)
	}
}

func TestTheTranscriptIsBounded(t *testing.T) {
	r := newLiveRun(t, "claude")
	r.files.transcript.left = 20
	r.print(t, `{"type":"system"}`+"\n", `{"type":"user","x":1}`+"\n", `{}`+"\n")
	r.live.close()
	want := `{"type":"system"}` + "\n" + `{"type":"yolo-run.cut","lines":2,"bytes":25}` + "\n"
	if got := r.file(t, fileTranscript); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
