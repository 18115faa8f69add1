package repl

import (
	"fmt"
	"sync"
	"time"

	"baton/repl/accept"
	"baton/repl/wire"
	"baton/store/record"
)

// taking is a follower that receives a snapshot. The link's reader owns taken;
// runWant is the only one that writes to the connection.
type taking struct {
	f     *Follower
	l     *link
	taken Taken
	stop  chan struct{} // closed when the reader has ended
	wake  chan struct{} // there is something to say
	mu    struct {
		sync.Mutex
		want   wire.Want
		echo   int64
		pinged bool
	}
}

// take receives the leader's log in place of catching up. Nothing is
// acknowledged meanwhile. It always returns an error: an *over if the snapshot
// is complete, for whoever follows has to install it first.
func (l *link) take(b wire.Snapshot) error {
	f := l.f
	e := f.cfg.Epoch
	if f.cfg.Taker == nil {
		return refuse(wire.CodeSnapshot, e, "node %s needs the whole log of node %s and cannot take it in", f.cfg.Identity.Node, f.cfg.Leader)
	}
	if v, why := accept.Whole(b.End, accept.Log{Known: f.known(), Fenced: f.cfg.Policy.Fenced()}); v != accept.Take {
		return &over{err: fmt.Errorf("%w: leader %s of epoch %d wants %s under %s: stop this node and compare the logs",
			ErrBelowCommit, f.cfg.Leader, f.cfg.Epoch, why, f.cfg.Policy)}
	}
	alive := l.keepAlive()
	taken, err := f.cfg.Taker.Take(b.Manifest)
	alive()
	if err != nil {
		r := refuse(wire.CodeReceive, e, "node %s cannot take in the snapshot: %v", f.cfg.Identity.Node, err)
		l.conn.Refuse(e, r.Refuse)
		return r
	}
	defer taken.Close()
	t := &taking{f: f, l: l, taken: taken, stop: make(chan struct{}), wake: make(chan struct{}, 1)}
	event := SnapshotEvent{Node: f.cfg.Leader, Start: b.Start, End: b.End}
	t.mu.want, event.Resumed, _ = taken.Want()
	event.Resumed = max(event.Resumed, b.Start)
	f.setSnapshot(&transfer{event, event.Resumed})
	defer f.setSnapshot(nil)
	f.heard(b.LeaderEnd, 0)
	f.cfg.Logger.Info("receiving a snapshot", "start", b.Start, "end", b.End, keyPosition, event.Resumed)
	if cb := f.cfg.Listener.SnapshotStarted; cb != nil {
		cb(event)
	}
	wanted := make(chan struct{})
	go t.runWant(wanted)
	err = t.read()
	close(t.stop)
	<-wanted
	l.conn.Close()
	if err != nil {
		return err
	}
	return &over{err: fmt.Errorf("%w: the snapshot of the %s is complete", ErrSnapshot, event), received: &event}
}

// keepAlive says something to the leader until the function that it returns is
// called, which waits for the last word: a Taker that goes on with gigabytes
// reads them first, and the leader must not take that for silence.
func (l *link) keepAlive() (end func()) {
	stop, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		beat := time.NewTicker(l.f.cfg.HeartbeatInterval)
		defer beat.Stop()
		for {
			select {
			case <-beat.C:
			case <-stop:
				return
			}
			if l.conn.Send(l.f.cfg.Epoch, wire.HeartbeatAck{}) != nil {
				return // the reader will find out
			}
		}
	}()
	return func() {
		close(stop)
		<-ended
	}
}

// read handles the leader's frames until everything is here, and then makes it
// durable.
func (t *taking) read() error {
	for {
		if _, _, complete := t.taken.Want(); complete {
			break
		}
		epoch, body, err := t.l.conn.Next()
		if err != nil {
			return err
		}
		if err := t.handle(epoch, body); err != nil {
			return err
		}
	}
	if err := t.taken.Finish(t.f.ctx); err != nil {
		return refuse(wire.CodeReceive, t.f.cfg.Epoch, "node %s cannot keep the snapshot: %v", t.f.cfg.Identity.Node, err)
	}
	if sealed := t.f.cfg.Sealed(); sealed > t.f.cfg.Epoch {
		return fencedBy(sealed, "this node has sealed epoch %d", sealed)
	}
	return nil
}

func (t *taking) handle(epoch record.Epoch, body wire.Body) error {
	f := t.f
	e := f.cfg.Epoch
	if sealed := f.cfg.Sealed(); sealed > e {
		return fencedBy(sealed, "this node has sealed epoch %d", sealed)
	}
	switch {
	case f.ctx.Err() != nil:
		return ErrStopped
	case epoch > e:
		return fencedBy(epoch, "the leader's node is at epoch %d", epoch)
	case epoch < e:
		return refuse(wire.CodeProtocol, epoch, "a %s frame of epoch %d came in epoch %d", body.Type(), epoch, e)
	}
	switch b := body.(type) {
	case wire.Chunk:
		if err := t.taken.Write(b); err != nil {
			return refuse(wire.CodeReceive, e, "node %s cannot take in the snapshot at %d: %v", f.cfg.Identity.Node, b.At, err)
		}
		want, at, _ := t.taken.Want()
		t.mu.Lock()
		t.mu.want = want
		t.mu.Unlock()
		f.snapshotAt(at)
		f.heard(0, 0)
		poke(t.wake)
	case wire.Heartbeat:
		// Its commit position is not passed on: the log that this node has now
		// may part from the leader's below it.
		f.heard(b.LeaderEnd, 0)
		t.mu.Lock()
		t.mu.echo, t.mu.pinged = b.Time, true
		t.mu.Unlock()
		poke(t.wake)
	case wire.Refuse:
		if b.Epoch > e {
			return fencedBy(b.Epoch, "%s", b.Text)
		}
		return refuse(b.Code, b.Epoch, "%s", b.Text)
	default:
		return refuse(wire.CodeProtocol, epoch, "unexpected %s frame", body.Type())
	}
	return nil
}

// runWant tells the leader how far the snapshot is, and something at least
// every HeartbeatInterval, also while a write hangs.
func (t *taking) runWant(done chan<- struct{}) {
	defer close(done)
	beat := time.NewTicker(t.f.cfg.HeartbeatInterval)
	defer beat.Stop()
	for {
		if err := t.say(); err != nil {
			t.l.conn.Close() // wakes the reader
			return
		}
		select {
		case <-t.wake:
		case <-beat.C:
		case <-t.stop:
			t.say() // the last word: all of it is here, or not
			return
		case <-t.f.ctx.Done():
			t.l.conn.Close()
			return
		}
	}
}

func (t *taking) say() error {
	t.mu.Lock()
	want, echo, pinged := t.mu.want, t.mu.echo, t.mu.pinged
	t.mu.pinged = false
	t.mu.Unlock()
	if pinged {
		if err := t.l.conn.Send(t.f.cfg.Epoch, wire.HeartbeatAck{Time: echo}); err != nil {
			return err
		}
	}
	return t.l.conn.Send(t.f.cfg.Epoch, want)
}

func (f *Follower) setSnapshot(t *transfer) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mu.taking = t
}

func (f *Follower) snapshotAt(at record.Position) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mu.taking.at = at
}
