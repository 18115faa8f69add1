package repl

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"baton/repl/suspicion"
	"baton/repl/transport"
	"baton/repl/wire"
)

// runLink makes the link again and again until the follower is stopped or the
// epoch is over.
func (f *Follower) runLink() {
	defer close(f.done)
	defer f.cancel()
	s := &judge{Suspicion: suspicion.New(f.cfg.DeadAfter, time.Now())}
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
		t := time.NewTimer(s.Wait(time.Now(), func(d time.Duration) time.Duration { return rand.N(d) }))
		select {
		case <-t.C:
		case <-f.ctx.Done():
			t.Stop()
		}
	}
	f.finish(ErrStopped)
}

// judge is the suspicion of the leader, and the refusal that was told last.
type judge struct {
	*suspicion.Suspicion
	refusal wire.Refuse
}

// outcome is how an attempt or a link ended, as far as suspicion goes.
func outcome(err error) suspicion.Outcome {
	var r *transport.RefusedError
	switch {
	case errors.As(err, &r) && r.Code == wire.CodeNotLeader:
		return suspicion.NotLeader
	case errors.As(err, &r):
		return suspicion.Refused
	case errors.Is(err, transport.ErrSilent):
		return suspicion.Silent
	}
	return suspicion.Closed
}

// judge tells about a refusal and about a dead leader.
func (f *Follower) judge(s *judge, err error, up time.Duration) {
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
	text := err.Error()
	if r != nil && outcome(err) == suspicion.NotLeader {
		text = r.Text
	}
	if reason := s.Ended(outcome(err), text, up, heard, time.Now()); reason != "" {
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
func (f *Follower) attempt(s *judge) (up time.Duration, err error) {
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
	s.LinkUp(began)
	s.refusal = wire.Refuse{}
	err = l.run()
	return max(time.Since(began), 1), err
}
