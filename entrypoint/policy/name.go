package policy

import (
	"errors"
	"fmt"
	"strings"
)

// Bounds of a name in octets (RFC 1035, 2.3.4), without the trailing dot.
const (
	maxName  = 253
	maxLabel = 63
)

var (
	errEmptyName  = errors.New("the name is empty")
	errEmptyLabel = errors.New("a label is empty")
	errNotASCII   = errors.New("it is not ASCII: write the xn-- form")
	errNumeric    = errors.New("it reads as a number, not as a name: write an address in its usual form")
)

// Normalize returns the canonical form of a host name: lower case, no trailing dot, ASCII labels of 1 to 63 octets, at most 253.
// It refuses everything else. Underscores are accepted (they occur in real names). Names whose last label is a number are refused:
// inet_aton(3) reads 2130706433, 0x7f.1 and 127.1 as addresses, so a client would never ask for them by name.
func Normalize(host string) (string, error) {
	for i := range len(host) {
		if host[i] >= 0x80 {
			return "", errNotASCII
		}
	}
	name := strings.ToLower(strings.TrimSuffix(host, "."))
	switch {
	case name == "":
		return "", errEmptyName
	case len(name) > maxName:
		return "", fmt.Errorf("%d octets are more than %d", len(name), maxName)
	}
	labels := strings.Split(name, ".")
	for _, l := range labels {
		if err := checkLabel(l); err != nil {
			return "", err
		}
	}
	if numeric(labels[len(labels)-1]) {
		return "", errNumeric
	}
	return name, nil
}

// checkLabel takes letters, digits, hyphens inside (RFC 1123, 2.1) and underscores anywhere.
func checkLabel(l string) error {
	switch {
	case l == "":
		return errEmptyLabel
	case len(l) > maxLabel:
		return fmt.Errorf("a label of %d octets is longer than %d", len(l), maxLabel)
	case l[0] == '-' || l[len(l)-1] == '-':
		return errors.New("a label begins or ends with a hyphen")
	}
	for i := range len(l) {
		c := l[i]
		if !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '_') {
			return fmt.Errorf("character %q", c)
		}
	}
	return nil
}

// numeric is the URL standard's test for the last label of what must be an address
// (https://url.spec.whatwg.org/#ends-in-a-number-checker). No top-level domain passes it.
func numeric(label string) bool {
	if digits(label) {
		return true
	}
	hex, ok := strings.CutPrefix(label, "0x")
	return ok && strings.Trim(hex, "0123456789abcdef") == ""
}

func digits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }
