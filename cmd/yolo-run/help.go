package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/yolo-run/yolo-run/runner"
)

// How many columns the texts fill: --help a small terminal, the list of all flags a usual one.
const (
	helpWidth = 80
	wideHelp  = 100
)

const helpHead = `yolo-run runs a coding agent in a firewalled container without privileges and
hands back what it changed, as a patch, and what it tried, as a report.

Usage:
  yolo-run --prompt-file FILE [flags]        give an agent a task
  yolo-run [flags] -- COMMAND [ARG...]       run a command of yours in its place

Examples:
  yolo-run --prompt-file task.md --allowed-domain api.example.com,*.example.org
  yolo-run --agent shell --prompt-file refactor.sh --image golang:1.26 --apply
  echo "Fix the failing test" | yolo-run --prompt-file - --fail-on gate,denied
`

const helpTail = `
All flags: yolo-run help flags. Each is a variable too, such as YOLO_MEMORY.
Exit: 0 done, 1 agent failed, 2 usage, 3 policy, 4 budget, 124 timeout, 125 no run
`

// help prints the screen of the root command, and cobra's own for the others.
func help(cmd *cobra.Command, _ []string) {
	if cmd.HasParent() {
		text := cmd.Long
		if text == "" {
			text = cmd.Short
		}
		fmt.Fprintf(cmd.OutOrStdout(), "%s\n\n%s", strings.TrimSpace(text), cmd.UsageString())
		return
	}
	writeHelp(cmd.OutOrStdout(), cmd)
}

// showHelp is what a command does that has only subcommands.
func showHelp(cmd *cobra.Command, _ []string) error { return cmd.Help() }

// helpCommand is `yolo-run help [COMMAND]`; what it does not know is a fault, as everywhere.
func helpCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]",
		Short: "Explain a command",
		RunE: func(cmd *cobra.Command, args []string) error {
			topic, rest, err := cmd.Root().Find(args)
			if err != nil {
				return err
			}
			if len(rest) > 0 {
				return unexpected(topic, rest)
			}
			return topic.Help()
		},
	}
}

// writeHelp shows the settings that most runs need with their meaning, and the others by name.
func writeHelp(w io.Writer, root *cobra.Command) {
	cfg := runner.Defaults()
	all := settings(&cfg)
	var b strings.Builder
	b.WriteString(helpHead)
	for _, group := range groups() {
		for i, s := range briefOf(all, group) {
			if i == 0 {
				fmt.Fprintf(&b, "\n%s:\n", group)
			}
			writeFlag(&b, s)
		}
	}
	writeWords(&b, "\nMore flags:", restOf(all))
	writeWords(&b, "Commands:", commandNames(root))
	b.WriteString(helpTail)
	fmt.Fprint(w, b.String())
}

func briefOf(all []setting, group string) []setting {
	var list []setting
	for _, s := range all {
		if s.group == group && s.brief {
			list = append(list, s)
		}
	}
	return list
}

func restOf(all []setting) []string {
	var names []string
	for _, s := range all {
		if !s.brief {
			names = append(names, "--"+s.name)
		}
	}
	return append(names, "--config")
}

func commandNames(root *cobra.Command) []string {
	var names []string
	for _, cmd := range root.Commands() {
		if cmd.IsAvailableCommand() {
			names = append(names, cmd.Name())
		}
	}
	return names
}

// writeFlag writes one setting: the flag, its meaning, its default where there is room.
func writeFlag(b *strings.Builder, s setting) {
	line := flagLine(s)
	if def := defaultNote(s); len(line)+len(def) <= helpWidth {
		line += def
	}
	b.WriteString(line + "\n")
}

// writeFlagWhole is writeFlag with the default on a line of its own where there is no room.
func writeFlagWhole(b *strings.Builder, s setting) {
	line, def := flagLine(s), defaultNote(s)
	if len(line)+len(def) > wideHelp && def != "" {
		line += "\n" + strings.Repeat(" ", flagColumn-1)
	}
	b.WriteString(line + def + "\n")
}

// flagColumn is where the meanings begin.
const flagColumn = 32

func flagLine(s setting) string {
	return fmt.Sprintf("  %-*s%s", flagColumn-2, strings.TrimSpace("--"+s.name+" "+s.meta), s.help)
}

func defaultNote(s setting) string {
	if def := s.defaultText(); def != "" && !s.isBool() {
		return " (" + def + ")"
	}
	return ""
}

// writeWords writes a list of words, wrapped.
func writeWords(b *strings.Builder, title string, words []string) {
	line := title
	for _, word := range words {
		if len(line)+1+len(word) > helpWidth {
			b.WriteString(line + "\n")
			line = " "
		}
		line += " " + word
	}
	b.WriteString(line + "\n")
}

// flagsTopic is `yolo-run help flags`: every setting, with variable and default.
func flagsTopic() *cobra.Command {
	topic := &cobra.Command{Use: "flags", Short: "All flags, with their variables and defaults"}
	topic.SetHelpFunc(func(cmd *cobra.Command, _ []string) { writeAllFlags(cmd.OutOrStdout()) })
	return topic
}

func writeAllFlags(w io.Writer) {
	cfg := runner.Defaults()
	var b strings.Builder
	b.WriteString("A flag wins over its variable (--memory: YOLO_MEMORY), and that over the --config file.\n" +
		"Flags of lists may be repeated. A list in a variable has one value a line; domains, DNS\n" +
		"servers and --fail-on may be separated by commas and spaces too.\n")
	group := ""
	for _, s := range append(settings(&cfg), configSetting()) {
		if s.group != group && s.name != "config" {
			group = s.group
			fmt.Fprintf(&b, "\n%s:\n", group)
		}
		writeFlagWhole(&b, s)
	}
	fmt.Fprint(w, b.String())
}
