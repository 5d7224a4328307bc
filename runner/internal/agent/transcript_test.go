package agent

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/yolo-run/yolo-run/reports"
)

var update = flag.Bool("update", false, "write the golden files instead of comparing them")

var noon = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

// watched is what a watcher was told, in words.
type watched []string

func (w *watched) Began(s reports.Step) { *w = append(*w, "began "+s.Tool) }

func (w *watched) Ended(s reports.Step) { *w = append(*w, "ended "+string(s.Kind)+" "+s.Tool) }

// read gives a second to every line.
func read(t *testing.T, format, stream string) (reports.Transcript, watched) {
	t.Helper()
	var w watched
	tr := NewTranscript(format, noon, &w)
	now := noon
	for line := range strings.Lines(stream) {
		now = now.Add(time.Second)
		tr.Line([]byte(line), now)
	}
	tr.Close(now.Add(time.Second))
	return tr.Report(), w
}

func TestFormats(t *testing.T) {
	tests := []struct {
		format, stream string
		want           reports.Transcript
	}{
		{"claude", claudeStream, reports.Transcript{
			Format: "claude", Turns: 3, Tools: 3, Final: "All done.",
			Steps: []reports.Step{
				{Kind: reports.StepThinking, AtMs: 2000, Text: "Let me look."},
				{Kind: reports.StepTool, AtMs: 3000, DurationMs: 1000, Tool: "Bash", Input: "ls -l", Result: "a\nb", Failed: true},
				{Kind: reports.StepTool, AtMs: 5000, DurationMs: 4000, Tool: "Task", Input: "find it"},
				{Kind: reports.StepTool, AtMs: 6000, DurationMs: 1000, Tool: "Grep", Input: "TODO in src", Result: "[image]\nsrc/a.go", Depth: 1},
				{Kind: reports.StepError, AtMs: 8000, Text: "request failed with status 529: overloaded; attempt 1 of 10 in 0.5 s"},
				{Kind: reports.StepText, AtMs: 10000, Text: "All done."},
			},
		}},
		{"codex", codexStream, reports.Transcript{
			Format: "codex", Turns: 4, Tools: 4, Final: "Done.",
			Steps: []reports.Step{
				{Kind: reports.StepThinking, AtMs: 3000, Text: "**Looking**"},
				{Kind: reports.StepTool, AtMs: 4000, Tool: "update_plan", Input: "0 of 2 done: read"},
				{Kind: reports.StepTool, AtMs: 5000, DurationMs: 1000, Tool: "shell", Input: "ls | wc", Result: "no such file", Failed: true},
				{Kind: reports.StepTool, AtMs: 7000, Tool: "apply_patch", Input: "add a.txt, update b.go"},
				{Kind: reports.StepError, AtMs: 8000, Text: "Reconnecting... 1/5"},
				{Kind: reports.StepTool, AtMs: 9000, DurationMs: 1000, Tool: "files.read", Input: "x", Result: "text"},
				{Kind: reports.StepText, AtMs: 11000, Text: "Done."},
			},
		}},
		{"gemini", geminiStream, reports.Transcript{
			Format: "gemini", Turns: 2, Tools: 2, Final: "It is done.",
			Steps: []reports.Step{
				{Kind: reports.StepText, AtMs: 3000, Text: "I will look."},
				{Kind: reports.StepTool, AtMs: 5000, DurationMs: 2000, Tool: "run_shell_command", Input: "ls", Result: "a"},
				{Kind: reports.StepTool, AtMs: 6000, DurationMs: 2000, Tool: "write_file", Input: "/workspace/a", Result: "denied", Failed: true},
				{Kind: reports.StepError, AtMs: 9000, Text: "Loop detected, stopping execution"},
				{Kind: reports.StepText, AtMs: 10000, Text: "It is done."},
			},
		}},
	}
	for _, tt := range tests {
		t.Run(tt.format, func(t *testing.T) {
			got, w := read(t, tt.format, tt.stream)
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got  %s\nwant %s", text(t, got), text(t, tt.want))
			}
			began := len(slices.DeleteFunc(slices.Clone(w), func(s string) bool { return strings.HasPrefix(s, "ended") }))
			if began != int(tt.want.Tools) || len(w)-began != len(tt.want.Steps) {
				t.Errorf("told of %q", w)
			}
		})
	}
}

func TestRunsThatFailSayWhy(t *testing.T) {
	tests := []struct{ name, format, stream, want string }{
		{"an error of the API", "claude", `{"type":"result","subtype":"success","is_error":true,"result":"API Error: 401"}`, "API Error: 401"},
		{"a limit", "claude", `{"type":"result","subtype":"error_max_turns","num_turns":3}`, "error max turns"},
		{"a fault", "claude", `{"type":"result","subtype":"error_during_execution","errors":["one","two"]}`, "one; two"},
		{"a turn", "codex", `{"type":"turn.failed","error":{"message":"stream disconnected"}}`, "stream disconnected"},
		{"the stream", "codex", `{"type":"error","message":"unexpected status 401"}`, "unexpected status 401"},
		{"an answer of the API", "codex", `{"type":"error","message":"{\"error\":{\"code\":null,\"message\":\"too long\"}}"}`, "too long"},
		{"an answer of the API", "gemini", `{"type":"result","status":"error","error":{"message":"[API Error: {\"error\":{\"message\":\"too long\"}}]"}}`, "too long"},
		{"a result", "gemini", `{"type":"result","status":"error","error":{"type":"FatalError","message":"no key"}}`, "no key"},
	}
	for _, tt := range tests {
		t.Run(tt.format+" "+tt.name, func(t *testing.T) {
			if got, _ := read(t, tt.format, tt.stream); got.Error != tt.want || got.Final != "" {
				t.Errorf("error %q, final %q; want error %q", got.Error, got.Final, tt.want)
			}
		})
	}
	got, _ := read(t, "codex", `{"type":"error","message":"Reconnecting... 1/5"}`+"\n"+`{"type":"turn.completed"}`)
	if got.Error != "" || len(got.Steps) != 1 {
		t.Errorf("an error that was overcome: %+v", got)
	}
}

// The streams are those of the vendors' own programs, of the versions that the images have, against a stand-in for their APIs.
func TestRealStreams(t *testing.T) {
	streams, err := filepath.Glob("testdata/transcript/*.jsonl")
	if err != nil || len(streams) < 9 {
		t.Fatalf("%q, %v", streams, err)
	}
	for _, file := range streams {
		t.Run(filepath.Base(file), func(t *testing.T) {
			stream, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			format, _, _ := strings.Cut(strings.TrimSuffix(filepath.Base(file), ".jsonl"), "-")
			report, _ := read(t, format, string(stream))
			got := text(t, report) + "\n"
			golden := strings.TrimSuffix(file, ".jsonl") + ".json"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("%s differs (go test ./runner/internal/agent -update, then look at it):\n%s", golden, got)
			}
		})
	}
}

// A run may be ended in the middle of anything.
func TestOpenCallsEndWithTheAgent(t *testing.T) {
	got, w := read(t, "claude", `{"type":"assistant","message":{"content":[{"type":"tool_use","id":"1","name":"Bash","input":{"command":"sleep 99"}}]}}`)
	want := []reports.Step{{Kind: reports.StepTool, AtMs: 1000, DurationMs: 1000, Tool: "Bash", Input: "sleep 99"}}
	if !reflect.DeepEqual(got.Steps, want) || !slices.Equal(w, watched{"began Bash", "ended tool Bash"}) {
		t.Errorf("%+v, told of %q", got.Steps, w)
	}
	got, _ = read(t, "gemini", `{"type":"message","role":"assistant","content":"I was ab","delta":true}`)
	if len(got.Steps) != 1 || got.Steps[0].Text != "I was ab" || got.Final != "I was ab" {
		t.Errorf("%+v", got)
	}
}

func TestOnlyObjectsAreTaken(t *testing.T) {
	for line, want := range map[string]bool{
		`{"type":"unknown"}`: true, ` {"type":7} ` + "\r\n": true, `{"type":"assistant","message":"text"}`: true,
		"": false, "npm warn": false, `["type"]`: false, `{"type":"result"`: false, "{}{}": false, `"text"`: false,
	} {
		if got := NewTranscript("claude", noon, &watched{}).Line([]byte(line), noon); got != want {
			t.Errorf("%q: %v", line, got)
		}
	}
	if NewTranscript("", noon, &watched{}) != nil || NewTranscript("aider", noon, &watched{}) != nil {
		t.Error("a format that is none has a reader")
	}
}

func TestOneFieldOfAnotherTypeCostsOnlyItself(t *testing.T) {
	got, _ := read(t, "claude", `{"type":"assistant","message":{"id":5,"content":[{"type":"text","text":"one"},{"type":7,"text":{}},{"type":"text","text":"two"}]}}`)
	if len(got.Steps) != 2 || got.Steps[1].Text != "two" {
		t.Errorf("%+v", got.Steps)
	}
}

func TestStoriesAreBounded(t *testing.T) {
	tr := NewTranscript("codex", noon, &watched{})
	const n = 2000
	for i := range n {
		tr.Line(fmt.Appendf(nil, `{"type":"item.completed","item":{"id":"%d","type":"agent_message","text":"%d"}}`, i, i), noon)
	}
	for i := range n {
		tr.Line(fmt.Appendf(nil, `{"type":"item.started","item":{"id":"c%d","type":"command_execution","command":"%d"}}`, i, i), noon)
	}
	r := tr.Report()
	if len(r.Steps) != reports.FirstSteps+reports.LastSteps || r.Omitted != 2*n-int64(len(r.Steps)) || r.Tools != n {
		t.Errorf("%d steps, %d omitted, %d tools", len(r.Steps), r.Omitted, r.Tools)
	}
	if got := r.Steps[reports.FirstSteps-1].Text; got != "199" {
		t.Errorf("the last one before the gap is %q", got)
	}
	if first, last := r.Steps[reports.FirstSteps].Input, r.Steps[len(r.Steps)-1].Input; first != "1700" || last != "1999" {
		t.Errorf("behind the gap: %q to %q", first, last)
	}
	if open := len(tr.story.open); open != maxOpenSteps {
		t.Errorf("%d are open", open)
	}
}

// TestLongLinesAreNotKept: of what makes a line long nothing stays, neither in a text that is short without its spaces nor in an id.
func TestLongLinesAreNotKept(t *testing.T) {
	const size, lines = 1 << 20, 60
	for name, line := range map[string]string{
		"a text of spaces": `{"type":"item.completed","item":{"id":"%[1]d","type":"agent_message","text":"%[2]sx"}}`,
		"an id":            `{"type":"item.started","item":{"id":"%[1]d%[2]s","type":"command_execution","command":"x"}}`,
		"a result":         `{"type":"item.completed","item":{"id":"%[1]d","type":"command_execution","command":"x","aggregated_output":"%[2]sx"}}`,
	} {
		tr := NewTranscript("codex", noon, &watched{})
		before := heap()
		for i := range lines {
			tr.Line(fmt.Appendf(nil, line, i, strings.Repeat(" ", size)), noon)
		}
		if kept := heap() - before; kept > 10*size {
			t.Errorf("%s: %d MB are kept of %d", name, kept>>20, lines*size>>20)
		}
		if n := len(tr.Report().Steps); n != lines {
			t.Errorf("%s: %d steps", name, n)
		}
	}
}

// TestCrowdedLinesAreNotRead: a list of nothing takes two bytes an element in a line, and hundreds when it is read.
func TestCrowdedLinesAreNotRead(t *testing.T) {
	const size = 8 << 20
	many := strings.Repeat("1,", size/2) + "1"
	for name, c := range map[string]struct{ format, line string }{
		"blocks":  {"claude", `{"type":"assistant","message":{"content":[` + many + `]}}`},
		"changes": {"codex", `{"type":"item.completed","item":{"type":"file_change","changes":[` + many + `]}}`},
		"tasks":   {"gemini", `{"type":"tool_use","tool_id":"1","parameters":{"todos":[` + many + `]}}`},
	} {
		line := []byte(c.line)
		tr := NewTranscript(c.format, noon, &watched{})
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if !tr.Line(line, noon) {
			t.Errorf("%s: a line of JSON is not taken", name)
		}
		runtime.ReadMemStats(&after)
		if took := after.TotalAlloc - before.TotalAlloc; took > size {
			t.Errorf("%s: %d MB took %d MB", name, size>>20, took>>20)
		}
	}
	commas := strings.Repeat(`,\",`, maxElements)
	got, _ := read(t, "claude", `{"type":"assistant","message":{"content":[{"type":"text","text":"`+commas+`"}]}}`)
	if len(got.Steps) != 1 {
		t.Errorf("control: commas of a text: %d steps", len(got.Steps))
	}
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func TestTextsAreCut(t *testing.T) {
	long := strings.Repeat("ä", maxStepText)
	item := map[string]any{"id": "1", "type": "command_execution", "command": long, "aggregated_output": "begin " + long + " end", "exit_code": 1}
	line, err := json.Marshal(map[string]any{"type": "item.completed", "item": item})
	if err != nil {
		t.Fatal(err)
	}
	got, _ := read(t, "codex", string(line))
	step := got.Steps[0]
	if len(step.Input) > maxStepInput || len(step.Result) > maxStepText+8 || !step.Cut {
		t.Errorf("%d and %d bytes, cut %v", len(step.Input), len(step.Result), step.Cut)
	}
	if !strings.HasPrefix(step.Result, "begin") || !strings.HasSuffix(step.Result, "end") || !utf8.ValidString(step.Result+step.Input) {
		t.Errorf("%.40q … %q", step.Result, step.Result[len(step.Result)-20:])
	}
}

func TestInputIsTheArgumentThatMatters(t *testing.T) {
	for arguments, want := range map[string]string{
		`{"description":"List files","command":"ls"}`:                                             "ls",
		`{"cmd":["bash","-lc","ls"]}`:                                                             "bash -lc ls",
		`{"file_path":"/a","content":"x"}`:                                                        "/a",
		`{"pattern":"f.*o","path":"src"}`:                                                         "f.*o in src",
		`{"prompt":"summarise","url":"https://a.test"}`:                                           "https://a.test",
		`{"todos":[{"content":"a","status":"completed"},{"content":"b","status":"in_progress"}]}`: "1 of 2 done: b",
		`{"x": {"y": [1, 2]}}`:                                                                    `{"x":{"y":[1,2]}}`,
		`{"command":""}`:                                                                          `{"command":""}`,
		`{}`:                                                                                      "", `null`: "", `"text"`: "text", ``: "", `{"`: "",
	} {
		if got := callInput(json.RawMessage(arguments)); got != want {
			t.Errorf("%s: %q, want %q", arguments, got, want)
		}
	}
}

func TestPlainCommand(t *testing.T) {
	for command, want := range map[string]string{
		"/bin/bash -lc 'ls | wc'":     "ls | wc",
		`bash -lc "ls"`:               "ls",
		"/usr/bin/zsh -c ls":          "ls",
		`bash -lc 'it'\''s'`:          `'it'\''s'`,
		`bash -lc "echo \"\$a\" \\n"`: `echo "$a" \n`,
		`bash -lc "a" "b"`:            `"a" "b"`,
		"bash -lc 'a\nb'":             "a\nb",
		"rebash -lc ls":               "rebash -lc ls",
		"":                            "",
		"bash -lc 'a' && echo 'b'":    "'a' && echo 'b'",
		"bash script.sh -lc 'text'":   "bash script.sh -lc 'text'",
	} {
		if got := plainCommand(command); got != want {
			t.Errorf("%q: %q, want %q", command, got, want)
		}
	}
}

func FuzzTranscript(f *testing.F) {
	for _, stream := range []string{claudeStream, codexStream, geminiStream} {
		f.Add([]byte(stream))
		for line := range strings.Lines(stream) {
			f.Add([]byte(line))
		}
	}
	files, err := filepath.Glob("testdata/transcript/*.jsonl")
	if err != nil || files == nil {
		f.Fatal(files, err)
	}
	for _, file := range files {
		stream, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(stream)
	}
	f.Fuzz(func(t *testing.T, stream []byte) {
		for _, format := range []string{"claude", "codex", "gemini"} {
			r, w := read(t, format, string(stream)+"\n"+string(stream))
			ended := 0
			for _, s := range w {
				if strings.HasPrefix(s, "ended") {
					ended++
				}
			}
			if ended != len(r.Steps)+int(r.Omitted) {
				t.Errorf("%s: told of %d ends, %d steps", format, ended, len(r.Steps))
			}
			for _, s := range r.Steps {
				if len(s.Text) > maxStepText || len(s.Result) > maxStepText+8 || len(s.Input) > maxStepInput || len(s.Tool) > maxToolName || s.Depth > 1 {
					t.Errorf("%s: %+v", format, s)
				}
				if s.AtMs < 0 || s.DurationMs < 0 {
					t.Errorf("%s: %d, %d", format, s.AtMs, s.DurationMs)
				}
			}
		}
	})
}

func text(t *testing.T, v any) string {
	t.Helper()
	b, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

const claudeStream = `{"type":"system","subtype":"init","model":"m","tools":["Bash"],"session_id":"s"}
{"type":"assistant","message":{"id":"a1","model":"m","content":[{"type":"thinking","thinking":"Let me look."}]},"parent_tool_use_id":null}
{"type":"assistant","message":{"id":"a1","model":"m","content":[{"type":"tool_use","id":"t1","name":"Bash","input":{"command":"ls -l"}}]}}
{"type":"user","message":{"role":"user","content":[{"type":"tool_result","tool_use_id":"t1","content":"a\nb","is_error":true}]}}
{"type":"assistant","message":{"id":"a2","model":"m","content":[{"type":"tool_use","id":"t2","name":"Task","input":{"description":"find it","prompt":"p"}}]}}
{"type":"assistant","message":{"id":"h1","model":"m","content":[{"type":"tool_use","id":"t3","name":"Grep","input":{"pattern":"TODO","path":"src"}}]},"parent_tool_use_id":"t2"}
{"type":"user","message":{"content":[{"type":"tool_result","tool_use_id":"t3","content":[{"type":"image"},{"type":"text","text":"src/a.go"}]}]},"parent_tool_use_id":"t2"}
{"type":"system","subtype":"api_retry","attempt":1,"max_retries":10,"retry_delay_ms":512.5,"error_status":529,"error":"overloaded"}
{"type":"user","message":{"content":[{"type":"tool_result","tool_use_id":"t2","content":[]}]}}
{"type":"assistant","message":{"id":"a2","model":"m","content":[{"type":"text","text":"All done."}]}}
{"type":"result","subtype":"success","is_error":false,"result":"All done.","num_turns":2,"total_cost_usd":0.01}
`

const codexStream = `{"type":"thread.started","thread_id":"t"}
{"type":"turn.started"}
{"type":"item.completed","item":{"id":"i0","type":"reasoning","text":"**Looking**"}}
{"type":"item.started","item":{"id":"i1","type":"todo_list","items":[{"text":"read","completed":false},{"text":"write","completed":false}]}}
{"type":"item.started","item":{"id":"i2","type":"command_execution","command":"/bin/bash -lc 'ls | wc'","aggregated_output":"","exit_code":null,"status":"in_progress"}}
{"type":"item.completed","item":{"id":"i2","type":"command_execution","command":"/bin/bash -lc 'ls | wc'","aggregated_output":"no such file\n","exit_code":2,"status":"failed"}}
{"type":"item.completed","item":{"id":"i3","type":"file_change","changes":[{"path":"a.txt","kind":"add"},{"path":"b.go","kind":"update"}],"status":"completed"}}
{"type":"error","message":"Reconnecting... 1/5"}
{"type":"item.started","item":{"id":"i4","type":"mcp_tool_call","server":"files","tool":"read","arguments":{"path":"x"},"status":"in_progress"}}
{"type":"item.completed","item":{"id":"i4","type":"mcp_tool_call","server":"files","tool":"read","arguments":{"path":"x"},"result":{"content":[{"type":"text","text":"text"}]},"status":"completed"}}
{"type":"item.completed","item":{"id":"i5","type":"agent_message","text":"Done."}}
{"type":"item.completed","item":{"id":"i1","type":"todo_list","items":[{"text":"read","completed":false},{"text":"write","completed":false}]}}
{"type":"turn.completed","usage":{"input_tokens":1,"cached_input_tokens":0,"output_tokens":1}}
`

const geminiStream = `{"type":"init","timestamp":"2026-05-04T12:00:00Z","session_id":"s","model":"m"}
{"type":"message","role":"user","content":"do it"}
{"type":"message","role":"assistant","content":"I will ","delta":true}
{"type":"message","role":"assistant","content":"look.\n","delta":true}
{"type":"tool_use","tool_name":"run_shell_command","tool_id":"1","parameters":{"command":"ls","description":"list"}}
{"type":"tool_use","tool_name":"write_file","tool_id":"2","parameters":{"file_path":"/workspace/a","content":"x"}}
{"type":"tool_result","tool_id":"1","status":"success","output":"a"}
{"type":"tool_result","tool_id":"2","status":"error","error":{"type":"x","message":"denied"}}
{"type":"error","severity":"warning","message":"Loop detected, stopping execution"}
{"type":"message","role":"assistant","content":"It is done.","delta":true}
{"type":"result","status":"success","stats":{"total_tokens":3}}
`
