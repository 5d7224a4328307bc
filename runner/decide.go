package runner

import (
	"errors"
	"fmt"
	"io"
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

// policyFails says which rule of --fail-on holds, empty when none does.
func (r *run) policyFails() string {
	n := r.rep.Network
	switch {
	case r.failsOn("gate") && !r.rep.Gate.Passed:
		return "the gate does not pass the changes (--fail-on gate)"
	case r.failsOn("denied") && n.Denied > 0:
		return fmt.Sprintf("%d attempts to reach the network were denied (--fail-on denied)", n.Denied)
	case r.failsOn("would-deny") && n.WouldDeny > 0:
		return fmt.Sprintf("%d attempts to reach the network would be denied (--fail-on would-deny)", n.WouldDeny)
	case r.failsOn("no-changes") && len(r.rep.Changes.Files) == 0:
		return "the agent changed nothing (--fail-on no-changes)"
	}
	return ""
}

// writeReports writes report.md and, last, report.json, and tells CI and the user.
func (r *run) writeReports() error {
	var err error
	r.rep.Artifacts, err = r.out.artifacts()
	errs := []error{err}
	model := render.Model{Report: &r.rep, Dir: r.out.path}
	errs = append(errs,
		r.out.write(fileMark, func(w io.Writer) error { return render.Markdown{}.Render(w, model) }),
		r.out.write(fileReport, r.rep.Write),
	)
	r.warnIf("latest", r.out.linkLatest())
	errs = append(errs, r.tellCI()...)
	if !r.cfg.Quiet {
		errs = append(errs, render.Terminal{Color: r.colour}.Render(r.streams.Err, model))
	}
	errs = append(errs, r.files.log.Close())
	return errors.Join(errs...)
}

// tellCI hands outputs, summary and annotations to the CI service, where there is one.
func (r *run) tellCI() []error {
	markdown, err := os.ReadFile(r.out.path + "/" + fileMark)
	if err != nil {
		return []error{fmt.Errorf("step summary: %w", err)}
	}
	return []error{r.github.Summary(markdown), r.github.Outputs(&r.rep, r.out.path), r.github.Annotate(&r.rep)}
}
