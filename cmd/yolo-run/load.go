package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/yolo-run/yolo-run/runner"
)

// envPrefix begins the variables of every setting.
const envPrefix = "YOLO_"

// configVariable names the configuration file where --config does not.
const configVariable = envPrefix + "CONFIG"

// layer is where a setting's value came from; later layers win.
type layer int

const (
	fromDefault layer = iota
	fromFile
	fromEnvironment
	fromFlag
)

// source is where the value of one setting came from, in words for an error message.
type source struct {
	layer layer
	text  string // empty for a flag, which the message names anyway
}

// loader puts the layers of the configuration on top of each other and collects what is wrong in any of them.
type loader struct {
	cfg      runner.Config
	environ  []string
	settings []setting
	sources  map[string]source
	faults   []error
	unknown  []string // variables that look like settings and are none
}

// load reads all layers. The loader it returns holds what could be read, beside the faults.
func load(flags *flagValues, environ []string) *loader {
	l := &loader{cfg: runner.Defaults(), environ: environ, sources: map[string]source{}}
	l.settings = settings(&l.cfg)
	variables := variablesOf(environ)
	l.readFile(flags, variables[configVariable])
	l.readEnvironment(variables)
	l.readFlags(flags)
	return l
}

// validate settles what the layers say against each other and returns all faults, of the layers and of the whole.
func (l *loader) validate() error {
	l.settle()
	for _, err := range flatten(l.cfg.Validate()) {
		l.faults = append(l.faults, l.attribute(err))
	}
	return errors.Join(l.faults...)
}

// settle lets a higher layer win where two settings exclude each other; within a layer it is a fault, which Validate reports.
// A shell expands ~ in an argument of its own; in files, variables and --out=~/x it is left to us.
func (l *loader) settle() {
	home := homeOf(l.environ)
	for _, path := range []*string{&l.cfg.Workspace, &l.cfg.Out, &l.cfg.CAFile, &l.cfg.PromptFile} {
		if rest, ok := strings.CutPrefix(*path, "~/"); ok && home != "" {
			*path = filepath.Join(home, rest)
		}
	}
	file, text := l.sources["prompt-file"].layer, l.sources["prompt"].layer
	switch {
	case file > text:
		l.cfg.Prompt = ""
	case text > file:
		l.cfg.PromptFile = ""
	}
	if len(l.cfg.Command) > 0 && l.sources["agent"].layer < fromFlag {
		l.cfg.Agent = ""
	}
}

// readFlags is the last layer.
func (l *loader) readFlags(flags *flagValues) {
	for _, s := range l.settings {
		values := flags.values[s.name]
		if len(values) == 0 {
			continue
		}
		l.set(s, values, source{layer: fromFlag}, "--"+s.name)
	}
	l.cfg.Command = flags.command
}

// set assigns one setting and records where its value came from, or the fault under the name that the user wrote.
func (l *loader) set(s setting, values []string, from source, option string) {
	if err := s.assign(values); err != nil {
		l.faults = append(l.faults, &runner.UsageError{Option: option, Value: strings.Join(values, " "), Err: err})
		return
	}
	l.sources[s.name] = from
}

// attribute adds to a fault where the value came from, when that was not the flag that the fault names.
func (l *loader) attribute(err error) error {
	fault, ok := err.(*runner.UsageError) //nolint:errorlint // only the fault itself is renamed, not one that it wraps
	if !ok {
		return err
	}
	from := l.sources[strings.TrimPrefix(fault.Option, "--")]
	if from.text == "" {
		return err
	}
	renamed := *fault
	renamed.Option = fmt.Sprintf("%s (from %s)", fault.Option, from.text)
	return &renamed
}

// flatten returns the single errors of a joined one.
func flatten(err error) []error {
	if err == nil {
		return nil
	}
	joined, ok := err.(interface{ Unwrap() []error }) //nolint:errorlint // a join is taken apart, not searched
	if !ok {
		return []error{err}
	}
	var all []error
	for _, part := range joined.Unwrap() {
		all = append(all, flatten(part)...)
	}
	return all
}

func homeOf(environ []string) string {
	for _, entry := range environ {
		if home, ok := strings.CutPrefix(entry, "HOME="); ok {
			return home
		}
	}
	return ""
}

// variablesOf returns the variables of this program that are set to something. An empty one counts as not set, so that a CI step can map every
// input to its variable.
func variablesOf(environ []string) map[string]string {
	variables := map[string]string{}
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		if strings.HasPrefix(name, envPrefix) && value != "" {
			variables[name] = value
		}
	}
	return variables
}

// readFile is the lowest layer above the defaults. A file is read only when it was named: nothing in a checkout can change a policy.
func (l *loader) readFile(flags *flagValues, variable string) {
	name, option := variable, configVariable
	if named := flags.values["config"]; len(named) > 0 {
		name, option = named[len(named)-1], "--config"
	}
	switch {
	case name == "" && option == "--config": // a variable of a script's that is not set: a run without its policy
		l.faults = append(l.faults, &runner.UsageError{Option: option, Err: errors.New("names no file")})
		return
	case name == "":
		return
	}
	data, err := readConfig(name)
	if err != nil {
		l.faults = append(l.faults, fileFault(option, name, err))
		return
	}
	l.cfg.ConfigSHA256 = digest(data)
	l.readYAML(name, data)
}
