package gateway

import (
	"errors"
	"testing"
	"time"

	"github.com/yolo-run/yolo-run/entrypoint/wire"
)

func TestDiskIsReportedOnceWhenItFallsBelowTheBound(t *testing.T) {
	tests := map[string]struct {
		free []int64 // answers in turn; -1 is an error
		sent int64   // 0 for nothing
	}{
		"low at once":      {[]int64{99}, 99},
		"falls":            {[]int64{500, 100, 98, 97}, 98},
		"cannot be asked":  {[]int64{500, -1, 1}, 0},
		"exactly at bound": {[]int64{100, 100, -1}, 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			tick := make(chan time.Time, 10)
			for range cap(tick) {
				tick <- time.Time{}
			}
			next := 0
			free := func() (int64, error) {
				n := test.free[next]
				next++
				if n < 0 {
					return 0, errors.New("no such device")
				}
				return n, nil
			}
			var sent []int64
			send := func(v any) error {
				sent = append(sent, v.(wire.GatewayMessage).Disk.FreeBytes)
				return nil
			}
			if err := watchDisk(t.Context(), 100, tick, free, send); err != nil {
				t.Fatal(err)
			}
			if test.sent == 0 && len(sent) != 0 || test.sent != 0 && (len(sent) != 1 || sent[0] != test.sent) {
				t.Errorf("sent %v, want %d", sent, test.sent)
			}
		})
	}
}

func TestFreeDisk(t *testing.T) {
	if n, err := freeDisk(t.TempDir()); err != nil || n <= 0 {
		t.Errorf("got %d, %v", n, err)
	}
	if _, err := freeDisk("/no/such/folder"); err == nil {
		t.Error("no error for a folder that does not exist")
	}
}
