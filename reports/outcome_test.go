package reports

import "testing"

func TestExitCode(t *testing.T) {
	tests := []struct {
		outcome Outcome
		signal  int
		want    int
	}{
		{Success, 0, 0},
		{NoChanges, 0, 0},
		{AgentFailed, 0, 1},
		{PolicyFailed, 0, 3},
		{Budget, 0, 4},
		{Timeout, 0, 124},
		{Infrastructure, 0, 125},
		{Cancelled, 2, 130},
		{Cancelled, 15, 143},
		{Cancelled, 0, 130},
		{Success, 15, 0}, // a signal that came too late to cancel anything
		{"", 0, 125},
		{"succes", 0, 125},
	}
	for _, tt := range tests {
		if got := tt.outcome.ExitCode(tt.signal); got != tt.want {
			t.Errorf("%q with signal %d: exit code %d, want %d", tt.outcome, tt.signal, got, tt.want)
		}
	}
}
