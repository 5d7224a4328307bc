package ci

import (
	"fmt"
	"strings"

	"github.com/sethvargo/go-githubactions"

	"github.com/yolo-run/yolo-run/reports"
	"github.com/yolo-run/yolo-run/reports/render"
)

// maxAnnotations of a kind are shown; GitHub drops those after the tenth of a step without a word, so the tenth says how many follow.
const maxAnnotations = 9

// annotation is one message that GitHub shows beside the run and, with a file, in the pull request.
type annotation struct {
	title, file, message string
}

// Annotate shows how the run ended, what the gate found and what was denied.
func (g *GitHub) Annotate(r *reports.Report) error {
	if g == nil {
		return nil
	}
	errs, warnings, notices := annotations(r)
	// Constant formats: the library's functions are of the Printf kind.
	annotate(errs, "report", g.action, asError)
	annotate(warnings, "report", g.action, func(a *githubactions.Action, s string) { a.Warningf("%s", s) })
	annotate(notices, "report", g.action, func(a *githubactions.Action, s string) { a.Noticef("%s", s) })
	return g.flush()
}

// Errors shows why a run did not take place, a fault each.
func (g *GitHub) Errors(faults []string) error {
	if g == nil {
		return nil
	}
	var errs []annotation
	for _, fault := range faults {
		errs = append(errs, annotation{title: "yolo-run", message: fault})
	}
	annotate(errs, "log", g.action, asError)
	return g.flush()
}

func asError(a *githubactions.Action, s string) { a.Errorf("%s", s) }

// annotate shows the first of them and says where the rest is.
func annotate(all []annotation, rest string, action *githubactions.Action, emit func(*githubactions.Action, string)) {
	for i, a := range all {
		if i == maxAnnotations {
			emit(action.WithFieldsMap(map[string]string{"title": "yolo-run"}), fmt.Sprintf("and %d more, see the %s", len(all)-i, rest))
			return
		}
		fields := map[string]string{"title": render.Log(a.title)}
		// A name that must be escaped is none that GitHub could find; the message has it.
		if a.file != "" && render.Log(a.file) == a.file {
			fields["file"] = a.file
		}
		emit(action.WithFieldsMap(fields), render.Log(clip(a.message)))
	}
}

func annotations(r *reports.Report) (errs, warnings, notices []annotation) {
	if r.Outcome.ExitCode(0) != 0 {
		message := render.Headline(r)
		if len(r.Errors) > 0 {
			message += ": " + strings.Join(r.Errors, "; ")
		}
		errs = append(errs, annotation{title: "yolo-run: " + string(r.Outcome), message: message})
	}
	for _, f := range r.Gate.Findings {
		a := annotation{title: "Gate: " + f.Rule, file: f.Path, message: f.Reason}
		if f.Path != "" {
			a.message = f.Path + ": " + f.Reason
		}
		if f.Severity == reports.Block {
			errs = append(errs, a)
		} else {
			warnings = append(warnings, a)
		}
	}
	for _, d := range r.Network.Destinations {
		switch d.Verdict {
		case reports.Deny:
			warnings = append(warnings, annotation{title: "Denied", message: attempts(r.Policy, d)})
		case reports.WouldDeny:
			notices = append(notices, annotation{title: "Would be denied", message: attempts(r.Policy, d)})
		}
	}
	return errs, warnings, notices
}

func attempts(p reports.Policy, d reports.Destination) string {
	s := fmt.Sprintf("%s: %d×", render.Target(d), d.Count)
	if d.Reason != "" {
		s += ", " + d.Reason
	}
	if len(d.Processes) > 0 {
		s += ", by " + render.Command(d.Processes[0])
	}
	if flag := render.Flag(p, d); flag != "" {
		s += ", to allow it: " + flag
	}
	return s
}

// clip bounds a message; GitHub cuts them at 4 KiB.
func clip(s string) string {
	const most = 2000
	if r := []rune(s); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return s
}
