package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/yolo-run/yolo-run/entrypoint/policy"
	"github.com/yolo-run/yolo-run/runner"
)

// setting is one field of [runner.Config] as the user sees it: a flag --name, a variable YOLO_NAME, a key of the configuration file.
type setting struct {
	name  string
	group string
	meta  string   // stands for the value in usage texts
	words []string // the possible values, for completion; nil where any value will do
	help  string   // one line, no full stop
	dest  any      // pointer to the field
	list  listForm // how a text becomes several values; lists only
	brief bool     // shown with its meaning by --help
	shown string   // the default, where the field cannot say it
	once  bool     // a flag only, because it belongs to one call
}

// errOnce is the fault of a setting that stands where it would hold for more than one call.
var errOnce = errors.New("can be given as a flag only")

// listForm is how one text holds several values of a list.
type listForm int

const (
	byLine  listForm = iota // a value may hold anything but a newline
	byWord                  // separated by commas, spaces or newlines
	byEntry                 // as byWord, and host:80,443 is one value
)

// variable is the setting's name in the environment.
func (s setting) variable() string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(s.name, "-", "_"))
}

// isBool reports whether the flag needs no value.
func (s setting) isBool() bool { _, ok := s.dest.(*bool); return ok }

// isList reports whether the flag may be repeated.
func (s setting) isList() bool { _, ok := s.dest.(*[]string); return ok }

// assign replaces the field's value. A layer that sets a list replaces the list of the layers below.
func (s setting) assign(values []string) error {
	if list, ok := s.dest.(*[]string); ok {
		*list = []string{}
		for _, value := range values {
			*list = append(*list, s.list.split(value)...)
		}
		return nil
	}
	last := values[len(values)-1]
	if text, ok := s.dest.(*string); ok {
		*text = last
		return nil
	}
	return s.assignNumber(strings.TrimSpace(last))
}

func (s setting) assignNumber(text string) error {
	var err error
	switch dest := s.dest.(type) {
	case *bool:
		*dest, err = parseInto(*dest, text, strconv.ParseBool, "must be true or false")
	case *int:
		*dest, err = parseInto(*dest, text, strconv.Atoi, "not a whole number")
	case *int64:
		*dest, err = parseInto(*dest, text, parseInt64, "not a whole number")
	case *float64:
		*dest, err = parseInto(*dest, text, parseFloat64, "not a number")
	case *time.Duration:
		*dest, err = parseInto(*dest, text, time.ParseDuration, "not a duration; write it like 90s, 30m or 2h")
	case *runner.Bytes:
		return dest.Set(text)
	default:
		return fmt.Errorf("setting %s has type %T, which nothing assigns", s.name, dest)
	}
	return err
}

func parseInt64(s string) (int64, error)     { return strconv.ParseInt(s, 10, 64) }
func parseFloat64(s string) (float64, error) { return strconv.ParseFloat(s, 64) }

// parseInto keeps the old value when the new one is at fault. The parsers' own errors speak of functions and are dropped.
func parseInto[T any](old T, text string, parse func(string) (T, error), fault string) (T, error) {
	value, err := parse(text)
	if err != nil {
		return old, errors.New(fault)
	}
	return value, nil
}

func (f listForm) split(text string) []string {
	switch f {
	case byEntry:
		return policy.SplitEntries(text)
	case byWord:
		return strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(", \t\r\n", r) })
	}
	return []string{text}
}

// splitLines is how one text of the environment holds the values of a list: a line each, blank ones left out.
func splitLines(text string) []string {
	var lines []string
	for line := range strings.Lines(text) {
		if line = strings.TrimRight(line, "\r\n"); strings.TrimSpace(line) != "" {
			lines = append(lines, line)
		}
	}
	return lines
}

// defaultText is the default as the documentation shows it.
func (s setting) defaultText() string {
	if s.shown != "" {
		return s.shown
	}
	switch value := s.dest.(type) {
	case *string:
		return *value
	case *[]string:
		return strings.Join(*value, ",")
	case *bool:
		return strconv.FormatBool(*value)
	case *int:
		return textUnlessZero(*value)
	case *int64:
		return textUnlessZero(*value)
	case *float64:
		return textUnlessZero(*value)
	case *time.Duration:
		return shortDuration(*value)
	case *runner.Bytes:
		return value.String()
	}
	return ""
}

// shortDuration writes 30m for 30m0s and 2h for 2h0m0s.
func shortDuration(d time.Duration) string {
	text := d.String()
	for _, unit := range []string{"m", "h"} {
		if rest, ok := strings.CutSuffix(text, unit+"0"+map[string]string{"m": "s", "h": "m"}[unit]); ok {
			text = rest + unit
		}
	}
	return text
}

func textUnlessZero[T int | int64 | float64](n T) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprint(n)
}
