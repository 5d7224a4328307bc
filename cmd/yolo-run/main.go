// Command yolo-run runs a coding agent in a firewalled container without privileges and hands back a patch and a report.
//
// Everything about a run is decided by package runner; this package turns defaults, configuration file, environment and flags into one
// [runner.Config], and errors into exit codes.
package main

import (
	"context"
	"os"

	"github.com/yolo-run/yolo-run/runner"
)

// Set by the linker. A release names its images by registry and digest: "gateway=registry.example.com/gateway@sha256:…,base=…".
var (
	version = "dev"
	images  = ""
)

func main() {
	os.Exit(run(os.Args[1:], runner.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}))
}

// run executes one command line and returns the exit code of the process.
func run(args []string, streams runner.Streams) int {
	ctx, stop := withSignals(context.Background())
	defer stop()
	app := &app{streams: streams, environ: os.Environ(), version: version, images: imageNames(images)}
	err := app.execute(ctx, args)
	app.printFaults(err)
	return runner.ExitCode(app.report, err)
}
