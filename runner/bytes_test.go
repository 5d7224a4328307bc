package runner_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/yolo-run/yolo-run/runner"
)

func TestParseBytes(t *testing.T) {
	for _, tc := range []struct {
		in   string
		want runner.Bytes
	}{
		{"0", 0},
		{"1000", 1000},
		{"1b", 1},
		{"512m", 512 << 20},
		{"512M", 512 << 20},
		{"6g", 6 << 30},
		{"6GB", 6 << 30},
		{"4MiB", 4 << 20},
		{"4 MiB", 4 << 20},
		{" 4mb\n", 4 << 20},
		{"1.5g", 3 << 29},
		{"0.1k", 102},
		{"2t", 2 << 40},
		{"9223372036854775807", 1<<63 - 1},
	} {
		got, err := runner.ParseBytes(tc.in)
		if err != nil || got != tc.want {
			t.Errorf("ParseBytes(%q) = %d, %v, want %d", tc.in, got, err, tc.want)
		}
	}
	for _, in := range []string{
		"", " ", "g", "6x", "-1", "+1", "6 g b", "0x10", "1e9", "1/2", "1_000", "..", "1.2.3", "∞", "6gg", "9223372036854775808", "8388608t", "nan",
	} {
		if got, err := runner.ParseBytes(in); err == nil {
			t.Errorf("ParseBytes(%q) = %d, want an error", in, got)
		}
	}
}

func TestBytesReadBackWhatTheyWrite(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := runner.Bytes(rapid.Int64Min(0).Draw(t, "bytes"))
		got, err := runner.ParseBytes(want.String())
		if err != nil || got != want {
			t.Fatalf("%d is written as %q and read as %d, %v", want, want, got, err)
		}
	})
}

func TestBytesForPeople(t *testing.T) {
	for _, tc := range []struct {
		bytes runner.Bytes
		want  string
	}{
		{0, "0 B"}, {700, "700 B"}, {1 << 10, "1 KiB"}, {1536 << 10, "1.5 MiB"}, {6 << 30, "6 GiB"}, {1 << 40, "1 TiB"},
	} {
		if got := tc.bytes.Human(); got != tc.want {
			t.Errorf("%d is shown as %q, want %q", tc.bytes, got, tc.want)
		}
	}
}
