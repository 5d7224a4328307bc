package reports

// Transcript is what the agent said and did, as its own JSON stream tells it (transcript.jsonl has that as it came). The agent could have
// written anything: all of it is untrusted, and bounded.
type Transcript struct {
	// Format is the stream's: claude, codex or gemini; empty for agents that print text.
	Format string `json:"format,omitempty"`
	Turns  int64  `json:"turns"` // answers of the model
	Tools  int64  `json:"tools"` // calls of tools
	// Final is the agent's last message.
	Final string `json:"final,omitempty"`
	// Error is what the agent says it failed with.
	Error string `json:"error,omitempty"`
	Steps []Step `json:"steps"`
	// Omitted steps, between the first and the last ones, are not listed.
	Omitted int64 `json:"omitted,omitempty"`
}

// How many steps are listed at the beginning and at the end of [Transcript.Steps]. Where some are omitted there are as many before the gap
// as FirstSteps.
const (
	FirstSteps = 200
	LastSteps  = 300
)

// StepKind says what a [Step] is.
type StepKind string

// The kinds of a [Step].
const (
	StepText     StepKind = "text"     // the model spoke
	StepThinking StepKind = "thinking" // the model thought aloud
	StepTool     StepKind = "tool"     // a tool was called
	StepError    StepKind = "error"    // the agent reported a fault: a request that failed, a limit
)

// Step is one thing that the agent did.
type Step struct {
	Kind StepKind `json:"kind"`
	// AtMs is when it began, since the agent's start; DurationMs is how long the tool took.
	AtMs       int64  `json:"atMs"`
	DurationMs int64  `json:"durationMs,omitempty"`
	Tool       string `json:"tool,omitempty"`   // as the agent calls it: Bash, apply_patch, …
	Input      string `json:"input,omitempty"`  // what the tool was called with, in one line where it has one: a command, a path
	Result     string `json:"result,omitempty"` // what the tool answered
	Failed     bool   `json:"failed,omitempty"`
	Text       string `json:"text,omitempty"` // of text, thinking and error
	// Cut: a text of this step was longer and was cut.
	Cut bool `json:"cut,omitempty"`
	// Depth is 1 for a step of an agent's helper, 0 else.
	Depth int `json:"depth,omitempty"`
}
