package render

import (
	"fmt"
	"math"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/yolo-run/yolo-run/reports"
)

// Headline says in one sentence how the run ended. It holds text of the report and must be escaped like it.
func Headline(r *reports.Report) string {
	changed := changes(r.Changes)
	switch r.Outcome {
	case reports.Success:
		return "The agent finished and " + changed
	case reports.NoChanges:
		return "The agent finished and changed nothing"
	case reports.AgentFailed:
		return "The agent " + agentEnd(r) + " and " + changed
	case reports.PolicyFailed:
		if !r.Gate.Passed {
			return "The patch did not pass the gate; the agent " + changed
		}
		return "The run ended against a rule of --fail-on; the agent " + changed
	case reports.Budget:
		return "The model's budget was used up; the agent " + changed
	case reports.Timeout:
		return fmt.Sprintf("The agent was stopped at the time limit of %s (--timeout) and %s", duration(r.Sandbox.Limits.TimeoutMs), changed)
	case reports.Cancelled:
		return "The run was cancelled; the agent " + changed
	default:
		return "The sandbox could not do its work; this says nothing about the agent"
	}
}

// agentEnd completes "The agent …".
func agentEnd(r *reports.Report) string {
	a := r.Agent
	switch {
	case a.OOMKilled && r.Sandbox.Limits.MemoryBytes > 0:
		return "was killed because it ran out of memory, limit " + size(r.Sandbox.Limits.MemoryBytes) + ","
	case a.OOMKilled:
		return "was killed because it ran out of memory"
	case a.Signal != "":
		return "was ended by " + a.Signal
	case a.ExitCode != nil && *a.ExitCode != 0:
		return fmt.Sprintf("failed with exit code %d", *a.ExitCode)
	default:
		return "did not end by itself"
	}
}

// changes completes "The agent …".
func changes(c reports.Changes) string {
	if len(c.Files) == 0 {
		return "changed nothing"
	}
	return "changed " + plural(int64(len(c.Files)), "file") + " " + lines(c.Insertions, c.Deletions)
}

// Attempts says how many attempts the firewall stopped or would have stopped, empty when none.
func Attempts(n reports.Network) string {
	var parts []string
	if n.Denied > 0 {
		parts = append(parts, plural(n.Denied, "attempt")+" to reach the network denied")
	}
	if n.WouldDeny > 0 {
		parts = append(parts, plural(n.WouldDeny, "attempt")+" passed that would be denied in enforce mode")
	}
	return strings.Join(parts, ", ")
}

// incomplete is shown wherever the network is, when its record cannot be relied on to be whole.
const incomplete = "The record of the network is not complete: the gateway did not say its last word, or events and counters disagree."

// doubtful reports whether a reader must be told that the record is [incomplete]. Where the sandbox was never ready there is none.
func doubtful(r *reports.Report) bool {
	return !r.Network.Complete && (r.Outcome != reports.Infrastructure || len(r.Network.Destinations) > 0)
}

// Target is host:port, or what there is of it. It is not escaped.
func Target(d reports.Destination) string {
	host := d.Name
	if host == "" {
		host = d.Addr
	}
	switch {
	case d.Folded:
		return "further destinations"
	case host == "":
		host = "(unknown)"
	case d.Port == 0:
	default:
		return net.JoinHostPort(host, strconv.Itoa(d.Port))
	}
	return host
}

// Command is what a process is called by: its command line, else its executable. It is not escaped.
func Command(p reports.Process) string {
	if p.Cmdline != "" {
		return p.Cmdline
	}
	return p.Exe
}

func lines(insertions, deletions int64) string {
	return fmt.Sprintf("(+%s -%s)", count(insertions), count(deletions))
}

func plural(n int64, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return count(n) + " " + noun
}

// count writes 1234567 as 1,234,567.
func count(n int64) string {
	s := strconv.FormatInt(n, 10)
	start := 0
	if n < 0 {
		start = 1
	}
	for i := len(s) - 3; i > start; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// size writes bytes in binary multiples with at most one decimal.
func size(n int64) string {
	const units = "KMGTPE"
	if n < 1<<10 {
		return strconv.FormatInt(n, 10) + " B"
	}
	f, u := float64(n)/(1<<10), 0
	for f >= 1<<10 && u < len(units)-1 {
		f /= 1 << 10
		u++
	}
	return strings.TrimSuffix(strconv.FormatFloat(f, 'f', 1, 64), ".0") + " " + units[u:u+1] + "iB"
}

// Duration writes milliseconds as a person would say them: 340ms, 1.5s, 2m13s.
func Duration(ms int64) string { return duration(ms) }

// Tokens writes a number of tokens in few characters: 950, 34.1k, 2.3M.
func Tokens(n int64) string {
	f, unit := float64(n), ""
	switch {
	case n >= 999_950:
		f, unit = f/1e6, "M"
	case n >= 1000:
		f, unit = f/1e3, "k"
	default:
		return strconv.FormatInt(n, 10)
	}
	return strings.TrimSuffix(strconv.FormatFloat(f, 'f', 1, 64), ".0") + unit
}

// Dollars writes a cost to the cent, and to more digits where a cent is much.
func Dollars(usd float64) string {
	if usd != 0 && math.Abs(usd) < 0.1 {
		return "$" + strconv.FormatFloat(usd, 'f', 4, 64)
	}
	return "$" + strconv.FormatFloat(usd, 'f', 2, 64)
}

// duration is [Duration].
func duration(ms int64) string {
	d := time.Duration(ms) * time.Millisecond
	switch {
	case d >= time.Minute:
		d = d.Round(time.Second)
	case d >= time.Second:
		d = d.Round(100 * time.Millisecond)
	}
	s := d.String()
	if strings.HasSuffix(s, "m0s") { // 30m, not 30m0s
		s = strings.TrimSuffix(s, "0s")
	}
	return s
}
