package client_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"baton/node/client"
)

func TestStream(t *testing.T) {
	send := func(s *client.Stream, i int) error {
		return s.Send(within(t), "/queue/q", "", fmt.Append(nil, i), nil)
	}
	bodies := func(addr string, n int) (got []string) {
		c := connect(t, client.Config{Addresses: []string{addr}})
		next := make(chan string, n)
		_, err := c.Subscribe(within(t), "/queue/q", client.AckAuto, n, func(m *client.Message) { next <- string(m.Body) })
		require.NoError(t, err)
		for range n {
			got = append(got, <-next)
		}
		return got
	}
	t.Run("each once and in order, whatever connections do", func(t *testing.T) {
		s := serve(t, "127.0.0.1:0", nil)
		c := connect(t, client.Config{Addresses: []string{s.Addr()}})
		stream := c.NewStream(16)
		var want []string
		for i := range 200 {
			switch i % 50 {
			case 20: // those that it takes from here on are in doubt
				require.NoError(t, stream.Flush(within(t)))
				s.Mute(true)
			case 30:
				require.Eventually(t, func() bool { return s.Depth("/queue/q") == i }, patience, time.Millisecond)
				s.Mute(false)
				s.Drop()
			}
			require.NoError(t, send(stream, i))
			want = append(want, fmt.Sprint(i))
		}
		require.NoError(t, stream.Flush(within(t)))
		require.Equal(t, 200, stream.Sent())
		require.Equal(t, 200, s.Depth("/queue/q"))
		require.Positive(t, s.Stats().Duplicates, "nothing was in doubt")
		require.Equal(t, want, bodies(s.Addr(), 200))
	})
	t.Run("the window bounds what is outstanding", func(t *testing.T) {
		s := serve(t, "127.0.0.1:0", nil)
		c := connect(t, client.Config{Addresses: []string{s.Addr()}})
		stream := c.NewStream(4)
		require.NoError(t, send(stream, 0))
		require.NoError(t, stream.Flush(within(t)))
		s.Mute(true)
		for i := range 3 {
			require.NoError(t, send(stream, i))
		}
		full := make(chan error)
		go func() { full <- send(stream, 3) }()
		require.Eventually(t, func() bool { return s.Depth("/queue/q") == 5 }, patience, time.Millisecond)
		select {
		case err := <-full:
			t.Fatalf("the window is full and Send returned: %v", err)
		default:
		}
		s.Mute(false)
		s.Drop()
		require.NoError(t, <-full)
		require.NoError(t, stream.Flush(within(t)))
		require.Equal(t, 5, s.Depth("/queue/q"))
	})
	t.Run("so do their bytes", func(t *testing.T) {
		s := serve(t, "127.0.0.1:0", nil)
		c := connect(t, client.Config{Addresses: []string{s.Addr()}})
		stream := c.NewStream(100)
		require.NoError(t, send(stream, 0))
		require.NoError(t, stream.Flush(within(t)))
		s.Mute(true)
		ctx, cancel := context.WithCancel(within(t))
		sends := make(chan error, 2)
		go func() {
			for range 2 {
				sends <- stream.Send(ctx, "/queue/q", "", make([]byte, 40<<20), nil)
			}
		}()
		require.NoError(t, <-sends)
		require.Eventually(t, func() bool { return s.Depth("/queue/q") == 3 }, patience, time.Millisecond)
		cancel() // too late for a call that did not wait
		require.ErrorIs(t, <-sends, context.Canceled, "two bodies of 40 MiB are outstanding")
	})
	t.Run("a refusal says which message", func(t *testing.T) {
		s := serve(t, "127.0.0.1:0", nil)
		c := connect(t, client.Config{Addresses: []string{s.Addr()}})
		stream := c.NewStream(10)
		for i := range 5 {
			require.NoError(t, send(stream, i))
		}
		require.NoError(t, stream.Flush(within(t)))
		s.Refuse("disk full")
		err := send(stream, 5)
		if err == nil {
			err = stream.Flush(within(t))
		}
		require.ErrorIs(t, err, client.ErrRefused)
		require.ErrorContains(t, err, "message 6")
		require.Equal(t, 5, stream.Sent())
		s.Refuse("")
		require.NoError(t, send(stream, 6), "it can be used again")
		require.NoError(t, stream.Flush(within(t)))
		require.Equal(t, 6, s.Depth("/queue/q"))
	})
	t.Run("what is refused the second time is in doubt", func(t *testing.T) {
		s := serve(t, "127.0.0.1:0", nil)
		c := connect(t, client.Config{Addresses: []string{s.Addr()}})
		stream := c.NewStream(10)
		require.NoError(t, send(stream, 0))
		require.NoError(t, stream.Flush(within(t)))
		s.Mute(true)
		require.NoError(t, send(stream, 1))
		require.Eventually(t, func() bool { return s.Depth("/queue/q") == 2 }, patience, time.Millisecond)
		s.Refuse("disk full")
		s.Mute(false)
		s.Drop()
		err := stream.Flush(within(t))
		require.ErrorIs(t, err, client.ErrRefused)
		require.ErrorIs(t, err, client.ErrInDoubt, "it is stored")
	})
}
