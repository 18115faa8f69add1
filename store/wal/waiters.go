package wal

import (
	"context"
	"fmt"
	"sync/atomic"

	"baton/store/record"
)

// A thousand callers may wait for one sync, and all of them come for the lock
// at its end to append again. So they wait on one channel, and neither they nor
// the flusher touch Log.mu for it.

// turn is one sync, or the next one that is to come, as those who wait for its
// end see it.
type turn struct {
	done    chan struct{} // closed at the end
	callers atomic.Int64  // how many waited for it
	// Set before that: how far the log was flushed then, and what was left of
	// it. Both may be lower again when somebody gets to look.
	flushed, cut record.Position
}

func newTurn() *turn { return &turn{done: make(chan struct{}), cut: nothingCut} }

const nothingCut = ^record.Position(0)

// progress is how far the flusher is. It is replaced as a whole.
type progress struct {
	flushed record.Position
	to      record.Position // what the sync in progress makes durable
	current *turn           // the sync in progress, nil if there is none
	next    *turn           // covers all that is appended by now
	err     error           // there is no next one
}

// publish tells those who wait of a new state, before it ends the turn of the
// old one. l.mu is held.
func (l *Log) publish(p progress) {
	p.flushed = l.mu.pos.Flush
	l.progress.Store(&p)
}

// beginTurn makes the next turn the current one. l.mu is held.
func (l *Log) beginTurn(to record.Position) {
	l.publish(progress{to: to, current: l.progress.Load().next, next: newTurn()})
}

// endTurn ends the current turn, if a failure has not, and returns what wakes
// those who wait for it. l.mu is held.
func (l *Log) endTurn() (wake func()) {
	p := *l.progress.Load()
	ended := p.current
	p.current, p.to = nil, 0
	l.publish(p)
	if ended == nil {
		return func() {}
	}
	ended.flushed = l.mu.pos.Flush
	return func() { close(ended.done) }
}

// callers is how many wait for the sync in progress or for the next one. l.mu
// is held.
func (l *Log) callers() int64 {
	p := l.progress.Load()
	n := p.next.callers.Load()
	if p.current != nil {
		n += p.current.callers.Load()
	}
	return n
}

// skipTurn wakes all who wait while no sync is in progress, to look again:
// positions above cut are not in the log any more. l.mu is held.
func (l *Log) skipTurn(cut record.Position) {
	p := *l.progress.Load()
	ended := p.next
	p.next = newTurn()
	l.publish(p)
	ended.flushed, ended.cut = l.mu.pos.Flush, cut
	close(ended.done)
}

// endWaiting answers all who wait, now and later, with err, unless what they
// wait for is flushed. l.mu is held.
func (l *Log) endWaiting(err error) {
	p := *l.progress.Load()
	ended := []*turn{p.current, p.next}
	l.publish(progress{next: newTurn(), err: err})
	for _, t := range ended {
		if t != nil {
			close(t.done)
		}
	}
}

// WaitFlushed returns when everything below pos is on stable storage, or with
// the error that makes it impossible.
func (l *Log) WaitFlushed(ctx context.Context, pos record.Position) error {
	for {
		p := l.progress.Load()
		if p.flushed >= pos {
			return nil
		}
		if p.err != nil {
			return p.err
		}
		t := p.next
		if pos <= p.to {
			t = p.current
		}
		t.callers.Add(1)
		if err := t.wait(ctx); err != nil {
			return err
		}
		if pos <= t.flushed {
			return nil
		}
		if pos > t.cut {
			return fmt.Errorf("%w: waited for %d, cut to %d", ErrTruncated, pos, t.cut)
		}
	}
}

func (t *turn) wait(ctx context.Context) error {
	if ctx.Done() == nil { // a plain receive costs half
		<-t.done
		return nil
	}
	select {
	case <-t.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
