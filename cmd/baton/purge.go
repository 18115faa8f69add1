package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"baton/node/adminapi"
)

// confirm asks a person, and wants --yes of a script.
func confirm(cmd *cobra.Command, yes bool, question string) error {
	if yes {
		return nil
	}
	if !isTerminal(cmd.InOrStdin()) {
		return usageError("this cannot be undone: say so with --yes")
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "%s Type yes: ", question)
	line, _ := bufio.NewReader(cmd.InOrStdin()).ReadString('\n')
	if strings.TrimSpace(line) != "yes" {
		return usageError("nothing was done")
	}
	return nil
}

// progress shows how far a long verb is: lines of JSON, or one line on a
// terminal that changes.
type progress struct {
	cmd    *cobra.Command
	done   string // what happens to a message, as in purged
	asJSON bool
	live   bool
}

func newProgress(cmd *cobra.Command, done string, asJSON bool) *progress {
	return &progress{cmd, done, asJSON, isTerminal(cmd.ErrOrStderr())}
}

func (p *progress) tell(x adminapi.Progress) {
	switch {
	case p.asJSON:
		_ = json.NewEncoder(p.cmd.OutOrStdout()).Encode(x)
	case p.live && !x.Finished:
		fmt.Fprintf(p.cmd.ErrOrStderr(), "\r%d of %d %s", x.Done, x.Total, p.done)
	}
}

// end says what came out.
func (p *progress) end(x adminapi.Progress, err error) error {
	if p.live && !p.asJSON {
		fmt.Fprint(p.cmd.ErrOrStderr(), "\r\x1b[K")
	}
	if err != nil || p.asJSON {
		return err
	}
	fmt.Fprintf(p.cmd.OutOrStdout(), "%d %s", x.Done, p.done)
	if x.Kept > 0 {
		fmt.Fprintf(p.cmd.OutOrStdout(), ", %d left: %s", x.Kept, x.Why)
	}
	fmt.Fprintln(p.cmd.OutOrStdout())
	return nil
}

func purgeCommand() *cobra.Command {
	var o operatorFlags
	var yes, remove, asJSON bool
	c := &cobra.Command{
		Use:   "purge QUEUE",
		Short: "Remove all messages of a queue",
		Long: `Removes what is in the queue when it begins, but for the messages that consumers have at the moment.
With --delete the queue goes as well, if it is empty then and nobody consumes it.`,
		Args: oneArgument("queue to purge"),
		RunE: func(cmd *cobra.Command, args []string) error {
			queue := queueName(args[0])
			if err := confirm(cmd, yes, fmt.Sprintf("All messages of %q will be gone.", queue)); err != nil {
				return err
			}
			admin, err := o.leader(cmd.Context())
			if err != nil {
				return err
			}
			p := newProgress(cmd, "purged", asJSON)
			last, err := admin.Purge(cmd.Context(), queue, p.tell)
			if err := p.end(last, err); err != nil || !remove {
				return err
			}
			return admin.DeleteQueue(cmd.Context(), queue)
		},
	}
	o.add(c)
	c.Flags().BoolVar(&yes, "yes", false, "yes, remove them")
	c.Flags().BoolVar(&remove, "delete", false, "delete the queue afterwards")
	c.Flags().BoolVar(&asJSON, "json", false, "print progress as JSON, one object a line")
	return c
}

func moveCommand() *cobra.Command {
	var o operatorFlags
	var m adminapi.Move
	var back, asJSON bool
	c := &cobra.Command{
		Use:   "move QUEUE",
		Short: "Move messages to another queue, or dead letters back to where they came from",
		Long: `Moves all messages of a queue that no consumer has, or those that --message names, as browse shows them.
A message is moved as a whole or not at all, and is a new one in the other queue.`,
		Example: "  baton move DLQ --back\n  baton move orders --to orders.old --message 4-17,4-19",
		Args:    oneArgument("queue to move messages from"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if back == (m.To != "") {
				return usageError("say where to: either --to a queue, or --back to where dead letters came from")
			}
			m.To, m.All = queueName(m.To), len(m.Refs) == 0
			admin, err := o.leader(cmd.Context())
			if err != nil {
				return err
			}
			p := newProgress(cmd, "moved", asJSON)
			last, err := admin.MoveMessages(cmd.Context(), queueName(args[0]), m, p.tell)
			return p.end(last, err)
		},
	}
	o.add(c)
	c.Flags().StringVar(&m.To, "to", "", "queue to move them to")
	c.Flags().BoolVar(&back, "back", false, "move dead letters back to the queues that they came from")
	c.Flags().StringSliceVar(&m.Refs, "message", nil, "only these messages, as browse names them")
	c.Flags().BoolVar(&asJSON, "json", false, "print progress as JSON, one object a line")
	return c
}
