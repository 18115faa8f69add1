// Package suspicion decides when a follower counts its leader as dead, and when
// it tries again to reach it. It sees the outcome of every attempt in turn and
// has no clock.
//
// A killed process closes its sockets. So: link lost, one redial at once, and if
// that gives no sign of life, the leader is suspected. One that refuses lives;
// one that says it does not lead any more is suspected. Silence covers stopped
// processes and cut networks.
package suspicion

import (
	"fmt"
	"time"
)

// Back-off between attempts, and the link duration after which it begins anew.
const (
	backoffMin = 50 * time.Millisecond
	backoffMax = 2 * time.Second
	linkLasted = time.Second
)

// Outcome of an attempt or of a link.
type Outcome uint8

// Outcomes.
const (
	Closed    Outcome = iota // it could not be made, or was closed
	Silent                   // nothing was heard on it for too long
	NotLeader                // the other side does not lead
	Refused                  // the other side lives and talks, only not with us
)

// Suspicion of one leader by one follower. It has one owner.
type Suspicion struct {
	deadAfter time.Duration
	heard     time.Time // last sign of life
	attached  bool      // there was a link in this epoch
	failures  int       // attempts without a sign of life, a lost link included
	declared  bool      // told for this loss
	backoff   time.Duration
}

// New returns a suspicion of a leader that may be silent for deadAfter from now
// on.
func New(deadAfter time.Duration, now time.Time) *Suspicion {
	return &Suspicion{deadAfter: deadAfter, heard: now}
}

// LinkUp notes that a link came up.
func (s *Suspicion) LinkUp(now time.Time) {
	s.attached, s.declared, s.failures, s.heard = true, false, 0, now
	s.backoff = min(s.backoff, backoffMin)
}

// Ended judges how an attempt or link ended. up is how long the link lasted, 0
// if there was none; heard is when the leader was last heard; text says what
// happened. It returns why the leader is to be suspected now, "" if it is not.
func (s *Suspicion) Ended(o Outcome, text string, up time.Duration, heard, now time.Time) (reason string) {
	if up >= linkLasted {
		s.backoff = 0
	}
	if heard.After(s.heard) {
		s.heard = heard
	}
	switch o {
	case NotLeader:
		s.backoff = min(s.backoff, backoffMin) // it may be about to lead
		if s.attached {
			reason = text
		}
	case Refused:
		s.failures, s.heard = 0, now
	default:
		s.failures++
	}
	switch {
	case up > 0 && o == Silent:
		reason = fmt.Sprintf("nothing heard for %s", s.deadAfter)
	case s.failures >= 2:
		reason = "the link is down and cannot be opened again: " + text
	case reason == "" && now.Sub(s.heard) >= s.deadAfter:
		reason = fmt.Sprintf("nothing heard for %s: %s", now.Sub(s.heard).Round(time.Millisecond), text)
	}
	if s.declared {
		return ""
	}
	s.declared = reason != ""
	return reason
}

// Wait returns how long to wait before the next attempt: not at all after the
// first failure, then longer and longer; never past the moment at which silence
// has lasted long enough to suspect the leader. jitter draws from [0, its
// argument).
func (s *Suspicion) Wait(now time.Time, jitter func(time.Duration) time.Duration) time.Duration {
	d := s.backoff
	s.backoff = min(max(2*s.backoff, backoffMin), backoffMax)
	if d == 0 && s.failures <= 1 {
		return 0
	}
	d = max(d, backoffMin)
	d = d/2 + jitter(d/2+1)
	if left := s.deadAfter - now.Sub(s.heard); !s.declared && left > 0 {
		d = min(d, left)
	}
	return d
}
