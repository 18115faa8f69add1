package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"baton/zkclient/devserver"
	"baton/zkclient/ensemble"
)

func zkCommand() *cobra.Command {
	var listen, dir string
	var parentFD, servers int
	var log logFlags
	c := &cobra.Command{
		Use:   "zk",
		Short: "Run the embedded ZooKeeper-protocol server, for development",
		Long: `Runs one server that speaks the ZooKeeper protocol. It is for development and demos: a single
server is a single point of failure for elections. In production run three real ZooKeepers.

With --ensemble 3 it runs three real ones on this machine instead, if Debian's packages are installed:
server k listens 10(k-1) ports above --listen. That, too, is for development.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			logger, err := log.logger(cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			if servers > 0 {
				return runEnsemble(cmd, servers, listen, dir, parentFD, logger)
			}
			s, err := devserver.Start(devserver.Config{Listen: listen, DataDir: dir, Logger: logger})
			if err != nil {
				return err
			}
			defer s.Close()
			ctx, err := withParent(cmd.Context(), parentFD)
			if err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), "listening on", s.Addr())
			select {
			case <-ctx.Done():
			case <-s.Done():
			}
			if err := s.Err(); err != nil {
				return err
			}
			return s.Close()
		},
	}
	c.Flags().StringVar(&listen, "listen", "127.0.0.1:2181", "address to serve clients on")
	c.Flags().StringVar(&dir, "data-dir", "", "where tree and sessions are kept; empty = in memory only")
	c.Flags().IntVar(&servers, "ensemble", 0, "run so many real ZooKeeper servers (1, 3, 5 or 7) in place of the embedded one")
	addParentFlag(c, &parentFD)
	log.add(c)
	return c
}

// runEnsemble runs real servers until it is told to stop.
func runEnsemble(cmd *cobra.Command, servers int, listen, dir string, parentFD int, logger *slog.Logger) error {
	host, port, err := net.SplitHostPort(listen)
	number, numberErr := strconv.Atoi(port)
	if err != nil || numberErr != nil || host != "127.0.0.1" {
		return usageError("--listen is %q: with --ensemble write 127.0.0.1:port", listen)
	}
	if dir == "" {
		return usageError("--ensemble needs --data-dir")
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return usageError("--data-dir: %w", err)
	}
	e, err := ensemble.Open(ensemble.Config{Servers: servers, Dir: abs, BasePort: number, Logger: logger})
	if err != nil {
		if errors.Is(err, ensemble.ErrConfig) {
			err = exitError{exitUsage, err}
		}
		return err
	}
	ctx, err := withParent(cmd.Context(), parentFD)
	if err == nil {
		err = e.Start()
	}
	if err == nil {
		err = e.Await(ctx)
	}
	if err == nil {
		fmt.Fprintln(cmd.OutOrStdout(), "listening on", strings.Join(e.Addresses(), ","))
		<-ctx.Done()
	} else if ctx != nil && ctx.Err() != nil {
		err = nil // stopped while it started
	}
	return errors.Join(err, e.Close())
}
