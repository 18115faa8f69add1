package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"baton/node/client"
)

// received is one line of baton receive --json. Body holds text; a body that
// is not UTF-8 stands in body_base64 instead.
type received struct {
	ID          string            `json:"id"`
	Destination string            `json:"destination"`
	Redelivered bool              `json:"redelivered"`
	Headers     map[string]string `json:"headers"`
	Body        *string           `json:"body,omitempty"`
	BodyBase64  string            `json:"body_base64,omitempty"`
}

func receiveCommand() *cobra.Command {
	var f clientFlags
	r := receiver{mover: newMover("received")}
	c := &cobra.Command{
		Use:   "receive QUEUE",
		Short: "Receive messages from a queue and acknowledge them",
		Long: `Prints the body of each message on a line of its own, or with --json an object a line, and acknowledges
it after it was printed. A message that comes again because its acknowledgement was lost, as in a failover, is
not printed again. It ends after --count messages, when nothing came for --idle, or with ctrl+c.`,
		Example: "  baton receive orders --count 10\n  baton receive orders --json --idle 1s | jq .body",
		Args:    oneArgument("queue to receive from"),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if r.source, err = f.dial(); err != nil {
				return err
			}
			defer r.source.Close()
			r.from, r.out, r.pass = destination(args[0]), cmd.OutOrStdout(), r.passToPerson
			r.showOn(cmd, r.out)
			err = r.run(cmd.Context())
			fmt.Fprintf(cmd.ErrOrStderr(), "%d received from %s\n", r.done, r.from)
			return outcome(err)
		},
	}
	f.add(c)
	r.addFlags(c)
	c.Flags().BoolVar(&r.json, "json", false, "print an object a line")
	return c
}

type receiver struct {
	*mover
	out  io.Writer
	json bool
}

// passToPerson prints a message, which is acknowledged then.
func (r *receiver) passToPerson(_, _ context.Context, m *client.Message) error {
	if err := r.print(m); err != nil {
		return fmt.Errorf("print message %s, which stays in the queue: %w", m.ID, err)
	}
	r.hear(news{m.ID, stored, nil})
	return nil
}

func (r *receiver) print(m *client.Message) error {
	if !r.json {
		_, err := fmt.Fprintf(r.out, "%s\n", m.Body)
		return err
	}
	line := received{ID: m.ID, Destination: m.Destination, Redelivered: m.Redelivered, Headers: map[string]string{}}
	for i := range m.Header.Len() {
		k, v := m.Header.GetAt(i)
		if _, dup := line.Headers[k]; !dup {
			line.Headers[k] = v
		}
	}
	if utf8.Valid(m.Body) {
		s := string(m.Body)
		line.Body = &s
	} else {
		line.BodyBase64 = base64.StdEncoding.EncodeToString(m.Body)
	}
	return json.NewEncoder(r.out).Encode(line)
}
