package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/yolo-run/yolo-run/reports"
	"github.com/yolo-run/yolo-run/runner"
)

// app is one call of the program.
type app struct {
	streams runner.Streams
	args    []string
	environ []string
	version string
	images  map[string]string // of a release, by name
	report  *reports.Report   // of the run, when there was one: it knows the exit code
}

// execute runs the command line.
func (a *app) execute(ctx context.Context, args []string) error {
	a.args = args
	root := a.rootCommand()
	root.SetArgs(args)
	root.SetIn(a.streams.In)
	root.SetOut(a.streams.Out)
	root.SetErr(a.streams.Err)
	return root.ExecuteContext(ctx)
}

// rootCommand is the run itself; the other verbs are its subcommands.
func (a *app) rootCommand() *cobra.Command {
	flags := newFlagValues()
	root := &cobra.Command{
		Use:           "yolo-run --prompt-file FILE [flags] | yolo-run [flags] -- COMMAND [ARG...]",
		Short:         "Run a coding agent in a sandbox and get a patch and a report back",
		Version:       a.version,
		SilenceErrors: true, // printFaults is the one place that prints them
		SilenceUsage:  true,
		Args:          flags.takeCommand,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.runAgent(cmd.Context(), flags)
		},
	}
	flags.register(root, settings(new(runner.Defaults())))
	root.SetVersionTemplate("yolo-run {{.Version}}\n")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return a.flagFaults(cmd, flags, err) })
	root.SetHelpFunc(help)
	root.AddCommand(
		a.applyCommand(), a.diffCommand(), a.reportCommand(), a.policyCommand(), a.doctorCommand(), a.cleanCommand(),
		a.versionCommand(), flagsTopic(),
	)
	root.SetHelpCommand(helpCommand())
	root.InitDefaultCompletionCmd()
	for _, cmd := range root.Commands() {
		if cmd.Name() == "completion" { // the library takes an unknown shell for a call for help
			cmd.Args, cmd.RunE = noArguments, showHelp
		}
	}
	return root
}

// takeCommand accepts arguments only behind --, so that a mistyped subcommand never becomes the agent's command.
func (f *flagValues) takeCommand(cmd *cobra.Command, args []string) error {
	dash := cmd.ArgsLenAtDash()
	if dash < 0 {
		dash = len(args)
	}
	if dash > 0 {
		return unexpected(cmd, args)
	}
	if cmd.ArgsLenAtDash() >= 0 && len(args) == 0 {
		return &runner.UsageError{Option: "--", Err: errors.New("no command follows"), Hint: "write it behind --, as in: yolo-run -- make test"}
	}
	f.command = args
	return nil
}

// unexpected is the fault of arguments that nothing takes.
func unexpected(cmd *cobra.Command, args []string) error {
	arg := args[0]
	var names []string
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() {
			names = append(names, sub.Name())
		}
	}
	fault := &runner.UsageError{Option: cmd.CommandPath(), Value: arg, Err: errors.New("is not a command of yolo-run")}
	if near := nearest(arg, names); near != "" {
		fault.Hint = "did you mean " + near + "?"
	} else if cmd.HasParent() {
		fault.Hint = "see " + cmd.CommandPath() + " --help"
	} else {
		fault.Hint = "a command for the sandbox stands behind --, as in: yolo-run -- " + strings.Join(args, " ")
	}
	return fault
}

// noArguments is for subcommands that take flags only.
func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return unexpected(cmd, args)
	}
	return nil
}

// configure loads and validates the configuration, and logs what it should not have passed over in silence.
func (a *app) configure(flags *flagValues) (runner.Config, error) {
	l := load(flags, a.environ)
	l.cfg.Version, l.cfg.Images = a.version, a.images
	a.warnUnknown(l)
	if err := l.validate(); err != nil {
		return runner.Config{}, err
	}
	l.cfg.SetDefaults()
	return l.cfg, nil
}

// loadPart is configure for a command that takes part of the settings, and checks itself what it needs of them.
func (a *app) loadPart(flags *flagValues) (runner.Config, error) {
	l := load(flags, a.environ)
	l.cfg.Version, l.cfg.Images = a.version, a.images
	a.warnUnknown(l)
	l.settle()
	return l.cfg, errors.Join(l.faults...)
}

func (a *app) warnUnknown(l *loader) {
	if len(l.unknown) == 0 {
		return
	}
	var known []string
	for _, s := range l.settings {
		if !s.once {
			known = append(known, s.variable())
		}
	}
	logger := l.cfg.Logger(a.streams.Err)
	for _, name := range l.unknown {
		if near := nearest(name, known); near != "" {
			logger.Warn("unknown variable ignored", "name", name, "meant", near)
			continue
		}
		logger.Warn("unknown variable ignored", "name", name)
	}
}

func (a *app) runAgent(ctx context.Context, flags *flagValues) error {
	cfg, err := a.configure(flags)
	if err != nil {
		return err
	}
	if cfg.DryRun {
		return runner.Plan(a.streams.Out, cfg)
	}
	outliveReaders()
	a.report, err = runner.Run(ctx, cfg, a.streams)
	if err != nil && ctx.Err() != nil {
		// A run that was stopped before it began has no report; the signal says more than what it broke.
		return fmt.Errorf("%w: %w", context.Cause(ctx), err)
	}
	return err
}
