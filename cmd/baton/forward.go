package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"baton/node/client"
)

const (
	// forwardWindow bounds the messages that await their receipts.
	forwardWindow = 64
	// forwardGrace is how long ctrl+c lets what is under way come to its end.
	forwardGrace = 5 * time.Second
	// forwardAgain is how long after --count messages it waits for those that
	// come again because their ack was lost.
	forwardAgain = 500 * time.Millisecond
)

func forwardCommand() *cobra.Command {
	var f, target clientFlags
	var to []string
	var toQueue string
	var count int
	var idle time.Duration
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
			w := forwarder{from: destination(args[0]), to: destination(args[0]), count: count, idle: idle, heard: make(chan news, forwardWindow), under: map[string]*passage{}}
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
			if e := cmd.ErrOrStderr(); e == os.Stderr && term.IsTerminal(int(os.Stderr.Fd())) {
				w.show = e
			}
			err = w.run(cmd.Context())
			if w.show != nil {
				fmt.Fprint(w.show, "\r\x1b[K")
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "%d forwarded from %s to %s of %d brokers\n", w.done, w.from, w.to, len(to))
			return outcome(err)
		},
	}
	f.add(c)
	c.Flags().StringArrayVar(&to, "to", nil, "broker to send to, in the forms of --uri; may be given several times")
	c.Flags().StringVar(&toQueue, "to-queue", "", "queue to send to; default: the name it has here")
	c.Flags().StringVar(&target.login, "to-login", "", "login name at the brokers to send to")
	c.Flags().StringVar(&target.passFile, "to-passcode-file", "", "file with the passcode for the brokers to send to")
	c.Flags().IntVar(&count, "count", 0, "end after so many messages, 0 = no limit")
	c.Flags().DurationVar(&idle, "idle", 0, "end when no message came for so long, 0 = wait for ever")
	return c
}

// passage is a message between its broker and the targets.
type passage struct {
	m      *client.Message // its latest delivery: only that one can be acknowledged
	stored bool            // by all targets
	acking *client.Message // delivery whose ack awaits its receipt, nil if none does
}

// news is what happened to a message: all targets have stored it, its ack
// is confirmed or in doubt, or an error that ends the command.
type news struct {
	id  string
	was milestone
	err error
}

type milestone int

const (
	stored milestone = iota
	acked
	ackInDoubt // it comes again, unless the ack got through
)

// forwarder moves messages. One goroutine, that of run, owns its fields; the
// clients tell it through heard what became of each message.
type forwarder struct {
	source   *client.Client
	targets  []*client.Client
	from, to string
	count    int
	idle     time.Duration
	show     io.Writer // nil shows no progress

	heard    chan news // has room for a whole window: its senders must not block
	under    map[string]*passage
	underWay int // receipts of targets or of an ack are awaited
	taken    int // different messages
	done     int // of those taken: stored
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

// run takes messages until there is a reason to stop, and then waits for those
// under way.
func (w *forwarder) run(ctx context.Context) error {
	listening, stop := context.WithCancel(ctx)
	defer stop()
	next := make(chan *client.Message)
	prefetch := 2 * forwardWindow
	if w.count > 0 {
		prefetch = min(prefetch, w.count)
	}
	sub, err := w.source.Subscribe(ctx, w.from, client.AckIndividual, prefetch, func(m *client.Message) {
		select {
		case next <- m:
		case <-listening.Done():
		}
	})
	if err != nil {
		return err
	}
	defer sub.Close()
	defer stop() // before Close
	sending, giveUp := context.WithCancel(context.WithoutCancel(ctx))
	defer giveUp()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(forwardGrace, giveUp) })()
	ended, err := w.move(ctx, sending, next, sub)
	if ended {
		return err
	}
	return w.finish(sending, err)
}

// move is true if nothing is under way any more.
func (w *forwarder) move(ctx, sending context.Context, next <-chan *client.Message, sub *client.Subscription) (bool, error) {
	show := time.NewTicker(time.Second)
	defer show.Stop()
	for {
		take := next
		if w.underWay == forwardWindow {
			take = nil
		}
		var quiet <-chan time.Time
		switch all := w.count > 0 && w.done >= w.count; {
		case w.underWay > 0:
		case all && len(w.under) == 0:
			return true, nil
		case all:
			quiet = time.After(forwardAgain)
		case w.idle > 0:
			quiet = time.After(w.idle)
		}
	again:
		select {
		case m := <-take:
			if err := w.take(ctx, sending, m); err != nil {
				return false, err
			}
		case p := <-w.heard:
			if w.hear(p); p.err != nil {
				return false, p.err
			}
		case <-show.C:
			w.showProgress()
			goto again // which is no sign of life
		case <-quiet:
			return true, nil
		case <-sub.Done():
			return false, sub.Err()
		case <-ctx.Done():
			return false, nil
		}
	}
}

// take forwards a message, unless it came again or is one too many: then it
// goes back when the subscription ends.
func (w *forwarder) take(ctx, sending context.Context, m *client.Message) error {
	if p := w.under[m.ID]; p != nil {
		p.m = m
		if p.stored && p.acking == nil {
			w.underWay++
			w.acknowledge(p)
		}
		return nil
	}
	if w.count > 0 && w.taken == w.count {
		return nil
	}
	w.taken++
	w.underWay++
	w.under[m.ID] = &passage{m: m}
	return w.forward(ctx, sending, m)
}

func (w *forwarder) hear(h news) {
	p := w.under[h.id]
	switch {
	case h.err != nil:
		w.underWay--
	case h.was == stored:
		p.stored = true
		w.done++
		w.acknowledge(p)
	case h.was == acked:
		w.underWay--
		delete(w.under, h.id)
	case p.acking != p.m: // it has come again meanwhile
		w.acknowledge(p)
	default:
		p.acking = nil
		w.underWay--
	}
}

func (w *forwarder) showProgress() {
	if w.show != nil {
		fmt.Fprintf(w.show, "\r\x1b[K%d forwarded, %d under way", w.done, w.underWay)
	}
}

// finish waits for what is under way, which giving up ends at the latest.
func (w *forwarder) finish(sending context.Context, err error) error {
	for err == nil && w.underWay > 0 {
		select {
		case p := <-w.heard:
			w.hear(p)
		case <-sending.Done():
			return nil // it is still in its queue
		}
	}
	return err
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

// acknowledge settles a message at its source.
func (w *forwarder) acknowledge(p *passage) {
	p.acking = p.m
	id := p.m.ID
	tell := func(err error) {
		switch {
		case err == nil:
			w.heard <- news{id, acked, nil}
		case errors.Is(err, client.ErrStale) || errors.Is(err, client.ErrInDoubt):
			w.heard <- news{id, ackInDoubt, nil}
		default:
			w.heard <- news{id, acked, err}
		}
	}
	if err := p.m.AckStart(tell); err != nil {
		tell(err)
	}
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
