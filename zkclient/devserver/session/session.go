// Package session keeps the sessions of a ZooKeeper server and finds those
// that have been silent for too long. The time is always given by the caller,
// so it has no clock of its own.
//
// Hearing from a client is by far the most frequent thing that happens to a
// session, so it is one atomic store, allowed from any goroutine. The heap of
// deadlines is corrected only when a deadline is reached. All else must be
// called by one goroutine.
package session

import (
	"container/heap"
	"crypto/subtle"
	"sync/atomic"
	"time"
)

// Session is one client's session.
type Session struct {
	ID       int64
	Password []byte
	// Timeout is the silence after which the session expires. It changes when
	// the client attaches again and asks for another one.
	Timeout time.Duration

	// Times are nanoseconds since base, which has a monotonic reading: a step of
	// the wall clock must not expire sessions.
	base     time.Time
	heard    atomic.Int64
	deadline int64 // lower bound of the expiry, the heap's key
	slot     int   // index in the heap
}

// Heard notes that the client has been heard from. Any goroutine may call it.
func (s *Session) Heard(now time.Time) { s.heard.Store(int64(now.Sub(s.base))) }

// Deadline returns when the session expires if nothing more is heard.
func (s *Session) Deadline() time.Time { return s.base.Add(time.Duration(s.expiry())) }

func (s *Session) expiry() int64 { return s.heard.Load() + int64(s.Timeout) }

// Authentic compares a password with the session's in constant time.
func (s *Session) Authentic(password []byte) bool {
	return subtle.ConstantTimeCompare(s.Password, password) == 1
}

// Tracker is the living sessions. The zero value is not usable.
type Tracker struct {
	base     time.Time
	sessions map[int64]*Session
	queue    deadlines
}

// NewTracker returns a tracker without sessions. now should carry a monotonic
// reading, as all times given later.
func NewTracker(now time.Time) *Tracker {
	return &Tracker{base: now, sessions: map[int64]*Session{}}
}

// Add starts to track a session, heard from just now. The id must be new.
func (t *Tracker) Add(id int64, password []byte, timeout time.Duration, now time.Time) *Session {
	s := &Session{ID: id, Password: password, Timeout: timeout, base: t.base}
	s.Heard(now)
	s.deadline = s.expiry()
	t.sessions[id] = s
	heap.Push(&t.queue, s)
	return s
}

// Get returns a living session, nil if there is none with that id.
func (t *Tracker) Get(id int64) *Session { return t.sessions[id] }

// Len returns the number of living sessions.
func (t *Tracker) Len() int { return len(t.sessions) }

// All calls yield with each session, in no order.
func (t *Tracker) All(yield func(*Session) bool) {
	for _, s := range t.sessions {
		if !yield(s) {
			return
		}
	}
}

// Remove ends the tracking of a session.
func (t *Tracker) Remove(s *Session) {
	if t.sessions[s.ID] != s {
		return
	}
	delete(t.sessions, s.ID)
	heap.Remove(&t.queue, s.slot)
}

// SetTimeout changes a session's timeout, which counts from now.
func (t *Tracker) SetTimeout(s *Session, timeout time.Duration, now time.Time) {
	s.Timeout = timeout
	s.Heard(now)
	s.deadline = s.expiry()
	heap.Fix(&t.queue, s.slot)
}

// Expire stops the tracking of the sessions whose deadline has passed and
// returns them, the longest overdue first.
func (t *Tracker) Expire(now time.Time) []*Session {
	var expired []*Session
	elapsed := int64(now.Sub(t.base))
	for len(t.queue) > 0 && t.queue[0].deadline <= elapsed {
		s := t.queue[0]
		if deadline := s.expiry(); deadline > elapsed {
			s.deadline = deadline
			heap.Fix(&t.queue, 0)
			continue
		}
		t.Remove(s)
		expired = append(expired, s)
	}
	return expired
}

// Next returns a time before which no session expires; ok is false without
// sessions.
func (t *Tracker) Next() (at time.Time, ok bool) {
	if len(t.queue) == 0 {
		return time.Time{}, false
	}
	return t.base.Add(time.Duration(t.queue[0].deadline)), true
}

// Prolong gives every session a later deadline: the time the server itself was
// stopped must not count as the clients' silence. heard is not moved beyond
// now.
func (t *Tracker) Prolong(by time.Duration, now time.Time) {
	for _, s := range t.sessions {
		heard := s.heard.Load()
		s.heard.CompareAndSwap(heard, min(heard+int64(by), int64(now.Sub(t.base))))
	}
}

// deadlines is a heap of sessions, the earliest deadline on top.
type deadlines []*Session

func (q deadlines) Len() int           { return len(q) }
func (q deadlines) Less(i, j int) bool { return q[i].deadline < q[j].deadline }

func (q deadlines) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].slot, q[j].slot = i, j
}

// Push and Pop are for container/heap only.
func (q *deadlines) Push(x any) {
	s := x.(*Session)
	s.slot = len(*q)
	*q = append(*q, s)
}

func (q *deadlines) Pop() any {
	last := len(*q) - 1
	s := (*q)[last]
	(*q)[last] = nil
	*q = (*q)[:last]
	return s
}
