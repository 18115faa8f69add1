package repl

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"baton/repl/transport"
	"baton/repl/wire"
)

// TestSuspicion needs the unexported type: which sequences of failures make a
// leader suspected is a rule of its own, without a socket.
func TestSuspicion(t *testing.T) {
	t0 := time.Unix(1000, 0)
	at := func(ms int) time.Time { return t0.Add(time.Duration(ms) * time.Millisecond) }
	down := errors.New("connection refused")
	refused := func(c wire.Code) error {
		return &transport.RefusedError{Refuse: wire.Refuse{Code: c, Text: "because"}, ByPeer: true}
	}
	max := func(d time.Duration) time.Duration { return d - 1 }
	fresh := func() *suspicion { return &suspicion{deadAfter: time.Second, heard: t0} }

	t.Run("a lost link is tried again at once, then the leader is suspected once", func(t *testing.T) {
		s := fresh()
		s.linkUp(at(0))
		require.Empty(t, s.ended(down, 5*time.Second, at(5000), at(5000)))
		require.Zero(t, s.wait(at(5000), max))
		require.Contains(t, s.ended(down, 0, at(5000), at(5001)), "cannot be opened again")
		require.Equal(t, backoffMin, s.wait(at(5001), max))
		require.Empty(t, s.ended(down, 0, at(5000), at(5050)), "told once")
		s.linkUp(at(6000))
		require.Empty(t, s.ended(down, 5*time.Second, at(11000), at(11000)))
		require.NotEmpty(t, s.ended(down, 0, at(11000), at(11001)), "and again for the next loss")
	})
	t.Run("silence is enough", func(t *testing.T) {
		s := fresh()
		s.linkUp(at(0))
		require.Contains(t, s.ended(transport.ErrSilent, 5*time.Second, at(4000), at(5000)), "nothing heard")
	})
	t.Run("a refusal is a sign of life", func(t *testing.T) {
		s := fresh()
		for ms := range 100 {
			require.Empty(t, s.ended(refused(wire.CodeStranger), 0, t0, at(ms*100)))
			require.LessOrEqual(t, s.wait(at(ms*100), max), time.Second, "not later than silence would count")
		}
	})
	t.Run("a node that does not lead yet gets DeadAfter", func(t *testing.T) {
		s := fresh()
		require.Empty(t, s.ended(refused(wire.CodeNotLeader), 0, t0, at(1)))
		for ms := 50; ms < 1000; ms += 50 {
			require.Empty(t, s.ended(refused(wire.CodeNotLeader), 0, t0, at(ms)))
			require.LessOrEqual(t, s.wait(at(ms), max), 2*backoffMin, "it may lead any moment")
		}
		require.Contains(t, s.ended(refused(wire.CodeNotLeader), 0, t0, at(1000)), "nothing heard for 1s")
	})
	t.Run("a node that led and does not any more is dead as a leader", func(t *testing.T) {
		s := fresh()
		s.linkUp(at(0))
		require.Empty(t, s.ended(down, 10, at(10), at(10)))
		require.Equal(t, "because", s.ended(refused(wire.CodeNotLeader), 0, at(10), at(11)))
	})
	t.Run("back-off grows, is bounded, and a link that lasted resets it", func(t *testing.T) {
		s := fresh()
		var last time.Duration
		for range 12 {
			s.ended(down, 0, t0, at(5000))
			last = s.wait(at(5000), max)
			require.LessOrEqual(t, last, backoffMax)
		}
		require.Equal(t, backoffMax, last)
		s.linkUp(at(6000))
		s.ended(down, time.Millisecond, at(6000), at(6001))
		require.Positive(t, s.wait(at(6001), max), "links that flap are not tried in a tight loop")
		s.linkUp(at(7000))
		s.ended(down, 2*time.Second, at(9000), at(9000))
		require.Zero(t, s.wait(at(9000), max))
	})
	t.Run("jitter stays within half", func(t *testing.T) {
		s := fresh()
		s.declared, s.failures, s.backoff = true, 5, time.Second
		require.Equal(t, 500*time.Millisecond, s.wait(at(1), func(time.Duration) time.Duration { return 0 }))
	})
}

func TestQueueKeepsItsOrderWhenItCompacts(t *testing.T) {
	var q queue
	pushed, popped := 0, 0
	for range 5000 {
		for range 3 {
			q.push(waiter{size: pushed})
			pushed++
		}
		for range 2 {
			require.Equal(t, popped, q.first().size)
			require.Equal(t, popped, q.pop().size)
			popped++
		}
	}
	for q.first() != nil {
		require.Equal(t, popped, q.pop().size)
		popped++
	}
	require.Equal(t, pushed, popped)
	require.Less(t, cap(q.items), 2*pushed)
}

func TestLatencies(t *testing.T) {
	var l latencies
	p50, p99 := l.percentiles()
	require.Zero(t, p50+p99)
	for i := range 2000 {
		l.add(time.Duration(i))
	}
	p50, p99 = l.percentiles()
	require.InDelta(t, 1488, int(p50), 2, "of the last 1024")
	require.InDelta(t, 1989, int(p99), 2)
}
