package node

import (
	"errors"
	"time"

	"baton/store"
	"baton/store/index"
	"baton/store/record"
	"baton/store/wal"
)

const (
	// A batch of moves ends at either of these.
	moveBatchBytes   = 256 << 10
	moveBatchRecords = 512
	// moveRate bounds what is moved per second, in bytes. One batch is under
	// way at a time, so producers come first.
	moveRate = 16 << 20
	// A segment is sparse if less than 1/sparse of it is live, and a log is if
	// that is true of all of it.
	sparse = 4
)

// compactor empties the oldest segment of a leader's log, when its last live
// messages keep too much behind them: it writes them to the end of the log
// once more, as moves, so that every node can free the segment.
type compactor struct {
	l *leadership
}

// runCompact begins when everything committed is in the index.
func (l *leadership) runCompact() {
	c := &compactor{l: l}
	l.chore("could not empty the oldest segment; trying again", c.round)
}

// round empties segments until there is no reason to go on.
func (c *compactor) round() error {
	for c.l.ctx.Err() == nil {
		if err := c.l.settle(); err != nil {
			return err
		}
		seg, worth, err := c.choose()
		if err != nil || !worth {
			return err
		}
		moved, err := c.empty(seg)
		if err != nil || moved == 0 { // it was acknowledged meanwhile
			return err
		}
		if err := c.l.settle(); err != nil {
			return err
		}
		c.l.n.trimSoon()
		c.l.n.cfg.Logger.Debug("emptied the oldest segment", "position", seg.From, "bytes", moved)
	}
	return nil
}

// settle waits until what is committed now is in the index: so nothing is moved
// twice, and who has a receipt finds the message.
func (l *leadership) settle() error {
	at := l.leader.Commit()
	l.n.applier.commit(at)
	return l.n.applier.wait(l.ctx, at)
}

// choose says whether the oldest segment is to be emptied. It is if it is
// sparse, or if the log as a whole is: then a dense segment at its front, of a
// queue that nobody reads, may not keep what passed by it. Either way what is
// moved is at most a third of what is freed.
func (c *compactor) choose() (store.Segment, bool, error) {
	n := c.l.n
	seg, ok, err := n.store.Front()
	if err != nil || !ok {
		return seg, false, err
	}
	span := uint64(n.store.Log().Positions().Append - seg.From)
	if span <= uint64(n.cfg.CompactBytes) {
		return seg, false, nil
	}
	ix := n.store.Index()
	if span > uint64(n.cfg.CompactBytes)+sparse*ix.LiveBytes(0, ^record.Position(0)) {
		return seg, true, nil
	}
	return seg, ix.LiveBytes(seg.From, seg.To) < uint64(seg.To-seg.From)/sparse, nil
}

// empty moves the live messages of a segment to the end of the log.
func (c *compactor) empty(seg store.Segment) (moved int, err error) {
	b := record.NewBatch(moveBatchBytes)
	send := func() error {
		moved += b.Len()
		full := b
		b = record.NewBatch(moveBatchBytes)
		return c.send(full)
	}
	err = c.l.n.store.Live(seg.From, seg.To, func(l index.Live, e record.Enqueue) error {
		if b.Count() == moveBatchRecords || b.Count() > 0 && b.Len()+l.Size > moveBatchBytes {
			if err := send(); err != nil {
				return err
			}
		}
		b.Add(record.TypeMove, record.Move{Sequence: l.Seq, From: l.Position, Enqueue: e}.AppendTo)
		return nil
	})
	if errors.Is(err, wal.ErrBelowStart) {
		err = nil // the rest was acknowledged and freed since
	}
	if err == nil && b.Count() > 0 {
		err = send()
	}
	return moved, err
}

// send returns when the batch is committed, and as much time has passed as
// its size deserves. A move whose outcome is in doubt is proposed again: the
// second one finds nothing to move.
func (c *compactor) send(b *record.Batch) error {
	size := b.Len()
	if err := c.l.proposeAndWait(b); err != nil {
		return err
	}
	pause := time.NewTimer(time.Duration(size) * time.Second / moveRate)
	defer pause.Stop()
	select {
	case <-pause.C:
		return nil
	case <-c.l.ctx.Done():
		return c.l.ctx.Err()
	}
}
