package model

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/yolo-run/yolo-run/reports"
)

func TestAnUpstreamThatRepeatsTheKeyGivesItAwayToNobody(t *testing.T) {
	r := newRig(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Request-Id", "req "+canary)
		w.Header().Set("X-Other", canary)
		w.Header().Set("Set-Cookie", "key="+canary)
		w.Header().Set("X-Request-Id", "kept")
		w.WriteHeader(http.StatusForbidden)
		for _, part := range []string{"you sent " + canary[:5], canary[5:] + " and " + canary, " sk-can"} {
			_, _ = io.WriteString(w, part)
			w.(http.Flusher).Flush()
		}
	})
	got := r.do("POST", "/anthropic/v1/messages", anthropicBody)
	if got.status != http.StatusForbidden || !strings.HasPrefix(got.body, "you sent ***") || !strings.HasSuffix(got.body, "** sk-can") || got.header.Get("X-Request-Id") != "kept" {
		t.Errorf("control: %d %q %v", got.status, got.body, got.header)
	}
	everything := fmt.Sprintf("%+v %+v", got, r.recorded(1))
	if strings.Contains(everything, canary) {
		t.Errorf("the key is in %s", everything)
	}
	if got.header.Get("Set-Cookie") != "" || got.header.Get("Request-Id") != "" {
		t.Errorf("header %v", got.header)
	}
}

func TestAnUpstreamThatSpeaksNoHTTPGivesTheKeyAwayToNobody(t *testing.T) {
	r := newRig(t, func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err == nil {
			_, _ = io.WriteString(conn, "HTTP/1.1 "+canary+"\r\n\r\n")
			conn.Close()
		}
	})
	got := r.do("POST", "/anthropic/v1/messages", anthropicBody)
	if got.status != http.StatusBadGateway || !strings.Contains(got.body, "malformed") {
		t.Errorf("control: %+v", got)
	}
	if everything := fmt.Sprintf("%+v %+v", got, r.recorded(1)); strings.Contains(everything, canary) {
		t.Errorf("the key is in %s", everything)
	}
}

func TestResponsesThatLeadElsewhere(t *testing.T) {
	tests := map[string]http.HandlerFunc{
		"redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://evil.example/", http.StatusTemporaryRedirect)
		},
		"packed": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = io.WriteString(w, "x")
		},
	}
	for name, handler := range tests {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, handler)
			got := r.do("POST", "/openai/v1/responses", openaiBody)
			if got.status != http.StatusBadGateway || got.header.Get("Location") != "" || !strings.Contains(got.body, "yolo-run: ") {
				t.Errorf("%d %v %s", got.status, got.header, got.body)
			}
			if e := r.last(1); e.Verdict != reports.Allow || e.Status != http.StatusBadGateway || e.Reason == "" {
				t.Errorf("event %+v", e)
			}
		})
	}
}

func TestARefusedKeyIsNothingToTryAgain(t *testing.T) {
	for _, tt := range []struct {
		path, body   string
		vendor, want int
	}{
		{"/anthropic/v1/messages", anthropicBody, http.StatusUnauthorized, http.StatusForbidden},
		{"/openai/v1/responses", openaiBody, http.StatusUnauthorized, http.StatusBadRequest},
		{"/anthropic/v1/messages", anthropicBody, http.StatusTooManyRequests, http.StatusTooManyRequests},
	} {
		r := newRig(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(tt.vendor)
			fmt.Fprint(w, "no")
		})
		got := r.do("POST", tt.path, tt.body)
		e := r.last(1)
		if got.status != tt.want || got.body != "no" || e.Status != tt.vendor || strings.Contains(e.Reason, "refused the key") != (tt.vendor == http.StatusUnauthorized) {
			t.Errorf("%d: the agent is told %d %q, the record says %d because of %q", tt.vendor, got.status, got.body, e.Status, e.Reason)
		}
	}
}

func TestAStreamIsHandedOnAsItComes(t *testing.T) {
	next := make(chan string)
	r := newRig(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		w.(http.Flusher).Flush()
		for part := range next {
			_, _ = io.WriteString(w, part)
			w.(http.Flusher).Flush()
		}
	})
	resp, err := http.Post(r.url+"/anthropic/v1/messages", "application/json", strings.NewReader(anthropicBody))
	if err != nil {
		t.Fatal(err) // the header came before the first piece
	}
	defer resp.Body.Close()
	for _, part := range []string{"event: ping\n", "data: {}\n\n", "sk-can", "x\n"} {
		next <- part
		if strings.HasPrefix(part, "sk-") {
			continue // it may be the beginning of the key: it comes with what follows
		}
		if part == "x\n" {
			part = "sk-canx\n"
		}
		got := make([]byte, len(part))
		if _, err := io.ReadFull(resp.Body, got); err != nil || string(got) != part {
			t.Fatalf("got %q, %v; want %q", got, err, part)
		}
	}
	close(next)
	if rest, err := io.ReadAll(resp.Body); err != nil || len(rest) != 0 {
		t.Errorf("rest %q, %v", rest, err)
	}
}

func TestAStreamThatBreaksDoesNotLookWhole(t *testing.T) {
	r := newRig(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "half")
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	})
	resp, err := http.Post(r.url+"/openai/v1/responses", "application/json", strings.NewReader(openaiBody))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if got, err := io.ReadAll(resp.Body); err == nil {
		t.Errorf("%q looks whole", got)
	}
	if e := r.last(1); e.Reason == "" || e.BytesIn != 4 {
		t.Errorf("event %+v", e)
	}
}

func TestAClientThatLeavesCancelsItsRequest(t *testing.T) {
	arrived, cancelled := make(chan struct{}), make(chan struct{})
	r := newRig(t, func(_ http.ResponseWriter, req *http.Request) {
		close(arrived)
		<-req.Context().Done()
		close(cancelled)
	})
	ctx, cancel := context.WithCancel(t.Context())
	req, _ := http.NewRequestWithContext(ctx, "POST", r.url+"/openai/v1/responses", strings.NewReader(openaiBody))
	done := make(chan struct{})
	go func() {
		defer close(done)
		if resp, err := http.DefaultTransport.RoundTrip(req); err == nil {
			resp.Body.Close()
			t.Error("a response to nobody")
		}
	}()
	<-arrived
	cancel()
	select {
	case <-cancelled:
	case <-time.After(patience):
		t.Fatal("the upstream was left working")
	}
	<-done
	r.last(1)
}
