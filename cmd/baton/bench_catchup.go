package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"baton/demo"
	"baton/demo/cluster"
)

func benchCatchUpCommand() *cobra.Command {
	var cfg demo.CatchUpConfig
	var asJSON bool
	c := &cobra.Command{
		Use:   "catchup",
		Short: "Let a follower of a local cluster catch up beside producers at full speed, and time both",
		Long: `Starts a local cluster under full load, kills a follower, lets the log grow, and starts the follower
again. Reports how fast it caught up, and how fast producers were before it was killed, while it was
away, while it caught up, and afterwards.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := cfg.Validate(); err != nil {
				return exitError{exitUsage, err}
			}
			cfg.Progress = func(line string) { fmt.Fprintln(cmd.ErrOrStderr(), line) }
			r, err := demo.BenchCatchUp(cmd.Context(), cfg)
			if err != nil {
				return launchFailure(err)
			}
			return errors.Join(printReport(cmd.OutOrStdout(), r, asJSON), r.Err())
		},
	}
	cfg.Bytes = 2 << 30
	f := c.Flags()
	f.Var((*byteSize)(&cfg.Bytes), "bytes", "how much the follower lacks, as 2GiB or 500MiB")
	f.DurationVar(&cfg.Measure, "measure", 0, "how long each rate of the producers is measured; 0 = 5s")
	f.DurationVar(&cfg.Settle, "timeout", 0, "bound of letting the log grow, and of catching up; 0 = 2m")
	f.BoolVar(&asJSON, "json", false, "print JSON")
	f.IntVar(&cfg.Load.Producers, "producers", 16, "producers, each waits for its receipts")
	f.IntVar(&cfg.Load.BodySize, "size", 1024, "bytes of a producer's message")
	f.IntVar(&cfg.Cluster.BasePort, "base-port", cluster.DefaultBasePort, "first port of the cluster")
	f.IntVar(&cfg.Cluster.Nodes, "nodes", 3, "number of nodes")
	f.StringVar(&cfg.Cluster.Sync, "sync", "quorum_disk", "sync policy of the nodes")
	f.StringVar(&cfg.Cluster.DataDir, "data-dir", "", "where the nodes keep their data; empty = a temporary directory")
	f.Var((*commaList)(&cfg.Cluster.ZooKeeper), "zk", "use these ZooKeeper servers in place of the embedded one")
	return c
}
