package progress_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"baton/repl/progress"
	"baton/store/record"
)

var t0 = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)

func at(ms int) time.Time { return t0.Add(time.Duration(ms) * time.Millisecond) }

var small = progress.Config{Window: 100, InSyncBytes: 10, LagBytes: 200, LagTime: time.Second, Disk: true}

func follower(next, end record.Position) progress.Follower {
	f := progress.New(small, t0)
	f.Attached(next, end, t0)
	return f
}

func ack(t *testing.T, f *progress.Follower, received, flushed, end record.Position, ms int) bool {
	t.Helper()
	moved, err := f.Acked(received, flushed, end, at(ms))
	require.NoError(t, err)
	return moved
}

func TestStates(t *testing.T) {
	t.Run("is probing until its first ack", func(t *testing.T) {
		f := progress.New(small, t0)
		require.Equal(t, progress.Probing, f.State())
		f.Attached(50, 50, t0)
		require.Equal(t, progress.Probing, f.State())
		require.True(t, ack(t, &f, 50, 50, 50, 1))
		require.Equal(t, progress.InSync, f.State())
	})
	t.Run("catches up, then is in sync", func(t *testing.T) {
		f := follower(0, 1000)
		ack(t, &f, 0, 0, 1000, 1)
		require.Equal(t, progress.CatchingUp, f.State())
		f.Sent(500)
		ack(t, &f, 500, 400, 1000, 500)
		c, ok := f.CatchUp(1000, at(500))
		require.True(t, ok)
		require.Equal(t, progress.CatchUp{From: 0, To: 1000, Done: 500, Rate: 1000, ETA: 500 * time.Millisecond}, c)
		f.Sent(1000)
		ack(t, &f, 1000, 900, 1000, 600)
		require.Equal(t, progress.CatchingUp, f.State(), "received is not enough under a disk policy")
		ack(t, &f, 1000, 1000, 1000, 700)
		require.Equal(t, progress.InSync, f.State())
		_, ok = f.CatchUp(1000, at(700))
		require.False(t, ok)
	})
	t.Run("received is enough under a memory policy", func(t *testing.T) {
		cfg := small
		cfg.Disk = false
		f := progress.New(cfg, t0)
		f.Attached(0, 1000, t0)
		f.Sent(1000)
		ack(t, &f, 1000, 0, 1000, 1)
		require.Equal(t, progress.InSync, f.State())
	})
	t.Run("comes in sync behind a leader that goes on writing", func(t *testing.T) {
		f := follower(0, 1000)
		end := record.Position(1000)
		f.Sent(end)
		ack(t, &f, 1000, 1000, 1100, 900)
		require.Equal(t, progress.CatchingUp, f.State(), "what it holds is 0.9 s old")
		f.Sent(1100)
		ack(t, &f, 1100, 1100, 1200, 1000)
		require.Equal(t, progress.InSync, f.State(), "what it holds is 0.1 s old")
	})
	t.Run("lags by bytes", func(t *testing.T) {
		f := follower(0, 0)
		ack(t, &f, 0, 0, 0, 1)
		require.Equal(t, progress.InSync, f.State())
		f.Tick(200, at(2))
		require.Equal(t, progress.InSync, f.State())
		f.Tick(201, at(3))
		require.Equal(t, progress.Lagging, f.State())
		f.Sent(201)
		ack(t, &f, 201, 195, 201, 4)
		require.Equal(t, progress.InSync, f.State())
	})
	t.Run("lags by time when its disk hangs", func(t *testing.T) {
		f := follower(0, 0)
		ack(t, &f, 0, 0, 0, 0)
		f.Sent(5)
		ack(t, &f, 5, 0, 5, 1000)
		require.Equal(t, progress.InSync, f.State())
		f.Tick(5, at(1001))
		require.Equal(t, progress.Lagging, f.State())
		require.Equal(t, 1001*time.Millisecond, f.LagTime(5, at(1001)))
		ack(t, &f, 5, 5, 5, 1002)
		require.Equal(t, progress.InSync, f.State())
		require.Zero(t, f.LagTime(5, at(1002)))
	})
	t.Run("an idle leader does not make it lag", func(t *testing.T) {
		f := follower(7, 7)
		ack(t, &f, 7, 7, 7, 1)
		f.Tick(7, at(1_000_000))
		require.Equal(t, progress.InSync, f.State())
	})
	t.Run("one that was away for long is not in sync at once", func(t *testing.T) {
		f := progress.New(small, t0)
		f.Attached(100, 105, at(5000))
		ack(t, &f, 100, 100, 105, 5001)
		require.Equal(t, progress.CatchingUp, f.State())
		f.Sent(105)
		ack(t, &f, 105, 105, 105, 5002)
		require.Equal(t, progress.InSync, f.State())
	})
}

func TestSessions(t *testing.T) {
	t.Run("what was acknowledged outlives the session, not the next attach", func(t *testing.T) {
		f := follower(0, 50)
		f.Sent(50)
		ack(t, &f, 50, 40, 50, 1)
		f.Lost()
		require.Equal(t, record.Position(40), f.Match())
		require.Equal(t, progress.Probing, f.State())
		require.False(t, f.IsAttached())
		f.Attached(45, 60, at(2))
		require.Zero(t, f.Match())
		require.Equal(t, record.Position(45), f.Next())
	})
	t.Run("impossible acks", func(t *testing.T) {
		for name, bad := range map[string][2]record.Position{
			"past what was sent": {51, 40}, "flushed past received": {40, 41},
			"received goes back": {39, 20}, "flushed goes back": {45, 19},
		} {
			f := follower(0, 50)
			f.Sent(50)
			ack(t, &f, 40, 20, 50, 1)
			_, err := f.Acked(bad[0], bad[1], 50, at(2))
			require.ErrorIs(t, err, progress.ErrAck, name)
			require.Equal(t, record.Position(40), f.Received(), name)
			require.Equal(t, record.Position(20), f.Flushed(), name)
		}
		f := progress.New(small, t0)
		_, err := f.Acked(0, 0, 0, t0)
		require.ErrorIs(t, err, progress.ErrAck, "without a session")
	})
	t.Run("a repeated ack moves nothing", func(t *testing.T) {
		f := follower(0, 50)
		f.Sent(50)
		require.True(t, ack(t, &f, 40, 20, 50, 1))
		require.False(t, ack(t, &f, 40, 20, 50, 2))
		require.True(t, ack(t, &f, 40, 21, 50, 3))
	})
	t.Run("sending backwards or to nobody is a broken invariant", func(t *testing.T) {
		f := follower(10, 50)
		require.Panics(t, func() { f.Sent(9) })
		f.Lost()
		require.Panics(t, func() { f.Sent(20) })
	})
}

func TestWindow(t *testing.T) {
	f := follower(1000, 2000)
	require.Equal(t, 100, f.Room(), "what the follower had before does not count")
	f.Sent(1060)
	require.Equal(t, 40, f.Room())
	f.Sent(1500) // one batch may be larger than the window
	require.Zero(t, f.Room())
	ack(t, &f, 1450, 0, 2000, 1)
	require.Equal(t, 50, f.Room(), "received frees the window, flushed or not")
	ack(t, &f, 1500, 0, 2000, 2)
	require.Equal(t, 100, f.Room())
}

func TestDefaults(t *testing.T) {
	c := progress.Config{}.WithDefaults()
	require.Equal(t, c, c.WithDefaults())
	require.Positive(t, c.Window)
	require.Less(t, c.InSyncBytes, c.LagBytes)
	require.Equal(t, "probing,catching up,in sync,lagging",
		progress.Probing.String()+","+progress.CatchingUp.String()+","+progress.InSync.String()+","+progress.Lagging.String())
}
