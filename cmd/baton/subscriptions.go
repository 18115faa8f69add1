package main

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"baton/node/adminapi"
)

func subscriptionsCommand() *cobra.Command {
	var o operatorFlags
	var asJSON bool
	c := &cobra.Command{
		Use:   "subscriptions",
		Short: "List the durable subscriptions: topic, what waits in them, whether their client is there",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			admin, err := o.leader(cmd.Context())
			if err != nil {
				return err
			}
			list, err := admin.Subscriptions(cmd.Context())
			if err != nil {
				return err
			}
			if !asJSON {
				return printSubscriptions(cmd.OutOrStdout(), list)
			}
			enc := json.NewEncoder(cmd.OutOrStdout())
			for _, s := range list {
				if err := enc.Encode(s); err != nil {
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

// printSubscriptions quotes what clients have chosen, as printMessage does.
func printSubscriptions(out io.Writer, list []adminapi.Subscription) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "CLIENT\tNAME\tTOPIC\tDEPTH\tCONSUMERS\tSELECTOR")
	for _, s := range list {
		client := fmt.Sprintf("%q", s.ClientID)
		if s.ClientID == "" {
			client = "-" // a queue that consumes a virtual topic
		}
		selector := ""
		if s.Selector != "" {
			selector = fmt.Sprintf("%q", s.Selector)
		}
		fmt.Fprintf(w, "%s\t%q\t%s\t%d\t%d\t%s\n", client, s.Name, s.Destination, s.Depth, s.Consumers, selector)
	}
	return w.Flush()
}

func unsubscribeCommand() *cobra.Command {
	var o operatorFlags
	var yes bool
	c := &cobra.Command{
		Use:   "unsubscribe CLIENT NAME",
		Short: "Remove a durable subscription whose client will not come back",
		Long: `Removes a durable subscription, as subscriptions lists it, with the messages that wait in it. It is
refused while a client consumes from it: that one has to leave first, or to UNSUBSCRIBE with the name itself.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 2 {
				return usageError("name the client id and the subscription, as in: baton unsubscribe billing invoices")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := confirm(cmd, yes, fmt.Sprintf("The subscription %q of client %q, and the messages in it, will be gone.", args[1], args[0])); err != nil {
				return err
			}
			admin, err := o.leader(cmd.Context())
			if err != nil {
				return err
			}
			return admin.Unsubscribe(cmd.Context(), args[0], args[1])
		},
	}
	o.add(c)
	c.Flags().BoolVar(&yes, "yes", false, "yes, remove it")
	return c
}
