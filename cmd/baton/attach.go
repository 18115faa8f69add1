package main

import (
	"context"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"baton/tui"
	"baton/tui/data"
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

func attachCommand() *cobra.Command {
	var f consoleFlags
	var servers []string
	var path string
	c := &cobra.Command{
		Use:   "attach",
		Short: "Open the console on a live cluster, read-only",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if len(servers) == 0 {
				return usageError("--zk is missing: give the ZooKeeper servers as host:port,host:port")
			}
			theme, err := f.theme()
			if err != nil {
				return err
			}
			if err := tui.CheckTerminal(os.Stdin, os.Stdout); err != nil {
				return exitError{tui.ExitCode(err), err}
			}
			ctx, cancel := context.WithCancel(context.WithoutCancel(cmd.Context()))
			defer cancel()
			logger := slog.New(slog.DiscardHandler)
			tree, err := watchTree(servers, path, logger)
			if err != nil {
				return err
			}
			defer tree.close()
			go tree.runWatch(ctx)
			src, err := data.New(data.Config{Cluster: path, Tree: tree.read, TreeChanged: tree.changed, ZKServers: servers, Logger: logger})
			if err != nil {
				return err
			}
			err = tui.Run(ctx, tui.Config{Source: src, Cluster: path, ReadOnly: true, Theme: theme, NoMouse: f.noMouse, ExportDir: exportDir(), Logger: logger})
			if err != nil {
				return exitError{tui.ExitCode(err), err}
			}
			return nil
		},
	}
	zkFlags(c, &servers, &path)
	f.add(c)
	return c
}
