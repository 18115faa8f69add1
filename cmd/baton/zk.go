package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"baton/zkclient/devserver"
)

func zkCommand() *cobra.Command {
	var listen, dir string
	var parentFD int
	var log logFlags
	c := &cobra.Command{
		Use:   "zk",
		Short: "Run the embedded ZooKeeper-protocol server, for development",
		Long: `Runs one server that speaks the ZooKeeper protocol. It is for development and demos: a single
server is a single point of failure for elections. In production run three real ZooKeepers.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			logger, err := log.logger(cmd.ErrOrStderr())
			if err != nil {
				return err
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
	addParentFlag(c, &parentFD)
	log.add(c)
	return c
}
