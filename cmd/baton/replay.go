package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"time"

	"github.com/spf13/cobra"

	"baton/tui"
	"baton/tui/record"
)

// readRecording gives what is wrong with a file its exit code.
func readRecording(path string) (*record.Recording, error) {
	r, err := record.Read(path)
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, record.ErrFormat) || errors.Is(err, record.ErrVersion) || errors.Is(err, record.ErrEmpty) {
		return nil, exitError{exitUsage, err}
	}
	return r, err
}

// oneFile is the argument check of commands on a recording.
func oneFile(cmd *cobra.Command, args []string) error {
	if len(args) != 1 {
		return usageError("say which recording, as in: %s run%s", cmd.CommandPath(), recordSuffix)
	}
	return nil
}

func replayCommand() *cobra.Command {
	var f consoleFlags
	var others serveFlags
	var at time.Duration
	c := &cobra.Command{
		Use:   "replay FILE",
		Short: "Watch a recorded run again in the console: play, step, rewind",
		Args:  oneFile,
		RunE: func(cmd *cobra.Command, args []string) error {
			theme, err := f.theme()
			if err != nil {
				return err
			}
			r, err := readRecording(args[0])
			if err != nil {
				return err
			}
			if err := tui.CheckTerminal(os.Stdin, os.Stdout); err != nil {
				return exitError{tui.ExitCode(err), err}
			}
			player := record.NewPlayer(r)
			player.Seek(at)
			cfg := tui.Config{Source: player, Cluster: r.Header.Cluster, ReadOnly: true, Theme: theme, NoMouse: f.noMouse, ExportDir: exportDir(),
				ReadOnlyWhy: "this is a recording: what happened is done"}
			shown, stop, err := others.start(player, cfg, cmd.ErrOrStderr(), slog.New(slog.DiscardHandler))
			if err != nil {
				return err
			}
			defer stop()
			cfg.Source, cfg.Player = shown, player
			if err := tui.Run(context.WithoutCancel(cmd.Context()), cfg); err != nil {
				return exitError{tui.ExitCode(err), err}
			}
			return nil
		},
	}
	c.Flags().DurationVar(&at, "at", 0, "begin at this time since the start of the run")
	f.add(c)
	others.add(c)
	return c
}
