package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"baton/demo/cluster"
	"baton/demo/throughput"
	"baton/node/client"
	"baton/node/supervisor"
)

// benchMessages are the flags of baton bench messages.
type benchMessages struct {
	plan    throughput.Config
	cluster cluster.Config
	uri     string
	pids    []int
	vs      []string
	vsPIDs  []int
	raw     bool
	json    bool
}

func benchMessagesCommand() *cobra.Command {
	var b benchMessages
	c := &cobra.Command{
		Use:   "messages",
		Short: "Measure how many messages a broker takes and gives per second",
		Long: `Starts a local cluster without load of its own, or takes the broker at --uri, and runs workloads against it.
With --vs other STOMP brokers take turns with it in the same run, which makes the ratios worth something on a busy
machine. --raw sets the rates beside what this machine allows: one batch at a time, synced to two of three files by
processes that do nothing else.

Workloads: ` + strings.Join(throughput.Names(), ", ") + `.`,
		Example: "  baton bench messages --workload publish-window-256,consume-1 --raw\n" +
			"  baton bench messages --uri stomp://127.0.0.1:61613 --vs activemq=stomp://127.0.0.1:61713 --vs-pid 4711",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return b.run(cmd) },
	}
	f := c.Flags()
	f.Var((*commaList)(&b.plan.Workloads), "workload", "workloads; empty = all")
	f.IntSliceVar(&b.plan.Sizes, "size", []int{1024}, "bytes of a message's body, one or several")
	f.DurationVar(&b.plan.For, "for", 3*time.Second, "length of one measurement")
	f.IntVar(&b.plan.Rounds, "rounds", 3, "measurements of each workload; the median counts")
	f.IntVar(&b.plan.Backlog, "backlog", 20000, "messages that consumers find in their queue")
	f.IntVar(&b.plan.Prefetch, "prefetch", 1000, "messages that a consumer holds without an acknowledgement")
	f.StringVar(&b.uri, "uri", "", "measure this broker; empty = start a cluster")
	f.IntSliceVar(&b.pids, "pid", nil, "process of the broker at --uri, for the processor time per message")
	f.StringArrayVar(&b.vs, "vs", nil, "another broker in the same run, NAME=URI; may be given several times")
	f.IntSliceVar(&b.vsPIDs, "vs-pid", nil, "process of the first --vs broker")
	f.BoolVar(&b.raw, "raw", false, "measure the raw limit of the disk too")
	f.BoolVar(&b.json, "json", false, "print JSON")
	f.IntVar(&b.cluster.BasePort, "base-port", cluster.DefaultBasePort, "first port of the cluster")
	f.IntVar(&b.cluster.Nodes, "nodes", 3, "number of nodes")
	f.StringVar(&b.cluster.Sync, "sync", "quorum_disk", "sync policy of the nodes")
	f.StringVar(&b.cluster.DataDir, "data-dir", "", "keep the nodes' data here, and measure the raw limit here")
	return c
}

// rawProcess is the subcommand of the processes that --raw starts.
const rawProcess = "raw-process"

func rawProcessCommand() *cobra.Command {
	return &cobra.Command{
		Use:    rawProcess + " DIR ADDRESS FOLLOWERS",
		Short:  "One process of the raw limit that bench messages --raw measures",
		Hidden: true,
		Args:   cobra.ExactArgs(3),
		RunE: func(cmd *cobra.Command, args []string) error {
			command, err := rawCommand()
			if err != nil {
				return err
			}
			return throughput.ServeRaw(cmd.Context(), command, args)
		},
	}
}

// rawCommand starts one.
func rawCommand() ([]string, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	return []string{exe, "bench", rawProcess}, nil
}

func (b *benchMessages) run(cmd *cobra.Command) error {
	if err := b.targets(); err != nil {
		return err
	}
	b.plan.Progress = func(line string) { fmt.Fprintln(cmd.ErrOrStderr(), line) }
	dir, err := os.MkdirTemp(b.cluster.DataDir, "baton-bench-")
	if err != nil {
		return fmt.Errorf("make a directory for the measurement: %w", err)
	}
	defer os.RemoveAll(dir)
	if b.raw {
		if b.plan.RawCommand, err = rawCommand(); err != nil {
			return err
		}
		b.plan.RawDir = dir
	}
	if b.uri == "" {
		b.cluster.Direct = true
		c, err := cluster.Launch(cmd.Context(), b.cluster)
		if err != nil {
			return launchFailure(err)
		}
		defer c.Close()
		b.plan.Targets = append([]throughput.Target{ownTarget(c)}, b.plan.Targets...)
	}
	r, err := throughput.Run(cmd.Context(), b.plan)
	if err != nil {
		return err
	}
	return printReport(cmd.OutOrStdout(), r, b.json)
}

// targets reads what is to be measured beside an own cluster.
func (b *benchMessages) targets() error {
	if b.uri != "" {
		b.plan.Targets = append(b.plan.Targets, throughput.Target{Name: "broker", URI: b.uri, PIDs: b.pids})
	}
	for i, v := range b.vs {
		name, uri, ok := strings.Cut(v, "=")
		if !ok || name == "" {
			return usageError("--vs: %q is not NAME=URI", v)
		}
		t := throughput.Target{Name: name, URI: uri}
		if i == 0 {
			t.PIDs = b.vsPIDs
		}
		b.plan.Targets = append(b.plan.Targets, t)
	}
	for _, t := range b.plan.Targets {
		if _, err := client.ParseURI(t.URI); err != nil {
			return usageError("address of %s: %w", t.Name, err)
		}
	}
	check := b.plan
	if b.uri == "" {
		check.Targets = append(check.Targets, throughput.Target{Name: "own"})
	}
	if err := errors.Join(check.Validate(), b.cluster.Validate()); err != nil {
		return exitError{exitUsage, err}
	}
	return nil
}

// ownTarget is a cluster of this process: all of its nodes are counted, not
// its ZooKeeper, which messages do not touch.
func ownTarget(c *cluster.Cluster) throughput.Target {
	t := throughput.Target{Name: "baton", URI: strings.Join(c.StompAddresses(), ",")}
	for _, p := range c.Processes() {
		if p.Kind == cluster.KindOfNode && p.State == supervisor.StateRunning {
			t.PIDs = append(t.PIDs, p.PID)
		}
	}
	return t
}
