package main

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/yolo-run/yolo-run/entrypoint/policy"
	"github.com/yolo-run/yolo-run/reports"
	"github.com/yolo-run/yolo-run/reports/render"
	"github.com/yolo-run/yolo-run/runner"
)

func (a *app) policyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "policy",
		Short: "Ask what a network policy allows, without a run",
		Args:  noArguments,
		RunE:  showHelp,
	}
	cmd.AddCommand(a.policyCheckCommand(), a.policySuggestCommand())
	return cmd
}

func (a *app) policyCheckCommand() *cobra.Command {
	return a.policyLogCommand("check", "Say which recorded attempts a policy would deny; exit code 1 when there are any", a.policyCheck)
}

func (a *app) policySuggestCommand() *cobra.Command {
	return a.policyLogCommand("suggest", "Print what would have to be allowed, as flags and for the action, with reasons", a.policySuggest)
}

// policyLogCommand is a verb that replays a network.jsonl against the policy of the flags.
func (a *app) policyLogCommand(name, short string, replay func(policy.Spec, []reports.Destination) error) *cobra.Command {
	flags := newFlagValues()
	var log string
	cmd := &cobra.Command{
		Use:   name + " [--log FILE] [--allowed-domain HOST]...",
		Short: short,
		Args:  noArguments,
		RunE: func(*cobra.Command, []string) error {
			spec, err := a.policyOf(flags)
			if err != nil {
				return err
			}
			destinations, err := readDestinations(log)
			if err != nil {
				return err
			}
			return replay(spec, destinations)
		},
	}
	flags.register(cmd, pick(settings(new(runner.Defaults())), "allowed-domain", "denied-domain", "allowed-internal", "egress"))
	cmd.Flags().StringVar(&log, "log", "", "the `FILE` network.jsonl of a run (default: of the latest run)")
	return cmd
}

// policyOf reads the policy from all layers, as a run would.
func (a *app) policyOf(flags *flagValues) (policy.Spec, error) {
	l := load(flags, a.environ)
	a.warnUnknown(l)
	spec, err := l.cfg.PolicySpec()
	for _, fault := range flatten(err) {
		l.faults = append(l.faults, l.attribute(fault))
	}
	if err := errors.Join(l.faults...); err != nil {
		return policy.Spec{}, err
	}
	parsed, err := policy.Parse(spec)
	if err != nil {
		return policy.Spec{}, &runner.UsageError{Option: "--egress", Value: string(spec.Egress), Err: err}
	}
	return parsed.Spec(), nil
}

// readDestinations groups the events of a run. The log is untrusted: what the agent asked for stands in it.
func readDestinations(log string) ([]reports.Destination, error) {
	open := func() (*os.File, error) { return os.Open(log) } // whoever names it may name a pipe
	if log == "" {
		folder, err := latestFolder("name the run's network.jsonl by --log; it is in the folder that --out named")
		if err != nil {
			return nil, err
		}
		log = filepath.Join(folder, "network.jsonl")
		open = func() (*os.File, error) { return reports.OpenArtifact(folder, "network.jsonl") }
	}
	in, err := open()
	if err != nil {
		return nil, fileFault("--log", log, err)
	}
	defer in.Close()
	collector := reports.NewCollector(io.Discard)
	if err := reports.ReadEvents(in, collector.Add); err != nil {
		return nil, &runner.UsageError{Option: "--log", Value: log, Err: err}
	}
	network, err := collector.Finish(nil)
	// No policy decides about requests to models: the gateway makes them for the agent.
	return slices.DeleteFunc(network.Destinations, func(d reports.Destination) bool { return d.Layer == reports.LayerModel }), err
}

func fileFault(option, name string, err error) error {
	if pathErr, ok := errors.AsType[*os.PathError](err); ok {
		err = pathErr.Err
	}
	return &runner.UsageError{Option: option, Value: name, Err: err}
}

// deniedError is how `policy check` ends when something would be denied.
type deniedError struct{ denied, all int }

func (e *deniedError) Error() string {
	return fmt.Sprintf("%d of %d destinations would be denied", e.denied, e.all)
}

// ExitCode is not that of a fault.
func (e *deniedError) ExitCode() int { return 1 }

func (a *app) policyCheck(spec policy.Spec, destinations []reports.Destination) error {
	p, err := policy.Parse(spec)
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(a.streams.Out, 0, 0, 2, ' ', 0)
	denied := 0
	for _, d := range destinations {
		verdict := decide(p, d)
		if verdict.Verdict == reports.Allow {
			continue
		}
		denied++
		fmt.Fprintf(table, "%s\t%s\t%d×\t%s\n", verdict.Verdict, render.Log(nameOf(d)), d.Count, render.Log(verdict.Reason))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if denied > 0 {
		return &deniedError{denied: denied, all: len(destinations)}
	}
	a.logger().Info("nothing would be denied", "destinations", len(destinations))
	return nil
}

// decide asks the policy about one destination, as far as a policy decides: what a name resolves to is known only in a run.
func decide(p *policy.Policy, d reports.Destination) policy.Verdict {
	switch d.Layer {
	case reports.LayerDNS:
		return p.Name(d.Name)
	case reports.LayerTLS, reports.LayerHTTP, reports.LayerTCP:
	default:
		return policy.Verdict{Verdict: reports.Deny, Reason: "only TCP can be allowed, not " + string(d.Layer)}
	}
	port := uint16(max(0, min(d.Port, 1<<16-1)))
	if d.Name != "" {
		return p.Connect(d.Name, port)
	}
	addr, err := netip.ParseAddr(d.Addr)
	if err != nil {
		return policy.Verdict{Verdict: reports.Deny, Reason: "neither a name nor an address was recorded"}
	}
	return p.Literal(netip.AddrPortFrom(addr, port))
}

func nameOf(d reports.Destination) string {
	name := d.Name
	if name == "" {
		name = d.Addr
	}
	switch {
	case name == "":
		return string(d.Layer)
	case d.Port == 0:
		return name
	case strings.Contains(name, ":"):
		return fmt.Sprintf("[%s]:%d", name, d.Port)
	}
	return fmt.Sprintf("%s:%d", name, d.Port)
}
