package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"baton/node/client"
)

const (
	// moverWindow bounds the messages that await their receipts.
	moverWindow = 64
	// moverGrace is how long ctrl+c lets what is under way come to its end.
	moverGrace = 5 * time.Second
	// moverAgain is how long after the last message it waits for those that
	// come again because their ack was lost.
	moverAgain = 500 * time.Millisecond
)

// passage is a message between its queue and where it goes.
type passage struct {
	m      *client.Message // its latest delivery: only that one can be acknowledged
	stored bool            // where it goes
	acking *client.Message // delivery whose ack awaits its receipt, nil if none does
}

// news is what happened to a message: it is stored where it goes, its ack is
// confirmed or in doubt, or an error that ends the command.
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

// mover takes the messages of a queue, passes each on, and acknowledges it
// then, many at a time. A message that comes again because its ack was lost is
// not passed on again. One goroutine, that of run, owns its fields; others tell
// it through heard what became of each message.
type mover struct {
	source *client.Client
	from   string
	count  int           // ends after so many, 0 = no limit
	idle   time.Duration // ends when none came for so long, 0 = never
	verb   string        // what happens to a message, as in forwarded
	show   io.Writer     // nil shows no progress

	// pass hands a message on and says so in heard (or to hear, if it is done
	// when it returns). An error ends the command. sending outlives ctx by
	// moverGrace.
	pass func(ctx, sending context.Context, m *client.Message) error

	heard    chan news // has room for a whole window: its senders must not block
	under    map[string]*passage
	underWay int // receipts of targets or of an ack are awaited
	taken    int // different messages
	done     int // of those taken: stored
}

func newMover(verb string) *mover {
	return &mover{verb: verb, heard: make(chan news, moverWindow), under: map[string]*passage{}}
}

// addFlags are the flags that end it.
func (w *mover) addFlags(c *cobra.Command) {
	c.Flags().IntVar(&w.count, "count", 0, "end after so many messages, 0 = no limit")
	c.Flags().DurationVar(&w.idle, "idle", 0, "end when no message came for so long, 0 = wait for ever")
}

// showOn shows progress on a terminal, unless the messages themselves go there.
func (w *mover) showOn(cmd *cobra.Command, messages io.Writer) {
	if e := cmd.ErrOrStderr(); isTerminal(e) && !isTerminal(messages) {
		w.show = e
	}
}

// run takes messages until there is a reason to stop, and then waits for those
// under way.
func (w *mover) run(ctx context.Context) error {
	if w.show != nil {
		defer fmt.Fprint(w.show, "\r\x1b[K")
	}
	listening, stop := context.WithCancel(ctx)
	defer stop()
	next := make(chan *client.Message)
	prefetch := 2 * moverWindow
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
	defer context.AfterFunc(ctx, func() { time.AfterFunc(moverGrace, giveUp) })()
	ended, err := w.move(ctx, sending, next, sub)
	if ended {
		return err
	}
	return w.finish(sending, err)
}

// move is true if nothing is under way any more.
func (w *mover) move(ctx, sending context.Context, next <-chan *client.Message, sub *client.Subscription) (bool, error) {
	show := time.NewTicker(time.Second)
	defer show.Stop()
	for {
		take := next
		if w.underWay == moverWindow {
			take = nil
		}
		var quiet <-chan time.Time
		switch all := w.count > 0 && w.done >= w.count; {
		case w.underWay > 0:
		case all && len(w.under) == 0:
			return true, nil
		case all:
			quiet = time.After(moverAgain)
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

// take passes a message on, unless it came again or is one too many: then it
// goes back when the subscription ends.
func (w *mover) take(ctx, sending context.Context, m *client.Message) error {
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
	return w.pass(ctx, sending, m)
}

func (w *mover) hear(h news) {
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

func (w *mover) showProgress() {
	if w.show != nil {
		fmt.Fprintf(w.show, "\r\x1b[K%d %s, %d under way", w.done, w.verb, w.underWay)
	}
}

// finish waits for what is under way, which giving up ends at the latest.
func (w *mover) finish(sending context.Context, err error) error {
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

// acknowledge settles a message at its source.
func (w *mover) acknowledge(p *passage) {
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
