package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"baton/tui"
	"baton/tui/data"
	"baton/tui/record"
	"baton/tui/style"
)

// consoleFlags are the flags of everything with a console.
type consoleFlags struct {
	style   style.Options
	noMouse bool
}

func (f *consoleFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.style.Theme, "theme", "auto", "auto, dark, light or mono")
	c.Flags().StringVar(&f.style.Color, "color", "auto", "auto, always or never; NO_COLOR is honoured")
	c.Flags().BoolVar(&f.style.ASCII, "ascii", false, "draw with ASCII characters only")
	c.Flags().BoolVar(&f.noMouse, "no-mouse", false, "leave the mouse to the terminal")
}

func (f *consoleFlags) theme() (style.Theme, error) {
	t, err := style.Detect(f.style, os.Getenv)
	if err != nil {
		return t, exitError{exitUsage, err}
	}
	return t, nil
}

// attachFlags are the flags of baton attach.
type attachFlags struct {
	console   consoleFlags
	record    recordFlags
	serve     serveFlags
	servers   []string
	path      string
	tokenFile string
	actions   bool
}

func attachCommand() *cobra.Command {
	var f attachFlags
	c := &cobra.Command{
		Use:   "attach",
		Short: "Open the console on a live cluster, read-only",
		Long: `Opens the console on a cluster that runs already. Its nodes are found in ZooKeeper, and remembered,
so that they are found again while ZooKeeper is away. Nothing can be changed unless --allow-actions is given
with the token of the nodes; what takes a node out of service then asks for the node's name. If several
clusters are below --zk-path, you choose one. The tree of an ActiveMQ replicated store is shown as it is.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd) },
	}
	zkFlags(c, &f.servers, &f.path)
	c.Flags().StringVar(&f.tokenFile, "token-file", "", "file with the bearer token of the nodes' control verbs")
	c.Flags().BoolVar(&f.actions, "allow-actions", false, "allow what the nodes' control verbs can do; needs --token-file")
	f.console.add(c)
	f.record.add(c)
	f.serve.add(c)
	return c
}

func (f *attachFlags) run(cmd *cobra.Command) error {
	if len(f.servers) == 0 {
		return usageError("--zk is missing: give the ZooKeeper servers as host:port,host:port")
	}
	if f.actions && f.tokenFile == "" {
		return usageError("--allow-actions needs --token-file: a cluster of somebody else is changed only by who holds its token")
	}
	token, err := readSecret("token-file", f.tokenFile)
	if err != nil {
		return err
	}
	theme, err := f.console.theme()
	if err != nil {
		return err
	}
	if err := tui.CheckTerminal(os.Stdin, os.Stdout); err != nil {
		return exitError{tui.ExitCode(err), err}
	}
	all, err := findClusters(cmd.Context(), f.servers, f.path)
	if e, ok := errors.AsType[exitError](err); ok {
		return e
	} // any other error: ZooKeeper is away, and the console says so
	path, err := choose(all, f.path, os.Stdin, os.Stdout)
	if err != nil {
		return err
	}
	return f.show(cmd, path, token, theme)
}

// show opens the console on the cluster at a path.
func (f *attachFlags) show(cmd *cobra.Command, path, token string, theme style.Theme) error {
	ctx, cancel := context.WithCancel(context.WithoutCancel(cmd.Context()))
	defer cancel()
	logger := slog.New(slog.DiscardHandler)
	tree, err := watchTree(f.servers, path, logger)
	if err != nil {
		return err
	}
	defer tree.close()
	go tree.runWatch(ctx)
	cli := data.CLI{Flags: "--zk " + strings.Join(f.servers, ",") + " --zk-path " + path}
	if f.tokenFile != "" {
		cli.Flags += " --token-file " + f.tokenFile
	}
	src, err := data.New(data.Config{Cluster: path, Nodes: recall(f.servers, path), Token: token, CLI: cli, Tree: tree.read, TreeChanged: tree.changed,
		ZKServers: f.servers, Logger: logger})
	if err != nil {
		return err
	}
	rec, err := f.record.open(record.Header{Cluster: path}, cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	defer closeRecord(rec, cmd.ErrOrStderr())
	cfg := tui.Config{Cluster: path, CLI: cli, ReadOnly: !f.actions, Theme: theme, NoMouse: f.console.noMouse, ExportDir: exportDir(), Queues: src, Logger: logger}
	shown, stop, err := f.serve.start(tee(src, rec), cfg, cmd.ErrOrStderr(), logger)
	if err != nil {
		return err
	}
	defer stop()
	cfg.Source = shown
	err = tui.Run(ctx, cfg)
	keep(f.servers, path, src.Snapshot())
	if err != nil {
		return exitError{tui.ExitCode(err), err}
	}
	return nil
}
