package client

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"time"

	"github.com/go-stomp/stomp/v3/frame"
)

// DedupHeader names a message for good: a queue of a Baton cluster that has
// stored one of that name confirms another and does not store it, for as long
// as the broker remembers the names. It has 1 to 256 bytes.
const DedupHeader = "baton-dedup-id"

// Receipt says who confirmed a send.
type Receipt struct {
	Server      string
	ConnectedAt time.Time // when the connection that it came over was answered
	At          time.Time
	Attempts    int // how often the message was sent, 1 unless the first was in doubt
}

// Send sends a message and waits for its receipt. Without one it returns
//   - ErrNoServer, ErrClosed or the context's error: nothing was sent;
//   - ErrRefused with the server's text: the server says that it failed. If it
//     may still come true, as after a loss of quorum, it is ErrInDoubt as well;
//   - ErrInDoubt: nobody knows. With Resend it is sent again instead until the
//     context ends, under the same DedupHeader, so that a queue stores it once
//     (subscribers of a topic may get it twice). Whoever tries again after that
//     does the same with a DedupHeader of his own.
//
// headers are added to those of the message, are not changed, and may be nil.
func (c *Client) Send(ctx context.Context, destination, contentType string, body []byte, headers map[string]string) (Receipt, error) {
	if c.cfg.Resend {
		headers = c.named(headers)
	}
	r, err := c.sendOnce(ctx, destination, contentType, body, headers)
	r.Attempts = 1
	if c.cfg.Resend && errors.Is(err, ErrInDoubt) {
		return c.sendAgain(ctx, err, destination, contentType, body, headers)
	}
	return r, err
}

// named returns headers with a DedupHeader.
func (c *Client) named(headers map[string]string) map[string]string {
	if headers[DedupHeader] != "" {
		return headers
	}
	if headers = maps.Clone(headers); headers == nil {
		headers = map[string]string{}
	}
	headers[DedupHeader] = c.name + "-" + c.nextID()
	return headers
}

// sendAgain sends what is in doubt until it is not, or nobody wants to know any
// more. headers have a DedupHeader. doubt is the error of the attempt before.
func (c *Client) sendAgain(ctx context.Context, doubt error, destination, contentType string, body []byte, headers map[string]string) (Receipt, error) {
	for attempts := 2; ctx.Err() == nil && c.ctx.Err() == nil; attempts++ {
		r, err := c.sendOnce(ctx, destination, contentType, body, headers)
		r.Attempts = attempts
		switch {
		case err == nil:
			return r, nil
		case errors.Is(err, ErrInDoubt):
			doubt = err
		default: // that this one failed says nothing about the one before
			return r, fmt.Errorf("%w (sent again: %w)", doubt, err)
		}
	}
	return Receipt{}, doubt
}

func sendFrame(destination, contentType string, body []byte, headers map[string]string) *frame.Frame {
	f := frame.New(frame.SEND, frame.Destination, destination, frame.ContentLength, strconv.Itoa(len(body)))
	if contentType != "" {
		f.Header.Set(frame.ContentType, contentType)
	}
	for k, v := range headers {
		f.Header.Set(k, v)
	}
	f.Body = body
	return f
}

func (c *Client) sendOnce(ctx context.Context, destination, contentType string, body []byte, headers map[string]string) (Receipt, error) {
	f := sendFrame(destination, contentType, body, headers)
	for {
		s, err := c.session(ctx)
		if err != nil {
			return Receipt{}, fmt.Errorf("send to %s: %w", destination, err)
		}
		at, err := s.await(ctx, f)
		if errors.Is(err, ErrStale) {
			continue // it died before the frame was handed over
		}
		if err != nil {
			return Receipt{}, fmt.Errorf("send to %s: %w", destination, err)
		}
		return Receipt{Server: s.address, ConnectedAt: s.at, At: at}, nil
	}
}

// SendStart sends a message without waiting for its receipt, so that many can
// be on their way. done hears how it ended: nil, ErrRefused or ErrInDoubt. It
// is called on a goroutine of the connection and must not block. After an
// error done is not called and nothing was sent. Nothing is sent again, even
// with Resend, and the caller bounds how many are under way.
func (c *Client) SendStart(ctx context.Context, destination, contentType string, body []byte, headers map[string]string, done func(error)) error {
	f := sendFrame(destination, contentType, body, headers)
	for {
		s, err := c.session(ctx)
		if err != nil {
			return fmt.Errorf("send to %s: %w", destination, err)
		}
		_, err = s.ask(ctx, f, func(f *frame.Frame, err error) {
			switch {
			case err != nil:
				done(fmt.Errorf("send to %s: %w: %w", destination, ErrInDoubt, err))
			case f.Command == frame.ERROR:
				done(fmt.Errorf("send to %s: %w", destination, refused(f)))
			default:
				done(nil)
			}
		})
		if errors.Is(err, ErrStale) {
			continue // it died before the frame was handed over
		}
		if err != nil {
			return fmt.Errorf("send to %s: %w", destination, err)
		}
		return nil
	}
}

// refused is the error that an ERROR frame says.
func refused(f *frame.Frame) error {
	if f.Header.Get("baton-outcome") == "in-doubt" {
		return fmt.Errorf("%w: %w: %s", ErrInDoubt, ErrRefused, errorText(f))
	}
	return fmt.Errorf("%w: %s", ErrRefused, errorText(f))
}

// await sends f and waits for its receipt. ErrStale: it was not sent.
func (s *session) await(ctx context.Context, f *frame.Frame) (at time.Time, err error) {
	type answer struct {
		f   *frame.Frame
		err error
		at  time.Time
	}
	ch := make(chan answer, 1)
	id, err := s.ask(ctx, f, func(f *frame.Frame, err error) { ch <- answer{f, err, time.Now()} })
	if err != nil {
		return at, err
	}
	patience := time.NewTimer(s.c.cfg.ReceiptTimeout)
	defer patience.Stop()
	select {
	case a := <-ch:
		switch {
		case a.err != nil:
			return at, fmt.Errorf("%w: %w", ErrInDoubt, a.err)
		case a.f.Command == frame.ERROR:
			return at, refused(a.f)
		}
		return a.at, nil
	case <-patience.C:
		err = fmt.Errorf("%w within %v", ErrInDoubt, s.c.cfg.ReceiptTimeout)
	case <-ctx.Done():
		err = fmt.Errorf("%w: %w", ErrInDoubt, ctx.Err())
	}
	s.forget(id)
	return at, err
}
