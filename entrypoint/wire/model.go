package wire

// ModelAPI is one model's API that the gateway serves to the agent at http://[Ready.ModelAddr]/NAME. The agent never sees what Headers hold.
type ModelAPI struct {
	// Name is the first element of the path on loopback, and what reports call it: anthropic, openai, gemini, or one of the user's.
	Name string `json:"name"`
	// Dialect says which methods and paths are open, how bodies are checked and where the usage stands.
	Dialect Dialect `json:"dialect"`
	// Upstream is the base URL that the rest of the path is appended to, such as https://api.anthropic.com.
	Upstream string `json:"upstream"`
	// Trusted: the user named the upstream, so that it may be a private address, the host, or a name of the container network.
	Trusted bool `json:"trusted,omitempty"`
	// Headers are set on every request; the values are secret.
	Headers []Header `json:"headers,omitempty"`
	// Beta are values added to the request's anthropic-beta header.
	Beta []string `json:"beta,omitempty"`
}

// Header is one line of a request's head.
type Header struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Dialect is the shape of an API.
type Dialect string

// The dialects that the gateway can check and meter.
const (
	Anthropic Dialect = "anthropic" // /v1/messages
	OpenAI    Dialect = "openai"    // /v1/responses, /v1/chat/completions
	Gemini    Dialect = "gemini"    // /v1beta/models/NAME:generateContent
)

// Budget is what a run may ask of models; 0 is no bound.
type Budget struct {
	MaxTokens   int64   `json:"maxTokens,omitempty"` // input (cached included) and output
	MaxRequests int64   `json:"maxRequests,omitempty"`
	MaxCostUSD  float64 `json:"maxCostUsd,omitempty"`
}

// Price is what a model costs, in US dollars per million tokens. A row holds for the models whose name is Model, or begins with it and goes
// on with the date or number of a release after one of "-", "@", ":" (the longest such row wins), and for prompts of more than Above tokens
// (the highest such row wins): [FindPrice].
type Price struct {
	Model        string  `json:"model"`
	Above        int64   `json:"above,omitempty"`
	Input        float64 `json:"input"`
	CachedInput  float64 `json:"cachedInput"`
	CacheWrite   float64 `json:"cacheWrite"`   // kept for five minutes, or however long the vendor does by itself
	CacheWrite1h float64 `json:"cacheWrite1h"` // kept for an hour
	Output       float64 `json:"output"`
	// MaxOutput is how many tokens one answer can have at most.
	MaxOutput int64 `json:"maxOutput,omitempty"`
}

// BudgetSpent says that a request was refused because the budget is used up: the agent cannot go on.
type BudgetSpent struct {
	Option string `json:"option"` // --max-tokens, --max-requests, --max-cost-usd
	Reason string `json:"reason"`
}
