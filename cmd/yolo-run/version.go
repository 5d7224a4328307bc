package main

import (
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
)

// build is what `version --json` prints.
type build struct {
	Version string `json:"version"`
	Commit  string `json:"commit,omitempty"`
	Dirty   bool   `json:"dirty,omitempty"` // built from changed sources
	Go      string `json:"go"`
	OS      string `json:"os"`
	Arch    string `json:"arch"`
	// Images are those that a release names by digest; empty where they are yolo-run/NAME:VERSION.
	Images map[string]string `json:"images,omitempty"`
}

func (a *app) versionCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "version [--json]",
		Short: "Print the version",
		Args:  noArguments,
		RunE: func(*cobra.Command, []string) error {
			b := readBuild(a.version)
			b.Images = a.images
			if asJSON {
				return json.NewEncoder(a.streams.Out).Encode(b)
			}
			_, err := fmt.Fprintf(a.streams.Out, "yolo-run %s\n", b.Version)
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "with commit and platform, as JSON")
	return cmd
}

func readBuild(version string) build {
	b := build{Version: version, Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Commit = s.Value
		case "vcs.modified":
			b.Dirty = s.Value == "true"
		}
	}
	return b
}

// imageNames reads the list NAME=REFERENCE,… that the linker set.
func imageNames(list string) map[string]string {
	names := map[string]string{}
	for entry := range strings.SplitSeq(list, ",") {
		if name, ref, ok := strings.Cut(entry, "="); ok {
			names[name] = ref
		}
	}
	return names
}
