package main

import (
	"github.com/spf13/cobra"

	"github.com/yolo-run/yolo-run/runner"
)

func (a *app) doctorCommand() *cobra.Command {
	flags := newFlagValues()
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Check what a run needs: engine, kernel, overlay, firewall, git, disk",
		Args:  noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := a.loadPart(flags)
			if err != nil {
				return err
			}
			return runner.Doctor(cmd.Context(), cfg, a.streams)
		},
	}
	flags.register(cmd, settings(new(runner.Defaults())))
	return cmd
}

func (a *app) cleanCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "clean",
		Short: "Remove what dead runs of this machine left on the engine",
		Args:  noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runner.Clean(cmd.Context(), a.streams)
		},
	}
}
