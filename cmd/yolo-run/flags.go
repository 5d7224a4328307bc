package main

import (
	"errors"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/yolo-run/yolo-run/runner"
)

// flagValues records flags as they were written. They are read after the other layers, together with these, so that every fault is heard
// at once and not only the first.
type flagValues struct {
	values  map[string][]string
	command []string // what stands behind --
}

func newFlagValues() *flagValues { return &flagValues{values: map[string][]string{}} }

// register gives a command the flags of these settings, and --config.
func (f *flagValues) register(cmd *cobra.Command, list []setting) {
	cmd.Flags().SortFlags = false
	for _, s := range list {
		flag := cmd.Flags().VarPF(&flagValue{setting: s, into: f}, s.name, "", s.help)
		if s.isBool() {
			flag.NoOptDefVal = "true"
		}
		if s.words != nil {
			f.complete(cmd, s.name, cobra.FixedCompletions(s.words, cobra.ShellCompDirectiveNoFileComp))
		}
	}
	cmd.Flags().VarPF(&flagValue{setting: configSetting(), into: f}, "config", "", configSetting().help)
	for _, folder := range []string{"workspace", "out"} {
		if cmd.Flags().Lookup(folder) != nil {
			f.complete(cmd, folder, cobra.FixedCompletions(nil, cobra.ShellCompDirectiveFilterDirs))
		}
	}
}

// complete cannot fail: the flag was registered just before.
func (f *flagValues) complete(cmd *cobra.Command, name string, values cobra.CompletionFunc) {
	if err := cmd.RegisterFlagCompletionFunc(name, values); err != nil {
		panic(err)
	}
}

// configSetting describes --config, which is not part of the configuration itself.
func configSetting() setting {
	return setting{name: "config", group: groupTask, meta: "FILE", help: "settings in YAML, read only when named", brief: true}
}

// flagValue is one flag of a setting.
type flagValue struct {
	setting setting
	into    *flagValues
}

var _ pflag.Value = (*flagValue)(nil)

// Set records a value; it is judged later.
func (v *flagValue) Set(value string) error {
	v.into.values[v.setting.name] = append(v.into.values[v.setting.name], value)
	return nil
}

// String is empty: defaults stand in the usage text.
func (v *flagValue) String() string { return "" }

// Type names the value; that of a switch has a name that the usage text knows and leaves out.
func (v *flagValue) Type() string {
	if v.setting.isBool() {
		return "bool"
	}
	return v.setting.meta
}

// pick returns the settings with these names.
func pick(all []setting, names ...string) []setting {
	var list []setting
	for _, s := range all {
		if slices.Contains(names, s.name) {
			list = append(list, s)
		}
	}
	return list
}

// flagFaults turns the library's error about the first bad flag into the faults of the whole command line: all unknown flags, and what is wrong
// with the rest.
func (a *app) flagFaults(cmd *cobra.Command, flags *flagValues, err error) error {
	var faults []error
	for _, flag := range unknownFlags(cmd.Flags(), a.args) {
		fault := &runner.UsageError{Option: flag, Err: errors.New("is not a flag of " + cmd.CommandPath()), Hint: "see yolo-run help flags"}
		if near := nearest(strings.TrimLeft(flag, "-"), flagNames(cmd.Flags())); near != "" {
			fault.Hint = "did you mean --" + near + "?"
		}
		faults = append(faults, fault)
	}
	if len(faults) == 0 {
		return &runner.UsageError{Option: cmd.CommandPath(), Err: err, Hint: "see " + cmd.CommandPath() + " --help"}
	}
	if !cmd.HasParent() {
		faults = append(faults, a.faultsBeside(cmd, flags)...)
	}
	return errors.Join(faults...)
}

// faultsBeside reads the command line once more without its unknown flags. Nothing runs after it, whatever it finds.
func (a *app) faultsBeside(cmd *cobra.Command, flags *flagValues) []error {
	flags.values = map[string][]string{}
	cmd.Flags().ParseErrorsAllowlist.UnknownFlags = true
	if err := cmd.Flags().Parse(a.args); err != nil {
		return []error{&runner.UsageError{Option: cmd.CommandPath(), Err: err}}
	}
	if dash := cmd.Flags().ArgsLenAtDash(); dash >= 0 {
		flags.command = cmd.Flags().Args()[dash:]
	}
	return flatten(load(flags, a.environ).validate())
}

// unknownFlags returns the flags before -- that the set does not have, without their values.
func unknownFlags(set *pflag.FlagSet, args []string) []string {
	var unknown []string
	for i := 0; i < len(args) && args[i] != "--"; i++ {
		name, long := strings.CutPrefix(args[i], "--")
		if !long {
			if short := args[i]; len(short) > 1 && short[0] == '-' && set.ShorthandLookup(short[1:2]) == nil {
				unknown = append(unknown, short[:2])
			}
			continue
		}
		name, _, hasValue := strings.Cut(name, "=")
		flag := set.Lookup(name)
		if flag == nil {
			unknown = append(unknown, "--"+name)
			continue
		}
		if !hasValue && flag.NoOptDefVal == "" {
			i++ // its value, which may begin with a dash
		}
	}
	return unknown
}

func flagNames(set *pflag.FlagSet) []string {
	var names []string
	set.VisitAll(func(flag *pflag.Flag) { names = append(names, flag.Name) })
	return names
}
