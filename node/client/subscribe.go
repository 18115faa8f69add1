package client

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"

	"github.com/go-stomp/stomp/v3/frame"
)

// AckMode of a subscription.
type AckMode string

// Modes: a message is settled when it is delivered, with all before it, or alone.
const (
	AckAuto       AckMode = "auto"
	AckClient     AckMode = "client"
	AckIndividual AckMode = "client-individual"
)

// prefetchDefault and prefetchMax bound the messages that wait for a handler.
const (
	prefetchDefault = 100
	prefetchMax     = 65536
)

// Message is one delivery.
type Message struct {
	ID          string
	Destination string
	ContentType string
	Body        []byte
	Redelivered bool // the server says so
	Header      *frame.Header
	Connection  int // number of the connection that it came over, from 1

	ackID string
	sub   *Subscription
	s     *session
}

// Subscription lasts until it is closed, over any number of connections.
type Subscription struct {
	c       *Client
	id      string
	dest    string
	mode    AckMode
	headers map[string]string
	handler func(*Message)
	queue   chan *Message
	ctx     context.Context // its lifecycle
	cancel  context.CancelFunc
	done    chan struct{}
	first   chan error // the answer to the first SUBSCRIBE

	mu  sync.Mutex
	on  *session // renewed there last
	err error
}

// Option of a subscription.
type Option func(*Subscription)

// WithHeader adds a header to SUBSCRIBE: selector, browser and so on.
func WithHeader(name, value string) Option {
	return func(s *Subscription) { s.headers[name] = value }
}

// Subscribe has handler called for every message, one at a time, until the
// subscription is closed; it returns when the server confirmed it once. At
// most prefetch messages (0: 100) wait for their ack. Messages that wait for
// the handler when their connection is lost are dropped, except in mode auto:
// they are not settled and come again. A handler in mode auto must not send
// through this client: its queue may be full, and then nothing is read.
func (c *Client) Subscribe(ctx context.Context, destination string, mode AckMode, prefetch int, handler func(*Message), opts ...Option) (*Subscription, error) {
	if mode != AckAuto && mode != AckClient && mode != AckIndividual {
		return nil, fmt.Errorf("client: unknown ack mode %q", mode)
	}
	if prefetch <= 0 {
		prefetch = prefetchDefault
	}
	prefetch = min(prefetch, prefetchMax)
	sub := &Subscription{
		c: c, id: "sub-" + c.nextID(), dest: destination, mode: mode, handler: handler,
		headers: map[string]string{"activemq.prefetchSize": strconv.Itoa(prefetch)},
		queue:   make(chan *Message, prefetch), done: make(chan struct{}), first: make(chan error, 1),
	}
	for _, o := range opts {
		o(sub)
	}
	sub.ctx, sub.cancel = context.WithCancel(c.ctx)
	c.mu.Lock()
	if c.ctx.Err() != nil || c.ended != nil {
		err := c.ended
		c.mu.Unlock()
		sub.cancel()
		return nil, fmt.Errorf("subscribe to %s: %w", destination, errors.Join(ErrClosed, err))
	}
	c.subs[sub.id] = sub
	s := c.current
	c.wg.Add(1)
	c.mu.Unlock()
	go sub.runHandle()
	if s != nil {
		sub.renew(s)
	}
	if err := sub.confirmed(ctx); err != nil {
		sub.finish(err)
		return nil, fmt.Errorf("subscribe to %s: %w", destination, err)
	}
	return sub, nil
}

// confirmed waits for the first answer, however many connections it takes.
func (sub *Subscription) confirmed(ctx context.Context) error {
	wait, cancel := context.WithCancel(ctx)
	defer cancel()
	if t := sub.c.cfg.Timeout; t > 0 {
		wait, cancel = context.WithTimeout(ctx, t)
		defer cancel()
	}
	ended := make(chan error, 1)
	go func() { // ends at once or with this call: session watches the client's end
		for wait.Err() == nil {
			s, err := sub.c.session(wait)
			if err != nil {
				ended <- err
				return
			}
			select {
			case <-s.done:
			case <-wait.Done():
			}
		}
		ended <- fmt.Errorf("not confirmed in time: %w", wait.Err())
	}()
	select {
	case err := <-sub.first:
		return err
	case err := <-ended:
		return err
	}
}

// renew subscribes on s, unless that was done already.
func (sub *Subscription) renew(s *session) {
	sub.mu.Lock()
	if sub.on == s || sub.err != nil {
		sub.mu.Unlock()
		return
	}
	sub.on = s
	sub.mu.Unlock()
	f := frame.New(frame.SUBSCRIBE, frame.Id, sub.id, frame.Destination, sub.dest, frame.Ack, string(sub.mode))
	for k, v := range sub.headers {
		f.Header.Set(k, v)
	}
	// An error means that s is dead; the next connection renews.
	_, _ = s.ask(sub.ctx, f, func(f *frame.Frame, err error) {
		if err != nil {
			return
		}
		var refused error
		if f.Command == frame.ERROR {
			refused = fmt.Errorf("%w: %s", ErrRefused, errorText(f))
		}
		select {
		case sub.first <- refused:
		default: // answered before
		}
		if refused != nil {
			sub.finish(refused)
		}
	})
}

// deliver queues a message for its handler. It waits while the queue is full,
// which a server that keeps to the prefetch never lets happen.
func (c *Client) deliver(s *session, f *frame.Frame) {
	c.mu.Lock()
	sub := c.subs[f.Header.Get(frame.Subscription)]
	c.mu.Unlock()
	if sub == nil {
		return
	}
	m := &Message{
		ID: f.Header.Get(frame.MessageId), Destination: f.Header.Get(frame.Destination),
		ContentType: f.Header.Get(frame.ContentType), Body: f.Body, Header: f.Header,
		Redelivered: f.Header.Get("redelivered") == "true", Connection: s.num,
		ackID: f.Header.Get(frame.Ack), sub: sub, s: s,
	}
	select {
	case sub.first <- nil: // as good as the receipt, which go-stomp's server never sends
	default:
	}
	select {
	case sub.queue <- m:
	case <-s.done:
	case <-sub.ctx.Done():
	}
}

func (sub *Subscription) runHandle() {
	defer sub.c.wg.Done()
	defer close(sub.done)
	for {
		select {
		case <-sub.ctx.Done():
			return
		case m := <-sub.queue:
			if sub.mode == AckAuto || m.s.alive() {
				sub.handler(m)
			}
		}
	}
}

// finish ends the subscription on this side.
func (sub *Subscription) finish(err error) (last *session) {
	sub.mu.Lock()
	if sub.err == nil {
		sub.err = err
		last = sub.on
	}
	sub.mu.Unlock()
	sub.c.mu.Lock()
	delete(sub.c.subs, sub.id)
	sub.c.mu.Unlock()
	sub.cancel()
	return last
}

// Close ends the subscription; messages not handled go to others. It does not
// wait for a handler under way: Done does.
func (sub *Subscription) Close() error {
	last := sub.finish(ErrClosed)
	if last == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeWait)
	defer cancel()
	err := last.queue(ctx, frame.New(frame.UNSUBSCRIBE, frame.Id, sub.id))
	if errors.Is(err, ErrStale) {
		return nil // the connection ended, and the subscription with it
	}
	return err
}

// Done is closed when the subscription ended and its handler returned.
func (sub *Subscription) Done() <-chan struct{} { return sub.done }

// Err says why the subscription ended, nil while it lasts.
func (sub *Subscription) Err() error {
	sub.mu.Lock()
	defer sub.mu.Unlock()
	return sub.err
}
