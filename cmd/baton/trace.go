package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"baton/demo/trace"
	"baton/node/adminapi"
)

func traceCommand() *cobra.Command {
	var o operatorFlags
	var wait time.Duration
	c := &cobra.Command{
		Use:   "trace",
		Short: "Send one message and follow it: logs, disks, commit, delivery, acknowledgement",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			token, err := readSecret("token-file", o.tokenFile)
			if err != nil {
				return err
			}
			d, err := discover(cmd.Context(), o.servers, o.path)
			if err != nil {
				return err
			}
			if _, ok := d.leader(); !ok {
				return exitError{exitUnreachable, errors.New("no node leads: see baton status")}
			}
			cfg := trace.Config{Nodes: map[string]*adminapi.Client{}}
			for _, n := range d.nodes {
				if n.err == nil {
					cfg.Nodes[n.status.Node] = &adminapi.Client{Address: n.member.Data.Admin, Token: token}
					cfg.Stomp = append(cfg.Stomp, n.status.Addresses.Stomp)
				}
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), wait)
			defer cancel()
			t, err := trace.Run(ctx, cfg)
			if err != nil {
				return err
			}
			_, err = fmt.Fprint(cmd.OutOrStdout(), t.Text())
			return err
		},
	}
	o.add(c)
	c.Flags().DurationVar(&wait, "timeout", 10*time.Second, "how long the message may take")
	return c
}
