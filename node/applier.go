package node

import (
	"context"
	"sync"
	"time"

	"baton/store/index"
	"baton/store/record"
)

// machine is the part of the store that the applier drives.
type machine interface {
	Apply(to record.Position, sink index.Sink) error
	Applied() (record.Position, uint64)
	Truncate(to record.Position) error
}

// applier moves committed records into the index: on a leader and on
// followers, by the same code, so a follower is ready to lead without replay.
// On a leader the broker is told of each record as it is applied.
type applier struct {
	store machine
	wake  chan struct{} // there is more to apply; capacity 1
	hurry chan struct{} // somebody waits for it; capacity 1

	// run excludes applying and truncating. It is held across I/O; nothing
	// else is taken under it but mu.
	run sync.Mutex
	mu  struct {
		sync.Mutex
		target  record.Position // committed up to here
		sink    index.Sink
		moved   chan struct{} // closed after the next round, nil if nobody waits for it
		waiting int           // calls of wait
		err     error
	}
}

func newApplier(s machine) *applier {
	a := &applier{store: s, wake: make(chan struct{}, 1), hurry: make(chan struct{}, 1)}
	a.mu.target, _ = s.Applied()
	return a
}

// commit raises the position up to which records may be applied.
func (a *applier) commit(p record.Position) {
	a.mu.Lock()
	more := p > a.mu.target
	a.mu.target = max(a.mu.target, p)
	a.mu.Unlock()
	if more {
		a.kick()
	}
}

// position is what is known to be committed.
func (a *applier) position() record.Position {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.mu.target
}

// kick makes the applier look again.
func (a *applier) kick() { poke(a.wake) }

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// setSink sends what is applied from now on to s, nil = to nobody. When it
// returns no call of the old sink is under way.
func (a *applier) setSink(s index.Sink) {
	a.run.Lock()
	defer a.run.Unlock()
	a.mu.Lock()
	a.mu.sink = s
	a.mu.Unlock()
}

// makeSink sends what is applied from now on to the sink that build returns.
// Nothing is applied while it does, so a sink that begins with what the
// index has is told of everything else, also of what it proposes itself at
// once.
func (a *applier) makeSink(build func() (index.Sink, error)) error {
	a.run.Lock()
	defer a.run.Unlock()
	s, err := build()
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.mu.sink = s
	return nil
}

// wait returns when everything below p is applied.
func (a *applier) wait(ctx context.Context, p record.Position) error {
	a.mu.Lock()
	a.mu.waiting++
	a.mu.Unlock()
	defer func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.mu.waiting--
	}()
	poke(a.hurry)
	for {
		a.mu.Lock()
		if a.mu.moved == nil {
			a.mu.moved = make(chan struct{})
		}
		moved, err := a.mu.moved, a.mu.err
		a.mu.Unlock()
		if err != nil {
			return err
		}
		if at, _ := a.store.Applied(); at >= p {
			return nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// truncate cuts the log while nothing is applied. What was believed committed
// above the cut is not: that happens under local_* policies only.
func (a *applier) truncate(to record.Position) error {
	a.run.Lock()
	defer a.run.Unlock()
	a.mu.Lock()
	a.mu.target = min(a.mu.target, to)
	a.mu.Unlock()
	return a.store.Truncate(to)
}

// replace lets f replace the log, which then ends at end, while nothing is
// applied. What is known to be committed is applied from the new log without
// being told again.
func (a *applier) replace(end record.Position, f func() error) error {
	a.run.Lock()
	defer a.run.Unlock()
	a.mu.Lock()
	a.mu.target, a.mu.err = min(a.mu.target, end), nil
	a.mu.Unlock()
	defer a.kick()
	return f()
}

// applyPause is how long commits gather for one round while nobody is told of
// them: a round has a price of its own, on a quiet cluster many times that of
// the record in it. It is also how much, in time, a follower is behind, and
// has to apply before it can serve.
const applyPause = 5 * time.Millisecond

// runApply applies until ctx ends. An error is final: an index that could not
// be written must not be served from.
func (a *applier) runApply(ctx context.Context) error {
	pause := time.NewTimer(applyPause)
	defer pause.Stop()
	behind := false
	for {
		if !behind {
			select {
			case <-ctx.Done():
				return nil
			case <-a.wake:
			}
		}
		// One that is behind waits for records that are known to be committed
		// and not yet in the log.
		if behind || a.leisurely() {
			pause.Reset(applyPause)
			select {
			case <-ctx.Done():
				return nil
			case <-a.hurry:
			case <-pause.C:
			}
		}
		var err error
		if behind, err = a.round(); err != nil {
			return err
		}
	}
}

// leisurely tells whether nobody waits for what is applied.
func (a *applier) leisurely() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.mu.sink == nil && a.mu.waiting == 0
}

// round applies once. behind says that there is more that is committed.
func (a *applier) round() (behind bool, err error) {
	a.run.Lock()
	a.mu.Lock()
	target, sink := a.mu.target, a.mu.sink
	a.mu.Unlock()
	err = a.store.Apply(target, sink)
	at, _ := a.store.Applied()
	a.run.Unlock()

	a.mu.Lock()
	defer a.mu.Unlock()
	a.mu.err = err
	if a.mu.moved != nil {
		close(a.mu.moved)
		a.mu.moved = nil
	}
	return at < target, err
}
