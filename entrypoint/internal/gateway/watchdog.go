package gateway

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/yolo-run/yolo-run/entrypoint/wire"
)

// watchdog ends the gateway, and with it every process of the run, when nobody watches the run any more. An end of file on standard input is
// not enough: after kill -9 of the engine the shim holds it open.
type watchdog struct {
	timeout  time.Duration // longest silence of the runner
	deadline time.Duration // from now, whatever happens; 0 for none
}

// watch reads requests until the runner asks to finish (then nil) or is gone (then the reason).
func (w watchdog) watch(requests *wire.Reader) error {
	lines := make(chan error)
	done := make(chan struct{})
	defer close(done)
	go readRequests(requests, lines, done)

	silence := time.NewTimer(w.timeout)
	defer silence.Stop()
	var deadline <-chan time.Time
	if w.deadline > 0 {
		timer := time.NewTimer(w.deadline)
		defer timer.Stop()
		deadline = timer.C
	}
	for {
		select {
		case err := <-lines:
			if errors.Is(err, errFinish) {
				return nil
			}
			if err != nil {
				return &stageError{"heartbeat", err}
			}
			silence.Reset(w.timeout)
		case <-silence.C:
			return &stageError{"heartbeat", fmt.Errorf("nothing from the runner for %v", w.timeout)}
		case <-deadline:
			return &stageError{"deadline", fmt.Errorf("the run is older than %v", w.deadline)}
		}
	}
}

var errFinish = errors.New("finish")

// readRequests reports each line: nil for a heartbeat, errFinish, or why reading ended. It is left blocked in a read when the process
// exits: there is no other way to end it.
func readRequests(requests *wire.Reader, lines chan<- error, done <-chan struct{}) {
	for {
		var r wire.GatewayRequest
		err := requests.Next(&r)
		switch {
		case errors.Is(err, io.EOF):
			err = errors.New("the runner has closed its end")
		case err != nil:
		case r.Type == wire.TypeFinish:
			err = errFinish
		case r.Type != wire.TypeHeartbeat:
			err = fmt.Errorf("unexpected request %q", r.Type)
		}
		select {
		case lines <- err:
		case <-done:
			return
		}
		if err != nil {
			return
		}
	}
}
