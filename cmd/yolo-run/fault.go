package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/yolo-run/yolo-run/reports/render"
	"github.com/yolo-run/yolo-run/runner"
)

// printFaults writes every fault on a line of its own, with what to do about it below, and tells CI where no report does. Values in them are
// untrusted.
func (a *app) printFaults(err error) {
	label, dim, reset := "error:", "", ""
	if runner.Colour(a.streams.Err, os.Getenv) {
		label, dim, reset = "\x1b[31merror:\x1b[0m", "\x1b[2m", "\x1b[0m"
	}
	var b strings.Builder
	for _, fault := range flatten(err) {
		for i, line := range strings.Split(fault.Error(), "\n") {
			if i == 0 {
				fmt.Fprintf(&b, "%s %s\n", label, render.Log(line))
				continue
			}
			fmt.Fprintf(&b, "       %s\n", render.Log(line))
		}
		if hint := runner.Hint(fault); hint != "" {
			fmt.Fprintf(&b, "  %shint: %s%s\n", dim, render.Log(hint), reset)
		}
	}
	fmt.Fprint(a.streams.Err, b.String())
	if a.report == nil {
		// Standard output may be gone; the faults stand on standard error all the same.
		_ = runner.Annotate(a.streams.Out, flatten(err))
	}
}
