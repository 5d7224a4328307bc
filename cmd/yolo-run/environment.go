package main

import (
	"errors"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/caarlos0/env/v11"

	"github.com/yolo-run/yolo-run/runner"
)

// readEnvironment is the layer of YOLO_* variables.
func (l *loader) readEnvironment(variables map[string]string) {
	known := map[string]string{}
	for _, s := range l.settings {
		value, ok := variables[s.variable()]
		if !ok {
			continue
		}
		if s.once { // who wants a plan must not get a run
			l.faults = append(l.faults, &runner.UsageError{Option: s.variable(), Value: value, Err: errOnce})
		}
		if s.name != "prompt" {
			value = strings.TrimSpace(value)
		}
		known[s.variable()] = value
		l.sources[s.name] = source{layer: fromEnvironment, text: s.variable()}
	}
	err := env.ParseWithOptions(&l.cfg, env.Options{
		Prefix:      envPrefix,
		Environment: known,
		// A domain list is split further in settings; what holds commas and spaces must not be split here.
		FuncMap: map[reflect.Type]env.ParserFunc{
			reflect.TypeFor[[]string](): func(v string) (any, error) { return splitLines(v), nil },
		},
	})
	l.environmentFaults(err, known)
	l.splitLists(known)
	l.unknown = unknownVariables(variables, known)
}

// splitLists takes apart the lists that the environment set and whose values need not stand on lines of their own.
func (l *loader) splitLists(known map[string]string) {
	for _, s := range l.settings {
		list, ok := s.dest.(*[]string)
		if _, set := known[s.variable()]; ok && set {
			// A list has no faults of its own: its entries are checked with the whole configuration.
			_ = s.assign(slices.Clone(*list))
		}
	}
}

// environmentFaults says in our own words what could not be read: the library's messages name fields of the program.
func (l *loader) environmentFaults(err error, known map[string]string) {
	for _, fault := range flatten(err) {
		parse, ok := errors.AsType[env.ParseError](fault)
		if !ok {
			l.faults = append(l.faults, &runner.UsageError{Option: envPrefix + "*", Err: fault})
			continue
		}
		field, _ := reflect.TypeFor[runner.Config]().FieldByName(parse.Name)
		s, _ := l.find(field.Tag.Get("yaml"))
		delete(l.sources, s.name)
		reason := s.assign([]string{known[s.variable()]})
		if reason == nil {
			reason = errors.New("cannot be read")
		}
		l.faults = append(l.faults, &runner.UsageError{Option: s.variable(), Value: known[s.variable()], Err: reason})
	}
}

// unknownVariables returns the variables that are no setting, sorted. YOLO_RUN is set for every agent, which may well run this program.
func unknownVariables(variables, known map[string]string) []string {
	var unknown []string
	for _, name := range slices.Sorted(maps.Keys(variables)) {
		if _, ok := known[name]; !ok && name != configVariable && name != envPrefix+"RUN" {
			unknown = append(unknown, name)
		}
	}
	return unknown
}

// nearest returns the word that s was probably meant to be, "" where none is near: short words may differ in less.
func nearest(s string, words []string) string {
	best, bestDistance := "", min(3, 1+len(s)/3)
	for _, word := range words {
		if d := distance(s, word); d < bestDistance {
			best, bestDistance = word, d
		}
	}
	return best
}

// distance is the number of edits between two words (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}
