package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"baton/demo/cluster"
	"baton/tui/control"
	"baton/tui/data"
)

func chaosCommand() *cobra.Command {
	var base int
	var dry, asJSON bool
	c := &cobra.Command{
		Use:   "chaos [VERB [TARGET]]",
		Short: "Do something to a demo that runs in another terminal: kill, pause, cut, fill a disk, ...",
		Long: `Does to a running baton demo what its menu of actions (x) does, by the same table of verbs and with the
same forecast, which is printed first. TARGET is a node, a ZooKeeper server, leader or follower. Without a
verb it lists them all, and what can be the target now.

` + verbTable(),
		Example: "  baton chaos kill leader\n  baton chaos --dry-run power-loss n2\n  baton chaos blackout && baton chaos start-all",
		Args:    cobra.MaximumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			path, err := controlPath(base)
			if err != nil {
				return err
			}
			client, out := control.Client{Path: path}, cmd.OutOrStdout()
			if len(args) == 0 {
				return chaosState(cmd, client, asJSON)
			}
			req := control.Request{Verb: args[0], DryRun: dry}
			if len(args) > 1 {
				req.Target = args[1]
			}
			a, err := client.Do(cmd.Context(), req)
			if err != nil {
				return controlError(err)
			}
			if asJSON {
				return json.NewEncoder(out).Encode(a)
			}
			printAnswer(out, a, chaosFlags(base))
			return nil
		},
	}
	c.Flags().IntVar(&base, "base-port", cluster.DefaultBasePort, "of the demo")
	c.Flags().BoolVar(&dry, "dry-run", false, "say what will happen, and do nothing")
	c.Flags().BoolVar(&asJSON, "json", false, "for scripts")
	return c
}

func verbTable() string {
	var b strings.Builder
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, v := range data.Verbs() {
		target := ""
		if v.Reach != data.ReachCluster {
			target = "TARGET"
		}
		fmt.Fprintf(t, "  %s %s\t%s\n", v.Name, target, v.Help)
	}
	t.Flush()
	return b.String()
}

func printAnswer(w io.Writer, a control.Answer, flags string) {
	for _, line := range a.Forecast {
		fmt.Fprintln(w, "  "+line)
	}
	if len(a.Forecast) == 0 {
		fmt.Fprintln(w, "  nothing is put at risk")
	}
	what := a.Verb + " " + a.Target
	if a.Target == data.Everything {
		what = a.Verb
	}
	if !a.Done {
		fmt.Fprintf(w, "%s: not done, this was the forecast\n", what)
		return
	}
	fmt.Fprintf(w, "%s: done in %d ms", what, a.TookMS)
	if v, ok := data.VerbByName(a.Undo); ok {
		fmt.Fprintf(w, "; %s takes it back", v.Command(data.CLI{Launched: true, Flags: flags}, a.Target, ""))
	}
	fmt.Fprintln(w)
}

func chaosState(cmd *cobra.Command, client control.Client, asJSON bool) error {
	s, err := client.State(cmd.Context())
	if asJSON && err == nil {
		return json.NewEncoder(cmd.OutOrStdout()).Encode(s)
	}
	if err == nil {
		fmt.Fprintf(cmd.OutOrStdout(), "%s is %s; targets: leader, follower, %s\n\n", s.Cluster, s.Health, strings.Join(s.Targets, ", "))
	}
	fmt.Fprint(cmd.OutOrStdout(), verbTable())
	return controlError(err)
}

// controlError gives what went wrong its exit code.
func controlError(err error) error {
	switch {
	case errors.Is(err, control.ErrVerb):
		return exitError{exitUsage, err}
	case errors.Is(err, control.ErrNoCluster):
		return exitError{exitUnreachable, fmt.Errorf("%w; start one with: baton demo", err)}
	}
	return err
}

// controlPath is the socket of the demo with a base port.
func controlPath(base int) (string, error) {
	dir, err := stateDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, "run", "demo-"+strconv.Itoa(base)+".sock"), nil
}

// chaosFlags are the flags of baton chaos that find a demo.
func chaosFlags(base int) string {
	if base == cluster.DefaultBasePort {
		return ""
	}
	return "--base-port " + strconv.Itoa(base)
}

// serveControl lets other terminals act on a launched cluster, if there is a
// place for a socket; without one the run goes on, and its log says why.
func serveControl(base int, src control.Source, logger *slog.Logger) (stop func()) {
	path, err := controlPath(base)
	var s *control.Server
	if err == nil {
		s, err = control.Listen(path, src, logger)
	}
	if err != nil {
		logger.Warn("no commands from other terminals", "err", err)
		return func() {}
	}
	return func() {
		if err := s.Close(); err != nil {
			logger.Warn("no commands from other terminals", "err", err)
		}
	}
}
