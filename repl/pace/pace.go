// Package pace decides when a catch-up may send, so that the producers of a
// leader keep most of their rate beside it. It has no clock and no goroutine:
// it is told the time and how far the leader has committed.
//
// Nobody knows beforehand what a catch-up costs the others: that depends on
// disks, processors and networks which they share. So it is measured, all the
// time. A Pacer sends for a while, lets what is in flight arrive, rests for a
// while, and compares how fast the leader committed in the two. From that
// follows how much of the time may be spent sending.
package pace

import (
	"time"

	"baton/store/record"
)

const (
	// keep is the part of the resting rate that is aimed at over a whole cycle.
	// Some reserve is in it, for measures are rough.
	keep = 0.85

	sendFor  = 50 * time.Millisecond
	restMin  = 15 * time.Millisecond  // enough to see a rate
	restMax  = 500 * time.Millisecond // the catch-up goes on, however much it costs
	drainMax = 250 * time.Millisecond // a follower that hangs does not stop the measuring
	drainLap = 2 * time.Millisecond   // between two looks at what is in flight
	weight   = 0.3                    // of a new measure
)

// Pacer paces one catch-up. The zero Pacer begins by sending.
type Pacer struct {
	phase phase
	since time.Time       // when the phase began, a drain with its sending
	from  record.Position // committed then

	resting, sending float64 // bytes committed per second
	rest             time.Duration
}

type phase uint8

const (
	fresh phase = iota
	sends
	drains
	rests
)

// Next says whether the next chunk may be sent now, and otherwise after how
// long to ask again. inFlight is what was sent and has not arrived.
func (p *Pacer) Next(now time.Time, commit record.Position, inFlight int) (send bool, wait time.Duration) {
	switch p.phase {
	case fresh:
		p.begin(sends, now, commit)
	case sends:
		if now.Sub(p.since) < sendFor {
			return true, 0
		}
		p.phase = drains
		return p.Next(now, commit, inFlight)
	case drains:
		if inFlight > 0 && now.Sub(p.since) < sendFor+drainMax {
			return false, drainLap
		}
		took := now.Sub(p.since)
		p.sending = p.measure(p.sending, now, commit)
		p.rest = p.restAfter(took)
		p.begin(rests, now, commit)
		return false, p.rest
	case rests:
		if left := p.rest - now.Sub(p.since); left > 0 {
			return false, left
		}
		if commit == p.from {
			p.resting, p.sending = 0, 0 // nobody is there to be slowed down
		} else {
			p.resting = p.measure(p.resting, now, commit)
		}
		p.begin(sends, now, commit)
	}
	return true, 0
}

func (p *Pacer) begin(ph phase, now time.Time, commit record.Position) {
	p.phase, p.since, p.from = ph, now, commit
}

// measure is the rate since the phase began, smoothed.
func (p *Pacer) measure(was float64, now time.Time, commit record.Position) float64 {
	took := now.Sub(p.since).Seconds()
	if took <= 0 || commit < p.from {
		return was
	}
	rate := float64(commit-p.from) / took
	if was == 0 {
		return rate
	}
	return was + weight*(rate-was)
}

// restAfter is how long to rest after a phase of sending, so that the rate over
// both is keep of the resting one.
func (p *Pacer) restAfter(took time.Duration) time.Duration {
	if p.resting == 0 {
		return restMin
	}
	loss := 1 - p.sending/p.resting
	if loss <= 1-keep {
		return restMin
	}
	share := (1 - keep) / loss // of the time
	return min(max(time.Duration(float64(took)*(1-share)/share), restMin), restMax)
}
