package gateway

import (
	"bufio"
	"errors"
	"io"
	"io/fs"
	"slices"
	"strconv"
	"strings"
)

// connectionsRefused is how many packets the kernel dropped because its table of connections was full. An agent can fill it with 262,144
// connections to itself; whatever it attempts then is dropped before a rule could count it. Each network namespace has its own counters.
func connectionsRefused() (int64, error) {
	n, err := readWith("/proc/net/stat/nf_conntrack", parseConntrackDrops)
	if errors.Is(err, fs.ErrNotExist) { // a kernel without CONFIG_NF_CONNTRACK_PROCFS
		return 0, nil
	}
	return n, err
}

// parseConntrackDrops sums the column "drop" over the lines, one for each processor; numbers are hexadecimal.
func parseConntrackDrops(r io.Reader) int64 {
	lines := bufio.NewScanner(r)
	if !lines.Scan() {
		return 0
	}
	column := slices.Index(strings.Fields(lines.Text()), "drop")
	var sum int64
	for column >= 0 && lines.Scan() {
		fields := strings.Fields(lines.Text())
		if column >= len(fields) {
			continue
		}
		if n, err := strconv.ParseInt(fields[column], 16, 64); err == nil {
			sum += n
		}
	}
	return sum
}
