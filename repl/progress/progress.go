// Package progress is what a leader knows about one follower: how far it got,
// how much may be in flight to it, and whether it is in sync. It is a state
// machine fed with events and the time at which they happened; it has no
// clock, goroutine or socket.
//
//	           Attached               Acked near the end
//	probing ------------> catching up ------------------> in sync
//	   ^                       ^                           |    ^
//	   | Lost, from anywhere   | (Attached again)    behind|    |near the end
//	                                                       v    |
//	                                                      lagging
package progress

import (
	"errors"
	"fmt"
	"time"

	"baton/store/record"
)

// ErrAck means that a follower acknowledged what cannot be.
var ErrAck = errors.New("progress: impossible ack")

// State of a follower.
type State uint8

// States.
const (
	Probing    State = iota // no session, or its first ack is still to come
	CatchingUp              // attached and behind
	InSync                  // near the leader's end
	Lagging                 // was in sync, fell too far behind
)

func (s State) String() string {
	switch s {
	case Probing:
		return "probing"
	case CatchingUp:
		return "catching up"
	case InSync:
		return "in sync"
	case Lagging:
		return "lagging"
	}
	return fmt.Sprintf("state-%d", uint8(s))
}

// Config bounds a follower. Zero fields get the defaults named here.
type Config struct {
	Window      int           // bytes in flight at most, 8 MiB
	InSyncBytes uint64        // lag at which a follower becomes in sync, 1 MiB
	LagBytes    uint64        // lag at which it is lagging, 64 MiB
	LagTime     time.Duration // age of what it lacks at which it is lagging, 2 s
	Disk        bool          // match counts what is flushed, not what is received
}

// WithDefaults fills in the zero fields.
func (c Config) WithDefaults() Config {
	if c.Window <= 0 {
		c.Window = 8 << 20
	}
	if c.InSyncBytes == 0 {
		c.InSyncBytes = 1 << 20
	}
	if c.LagBytes == 0 {
		c.LagBytes = 64 << 20
	}
	if c.LagTime <= 0 {
		c.LagTime = 2 * time.Second
	}
	return c
}

// Follower is the progress of one follower. Not safe for concurrent use.
type Follower struct {
	cfg      Config
	state    State
	attached bool

	next     record.Position // end of what was sent
	received record.Position
	flushed  record.Position

	from, to record.Position // of the catch-up that began with the session
	began    time.Time       // when that was

	// caughtUp is the last time at which the follower is known to have held
	// all that the leader then had. It is found by setting a mark at the
	// leader's end and waiting until the follower has passed it.
	caughtUp time.Time
	mark     record.Position
	markAt   time.Time
}

// New returns a follower that was never seen. now begins its lag.
func New(cfg Config, now time.Time) Follower {
	return Follower{cfg: cfg.WithDefaults(), caughtUp: now, markAt: now}
}

// Attached begins a session: the follower will be sent the log from next. What
// earlier sessions acknowledged is forgotten; the first ack tells it anew.
func (f *Follower) Attached(next, leaderEnd record.Position, now time.Time) {
	f.attached, f.state = true, Probing
	f.next, f.received, f.flushed = next, 0, 0
	f.from, f.to, f.began = next, leaderEnd, now
	f.mark, f.markAt = leaderEnd, now
}

// Lost ends the session. What was acknowledged stays known, because it is
// still in the follower's log.
func (f *Follower) Lost() { f.attached, f.state = false, Probing }

// Sent notes that the log up to `to` was sent. Going backwards is a broken
// invariant.
func (f *Follower) Sent(to record.Position) {
	if to < f.next || !f.attached {
		panic(fmt.Sprintf("progress: sent up to %d after %d, attached %v", to, f.next, f.attached))
	}
	f.next = to
}

// Acked notes an ack. It reports whether anything moved; an ack beyond what
// was sent, or behind an earlier one of the session, is ErrAck.
func (f *Follower) Acked(received, flushed, leaderEnd record.Position, now time.Time) (moved bool, err error) {
	switch {
	case !f.attached:
		return false, fmt.Errorf("%w: no session", ErrAck)
	case flushed > received || received > f.next:
		return false, fmt.Errorf("%w: received %d, flushed %d, sent %d", ErrAck, received, flushed, f.next)
	case received < f.received || flushed < f.flushed:
		return false, fmt.Errorf("%w: received %d after %d, flushed %d after %d", ErrAck, received, f.received, flushed, f.flushed)
	}
	moved = received != f.received || flushed != f.flushed
	f.received, f.flushed = received, flushed
	if f.state == Probing {
		f.state = CatchingUp
	}
	f.Tick(leaderEnd, now)
	return moved, nil
}

// Tick re-evaluates the state as the leader's end and the time move on.
func (f *Follower) Tick(leaderEnd record.Position, now time.Time) {
	if f.Match() >= leaderEnd {
		f.caughtUp = now
	} else if f.Match() >= f.mark && f.markAt.After(f.caughtUp) {
		f.caughtUp = f.markAt
	}
	if f.Match() >= f.mark {
		f.mark, f.markAt = leaderEnd, now
	}
	lag, age := f.LagBytes(leaderEnd), now.Sub(f.caughtUp)
	near := lag <= f.cfg.InSyncBytes || lag <= f.cfg.LagBytes && age <= f.cfg.LagTime/2
	switch f.state {
	case CatchingUp, Lagging:
		// A follower that was away is not in sync until it has caught up with
		// something recent, or it would be lagging at the next tick.
		if near && age <= f.cfg.LagTime {
			f.state = InSync
		}
	case InSync:
		if lag > f.cfg.LagBytes || lag > 0 && age > f.cfg.LagTime {
			f.state = Lagging
		}
	}
}

// State of the follower as of the last event.
func (f *Follower) State() State { return f.state }

// IsAttached reports whether there is a session.
func (f *Follower) IsAttached() bool { return f.attached }

// Received is the prefix that the follower has written.
func (f *Follower) Received() record.Position { return f.received }

// Flushed is the prefix that the follower has on stable storage.
func (f *Follower) Flushed() record.Position { return f.flushed }

// Next is where the leader sends from.
func (f *Follower) Next() record.Position { return f.next }

// Match is the prefix that counts for lag: flushed if the policy asks for a
// flush, received otherwise.
func (f *Follower) Match() record.Position {
	if f.cfg.Disk {
		return f.flushed
	}
	return f.received
}

// Room is how many bytes may be sent now. While anything may be sent a batch
// larger than Room may be too, so that no batch is too large for the window.
func (f *Follower) Room() int {
	// Until the first ack there is nothing to subtract: the follower holds
	// everything before from.
	return max(0, f.cfg.Window-int(f.next-max(f.received, f.from)))
}

// LagBytes is what the follower lacks.
func (f *Follower) LagBytes(leaderEnd record.Position) uint64 {
	if m := f.Match(); m < leaderEnd {
		return uint64(leaderEnd - m)
	}
	return 0
}

// LagTime is how old the oldest thing is that the follower may lack, 0 if it
// lacks nothing.
func (f *Follower) LagTime(leaderEnd record.Position, now time.Time) time.Duration {
	if f.Match() >= leaderEnd {
		return 0
	}
	return now.Sub(f.caughtUp)
}

// CatchUp is the progress of a follower that is behind.
type CatchUp struct {
	From, To, Done record.Position
	Rate           float64 // bytes per second since the session began
	ETA            time.Duration
}

// CatchUp returns the progress, false if the follower is not catching up. To
// is where the leader's log ended when the session began, or later.
func (f *Follower) CatchUp(leaderEnd record.Position, now time.Time) (CatchUp, bool) {
	if f.state != CatchingUp {
		return CatchUp{}, false
	}
	c := CatchUp{From: f.from, To: max(f.to, leaderEnd), Done: max(f.received, f.from)}
	if took := now.Sub(f.began).Seconds(); took > 0 {
		c.Rate = float64(c.Done-c.From) / took
	}
	if c.Rate > 0 && c.To > c.Done {
		c.ETA = time.Duration(float64(c.To-c.Done) / c.Rate * float64(time.Second))
	}
	return c, true
}
