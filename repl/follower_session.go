package repl

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"baton/repl/accept"
	"baton/repl/transport"
	"baton/repl/wire"
	"baton/store/record"
)

const (
	// ackDelay is how long an ack that only says "written" may wait when the
	// leader's policy does not count it. Such an ack is for the leader's window:
	// it is thought of after that many bytes.
	ackDelay = 5 * time.Millisecond
	ackBytes = 256 << 10
	// partingTime bounds the last words of a link that is being stopped.
	partingTime = 100 * time.Millisecond
)

// link is one session of a follower with its leader. runLink's goroutine
// reads; runAck is the only one that writes once the link is up.
type link struct {
	f    *Follower
	conn *transport.Conn
	stop chan struct{} // closed when the reader has ended
	wake chan struct{} // there is something to say

	// the reader's own
	end       record.Position // of the log
	epoch     record.Epoch    // of its last batch
	target    record.Position // the leader's end when the link came up
	ackWrites bool
	synced    bool
	unsaid    int // bytes appended since runAck was woken for them

	mu struct {
		sync.Mutex
		err     error        // why the link ends; the reader only discards from then on
		parting *wire.Refuse // what to tell the leader about that
		echo    int64        // time of the heartbeat to answer
		pinged  bool
	}
}

// attach agrees with the leader where the log goes on, and gets the log there.
func (l *link) attach(peer transport.Peer) error {
	f := l.f
	e := f.cfg.Epoch
	sealed := f.cfg.Sealed()
	switch v, by := accept.Epoch(peer.Epoch, e, sealed); {
	case v == accept.Over && by == sealed:
		// The hello has told the leader, or this tells it.
		l.conn.Refuse(sealed, l.fencedRefusal(sealed))
		return fencedBy(sealed, "this node has sealed epoch %d, above %d", sealed, e)
	case v == accept.Over:
		return fencedBy(by, "node %s is at epoch %d, above %d", peer.Node, by, e)
	case v == accept.TooOld:
		return refuse(wire.CodeNotLeader, peer.Epoch, "node %s is at epoch %d and does not lead epoch %d", peer.Node, peer.Epoch, e)
	}
	if sealed < e {
		if err := f.cfg.Seal(e); err != nil {
			// The node may have promised more since it was asked above: then
			// the epoch is over, and nothing is wrong with the disk.
			if sealed = f.cfg.Sealed(); sealed > e {
				l.conn.Refuse(sealed, l.fencedRefusal(sealed))
				return fencedBy(sealed, "this node has sealed epoch %d, above %d", sealed, e)
			}
			return logOver(fmt.Sprintf("seal epoch %d", e), err)
		}
	}
	p := f.cfg.Log.Positions()
	if err := l.conn.Send(e, wire.Attach{Start: p.Start, End: p.Append, Boundaries: f.cfg.Log.EpochBoundaries(), Whole: f.cfg.Whole}); err != nil {
		return fmt.Errorf("send attach: %w", err)
	}
	epoch, body, err := l.conn.Next()
	if err != nil {
		return fmt.Errorf("read position: %w", err)
	}
	switch b := body.(type) {
	case wire.Refuse:
		if b.Epoch > e || epoch > e {
			return fencedBy(max(b.Epoch, epoch), "%s", b.Text)
		}
		return &transport.RefusedError{Refuse: b, ByPeer: true}
	case wire.Position:
		if epoch != e {
			return refuse(wire.CodeProtocol, epoch, "node %s answered in epoch %d, not %d", peer.Node, epoch, e)
		}
		return l.adopt(b, p)
	case wire.Snapshot:
		if epoch != e {
			return refuse(wire.CodeProtocol, epoch, "node %s answered in epoch %d, not %d", peer.Node, epoch, e)
		}
		return l.take(b)
	}
	return refuse(wire.CodeProtocol, epoch, "a %s frame came where a position frame belongs", body.Type())
}

// adopt brings the log to where the leader says that it goes on.
func (l *link) adopt(a wire.Position, p record.Positions) error {
	f := l.f
	v, why := accept.Position(a.At, a.Truncate, accept.Log{Start: p.Start, End: p.Append, Known: f.known(), Fenced: f.cfg.Policy.Fenced()})
	switch v {
	case accept.Garbled:
		return refuse(wire.CodeProtocol, f.cfg.Epoch, "%s", why)
	case accept.NotBelow:
		return &over{err: fmt.Errorf("%w: leader %s of epoch %d wants %s under %s: stop this node and compare the logs",
			ErrBelowCommit, f.cfg.Leader, f.cfg.Epoch, why, f.cfg.Policy)}
	}
	if a.At < p.Append {
		if sealed := f.cfg.Sealed(); sealed > f.cfg.Epoch {
			l.conn.Refuse(sealed, l.fencedRefusal(sealed))
			return fencedBy(sealed, "epoch %d was sealed before the log was cut", sealed)
		}
		f.cfg.Logger.Warn("cutting a divergent tail", "from", p.Append, "to", a.At, "tail_epoch", p.Epoch)
		err := f.cfg.Log.TruncateTo(a.At)
		if errors.Is(err, ErrFull) {
			return fmt.Errorf("truncate log from %d to %d: %w", p.Append, a.At, err) // the next attempt may find space
		}
		if err != nil {
			return logOver(fmt.Sprintf("truncate log from %d to %d", p.Append, a.At), err)
		}
		if cb := f.cfg.Listener.Truncated; cb != nil {
			cb(p.Append, a.At, p.Epoch)
		}
	}
	p = f.cfg.Log.Positions()
	if p.Append != a.At {
		panic(fmt.Sprintf("repl: log ends at %d after it was cut at %d", p.Append, a.At))
	}
	l.end, l.epoch, l.target, l.ackWrites = p.Append, p.Epoch, a.LeaderEnd, a.AckWrites
	f.setLink(true, nil)
	f.heard(a.LeaderEnd, l.end)
	f.cfg.Logger.Info("following", keyPosition, a.At, "leader_end", a.LeaderEnd)
	if cb := f.cfg.Listener.LinkUp; cb != nil {
		cb()
	}
	f.setCommit(a.Commit)
	l.checkSync()
	return nil
}

// run follows until the link is lost, and says why it was.
func (l *link) run() error {
	acked := make(chan struct{})
	go l.runAck(acked)
	// A leader that does not read must not hold up Stop.
	defer context.AfterFunc(l.f.ctx, func() {
		t := time.NewTimer(partingTime)
		defer t.Stop()
		select {
		case <-t.C:
			l.conn.Close()
		case <-acked:
		}
	})()
	err := l.read()
	close(l.stop)
	<-acked
	l.conn.Close()
	if own := l.failure(); own != nil {
		return own
	}
	return err
}

// read handles the leader's frames until the connection ends. After the link
// has failed on this side it only discards, so that the leader can read why.
func (l *link) read() error {
	for {
		epoch, body, err := l.conn.Next()
		if err != nil {
			return err
		}
		if l.failure() != nil {
			continue
		}
		if err := l.handle(epoch, body); err != nil {
			l.fail(err)
		}
	}
}

func (l *link) handle(epoch record.Epoch, body wire.Body) error {
	f := l.f
	e := f.cfg.Epoch
	v, by := accept.Epoch(epoch, e, f.cfg.Sealed())
	switch {
	case v == accept.Over && by != epoch:
		return fencedBy(by, "this node has sealed epoch %d", by)
	case f.ctx.Err() != nil:
		return ErrStopped
	case v == accept.Over:
		return fencedBy(epoch, "the leader's node is at epoch %d", epoch)
	case v == accept.TooOld:
		return refuse(wire.CodeProtocol, epoch, "a %s frame of epoch %d came in epoch %d", body.Type(), epoch, e)
	}
	switch b := body.(type) {
	case wire.Append:
		if err := l.append(b.Batches); err != nil {
			return err
		}
		f.heard(l.end, l.end)
		f.setCommit(b.Commit)
	case wire.Heartbeat:
		f.heard(b.LeaderEnd, l.end)
		f.setCommit(b.Commit)
		l.mu.Lock()
		l.mu.echo, l.mu.pinged = b.Time, true
		l.mu.Unlock()
		poke(l.wake)
	case wire.Refuse:
		if b.Epoch > e {
			return fencedBy(b.Epoch, "%s", b.Text)
		}
		return &transport.RefusedError{Refuse: b, ByPeer: true}
	default:
		return refuse(wire.CodeProtocol, epoch, "unexpected %s frame", body.Type())
	}
	l.checkSync()
	return nil
}

// append takes whole, valid batches that continue the log, or none.
func (l *link) append(b []byte) error {
	at, epoch := l.end, l.epoch
	for rest := b; ; {
		h, err := record.ParseHeader(rest) // AppendRaw verifies the rest
		if err == nil && int(h.Length) > len(rest) {
			err = record.ErrShort
		}
		if err != nil {
			return l.invalid(at, err)
		}
		if v, why := accept.Batch(h.Position, h.Epoch, at, epoch, l.f.cfg.Epoch); v != accept.Take {
			return refuse(wire.CodeProtocol, l.f.cfg.Epoch, "%s", why)
		}
		at, epoch = h.End(), h.Epoch
		if rest = rest[h.Length:]; len(rest) == 0 {
			break
		}
	}
	end, err := l.appendRaw(b)
	if err != nil {
		return err
	}
	if end != at {
		panic(fmt.Sprintf("repl: log ends at %d after batches up to %d were appended", end, at))
	}
	l.end, l.epoch = at, epoch
	if l.unsaid += len(b); l.unsaid >= ackBytes {
		l.unsaid = 0
		poke(l.wake)
	}
	return nil
}

func (l *link) invalid(at record.Position, err error) error {
	return refuse(wire.CodeProtocol, l.f.cfg.Epoch, "the batch for position %d is not valid: %v", at, err)
}

func (l *link) checkSync() {
	if l.synced || l.end < l.target {
		return
	}
	l.synced = true
	l.f.mu.Lock()
	l.f.mu.status.InSync = true
	l.f.mu.Unlock()
	if cb := l.f.cfg.Listener.InSync; cb != nil {
		cb()
	}
}

// fail ends the link from this side: runAck tells the leader what concerns it.
func (l *link) fail(err error) {
	var r *transport.RefusedError
	var o *over
	var parting *wire.Refuse
	switch {
	case errors.As(err, &o) && o.fenced != 0:
		p := l.fencedRefusal(o.fenced)
		parting = &p
	case errors.As(err, &r) && !r.ByPeer:
		parting = &r.Refuse
	}
	l.mu.Lock()
	if l.mu.err == nil {
		l.mu.err, l.mu.parting = err, parting
	}
	l.mu.Unlock()
	poke(l.wake)
}

func (l *link) failure() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.err
}

func (l *link) fencedRefusal(sealed record.Epoch) wire.Refuse {
	return wire.Refuse{Code: wire.CodeFenced, Epoch: sealed, Text: fmt.Sprintf("node %s has sealed epoch %d: epoch %d is over",
		l.f.cfg.Identity.Node, sealed, l.f.cfg.Epoch)}
}
