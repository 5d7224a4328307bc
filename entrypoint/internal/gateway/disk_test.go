package gateway

import (
	"errors"
	"math"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/yolo-run/yolo-run/entrypoint/wire"
)

func TestDiskIsReportedOnceWhenItFallsBelowTheBound(t *testing.T) {
	tests := map[string]struct {
		free []int64 // answers in turn; -1 is an error
		sent int64   // 0 for nothing
	}{
		"no inode":         {[]int64{500, noFiles}, noFiles},
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
			free := func() (wire.Disk, error) {
				n := test.free[next]
				next++
				if n < 0 {
					return wire.Disk{}, errors.New("no such device")
				}
				return wire.Disk{FreeBytes: n, NoFiles: n == noFiles}, nil
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

// noFiles is an answer with bytes and without inodes.
const noFiles = 12345

func TestDiskOf(t *testing.T) {
	tests := map[string]struct {
		stat unix.Statfs_t
		want wire.Disk
	}{
		"enough":           {unix.Statfs_t{Bsize: 4096, Bavail: 2, Files: 1000, Ffree: 10}, wire.Disk{FreeBytes: 8192}},
		"no inodes":        {unix.Statfs_t{Bsize: 4096, Bavail: 2, Files: 1000, Ffree: 9}, wire.Disk{FreeBytes: 8192, NoFiles: true}},
		"inodes unbounded": {unix.Statfs_t{Bsize: 4096, Bavail: 2}, wire.Disk{FreeBytes: 8192}},
		"beyond counting":  {unix.Statfs_t{Bsize: 4096, Bavail: math.MaxUint64}, wire.Disk{FreeBytes: math.MaxInt64}},
	}
	for name, test := range tests {
		if got := diskOf(test.stat); got != test.want {
			t.Errorf("%s: got %+v, want %+v", name, got, test.want)
		}
	}
}

func TestFreeDisk(t *testing.T) {
	if d, err := freeDisk(t.TempDir()); err != nil || d.FreeBytes <= 0 {
		t.Errorf("got %+v, %v", d, err)
	}
	if _, err := freeDisk("/no/such/folder"); err == nil {
		t.Error("no error for a folder that does not exist")
	}
}
