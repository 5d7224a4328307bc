// Package vendor stands in for the APIs of models' vendors in tests: it answers as they do, from a script, and writes down what it was asked.
//
// One server holds many sessions, so that tests can run at once. A session is the first element of the path, and what follows is the vendor's:
//
//	PUT  /control/NAME                  a [Script]: begins the session anew
//	GET  /control/NAME                  the [Log] of the session; with ?asked once there is a request in it
//	     /NAME/v1/messages              Anthropic
//	     /NAME/v1/responses             OpenAI, also /v1/chat/completions
//	     /NAME/v1beta/models/M:METHOD   Gemini
//
// Invariant: a request without the right key is refused as the vendor refuses it, and takes no turn of the script.
package vendor

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
)

// Script is what the model will say. A request that offers no tools is a side errand of the agent's (a title, a guess) and takes no turn.
type Script struct {
	// Key must come with every request, in the vendor's own header.
	Key string `json:"key"`
	// Beta must be among the values of anthropic-beta.
	Beta  string `json:"beta,omitempty"`
	Turns []Turn `json:"turns"`
	// Repeat gives the last turn again and again; else the model says that it is done.
	Repeat bool `json:"repeat,omitempty"`
}

// Turn is one answer of the model: an error if Status is set, else what it thinks, says and calls.
type Turn struct {
	Thinking string `json:"thinking,omitempty"`
	Text     string `json:"text,omitempty"`
	Pad      int    `json:"pad,omitempty"` // so many bytes of further text
	Calls    []Call `json:"calls,omitempty"`
	Usage    Usage  `json:"usage"`
	Fault    Fault  `json:"fault,omitempty"`

	Status     int    `json:"status,omitempty"`
	Message    string `json:"message,omitempty"`    // of the error
	RetryAfter string `json:"retryAfter,omitempty"` // header of the error
}

// Fault is how an answer goes wrong after its first half.
type Fault string

// The faults of a [Turn].
const (
	Hang  Fault = "hang"  // nothing more comes
	Abort Fault = "abort" // the connection is cut
	Wait  Fault = "wait"  // the rest comes when the session begins anew
)

// Call is a call of a tool: Shell or File and Content in terms of whatever tool the agent offers for that, or Tool as it is.
type Call struct {
	Shell   string          `json:"shell,omitempty"`
	File    string          `json:"file,omitempty"` // an absolute path
	Content string          `json:"content,omitempty"`
	Tool    string          `json:"tool,omitempty"`
	Input   json.RawMessage `json:"input,omitempty"`
}

// Usage is what a turn costs, in tokens that overlap nowhere; each vendor adds them up in its own way.
type Usage struct {
	Input      int64 `json:"input,omitempty"` // neither from a cache nor into one
	CacheRead  int64 `json:"cacheRead,omitempty"`
	CacheWrite int64 `json:"cacheWrite,omitempty"` // Anthropic's and OpenAI's
	Output     int64 `json:"output,omitempty"`
	Reasoning  int64 `json:"reasoning,omitempty"`
}

// ErrandUsage is what a side errand costs.
var ErrandUsage = Usage{Input: 11, Output: 3}

// Log is what a session was asked.
type Log struct {
	Requests []Request `json:"requests"`
}

// Request is one request as it came.
type Request struct {
	Method string      `json:"method"`
	Path   string      `json:"path"` // with the query, without the session's name
	Host   string      `json:"host"`
	Header http.Header `json:"header"`
	Body   string      `json:"body"`
	Status int         `json:"status"` // of the answer
	Errand bool        `json:"errand"`
	// Ended: the whole answer was written. False while it lasts, and for one that was cut off by either side.
	Ended bool `json:"ended"`
}

// Server is an [http.Handler] that serves sessions; its zero value is ready.
type Server struct {
	mu       sync.Mutex
	sessions map[string]*session
}

var _ http.Handler = (*Server)(nil)

// session is one script and how far it came.
type session struct {
	script Script
	over   chan struct{} // closed when the session began anew
	asked  chan struct{} // closed when the first request came

	mu   sync.Mutex
	next int
	log  []*Request
	ids  int
}

func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	if name == "control" {
		s.control(w, r, rest)
		return
	}
	session := s.session(name)
	if session == nil {
		http.Error(w, "no such session", http.StatusNotFound)
		return
	}
	session.serve(w, r, "/"+rest)
}

func (s *Server) session(name string) *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sessions[name]
}

func (s *Server) control(w http.ResponseWriter, r *http.Request, name string) {
	if r.Method == http.MethodPut {
		var script Script
		if err := json.NewDecoder(r.Body).Decode(&script); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.sessions == nil {
			s.sessions = map[string]*session{}
		}
		if old := s.sessions[name]; old != nil {
			close(old.over)
		}
		s.sessions[name] = &session{script: script, over: make(chan struct{}), asked: make(chan struct{})}
		return
	}
	session := s.session(name)
	if session == nil {
		http.Error(w, "no such session", http.StatusNotFound)
		return
	}
	if r.URL.Query().Has("asked") {
		select {
		case <-session.asked:
		case <-r.Context().Done():
			return
		}
	}
	session.mu.Lock()
	defer session.mu.Unlock()
	log := Log{Requests: []Request{}}
	for _, seen := range session.log {
		log.Requests = append(log.Requests, *seen)
	}
	writeJSON(w, http.StatusOK, log)
}

// maxBody is more than any vendor takes.
const maxBody = 64 << 20

func (s *session) serve(w http.ResponseWriter, r *http.Request, path string) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
		return
	}
	if r.URL.RawQuery != "" {
		path += "?" + r.URL.RawQuery
	}
	seen := &Request{Method: r.Method, Path: path, Host: r.Host, Header: r.Header.Clone(), Body: string(body)}
	s.mu.Lock()
	if s.log = append(s.log, seen); len(s.log) == 1 {
		close(s.asked)
	}
	s.mu.Unlock()

	answer := &answer{ResponseWriter: w, request: r, session: s, seen: seen, body: body}
	answer.route(r.Method, strings.SplitN(path, "?", 2)[0])
	s.mu.Lock()
	defer s.mu.Unlock()
	seen.Ended = true // what cuts an answer off panics
}

// turn takes the next turn of the script.
func (s *session) turn() Turn {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.next < len(s.script.Turns) {
		s.next++
		return s.script.Turns[s.next-1]
	}
	if n := len(s.script.Turns); s.script.Repeat && n > 0 {
		return s.script.Turns[n-1]
	}
	return Turn{Text: "That was all.", Usage: ErrandUsage}
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(v); err != nil {
		panic(http.ErrAbortHandler)
	}
}
