package runner

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/yolo-run/yolo-run/reports"
	"github.com/yolo-run/yolo-run/runner/internal/workspace"
)

// ErrGate says that the gate does not let a patch through. The exit code is that of a run whose patch does not pass.
var ErrGate error = gateError{}

type gateError struct{}

func (gateError) Error() string { return "the gate does not pass this patch" }
func (gateError) ExitCode() int { return reports.PolicyFailed.ExitCode(0) }

// conflictError is a patch that does not fit.
type conflictError struct{ err error }

func (e *conflictError) Error() string { return e.err.Error() }
func (e *conflictError) Unwrap() error { return e.err }
func (e *conflictError) ExitCode() int { return 1 }

// Apply applies the patch in the output folder of a run to the workspace that cfg names, all or nothing. It believes no report that a patch
// is fine: the gate looks again, with the bounds of cfg. A patch that the gate refuses is [ErrGate], with a log line for each finding.
func Apply(ctx context.Context, cfg Config, folder string, s Streams) (err error) {
	cfg.SetDefaults()
	log := cfg.Logger(s.Err)
	f := &faults{}
	cfg.validatePatterns(f)
	severities := cfg.gateSeverities(f)
	if err := errors.Join(f.list...); err != nil {
		return err
	}
	patch, err := openPatch(folder)
	if err != nil {
		return err
	}
	if patch == nil {
		log.Info("the run changed nothing", "folder", folder)
		return nil
	}
	defer patch.Close()
	secrets, err := secretValues(cfg)
	if err != nil {
		return err
	}
	base, err := baseOf(patch)
	if err != nil {
		return &UsageError{Option: "patch", Value: filepath.Join(folder, filePatch), Err: plainPathError(err)}
	}
	ws, err := workspace.Open(ctx, workspace.Options{Dir: cfg.Workspace, Hide: cfg.Hide, Base: base, Logger: log})
	if err != nil {
		return workspaceError(cfg.Workspace, err)
	}
	changes, err := ws.ReadPatch(ctx, patch)
	if errors.Is(err, workspace.ErrConflict) {
		return withHint(&conflictError{err}, "nothing was changed; the workspace has moved since the run: run again, or apply the patch by hand with git apply --reject")
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, changes.Close()) }()
	if changes.Empty() {
		log.Info("the workspace has these changes already", "workspace", ws.Root())
		return nil
	}
	gate := changes.Gate(gateOptions(cfg, ws.Sub(), secrets))
	if err := addFindingsOfTheRun(&gate, folder, severities); err != nil {
		return err
	}
	if blocked(gate) {
		logFindings(log, gate)
		return withHint(ErrGate, "read the findings; what you want all the same, let pass by --gate RULE=warn")
	}
	warnOfHardLinks(log, changes, ws.Root())
	if err := changes.Apply(ctx, ws.Root()); err != nil {
		return err
	}
	_, err = fmt.Fprintf(s.Out, "applied changes to %s in %s\n", plural(len(changes.Report().Files), "file"), ws.Root())
	return err
}

// warnOfHardLinks names changed files whose other names keep the old version.
func warnOfHardLinks(log *slog.Logger, changes *workspace.Changes, root string) {
	list, err := changes.HardLinked(root)
	if err != nil || len(list) == 0 {
		return // what cannot be opened, Apply says
	}
	log.Warn("hard links are separated: other names of these files keep the old version", "files", len(list), "first", list[0])
}

// openPatch opens the patch of a run; it is nil where the run changed nothing.
func openPatch(folder string) (*os.File, error) {
	patch, err := reports.OpenArtifact(folder, filePatch)
	if errors.Is(err, os.ErrNotExist) {
		// A wrong folder must not pass for a run without changes: in a pipeline nobody would see it.
		if _, err := os.Stat(filepath.Join(folder, fileReport)); err != nil {
			return nil, &UsageError{Option: "folder", Value: folder, Err: errors.New("has neither changes.patch nor report.json"), Hint: "name the folder that --out of the run named"}
		}
		return nil, nil //nolint:nilnil // nothing to open, and no fault
	}
	if err != nil {
		return nil, &UsageError{Option: "patch", Value: filepath.Join(folder, filePatch), Err: plainPathError(err)}
	}
	return patch, nil
}

// addFindingsOfTheRun adds those that block and that nobody could find again without the run's own options: where the agent was started, and its
// secrets. A report that is not there, or that somebody has made milder, leaves what the gate sees now; one that cannot be read is a fault.
func addFindingsOfTheRun(gate *reports.Gate, folder string, severities map[string]reports.Severity) error {
	report, err := readRun(folder)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return &UsageError{Option: "report", Value: filepath.Join(folder, fileReport), Err: err}
	}
	for _, f := range report.Gate.Findings {
		if f.Severity != reports.Block || f.Rule != workspace.RuleOutsideFolder && f.Rule != workspace.RuleSecret {
			continue
		}
		if severity, given := severities[f.Rule]; given {
			f.Severity = severity
		}
		if f.Severity != "" && !slices.Contains(gate.Findings, f) {
			gate.Findings = append(gate.Findings, f)
		}
	}
	return nil
}

func blocked(gate reports.Gate) bool {
	return slices.ContainsFunc(gate.Findings, func(f reports.Finding) bool { return f.Severity == reports.Block })
}

func gateOptions(cfg Config, sub string, secrets []string) workspace.GateOptions {
	return workspace.GateOptions{
		Protect: cfg.Protect, MaxPatchBytes: int64(cfg.MaxPatchBytes), MaxPatchFiles: cfg.MaxPatchFiles, Sub: sub,
		Secrets: secrets, Severity: cfg.gateSeverities(&faults{}), // Validate has passed them
	}
}

// secretValues are the values that were handed in as secrets: a patch must not carry them out. One that cannot be read is an error: nobody
// could look for it.
func secretValues(cfg Config) ([]string, error) {
	var values []string
	f := &faults{}
	for _, entry := range cfg.Secrets {
		secret, err := ParseSecret(entry)
		if err != nil {
			f.add("--secret", "", err) // the entry may be the secret itself
			continue
		}
		value, err := secret.value(thisHost())
		if err != nil {
			f.add("--secret", secret.Name, plainPathError(err))
			continue
		}
		values = append(values, value)
	}
	return values, errors.Join(f.list...)
}

// value reads the secret. A newline at its end is an editor's or a shell's, not the secret's.
func (s Secret) value(machine host) (string, error) {
	if s.File == "" {
		return strings.TrimRight(machine.getenv(s.Env), "\r\n"), nil
	}
	path, err := machine.expand(s.File)
	if err != nil {
		return "", err
	}
	data, err := readBounded(path, maxSecret)
	return strings.TrimRight(string(data), "\r\n"), err
}

const maxSecret = 64 << 10 // bytes

func logFindings(log *slog.Logger, gate reports.Gate) {
	for i, f := range gate.Findings {
		if i == maxShownFindings {
			log.Warn("gate", "more", len(gate.Findings)-i)
			return
		}
		log.Warn("gate", "rule", f.Rule, "severity", string(f.Severity), "path", f.Path, "reason", f.Reason)
	}
}

// maxShownFindings bounds the findings that are logged; the report has all.
const maxShownFindings = 50
