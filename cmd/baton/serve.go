package main

import (
	"fmt"
	"io"
	"log/slog"
	"path/filepath"

	"github.com/spf13/cobra"

	"baton/tui"
	"baton/tui/serve"
)

// serveFlags say whether others may look at the console.
type serveFlags struct{ listen, keys string }

func (f *serveFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.listen, "serve", "", "let others look, read-only, over SSH at this address, as in 127.0.0.1:2222")
	c.Flags().StringVar(&f.keys, "serve-keys", "", "file of authorized keys of those who may look; needed beyond loopback")
}

// start lets others look at a source. It returns what the console has to run
// in its place, and what ends it all.
func (f *serveFlags) start(src tui.Source, cfg tui.Config, to io.Writer, logger *slog.Logger) (tui.Source, func(), error) {
	if f.listen == "" {
		if f.keys != "" {
			return nil, nil, usageError("--serve-keys needs --serve")
		}
		return src, func() {}, nil
	}
	dir, err := stateDir()
	if err != nil {
		return nil, nil, err
	}
	hub := tui.NewHub(src)
	s, err := serve.Start(serve.Config{Listen: f.listen, AuthorizedKeys: f.keys, KeyFile: filepath.Join(dir, "ssh_host_ed25519"), Hub: hub, Console: cfg, Logger: logger})
	if err != nil {
		return nil, nil, exitError{exitUsage, fmt.Errorf("--serve: %w", err)}
	}
	return hub, func() {
		if err := s.Close(); err != nil {
			fmt.Fprintln(to, "baton:", err)
		}
	}, nil
}
