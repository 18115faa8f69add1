package node

import (
	"context"
	"sync"

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
	wake  chan struct{} // capacity 1

	// run excludes applying and truncating. It is held across I/O; nothing
	// else is taken under it but mu.
	run sync.Mutex
	mu  struct {
		sync.Mutex
		target record.Position // committed up to here
		sink   index.Sink
		moved  chan struct{} // closed and replaced after each round
		err    error
	}
}

func newApplier(s machine) *applier {
	a := &applier{store: s, wake: make(chan struct{}, 1)}
	a.mu.moved = make(chan struct{})
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

// kick makes the applier look again, when the log has grown below a commit
// position that was known before.
func (a *applier) kick() {
	select {
	case a.wake <- struct{}{}:
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

// wait returns when everything below p is applied.
func (a *applier) wait(ctx context.Context, p record.Position) error {
	for {
		a.mu.Lock()
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
// applied.
func (a *applier) replace(end record.Position, f func() error) error {
	a.run.Lock()
	defer a.run.Unlock()
	a.mu.Lock()
	a.mu.target, a.mu.err = min(a.mu.target, end), nil
	a.mu.Unlock()
	return f()
}

// runApply applies until ctx ends. An error is final: an index that could not
// be written must not be served from.
func (a *applier) runApply(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-a.wake:
		}
		if err := a.round(); err != nil {
			return err
		}
	}
}

func (a *applier) round() error {
	a.run.Lock()
	a.mu.Lock()
	target, sink := a.mu.target, a.mu.sink
	a.mu.Unlock()
	err := a.store.Apply(target, sink)
	a.run.Unlock()

	a.mu.Lock()
	defer a.mu.Unlock()
	a.mu.err = err
	close(a.mu.moved)
	a.mu.moved = make(chan struct{})
	return err
}
