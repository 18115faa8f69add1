package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"baton/node/client"
)

func forwardCommand() *cobra.Command {
	var f, target clientFlags
	var to []string
	var toQueue string
	w := forwarder{mover: newMover("forwarded")}
	c := &cobra.Command{
		Use:   "forward QUEUE",
		Short: "Move messages from a queue to other brokers",
		Long: `Takes the messages of a queue of one broker, sends each to every --to with its headers, and acknowledges it
once all of them have confirmed it. Whatever breaks in between, the message is still in its queue; it is
forwarded again under the same baton-dedup-id, so that a queue of a Baton cluster stores it once. It ends
after --count messages, when nothing came for --idle, or with ctrl+c.`,
		Example: "  baton forward orders --to stomp://backup:61613\n" +
			"  baton forward DLQ --to 'failover:(stomp://a:61613,stomp://b:61613)' --to-queue orders --idle 1s",
		Args: oneArgument("queue to take from"),
		RunE: func(cmd *cobra.Command, args []string) error {
			w.from, w.to = destination(args[0]), destination(args[0])
			if toQueue != "" {
				w.to = destination(toQueue)
			}
			if len(to) == 0 {
				return usageError("--to is missing: name at least one broker to send to, as in --to stomp://backup:61613")
			}
			target.timeout, target.resend = f.timeout, true
			err := w.dial(f, target, to)
			defer w.close()
			if err != nil {
				return err
			}
			w.pass = w.forward
			w.showOn(cmd, nil)
			err = w.run(cmd.Context())
			fmt.Fprintf(cmd.ErrOrStderr(), "%d forwarded from %s to %s of %d brokers\n", w.done, w.from, w.to, len(to))
			return outcome(err)
		},
	}
	f.add(c)
	c.Flags().StringArrayVar(&to, "to", nil, "broker to send to, in the forms of --uri; may be given several times")
	c.Flags().StringVar(&toQueue, "to-queue", "", "queue to send to; default: the name it has here")
	c.Flags().StringVar(&target.login, "to-login", "", "login name at the brokers to send to")
	c.Flags().StringVar(&target.passFile, "to-passcode-file", "", "file with the passcode for the brokers to send to")
	w.addFlags(c)
	return c
}

// forwarder sends messages to other brokers.
type forwarder struct {
	*mover
	targets []*client.Client
	to      string
}

func (w *forwarder) dial(from, to clientFlags, uris []string) (err error) {
	here, err := client.ParseURI(from.uri)
	if err != nil {
		return usageError("--uri: %w", err)
	}
	for _, uri := range uris {
		there, err := client.ParseURI(uri)
		if err != nil {
			return usageError("--to: %w", err)
		}
		same := func(a string) bool { return slices.Contains(here.Addresses, a) }
		if w.from == w.to && slices.ContainsFunc(there.Addresses, same) {
			return usageError("--to %s is where the messages come from: name another broker, or another --to-queue", uri)
		}
		c, err := to.dialTo("to", uri)
		if err != nil {
			return err
		}
		w.targets = append(w.targets, c)
	}
	w.source, err = from.dial()
	return err
}

func (w *forwarder) close() {
	for _, c := range w.targets {
		c.Close()
	}
	if w.source != nil {
		w.source.Close()
	}
}

// forward sends a message to all targets.
func (w *forwarder) forward(ctx, sending context.Context, m *client.Message) error {
	receipts := make(chan error, len(w.targets))
	headers := forwardHeaders(m)
	for _, c := range w.targets {
		err := c.SendStart(ctx, w.to, m.ContentType, m.Body, headers, func(err error) {
			if !errors.Is(err, client.ErrInDoubt) {
				receipts <- err
				return
			}
			go func() { // ends with sending; the same id, so it is stored once
				_, err := c.Send(sending, w.to, m.ContentType, m.Body, headers)
				receipts <- err
			}()
		})
		if err != nil {
			if ctx.Err() != nil {
				w.underWay--
				return nil
			}
			return fmt.Errorf("forward message %s, which stays in the queue: %w", m.ID, err)
		}
	}
	go func() { // ends when every target has answered or is closed
		var err error
		for range w.targets {
			if e := <-receipts; e != nil && err == nil {
				err = fmt.Errorf("forward message %s, which stays in the queue: %w", m.ID, e)
			}
		}
		w.heard <- news{m.ID, stored, err}
	}()
	return nil
}

// ofDelivery are the headers that belong to one delivery and not to the message.
var ofDelivery = []string{"destination", "message-id", "subscription", "ack", "redelivered", "receipt", "content-length",
	"content-type", "JMSXDeliveryCount", "transaction"}

// forwardHeaders are the headers of a message with an id by which its next
// broker knows it again.
func forwardHeaders(m *client.Message) map[string]string {
	headers := map[string]string{}
	for i := range m.Header.Len() {
		name, value := m.Header.GetAt(i)
		_, known := headers[name]
		if known || slices.Contains(ofDelivery, name) || name == "expires" && strings.TrimSpace(value) == "0" {
			continue
		}
		headers[name] = value
	}
	// Message ids differ within a cluster; with the time they do between clusters.
	sum := sha256.Sum256([]byte(m.ID + "\x00" + headers["timestamp"] + "\x00" + m.Destination))
	headers[client.DedupHeader] = "forward-" + hex.EncodeToString(sum[:16])
	return headers
}
