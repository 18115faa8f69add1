package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"baton/node/adminapi"
	"baton/repl/election"
	"baton/zkclient"
	"baton/zkclient/group"
)

// operatorFlags find a cluster and prove the right to change it.
type operatorFlags struct {
	servers   []string
	path      string
	tokenFile string
}

func (o *operatorFlags) add(c *cobra.Command) {
	zkFlags(c, &o.servers, &o.path)
	c.Flags().StringVar(&o.tokenFile, "token-file", "", "file with the bearer token of the nodes' control verbs")
}

func transferCommand() *cobra.Command {
	var o operatorFlags
	var to string
	var wait time.Duration
	c := &cobra.Command{
		Use:   "transfer",
		Short: "Hand leadership to another node, without losing a message",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			admin, err := o.leader(cmd.Context())
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), wait)
			defer cancel()
			if err := admin.Transfer(ctx, to); err != nil {
				return err
			}
			after, err := look(cmd.Context(), o.servers, o.path)
			if err != nil {
				return err
			}
			if after.Cluster != nil {
				fmt.Fprintf(cmd.OutOrStdout(), "%s leads epoch %d\n", after.Cluster.Leader, after.Cluster.Epoch)
			}
			return nil
		},
	}
	o.add(c)
	c.Flags().StringVar(&to, "to", "", "node that shall lead; empty = the best follower")
	c.Flags().DurationVar(&wait, "timeout", 30*time.Second, "how long to wait for that node to be caught up")
	return c
}

func shutdownCommand() *cobra.Command {
	var o operatorFlags
	c := &cobra.Command{
		Use:   "shutdown NODE",
		Short: "Stop one node cleanly; a leader hands over first",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usageError("say which node to stop, as in: baton shutdown n2")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			token, err := readSecret("token-file", o.tokenFile)
			if err != nil {
				return err
			}
			snap, err := look(cmd.Context(), o.servers, o.path)
			if err != nil {
				return err
			}
			for _, m := range snap.Members {
				if m.Data.Node == args[0] {
					return (&adminapi.Client{Address: m.Data.Admin, Token: token}).Shutdown(cmd.Context())
				}
			}
			return exitError{exitUnreachable, fmt.Errorf("%s is not in the cluster at %s: see baton status", args[0], o.path)}
		},
	}
	o.add(c)
	return c
}

func formCommand() *cobra.Command {
	var o operatorFlags
	var discard bool
	c := &cobra.Command{
		Use:   "form",
		Short: "Begin a new history after a quorum of disks was lost",
		Long: `When a quorum of members comes back with new disks, what was acknowledged may be gone, and the
cluster does not start by itself. This command forgets which disks were registered, so that the nodes that
are there now begin anew with what they have. What only the lost disks held stays lost.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !discard {
				return usageError("this gives up what only the lost disks held: say so with --discard-history")
			}
			return form(cmd.Context(), o, cmd)
		},
	}
	zkFlags(c, &o.servers, &o.path)
	c.Flags().BoolVar(&discard, "discard-history", false, "yes, go on without what the lost disks held")
	return c
}

func form(ctx context.Context, o operatorFlags, cmd *cobra.Command) error {
	snap, err := look(ctx, o.servers, o.path)
	if err != nil {
		return err
	}
	if snap.Cluster == nil {
		return fmt.Errorf("there is nothing to discard at %s: the nodes form a cluster by themselves", o.path)
	}
	c := *snap.Cluster
	newest := map[string]group.Member{} // a killed process leaves a member node behind for a while
	for _, m := range snap.Members {
		newest[m.Data.Node] = m
	}
	for _, m := range newest {
		if m.Data.Address != "" {
			return fmt.Errorf("%s leads epoch %d: the cluster has a history that works, nothing was changed", m.Data.Node, c.Epoch)
		}
	}
	for _, m := range snap.Members { // the next epoch is above every promise
		c.Epoch = max(c.Epoch, m.Data.Sealed)
	}
	c.Members, c.Old = map[string]group.Registration{}, nil
	c.Phase, c.Leader, c.Prefer = string(election.PhaseElected), "", ""
	ctx, cancel := context.WithTimeout(ctx, discoverTimeout)
	defer cancel()
	zk, err := zkclient.Connect(zkclient.Config{Servers: o.servers})
	if err != nil {
		return err
	}
	defer zk.Close()
	g := group.New(group.Config{Client: zk, Path: o.path})
	defer g.Close()
	if err := g.WriteCluster(ctx, c, snap.ClusterVersion); err != nil {
		return fmt.Errorf("begin a new history: %w", err)
	}
	fmt.Fprintf(cmd.OutOrStdout(), "the cluster begins anew above epoch %d, with the disks that are there\n", c.Epoch)
	return nil
}
