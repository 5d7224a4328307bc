package runner

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/yolo-run/yolo-run/reports"
	"github.com/yolo-run/yolo-run/reports/render"
)

// decide fills in outcome and exit code: the first outcome that holds, in the order of the type's constants.
func (r *run) decide() {
	r.describeAgent()
	r.rep.Errors = append(r.rep.Errors, r.limitsReached()...)
	signal := 0
	if s, ok := errors.AsType[*SignalError](r.ending.stopped); ok {
		signal = int(s.Signal)
	} else if r.signal != nil {
		signal = int(r.signal.Signal)
	}
	switch {
	case signal != 0:
		r.rep.Outcome = reports.Cancelled
	case len(r.faults) > 0:
		r.rep.Outcome = reports.Infrastructure
	case errors.Is(r.ending.stopped, errTimeout):
		r.rep.Outcome = reports.Timeout
	case r.ending.spent != nil:
		r.rep.Outcome = reports.Budget
	case r.failsOn("gate") && !r.rep.Gate.Passed:
		r.rep.Outcome = reports.PolicyFailed // the findings say why
	case r.policyFails() != "":
		r.rep.Outcome = reports.PolicyFailed
		r.rep.Errors = append(r.rep.Errors, r.policyFails())
	case r.ending.code != 0 || r.ending.stopped != nil:
		r.rep.Outcome = reports.AgentFailed
	case len(r.rep.Changes.Files) == 0:
		r.rep.Outcome = reports.NoChanges
	default:
		r.rep.Outcome = reports.Success
	}
	r.rep.ExitCode = r.rep.Outcome.ExitCode(signal)
}

// policyFails says which rule of --fail-on holds beside that of the gate, empty when none does.
func (r *run) policyFails() string {
	n := r.rep.Network
	switch {
	case r.failsOn("denied") && n.Denied > 0:
		return plural(n.Denied, "attempt") + " to reach the network denied (--fail-on denied)"
	case r.failsOn("would-deny") && n.WouldDeny > 0:
		return plural(n.WouldDeny, "attempt") + " passed that enforce mode would deny (--fail-on would-deny)"
	case r.failsOn("no-changes") && len(r.rep.Changes.Files) == 0:
		return "the agent changed nothing (--fail-on no-changes)"
	}
	return ""
}

// writeReports writes the report in each of its forms, report.json last, and tells CI and the user.
func (r *run) writeReports() error {
	var err error
	r.rep.Artifacts, err = r.out.artifacts()
	errs := []error{err}
	model := render.Model{Report: &r.rep, Dir: r.out.path}
	for _, form := range []struct {
		file     string
		renderer render.Renderer
	}{{fileMark, render.Markdown{}}, {fileHTML, render.HTML{}}, {fileJUnit, render.JUnit{}}} {
		errs = append(errs, r.out.write(form.file, func(w io.Writer) error { return form.renderer.Render(w, model) }))
	}
	errs = append(errs, r.out.write(fileReport, r.rep.Write))
	r.warnIf("latest", r.out.linkLatest())
	errs = append(errs, r.tellCI()...)
	r.warnIf("the summary was not shown", r.tellUser(model)) // the terminal may be gone; the reports are not
	errs = append(errs, r.files.log.Close())
	return errors.Join(errs...)
}

// tellUser ends what the run prints: a summary for people, a record of the log for machines.
func (r *run) tellUser(model render.Model) error {
	if r.cfg.LogFormat != "json" {
		return render.Terminal{Color: r.colour, Width: r.screen.columns()}.Render(r.screen, model)
	}
	level := slog.LevelInfo
	if r.rep.ExitCode != 0 {
		level = slog.LevelError
	}
	r.log.Log(context.Background(), level, "run ended", "outcome", string(r.rep.Outcome), "exitCode", r.rep.ExitCode,
		"summary", render.Headline(&r.rep), "denied", r.rep.Network.Denied, "out", r.out.path)
	return nil
}

// tellCI hands outputs, summary and annotations to the CI service, where there is one.
func (r *run) tellCI() []error {
	markdown, err := os.ReadFile(r.out.path + "/" + fileMark)
	if err != nil {
		return []error{fmt.Errorf("step summary: %w", err)}
	}
	return []error{r.github.Summary(markdown), r.github.Outputs(&r.rep, r.out.path), r.github.Annotate(&r.rep)}
}
