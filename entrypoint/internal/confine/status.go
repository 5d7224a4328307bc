package confine

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// status is the part of /proc/self/status (proc_pid_status(5)) that confinement shows in.
type status struct {
	uids, gids []int // real, effective, saved, file system
	groups     []int
	caps       []capSet
	noNewPrivs int
	seccomp    int // 2: a filter is installed
}

type capSet struct {
	name string
	bits uint64
}

// parseStatus refuses a text in which one of the fields is missing, stands twice or is not what it always was.
func parseStatus(text []byte) (status, error) {
	f := fields{texts: map[string]string{}}
	for line := range strings.Lines(string(text)) {
		name, value, ok := strings.Cut(line, ":")
		if _, again := f.texts[name]; !ok || again {
			return status{}, fmt.Errorf("line %q", line)
		}
		f.texts[name] = strings.TrimSpace(value)
	}
	var s status
	for _, name := range []string{"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"} {
		s.caps = append(s.caps, f.capSet(name))
	}
	s.uids = f.numbers("Uid", 4)
	s.gids = f.numbers("Gid", 4)
	s.groups = f.numbers("Groups", -1)
	s.noNewPrivs = f.number("NoNewPrivs")
	s.seccomp = f.number("Seccomp")
	if err := errors.Join(f.faults...); err != nil {
		return status{}, err
	}
	return s, nil
}

// fields are the lines of a status, and what was wrong with those that were read.
type fields struct {
	texts  map[string]string
	faults []error
}

func (f *fields) text(name string) string {
	text, ok := f.texts[name]
	if !ok {
		f.faults = append(f.faults, fmt.Errorf("no field %s", name))
	}
	return text
}

func (f *fields) capSet(name string) capSet {
	bits, err := strconv.ParseUint(f.text(name), 16, 64)
	if err != nil {
		f.faults = append(f.faults, fmt.Errorf("field %s: %w", name, err))
	}
	return capSet{name: name, bits: bits}
}

// numbers reads count numbers, or any count when it is negative.
func (f *fields) numbers(name string, count int) []int {
	var ns []int
	for text := range strings.FieldsSeq(f.text(name)) {
		n, err := strconv.ParseUint(text, 10, 32)
		if err != nil {
			f.faults = append(f.faults, fmt.Errorf("field %s: %w", name, err))
		}
		ns = append(ns, int(n))
	}
	if count >= 0 && len(ns) != count {
		f.faults = append(f.faults, fmt.Errorf("field %s has %d numbers, want %d", name, len(ns), count))
	}
	return ns
}

func (f *fields) number(name string) int {
	if ns := f.numbers(name, 1); len(ns) == 1 {
		return ns[0]
	}
	return -1
}
