package pace_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"baton/repl/pace"
	"baton/store/record"
)

// world is a leader whose producers commit at one rate while a catch-up is
// under way and at another while it is not.
type world struct {
	alone, beside float64 // bytes committed per second
	drain         time.Duration
	noise         float64

	now       time.Time
	committed float64
	sent      time.Duration // time spent sending
	busyUntil time.Time
	rng       *rand.Rand
}

// run paces a catch-up for a while, in steps as a sender takes them.
func (w *world) run(p *pace.Pacer, d time.Duration) (rate, share float64) {
	began, before := w.now, w.committed
	w.sent = 0
	for w.now.Sub(began) < d {
		flight := 0
		if w.now.Before(w.busyUntil) {
			flight = 1
		}
		send, wait := p.Next(w.now, record.Position(w.committed), flight)
		step := wait
		if send {
			step = 4 * time.Millisecond
			w.sent += step
			w.busyUntil = w.now.Add(step + w.drain)
		}
		w.pass(step)
	}
	took := w.now.Sub(began).Seconds()
	return (w.committed - before) / took, w.sent.Seconds() / took
}

func (w *world) pass(d time.Duration) {
	for end := w.now.Add(d); w.now.Before(end); {
		lap := min(time.Millisecond, end.Sub(w.now))
		rate := w.alone
		if w.now.Before(w.busyUntil) {
			rate = w.beside
		}
		w.committed += rate * lap.Seconds() * (1 + w.noise*(2*w.rng.Float64()-1))
		w.now = w.now.Add(lap)
	}
}

func TestProducersKeepMostOfTheirRate(t *testing.T) {
	for name, c := range map[string]struct {
		alone, beside  float64
		drain          time.Duration
		shareAtLeast   float64
		producersBelow float64 // of their rate alone: the catch-up uses what it may
	}{
		"a catch-up that costs nothing":   {5e6, 5e6, 10 * time.Millisecond, 0.60, 1.01},
		"one that costs a little":         {5e6, 4.5e6, 10 * time.Millisecond, 0.60, 0.97},
		"one that costs three quarters":   {5e6, 1.25e6, 10 * time.Millisecond, 0.10, 0.92},
		"one that leaves nothing":         {5e6, 0, 10 * time.Millisecond, 0.08, 0.92},
		"one that takes long to arrive":   {5e6, 1e6, 100 * time.Millisecond, 0.04, 0.95},
		"producers that are hardly there": {100, 50, 10 * time.Millisecond, 0.08, 0.98},
	} {
		t.Run(name, func(t *testing.T) {
			seed := rand.Uint64()
			t.Logf("seed %d", seed)
			w := &world{alone: c.alone, beside: c.beside, drain: c.drain, noise: 0.5, now: time.Unix(0, 0), rng: rand.New(rand.NewPCG(seed, 1))}
			var p pace.Pacer
			w.run(&p, 2*time.Second) // it has to find out first
			rate, share := w.run(&p, 20*time.Second)
			require.Greater(t, rate, 0.8*c.alone, "producers have %.0f %% of their rate", 100*rate/c.alone)
			require.Less(t, rate, c.producersBelow*c.alone)
			require.Greater(t, share, c.shareAtLeast, "of the time is spent sending")
		})
	}
}

func TestFollowsWhatProducersDo(t *testing.T) {
	w := &world{alone: 5e6, beside: 5e6, drain: 10 * time.Millisecond, now: time.Unix(0, 0), rng: rand.New(rand.NewPCG(1, 1))}
	var p pace.Pacer
	w.run(&p, 5*time.Second)
	w.beside = 1e6 // the disk has become slow
	w.run(&p, 2*time.Second)
	rate, _ := w.run(&p, 10*time.Second)
	require.Greater(t, rate, 0.8*5e6)
	w.alone, w.beside = 0, 0 // producers have gone
	w.run(&p, 5*time.Second)
	_, share := w.run(&p, 5*time.Second)
	require.Greater(t, share, 0.6)
}

// A follower that hangs must not end the cycle.
func TestAFollowerThatHangsIsGivenUp(t *testing.T) {
	var p pace.Pacer
	now, sends := time.Unix(0, 0), 0
	for range 10000 {
		send, wait := p.Next(now, 0, 1)
		if send {
			sends++
			wait = 10 * time.Millisecond
		}
		now = now.Add(max(wait, time.Millisecond))
	}
	require.Greater(t, sends, 10)
}

func TestBeginsAtOnce(t *testing.T) {
	var p pace.Pacer
	send, _ := p.Next(time.Unix(0, 0), 7, 0)
	require.True(t, send)
}
