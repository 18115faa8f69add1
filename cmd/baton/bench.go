package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"baton/demo"
	"baton/demo/cluster"
)

func benchCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "bench",
		Short: "Measure: bench failover, bench catchup, bench messages",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return usageError("say what to measure: baton bench failover, baton bench catchup, or baton bench messages")
		},
	}
	c.AddCommand(benchFailoverCommand(), benchCatchUpCommand(), benchMessagesCommand(), rawProcessCommand())
	return c
}

// printReport prints a measurement for people, or as JSON.
func printReport(w io.Writer, r interface{ Text() string }, asJSON bool) error {
	if !asJSON {
		_, err := fmt.Fprint(w, r.Text())
		return err
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(r)
}

func benchFailoverCommand() *cobra.Command {
	var cfg demo.BenchConfig
	var asJSON bool
	c := &cobra.Command{
		Use:   "failover",
		Short: "Make a local cluster's leader fail again and again, and time the phases",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := cfg.Validate(); err != nil {
				return exitError{exitUsage, err}
			}
			cfg.Progress = func(line string) { fmt.Fprintln(cmd.ErrOrStderr(), line) }
			r, err := demo.BenchFailover(cmd.Context(), cfg)
			if err != nil {
				return launchFailure(err)
			}
			return errors.Join(printReport(cmd.OutOrStdout(), r, asJSON), r.Err())
		},
	}
	f := c.Flags()
	f.IntVar(&cfg.Runs, "runs", 20, "number of failovers")
	f.StringVar(&cfg.Fault, "fault", "kill-leader", "kill-leader, pause-leader, cut-leader or transfer")
	f.BoolVar(&asJSON, "json", false, "print JSON")
	f.Float64Var(&cfg.Load.Rate, "rate", 300, "messages per second of all producers together")
	f.IntVar(&cfg.Load.Producers, "producers", 4, "producers, each waits for its receipts")
	f.IntVar(&cfg.Cluster.BasePort, "base-port", cluster.DefaultBasePort, "first port of the cluster")
	f.IntVar(&cfg.Cluster.Nodes, "nodes", 3, "number of nodes")
	f.StringVar(&cfg.Cluster.Sync, "sync", "quorum_disk", "sync policy of the nodes")
	addZKFlag(f, &cfg.Cluster)
	f.DurationVar(&cfg.Cluster.ZKSessionTimeout, "zk-session-timeout", 0, "of the nodes; 0 = their default of 4s")
	f.DurationVar(&cfg.Cluster.ElectionTimeout, "election-timeout", 0, "of the nodes; 0 = their default of 1s")
	return c
}
