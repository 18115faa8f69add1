package repl

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"baton/repl/transport"
	"baton/repl/wire"
)

// Back-off between attempts, and the link duration after which it begins anew.
const (
	backoffMin = 50 * time.Millisecond
	backoffMax = 2 * time.Second
	linkLasted = time.Second
)

// suspicion decides when the leader counts as dead and when to try again. It
// sees the outcome of every attempt in turn; it is the follower's own.
type suspicion struct {
	deadAfter time.Duration
	heard     time.Time // last sign of life
	attached  bool      // there was a link in this epoch
	failures  int       // attempts without a sign of life, a lost link included
	declared  bool      // told for this loss
	backoff   time.Duration
	refusal   wire.Refuse // last one told
}

// linkUp notes that a link came up.
func (s *suspicion) linkUp(now time.Time) {
	s.attached, s.declared, s.failures, s.heard = true, false, 0, now
	s.refusal = wire.Refuse{}
	s.backoff = min(s.backoff, backoffMin)
}

// ended judges how an attempt or link ended. up is how long the link lasted, 0
// if there was none; lastHeard is when the leader was last heard. It returns
// why the leader is to be suspected now, "" if it is not.
func (s *suspicion) ended(err error, up time.Duration, lastHeard, now time.Time) (reason string) {
	if up >= linkLasted {
		s.backoff = 0
	}
	if lastHeard.After(s.heard) {
		s.heard = lastHeard
	}
	var r *transport.RefusedError
	refused := errors.As(err, &r)
	switch {
	case refused && r.Code == wire.CodeNotLeader:
		s.backoff = min(s.backoff, backoffMin) // it may be about to lead
		if s.attached {
			reason = r.Text
		}
	case refused:
		s.failures, s.heard = 0, now // it lives and talks, only not with us
	default:
		s.failures++
	}
	switch {
	case up > 0 && errors.Is(err, transport.ErrSilent):
		reason = fmt.Sprintf("nothing heard for %s", s.deadAfter)
	case s.failures >= 2:
		reason = fmt.Sprintf("the link is down and cannot be opened again: %v", err)
	case reason == "" && now.Sub(s.heard) >= s.deadAfter:
		reason = fmt.Sprintf("nothing heard for %s: %v", now.Sub(s.heard).Round(time.Millisecond), err)
	}
	if s.declared {
		return ""
	}
	s.declared = reason != ""
	return reason
}

// wait returns how long to wait before the next attempt: not at all after the
// first failure, then longer and longer; never past the moment at which silence
// has lasted long enough to suspect the leader.
func (s *suspicion) wait(now time.Time, jitter func(time.Duration) time.Duration) time.Duration {
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

// runLink makes the link again and again until the follower is stopped or the
// epoch is over.
func (f *Follower) runLink() {
	defer close(f.done)
	defer f.cancel()
	s := &suspicion{deadAfter: f.cfg.DeadAfter, heard: time.Now()}
	for f.ctx.Err() == nil {
		up, err := f.attempt(s)
		if f.ctx.Err() != nil {
			f.finish(ErrStopped)
			return
		}
		f.setLink(false, err)
		if up > 0 {
			f.cfg.Logger.Info("link to the leader lost", keyError, err)
			if cb := f.cfg.Listener.LinkLost; cb != nil {
				cb(err)
			}
		}
		var o *over
		if errors.As(err, &o) {
			f.end(o)
			return
		}
		f.judge(s, err, up)
		t := time.NewTimer(s.wait(time.Now(), func(d time.Duration) time.Duration { return rand.N(d) }))
		select {
		case <-t.C:
		case <-f.ctx.Done():
			t.Stop()
		}
	}
	f.finish(ErrStopped)
}

// judge tells about a refusal and about a dead leader.
func (f *Follower) judge(s *suspicion, err error, up time.Duration) {
	var r *transport.RefusedError
	if errors.As(err, &r) && (r.Code != s.refusal.Code || r.Text != s.refusal.Text) {
		s.refusal = r.Refuse
		f.cfg.Logger.Warn("cannot follow, trying again", keyError, err)
		if cb := f.cfg.Listener.Refused; cb != nil {
			cb(r.Code, r.Text)
		}
	}
	f.mu.Lock()
	heard := f.mu.heard
	f.mu.Unlock()
	if reason := s.ended(err, up, heard, time.Now()); reason != "" {
		f.cfg.Logger.Warn("leader suspected", "reason", reason)
		if cb := f.cfg.Listener.LeaderDead; cb != nil {
			cb(reason)
		}
	}
}

// end tells why the follower ends by itself.
func (f *Follower) end(o *over) {
	f.finish(o.err)
	if o.fenced != 0 {
		f.cfg.Logger.Info("the followed epoch is over", "by", o.fenced)
		if cb := f.cfg.Listener.Fenced; cb != nil {
			cb(o.fenced)
		}
		return
	}
	if o.received != nil {
		f.cfg.Logger.Info("received a snapshot", "start", o.received.Start, "end", o.received.End)
		if cb := f.cfg.Listener.SnapshotReceived; cb != nil {
			cb(*o.received)
		}
		return
	}
	f.cfg.Logger.Error("follower failed", keyError, o.err)
	if cb := f.cfg.Listener.LogFailed; cb != nil {
		cb(o.err)
	}
}

func (f *Follower) finish(err error) {
	f.setLink(false, err)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mu.status.Ended = true
}

// attempt dials, attaches and follows until the link is lost. It returns how
// long the link lasted, 0 if none came up.
func (f *Follower) attempt(s *suspicion) (up time.Duration, err error) {
	sealed := f.cfg.Sealed()
	ctx, cancel := context.WithTimeout(f.ctx, f.cfg.DeadAfter)
	nc, err := f.cfg.Dial(ctx, f.cfg.Address)
	cancel()
	if err != nil {
		return 0, fmt.Errorf("dial leader %s at %s: %w", f.cfg.Leader, f.cfg.Address, err)
	}
	stopHandshake := context.AfterFunc(f.ctx, func() { nc.Close() })
	conn, peer, err := transport.Connect(nc, transport.Options{Identity: f.cfg.Identity,
		Epoch: max(sealed, f.cfg.Epoch), Handshake: f.cfg.DeadAfter, Idle: f.cfg.DeadAfter}, f.cfg.Leader)
	if err != nil {
		stopHandshake()
		return 0, err
	}
	defer conn.Close()
	l := &link{f: f, conn: conn, stop: make(chan struct{}), wake: make(chan struct{}, 1)}
	err = l.attach(peer)
	stopHandshake()
	if err != nil {
		return 0, err
	}
	began := time.Now()
	s.linkUp(began)
	err = l.run()
	return max(time.Since(began), 1), err
}
