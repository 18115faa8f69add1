package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
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
	var count int
	var idle time.Duration
	var asJSON bool
	c := &cobra.Command{
		Use:   "receive QUEUE",
		Short: "Receive messages from a queue and acknowledge them",
		Long: `Prints the body of each message on a line of its own, or with --json an object a line, and acknowledges
it after it was printed. It ends after --count messages, when nothing came for --idle, or with ctrl+c.`,
		Example: "  baton receive orders --count 10\n  baton receive orders --json --idle 1s | jq .body",
		Args:    oneArgument("queue to receive from"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := f.dial()
			if err != nil {
				return err
			}
			defer c.Close()
			r := receiver{c: c, from: destination(args[0]), out: cmd.OutOrStdout(), json: asJSON}
			err = r.run(cmd.Context(), count, idle)
			fmt.Fprintf(cmd.ErrOrStderr(), "%d received from %s\n", r.received, r.from)
			return outcome(err)
		},
	}
	f.add(c)
	c.Flags().IntVar(&count, "count", 0, "end after so many messages, 0 = no limit")
	c.Flags().DurationVar(&idle, "idle", 0, "end when no message came for so long, 0 = wait for ever")
	c.Flags().BoolVar(&asJSON, "json", false, "print an object a line")
	return c
}

type receiver struct {
	c        *client.Client
	from     string
	out      io.Writer
	json     bool
	received int
}

func (r *receiver) run(ctx context.Context, count int, idle time.Duration) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	next := make(chan *client.Message)
	prefetch := 100
	if count > 0 { // take no more than will be printed
		prefetch = min(count, prefetch)
	}
	sub, err := r.c.Subscribe(ctx, r.from, client.AckIndividual, prefetch, func(m *client.Message) {
		select {
		case next <- m:
		case <-ctx.Done():
		}
	})
	if err != nil {
		return err
	}
	defer sub.Close()
	defer cancel() // before Close, which waits for the handler
	for count == 0 || r.received < count {
		var quiet <-chan time.Time
		if idle > 0 {
			quiet = time.After(idle)
		}
		select {
		case m := <-next:
			if err := r.take(ctx, m); err != nil {
				return err
			}
		case <-quiet:
			return nil
		case <-sub.Done():
			return sub.Err()
		case <-ctx.Done():
			return nil
		}
	}
	return nil
}

// take prints a message and then acknowledges it: if the ack is lost in a
// failover the message comes again, marked as redelivered.
func (r *receiver) take(ctx context.Context, m *client.Message) error {
	if err := r.print(m); err != nil {
		return fmt.Errorf("print message %s, which stays in the queue: %w", m.ID, err)
	}
	r.received++
	if err := m.Ack(ctx); err != nil && !errors.Is(err, client.ErrStale) && !errors.Is(err, client.ErrInDoubt) {
		return fmt.Errorf("acknowledge message %s: %w", m.ID, err)
	}
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
