package reports

// The exit codes of yolo-run. 124 and 125 are those of timeout(1) and docker run.
const (
	exitOK             = 0
	exitAgentFailed    = 1
	exitPolicy         = 3
	exitBudget         = 4
	exitTimeout        = 124
	exitInfrastructure = 125
	exitSignal         = 128 // plus the signal's number
	sigint             = 2
)

// ExitCode returns the code that yolo-run exits with. signal is the number of the one that cancelled the run; it is looked at for
// [Cancelled] only, and 0 counts as SIGINT. An unknown outcome is an infrastructure failure: it must not look like success.
func (o Outcome) ExitCode(signal int) int {
	switch o {
	case Success, NoChanges:
		return exitOK
	case AgentFailed:
		return exitAgentFailed
	case PolicyFailed:
		return exitPolicy
	case Budget:
		return exitBudget
	case Timeout:
		return exitTimeout
	case Cancelled:
		if signal <= 0 {
			signal = sigint
		}
		return exitSignal + signal
	default:
		return exitInfrastructure
	}
}
