package suspicion_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"baton/repl/suspicion"
)

func TestSuspicion(t *testing.T) {
	t0 := time.Unix(1000, 0)
	at := func(ms int) time.Time { return t0.Add(time.Duration(ms) * time.Millisecond) }
	const down = "connection refused"
	max := func(d time.Duration) time.Duration { return d - 1 }
	fresh := func() *suspicion.Suspicion { return suspicion.New(time.Second, t0) }

	t.Run("a lost link is tried again at once, then the leader is suspected once", func(t *testing.T) {
		s := fresh()
		s.LinkUp(at(0))
		require.Empty(t, s.Ended(suspicion.Closed, down, 5*time.Second, at(5000), at(5000)))
		require.Zero(t, s.Wait(at(5000), max))
		require.Contains(t, s.Ended(suspicion.Closed, down, 0, at(5000), at(5001)), "cannot be opened again")
		require.Equal(t, 50*time.Millisecond, s.Wait(at(5001), max))
		require.Empty(t, s.Ended(suspicion.Closed, down, 0, at(5000), at(5050)), "told once")
		s.LinkUp(at(6000))
		require.Empty(t, s.Ended(suspicion.Closed, down, 5*time.Second, at(11000), at(11000)))
		require.NotEmpty(t, s.Ended(suspicion.Closed, down, 0, at(11000), at(11001)), "and again for the next loss")
	})
	t.Run("silence is enough", func(t *testing.T) {
		s := fresh()
		s.LinkUp(at(0))
		require.Contains(t, s.Ended(suspicion.Silent, "silence", 5*time.Second, at(4000), at(5000)), "nothing heard")
	})
	t.Run("a refusal is a sign of life", func(t *testing.T) {
		s := fresh()
		for ms := range 100 {
			require.Empty(t, s.Ended(suspicion.Refused, "because", 0, t0, at(ms*100)))
			require.LessOrEqual(t, s.Wait(at(ms*100), max), time.Second, "not later than silence would count")
		}
	})
	t.Run("a node that does not lead yet gets DeadAfter", func(t *testing.T) {
		s := fresh()
		require.Empty(t, s.Ended(suspicion.NotLeader, "because", 0, t0, at(1)))
		for ms := 50; ms < 1000; ms += 50 {
			require.Empty(t, s.Ended(suspicion.NotLeader, "because", 0, t0, at(ms)))
			require.LessOrEqual(t, s.Wait(at(ms), max), 100*time.Millisecond, "it may lead any moment")
		}
		require.Contains(t, s.Ended(suspicion.NotLeader, "because", 0, t0, at(1000)), "nothing heard for 1s")
	})
	t.Run("a node that led and does not any more is dead as a leader", func(t *testing.T) {
		s := fresh()
		s.LinkUp(at(0))
		require.Empty(t, s.Ended(suspicion.Closed, down, 10, at(10), at(10)))
		require.Equal(t, "because", s.Ended(suspicion.NotLeader, "because", 0, at(10), at(11)))
	})
	t.Run("back-off grows, is bounded, and a link that lasted resets it", func(t *testing.T) {
		s := fresh()
		var last time.Duration
		for range 12 {
			s.Ended(suspicion.Closed, down, 0, t0, at(5000))
			last = s.Wait(at(5000), max)
			require.LessOrEqual(t, last, 2*time.Second)
		}
		require.Equal(t, 2*time.Second, last)
		s.LinkUp(at(6000))
		s.Ended(suspicion.Closed, down, time.Millisecond, at(6000), at(6001))
		require.Positive(t, s.Wait(at(6001), max), "links that flap are not tried in a tight loop")
		s.LinkUp(at(7000))
		s.Ended(suspicion.Closed, down, 2*time.Second, at(9000), at(9000))
		require.Zero(t, s.Wait(at(9000), max))
	})
	t.Run("jitter stays within half", func(t *testing.T) {
		s := fresh()
		for range 12 {
			s.Ended(suspicion.Closed, down, 0, t0, at(5000))
			s.Wait(at(5000), max)
		}
		require.Equal(t, time.Second, s.Wait(at(5001), func(time.Duration) time.Duration { return 0 }))
	})
}
