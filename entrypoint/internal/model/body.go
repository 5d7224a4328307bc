package model

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"golang.org/x/sync/semaphore"
)

const (
	// maxBody is more than any vendor takes (Anthropic 32 MiB, OpenAI 50, Gemini 100 with what stands inline).
	maxBody = 128 << 20
	// maxBodies bounds all bodies that are held at once; the gateway's memory limit has room for them and for what is made of them.
	maxBodies = 144 << 20
	// firstBody is what is set aside for a body of unknown length.
	firstBody = 4 << 20
	// bodyTime is how long a client may take to send one.
	bodyTime = 2 * time.Minute
	// maxChecks is how many bodies are checked at once.
	maxChecks = 2
	// maxFree is how many requests that cost nothing may be under way.
	maxFree = 8
)

// bodies bounds the memory of requests. Who does not fit waits.
type bodies struct{ *semaphore.Weighted }

func newBodies() *bodies { return &bodies{semaphore.NewWeighted(maxBodies)} }

// read takes a whole body into memory. release gives its memory back; it is never nil.
func (b *bodies) read(ctx context.Context, w http.ResponseWriter, r *http.Request) (body []byte, release func(), f *fault) {
	var held int64
	release = func() { b.Release(held) }
	first := r.ContentLength
	switch {
	case first > maxBody:
		return nil, release, tooLarge()
	case first < 0:
		first = firstBody
	}
	if err := b.Acquire(ctx, first); err != nil {
		return nil, release, gone()
	}
	held = first
	control := http.NewResponseController(w)
	if err := control.SetReadDeadline(time.Now().Add(bodyTime)); err != nil {
		return nil, release, gone()
	}
	body = make([]byte, 0, first+1) // one more, or the end could not be seen without growing
	for {
		n, err := r.Body.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		switch {
		case errors.Is(err, io.EOF):
			// Without a deadline again: the connection is now watched for the client's leaving.
			if err := control.SetReadDeadline(time.Time{}); err != nil {
				return nil, release, gone()
			}
			return body, release, nil
		case err != nil:
			return nil, release, &fault{status: http.StatusBadRequest, reason: "the request's body did not come whole"}
		case len(body) > maxBody:
			return nil, release, tooLarge()
		case len(body) < cap(body):
			continue
		}
		more := int64(cap(body))
		if !b.TryAcquire(more) { // whoever waits here, holding memory, could wait for ever
			return nil, release, &fault{status: http.StatusServiceUnavailable, reason: "too many large requests at once"}
		}
		held += more
		body = append(make([]byte, 0, 2*cap(body)), body...)
	}
}

func tooLarge() *fault {
	return denied(http.StatusRequestEntityTooLarge, fmt.Sprintf("the request's body is larger than %d MiB", maxBody>>20))
}

// gone is nobody's answer: the client left, or the run ends.
func gone() *fault {
	return &fault{status: http.StatusServiceUnavailable, reason: "the client went away, or the run ends"}
}
