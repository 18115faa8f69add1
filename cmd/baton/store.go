package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/spf13/cobra"

	"baton/store/inspect"
	"baton/store/record"
)

func storeCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "store",
		Short: "Look into a data directory, offline and read-only",
		Long: `Look into a data directory: a copy, a damaged one, or one that is in use. Nothing is written and no lock
is taken. Exit 0: all is well; 1: something is wrong, one line each; 2: it cannot be looked at.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return usageError("say what to do: verify, stats or dump (see: %s --help)", cmd.CommandPath())
		},
	}
	c.AddCommand(storeVerifyCommand(), storeStatsCommand(), storeDumpCommand())
	return c
}

// findings prints what is wrong and remembers that something was.
type findings struct {
	out io.Writer
	n   int
}

func (f *findings) add(x inspect.Finding) {
	f.n++
	fmt.Fprintln(f.out, x)
}

// end turns the outcome into an exit code.
func (f *findings) end(err error) error {
	var perr *fs.PathError
	switch {
	case errors.As(err, &perr):
		return exitError{exitUsage, err}
	case err != nil:
		return err
	case f.n > 0:
		return exitError{code: exitFailure}
	}
	return nil
}

func oneDir(cmd *cobra.Command, args []string) error {
	if len(args) != 1 {
		return usageError("give one data directory (see: %s --help)", cmd.CommandPath())
	}
	return nil
}

func storeVerifyCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "verify DIR",
		Short: "Check META, every segment, every batch and every record",
		Args:  oneDir,
		RunE: func(cmd *cobra.Command, args []string) error {
			f := &findings{out: cmd.OutOrStdout()}
			w := inspect.Walker{Dir: args[0], Finding: f.add}
			w.Batch = w.Bodies
			err := w.Walk()
			if err == nil && f.n == 0 {
				fmt.Fprintf(cmd.OutOrStdout(), "fine: %d segments, positions %d to %d, %d epochs\n", w.Segments, w.Start, w.End, len(w.Boundaries))
			}
			if err == nil && w.TornBytes > 0 {
				fmt.Fprintf(cmd.OutOrStdout(), "note: %d bytes of a write that is under way or was cut short follow position %d; the node removes them when it starts\n", w.TornBytes, w.End)
			}
			return f.end(err)
		},
	}
}

func storeStatsCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "stats DIR",
		Short: "Sum up the log: segments, positions, epochs, records, queues",
		Args:  oneDir,
		RunE: func(cmd *cobra.Command, args []string) error {
			f := &findings{out: cmd.ErrOrStderr()}
			s, err := inspect.Summarize(args[0], f.add)
			if err != nil {
				return f.end(err)
			}
			if asJSON {
				enc := json.NewEncoder(cmd.OutOrStdout())
				enc.SetIndent("", "  ")
				if err := enc.Encode(s); err != nil {
					return err
				}
				return f.end(nil)
			}
			printStats(cmd.OutOrStdout(), s)
			return f.end(nil)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

func printStats(w io.Writer, s inspect.Stats) {
	fmt.Fprintf(w, "node %s of cluster %s, incarnation %s, sealed epoch %d\n", s.Meta.Node, s.Meta.ClusterID, s.Meta.Incarnation, s.Meta.Sealed)
	fmt.Fprintf(w, "%d bytes on disk, %d segments, positions %d to %d, index present: %v\n", s.DiskBytes, s.Segments, s.Start, s.End, s.HasIndex)
	for _, e := range s.Epochs {
		fmt.Fprintf(w, "epoch %d began at %d\n", e.Epoch, e.Start)
	}
	fmt.Fprintf(w, "%d batches, records by type: %v\n", s.Batches, s.Records)
	for _, q := range s.Queues {
		fmt.Fprintf(w, "queue %q: %d enqueued, %d acknowledged, %d left, %d duplicates refused\n", q.Name, q.Enqueued, q.Acked, q.Depth, q.Duplicates)
	}
	for _, s := range s.Subscriptions {
		fmt.Fprintf(w, "durable subscription %q of client %q to %q\n", s.Name, s.ClientID, s.Destination)
	}
	if s.Uncounted != "" {
		fmt.Fprintf(w, "queues could not be counted: %s\n", s.Uncounted)
		return
	}
	fmt.Fprintf(w, "%d ids suppress duplicates\n", s.IDs)
}

func storeDumpCommand() *cobra.Command {
	var o inspect.DumpOptions
	var from, to uint64
	c := &cobra.Command{
		Use:   "dump DIR",
		Short: "Print one line for each record",
		Args:  oneDir,
		RunE: func(cmd *cobra.Command, args []string) error {
			f := &findings{out: cmd.ErrOrStderr()}
			o.Range = inspect.Range{From: record.Position(from), To: record.Position(to)}
			return f.end(inspect.Dump(args[0], o, cmd.OutOrStdout(), f.add))
		},
	}
	c.Flags().BoolVar(&o.JSON, "json", false, "print JSON, one object a line")
	c.Flags().Uint64Var(&from, "from", 0, "first position")
	c.Flags().Uint64Var(&to, "to", 0, "position to stop before, 0 = the end")
	c.Flags().StringVar(&o.Queue, "queue", "", "only records of this queue")
	return c
}
