package runner

import (
	"io"
	"os"

	"github.com/yolo-run/yolo-run/runner/internal/ci"
)

// Annotate shows why a command did not do its work beside the step in GitHub Actions, with hints; elsewhere it does nothing. out is the
// process's standard output. A run that took place has said all of it already, by its report.
func Annotate(out io.Writer, faults []error) error {
	var texts []string
	for _, fault := range faults {
		text := fault.Error()
		if hint := Hint(fault); hint != "" {
			text += "; " + hint
		}
		texts = append(texts, text)
	}
	return ci.Detect(os.Getenv, out).Errors(texts)
}
