package client

import (
	"context"
	"fmt"

	"github.com/go-stomp/stomp/v3/frame"
)

// Ack settles the message and waits until the server confirmed it. ErrStale:
// its connection is gone and it will come again; ErrInDoubt: it may.
func (m *Message) Ack(ctx context.Context) error { return m.settle(ctx, frame.ACK) }

// Nack gives the message back and waits until the server confirmed it.
func (m *Message) Nack(ctx context.Context) error { return m.settle(ctx, frame.NACK) }

func (m *Message) settle(ctx context.Context, command string) error {
	if _, err := m.s.await(ctx, m.settlement(command)); err != nil {
		return fmt.Errorf("%s message %s: %w", command, m.ID, err)
	}
	return nil
}

// AckStart settles the message without waiting. done hears whether the server
// confirmed it: nil, ErrRefused or ErrInDoubt. It is called on a goroutine of
// the connection and must not block. After an error done is not called.
func (m *Message) AckStart(done func(error)) error {
	_, err := m.s.ask(m.sub.ctx, m.settlement(frame.ACK), func(f *frame.Frame, err error) {
		switch {
		case err != nil:
			done(fmt.Errorf("ACK message %s: %w: %w", m.ID, ErrInDoubt, err))
		case f.Command == frame.ERROR:
			done(fmt.Errorf("ACK message %s: %w", m.ID, refused(f)))
		default:
			done(nil)
		}
	})
	if err != nil {
		return fmt.Errorf("ACK message %s: %w", m.ID, err)
	}
	return nil
}

func (m *Message) settlement(command string) *frame.Frame {
	if m.s.v12 {
		id := m.ackID
		if id == "" {
			id = m.ID
		}
		return frame.New(command, frame.Id, id)
	}
	return frame.New(command, frame.MessageId, m.ID, frame.Subscription, m.sub.id)
}
