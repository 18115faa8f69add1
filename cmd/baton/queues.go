package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"baton/node/adminapi"
)

// leader finds the node that leads.
func (o *operatorFlags) leader(ctx context.Context) (*adminapi.Client, error) {
	token, err := readSecret("token-file", o.tokenFile)
	if err != nil {
		return nil, err
	}
	d, err := discover(ctx, o.servers, o.path)
	if err != nil {
		return nil, err
	}
	l, ok := d.leader()
	if !ok {
		return nil, exitError{exitUnreachable, errors.New("no node leads: see baton status")}
	}
	return &adminapi.Client{Address: l.member.Data.Admin, Token: token}, nil
}

// queueName is the queue that an argument names: its name, or /queue/ and that.
func queueName(arg string) string { return strings.TrimPrefix(arg, "/queue/") }

func queuesCommand() *cobra.Command {
	var o operatorFlags
	var asJSON bool
	c := &cobra.Command{
		Use:   "queues",
		Short: "List the queues: depth, rates, consumers, and why messages wait",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			admin, err := o.leader(cmd.Context())
			if err != nil {
				return err
			}
			list, err := admin.Queues(cmd.Context())
			if err != nil {
				return err
			}
			if !asJSON {
				return printQueues(cmd.OutOrStdout(), list)
			}
			enc := json.NewEncoder(cmd.OutOrStdout())
			for _, q := range list {
				if err := enc.Encode(q); err != nil {
					return err
				}
			}
			return nil
		},
	}
	o.add(c)
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON, one object a line")
	return c
}

func printQueues(out io.Writer, list []adminapi.Queue) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "QUEUE\tDEPTH\tBYTES\tIN/S\tOUT/S\tCONSUMERS\tPENDING\tOLDEST\tREDELIVERED\tEXPIRED\tDEAD\tDUPLICATES\tNOTE")
	for _, q := range list {
		note := q.Blocked
		if note == "" {
			note = q.Waiting
		}
		fmt.Fprintf(w, "%s\t%d\t%d\t%.0f\t%.0f\t%d\t%d\t%s\t%d\t%d\t%d\t%d\t%s\n", q.Label(), q.Depth, q.Bytes, q.InRate, q.OutRate, q.Consumers, q.Pending,
			(time.Duration(q.OldestMS) * time.Millisecond).Round(time.Second), q.Redelivered, q.Expired, q.DeadLettered, q.Duplicates, note)
	}
	return w.Flush()
}

func browseCommand() *cobra.Command {
	var o operatorFlags
	var b adminapi.Browse
	var count int
	var asJSON bool
	c := &cobra.Command{
		Use:   "browse QUEUE",
		Short: "Show the messages of a queue without taking them",
		Long: `Shows messages in the order of delivery: a name that move takes, when it was sent, its size, what is
known of it, and the beginning of its body. What consumers have at the moment is shown, too.`,
		Args: oneArgument("queue to browse"),
		RunE: func(cmd *cobra.Command, args []string) error {
			admin, err := o.leader(cmd.Context())
			if err != nil {
				return err
			}
			show := printMessage
			if asJSON {
				enc := json.NewEncoder(cmd.OutOrStdout())
				show = func(_ io.Writer, m adminapi.Message) error { return enc.Encode(m) }
			}
			return browse(cmd, admin, queueName(args[0]), b, count, show)
		},
	}
	o.add(c)
	c.Flags().IntVar(&count, "count", 100, "messages to show, 0 = all")
	c.Flags().IntVar(&b.Body, "body", adminapi.BrowseBody, fmt.Sprintf("bytes of each body to show, at most %d; -1 = none", adminapi.BrowseBodyMax))
	c.Flags().StringVar(&b.After, "after", "", "begin behind the message of this name")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON, one object a line")
	return c
}

func browse(cmd *cobra.Command, admin *adminapi.Client, queue string, b adminapi.Browse, count int, show func(io.Writer, adminapi.Message) error) error {
	for shown := 0; count == 0 || shown < count; {
		if b.Limit = 200; count > 0 {
			b.Limit = min(b.Limit, count-shown)
		}
		page, err := admin.Browse(cmd.Context(), queue, b)
		if err != nil {
			return err
		}
		for _, m := range page.Messages {
			if err := show(cmd.OutOrStdout(), m); err != nil {
				return err
			}
		}
		shown += len(page.Messages)
		if b.After = page.Next; b.After == "" {
			return nil
		}
		if count > 0 && shown >= count {
			fmt.Fprintf(cmd.ErrOrStderr(), "there are more: --after %s\n", b.After)
		}
	}
	return nil
}

// printMessage quotes what came from clients, so that it cannot play tricks
// with a terminal.
func printMessage(out io.Writer, m adminapi.Message) error {
	notes := []string{fmt.Sprintf("%d bytes", m.BodySize)}
	if m.Pending {
		notes = append(notes, "a consumer has it")
	}
	if m.Redeliveries > 0 {
		notes = append(notes, fmt.Sprintf("came back %d times", m.Redeliveries))
	}
	if m.Expires > 0 {
		notes = append(notes, "expires "+time.UnixMilli(m.Expires).UTC().Format(time.RFC3339))
	}
	if _, err := fmt.Fprintf(out, "%s\t%s\t%s\t%s\n", m.Ref, time.UnixMilli(m.Timestamp).UTC().Format(time.RFC3339), m.ID, strings.Join(notes, ", ")); err != nil {
		return err
	}
	for _, h := range m.Headers {
		if _, err := fmt.Fprintf(out, "\t%q: %q\n", h.Name, h.Value); err != nil {
			return err
		}
	}
	body := fmt.Sprintf("%q", m.Text)
	if m.Body != nil {
		body = fmt.Sprintf("% x", m.Body)
	}
	if m.Cut {
		body += " ..."
	}
	_, err := fmt.Fprintf(out, "\t%s\n", body)
	return err
}
