// Command entrypoint is the one static binary that runs inside yolo-run's containers, in one of five roles.
package main

import (
	"fmt"
	"os"

	"github.com/yolo-run/yolo-run/entrypoint"
)

var version = "dev" // set by the linker

func main() {
	role := ""
	if len(os.Args) == 2 {
		role = os.Args[1]
	}
	switch role {
	case "gateway":
		os.Exit(entrypoint.Gateway(version, os.Stdin, os.Stdout))
	case entrypoint.GatewayServeRole: // started by the gateway itself
		os.Exit(entrypoint.GatewayServe())
	case "agent":
		os.Exit(entrypoint.Agent())
	case "load":
		os.Exit(entrypoint.Load(os.Stdin, os.Stdout))
	case "collect":
		os.Exit(entrypoint.Collect(os.Stdin, os.Stdout))
	default:
		fmt.Fprintln(os.Stderr, "usage: entrypoint gateway|agent|collect|load (started by yolo-run, not by hand)")
		os.Exit(2)
	}
}
