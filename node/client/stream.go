package client

import (
	"context"
	"errors"
	"fmt"

	"github.com/go-stomp/stomp/v3/frame"
)

// Stream sends messages in their order with many receipts outstanding. What is
// in doubt when a connection ends is sent again before anything that comes
// behind it, under the same DedupHeader: a queue of a Baton cluster stores each
// message once, and in the order of the calls. It is not safe for concurrent
// use.
type Stream struct {
	c      *Client
	window int
	s      *session    // of what is outstanding
	flight []*outgoing // oldest first
	bytes  int         // of their bodies
	sent   int
}

// streamBytes bounds the bodies that are outstanding, but for the newest.
const streamBytes = 64 << 20

// outgoing is a message that awaits its receipt.
type outgoing struct {
	to, contentType string
	body            []byte
	headers         map[string]string
	receipt         chan error
}

// NewStream returns a stream with at most window receipts outstanding, at least
// one, and fewer while their messages have more than 64 MiB. It ends with the client, and needs no end of its own.
func (c *Client) NewStream(window int) *Stream { return &Stream{c: c, window: max(window, 1)} }

// Sent is how many messages are confirmed.
func (t *Stream) Sent() int { return t.sent }

// Send sends a message; body and headers are not to be changed until its receipt
// has come.
// It waits while the window is full. An error, as of Client.Send, may be that
// of an earlier message; it says which, and what became of those behind it,
// of which none is outstanding any more.
func (t *Stream) Send(ctx context.Context, destination, contentType string, body []byte, headers map[string]string) error {
	m := &outgoing{to: destination, contentType: contentType, body: body, headers: t.c.named(headers), receipt: make(chan error, 1)}
	for {
		err := t.start(ctx, m)
		if err == nil {
			t.flight, t.bytes = append(t.flight, m), t.bytes+len(body)
			return t.settle(ctx, t.window-1)
		}
		if !errors.Is(err, ErrStale) {
			return errors.Join(t.settle(ctx, 0), fmt.Errorf("send to %s: %w", destination, err))
		}
		// Nothing goes over a new connection while something is in doubt.
		if err := t.settle(ctx, 0); err != nil {
			return err
		}
		t.s = nil
	}
}

func (t *Stream) start(ctx context.Context, m *outgoing) (err error) {
	if t.s == nil {
		if t.s, err = t.c.session(ctx); err != nil {
			return err
		}
	}
	_, err = t.s.ask(ctx, sendFrame(m.to, m.contentType, m.body, m.headers), func(f *frame.Frame, err error) {
		switch {
		case err != nil:
			m.receipt <- fmt.Errorf("%w: %w", ErrInDoubt, err)
		case f.Command == frame.ERROR:
			m.receipt <- refused(f)
		default:
			m.receipt <- nil
		}
	})
	return err
}

// Flush waits until all is confirmed. Errors are those of Send.
func (t *Stream) Flush(ctx context.Context) error { return t.settle(ctx, 0) }

// settle waits until at most n receipts are outstanding and not too many bytes,
// or none if one of them is in doubt.
func (t *Stream) settle(ctx context.Context, n int) error {
	for len(t.flight) > n || t.bytes > streamBytes {
		m := t.flight[0]
		err := m.wait(ctx)
		if errors.Is(err, ErrInDoubt) && ctx.Err() == nil {
			n, t.s = 0, nil
			_, err = t.c.sendAgain(ctx, err, m.to, m.contentType, m.body, m.headers)
		}
		t.flight, t.bytes = t.flight[1:], t.bytes-len(m.body)
		if err != nil {
			return t.fail(ctx, m, err)
		}
		t.sent++
	}
	return nil
}

func (m *outgoing) wait(ctx context.Context) error {
	select {
	case err := <-m.receipt:
		return err
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ErrInDoubt, ctx.Err())
	}
}

// fail says what became of the messages behind one that failed.
func (t *Stream) fail(ctx context.Context, m *outgoing, err error) error {
	stored, doubt := 0, 0
	for _, m := range t.flight {
		switch e := m.wait(ctx); {
		case e == nil:
			stored++
		case errors.Is(e, ErrInDoubt):
			doubt++
		}
	}
	t.flight, t.bytes, t.s = nil, 0, nil
	err = fmt.Errorf("send message %d to %s: %w", t.sent+1, m.to, err)
	if stored+doubt > 0 {
		err = fmt.Errorf("%w (of those behind it %d are stored all the same, and %d may be)", err, stored, doubt)
	}
	return err
}
