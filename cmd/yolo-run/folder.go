package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/yolo-run/yolo-run/reports"
	"github.com/yolo-run/yolo-run/reports/render"
	"github.com/yolo-run/yolo-run/runner"
)

func (a *app) applyCommand() *cobra.Command {
	flags := newFlagValues()
	cmd := &cobra.Command{
		Use:   "apply [RUN]",
		Short: "Apply the patch of a run to the workspace, after the gate (default: the latest of the workspace)",
		Args:  oneFolder,
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := a.loadPart(flags)
			if err != nil {
				return err
			}
			folder, err := folderToApply(args, cfg.Workspace)
			if err != nil {
				return err
			}
			return runner.Apply(cmd.Context(), cfg, folder, a.streams)
		},
	}
	list := pick(settings(new(runner.Defaults())),
		"workspace", "hide", "secret", "protect", "gate", "max-patch-bytes", "max-patch-files", "log-level", "log-format", "quiet")
	for i, s := range list {
		if s.name == "workspace" {
			list[i].help = "the folder to apply the patch to"
		}
	}
	flags.register(cmd, list)
	return cmd
}

func (a *app) reportCommand() *cobra.Command {
	forms := reportForms()
	cmd := &cobra.Command{
		Use:   "report [RUN] [--json|--markdown|--html|--junit]",
		Short: "Print the report of a run, made again from its report.json (default: the latest)",
		Args:  oneFolder,
		RunE: func(_ *cobra.Command, args []string) error {
			form, err := chosenForm(forms)
			if err != nil {
				return err
			}
			folder, err := runFolder(args)
			if err != nil {
				return err
			}
			report, err := readReport(folder)
			if err != nil {
				return err
			}
			if form == nil {
				form = render.Terminal{Color: runner.Colour(a.streams.Out, os.Getenv), Width: runner.Columns(a.streams.Out)}
			}
			return form.Render(a.streams.Out, render.Model{Report: report, Dir: folder})
		},
	}
	for _, f := range forms {
		cmd.Flags().BoolVar(&f.asked, f.flag, false, f.help)
	}
	return cmd
}

// reportForm is a flag of `report`.
type reportForm struct {
	flag, help string
	renderer   render.Renderer
	asked      bool
}

func reportForms() []*reportForm {
	return []*reportForm{
		{flag: "json", help: "print report.json", renderer: jsonForm{}},
		{flag: "markdown", help: "print it as Markdown", renderer: render.Markdown{}},
		{flag: "html", help: "print it as a page, with what the folder has of patch and times", renderer: render.HTML{}},
		{flag: "junit", help: "print it as JUnit XML", renderer: render.JUnit{}},
	}
}

// jsonForm is report.json as it would be written now.
type jsonForm struct{}

func (jsonForm) Render(w io.Writer, m render.Model) error { return m.Report.Write(w) }

// chosenForm is what the flags ask for, nil where they do not.
func chosenForm(forms []*reportForm) (render.Renderer, error) {
	var chosen *reportForm
	for _, f := range forms {
		switch {
		case !f.asked:
		case chosen != nil:
			return nil, &runner.UsageError{Option: "--" + f.flag, Err: fmt.Errorf("cannot be together with --%s", chosen.flag)}
		default:
			chosen = f
		}
	}
	if chosen == nil {
		return nil, nil
	}
	return chosen.renderer, nil
}

// oneFolder takes the output folder of a run, its ID, or nothing.
func oneFolder(cmd *cobra.Command, args []string) error {
	if len(args) > 1 {
		return &runner.UsageError{Option: cmd.CommandPath(), Value: args[1], Err: errors.New("one folder is enough")}
	}
	return nil
}

// runFolder is the folder that was named, that of the run with the ID, or that of the latest run.
func runFolder(args []string) (string, error) {
	if len(args) == 1 {
		_, err := os.Stat(args[0])
		if folder := folderOfID(args[0]); err != nil && folder != "" {
			return folder, nil
		}
		if err != nil {
			return "", fileFault("folder", args[0], err)
		}
		return args[0], nil
	}
	return latestFolder("name the folder that --out of the run named")
}

// folderToApply is the folder that was named, or that of the latest run in the workspace.
func folderToApply(args []string, workspace string) (string, error) {
	if len(args) == 0 {
		return runner.LatestRunOf(workspace)
	}
	return runFolder(args)
}

// latestFolder is the folder of the latest run that used the default of --out. hint says what to do where there is none.
func latestFolder(hint string) (string, error) {
	latest, err := runner.LatestRun()
	if err != nil {
		return "", err
	}
	folder, err := filepath.EvalSymlinks(latest)
	if err != nil {
		return "", &runner.UsageError{Option: "folder", Value: latest, Err: errors.New("there is no latest run"), Hint: hint}
	}
	return folder, nil
}

// folderOfID is the output folder of a run that used the default of --out; empty if there is none.
func folderOfID(id string) string {
	latest, err := runner.LatestRun()
	if err != nil || filepath.Base(id) != id {
		return ""
	}
	folder := filepath.Join(filepath.Dir(latest), id)
	if info, err := os.Stat(folder); err != nil || !info.IsDir() {
		return ""
	}
	return folder
}

func readReport(folder string) (*reports.Report, error) {
	name := filepath.Join(folder, "report.json")
	in, err := reports.OpenArtifact(folder, "report.json")
	if err != nil {
		return nil, fileFault("report", name, err)
	}
	defer in.Close()
	report, err := reports.ReadReport(in)
	if err != nil {
		return nil, &runner.UsageError{Option: "report", Value: name, Err: err}
	}
	return report, nil
}
