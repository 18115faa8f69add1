package main

import (
	"context"

	"github.com/spf13/cobra"

	"baton/node/supervisor"
)

// addParentFlag adds the flag that a supervisor gives its children.
func addParentFlag(c *cobra.Command, fd *int) {
	c.Flags().IntVar(fd, "parent-fd", 0, "stop when the pipe at this descriptor closes; given by baton demo to its nodes")
	_ = c.Flags().MarkHidden("parent-fd")
}

// withParent returns a context that also ends when the parent process is gone.
func withParent(ctx context.Context, fd int) (context.Context, error) {
	if fd == 0 {
		return ctx, nil
	}
	gone, err := supervisor.WatchParent(fd)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		defer cancel()
		select {
		case <-gone:
		case <-ctx.Done():
		}
	}()
	return ctx, nil
}
