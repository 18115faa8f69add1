// Command baton is the one binary: node, development ZooKeeper, demo, console
// and clients. Each subcommand has a small file of its own that parses flags,
// builds a Config, runs it and turns the outcome into an exit code.
package main

import (
	_ "baton/tui/earlyterm" // must come before bubbletea's init, see there

	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// Exit codes of all subcommands.
const (
	exitOK          = 0
	exitFailure     = 1   // it was tried and failed; of status: degraded
	exitUsage       = 2   // wrong flags, or no terminal; of status: no leader
	exitUnreachable = 3   // the cluster could not be launched or reached
	exitInterrupted = 130 // ctrl+c
)

// exitError carries an exit code with an error. An empty text prints nothing.
type exitError struct {
	code int
	err  error
}

func (e exitError) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}
func (e exitError) Unwrap() error { return e.err }

// usageError marks what the caller typed wrong.
func usageError(format string, args ...any) error {
	return exitError{exitUsage, fmt.Errorf(format, args...)}
}

func main() {
	if forRelaxed(os.Args) {
		relaxTimers()
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	os.Exit(run(ctx, os.Args[1:]))
}

// forRelaxed says whether a command line is one of those that relax their
// timers: nodes, and what their speed is compared with.
func forRelaxed(args []string) bool {
	return len(args) > 1 && args[1] == "node" || len(args) > 2 && args[1] == "bench" && args[2] == rawProcess
}

// isTerminal says whether a person is at a stream of the program.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

func run(ctx context.Context, args []string) int {
	root := rootCommand()
	root.SetArgs(args)
	code := exitUsage // until the arguments are understood
	root.PersistentPreRun = func(*cobra.Command, []string) { code = exitFailure }
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	if e, ok := errors.AsType[exitError](err); ok {
		code = e.code
	}
	if text := err.Error(); text != "" {
		fmt.Fprintln(os.Stderr, "baton:", text)
	}
	return code
}

func rootCommand() *cobra.Command {
	demo := demoCommand()
	root := &cobra.Command{
		Use:   "baton",
		Short: "A replicated message broker whose failover you can watch",
		Long: `Baton is a message broker of three or more nodes. ZooKeeper picks the one that serves, every
update is on a quorum of disks before a client hears success, and when the serving node dies the one
with the newest store takes over. Its console shows all of it, live.

With a terminal and no subcommand it runs the demo: three nodes on this machine.`,
		Args:          cobra.NoArgs,
		SilenceErrors: true,
		SilenceUsage:  true,
		Version:       version(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !isTerminal(os.Stdout) || !isTerminal(os.Stdin) {
				return cmd.Help()
			}
			demo.SetContext(cmd.Context())
			return demo.RunE(demo, nil)
		},
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usageError("%w (see: %s --help)", err, cmd.CommandPath())
	})
	root.AddCommand(demo, nodeCommand(), zkCommand(), statusCommand(), sendCommand(), receiveCommand(), forwardCommand(),
		queuesCommand(), browseCommand(), purgeCommand(), moveCommand(), subscriptionsCommand(), unsubscribeCommand(),
		transferCommand(), shutdownCommand(), chaosCommand(), formCommand(), attachCommand(), replayCommand(), reportCommand(), traceCommand(), benchCommand(), storeCommand())
	for _, c := range root.Commands() {
		bindSettings(c)
	}
	return root
}
