package wal

import (
	"fmt"
	"slices"

	"baton/store/record"
)

// Append seals b at the end of the log and queues it for the writer; it is how
// a leader writes. commit is the commit position that the leader knows. It
// returns the position behind the batch without waiting for the disk, and
// waits only while too much is queued. The log owns b from here on. Callers
// who need to know the order of batches serialise their calls.
//
// If the disk is full it returns ErrFull; nothing is appended then.
//
// An epoch below the one of the log's end is a broken invariant: it panics.
func (l *Log) Append(epoch record.Epoch, commit record.Position, b *record.Batch) (record.Position, error) {
	return l.append(ordinary, epoch, commit, b)
}

// AppendUrgent is Append for what has to get through when the disk is full,
// because it leads to space being freed: acks, and the start of an epoch. It
// may use the reserve, and gets ErrFull when that is used up.
func (l *Log) AppendUrgent(epoch record.Epoch, commit record.Position, b *record.Batch) (record.Position, error) {
	return l.append(urgent, epoch, commit, b)
}

func (l *Log) append(u urgency, epoch record.Epoch, commit record.Position, b *record.Batch) (record.Position, error) {
	crc := b.Prepare() // outside the lock: it reads the whole body
	size := int64(b.Len())
	l.mu.Lock()
	defer l.mu.Unlock()
	tail, err := l.waitForSpace(u, size, size)
	if err != nil {
		return 0, err
	}
	pos := &l.mu.pos
	if epoch < pos.Epoch {
		panic(fmt.Sprintf("wal: append in epoch %d at position %d, the log is in epoch %d", epoch, pos.Append, pos.Epoch))
	}
	sealed := b.Seal(epoch, pos.Append, commit, l.cfg.Now(), crc)
	l.accept(epoch, pos.Append, commit, size)
	l.mu.space.tail = tail
	l.enqueue(queued{sealed, b})
	return pos.Append, nil
}

// AppendRaw queues whole batches that a leader sealed; it is how a follower
// writes. All of them are verified first and must continue the log exactly,
// without going back in epoch; else nothing is appended. It returns the
// position behind them. b is copied. Errors: ErrGap, ErrEpoch, those of
// record.Verify, and those of Append. Half of the reserve is open to it, all
// of it to batches that hold nothing but acks and starts of epochs.
func (l *Log) AppendRaw(b []byte) (record.Position, error) {
	headers, err := verifyAll(b)
	if err != nil {
		return 0, fmt.Errorf("append raw batches: %w", err)
	}
	owned, sizes, u := slices.Clone(b), sizesOf(headers), replicated
	if onlyUrgent(owned) {
		u = urgent
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.waitForRoom(int64(len(b))); err != nil {
		return 0, err
	}
	at, epoch := l.mu.pos.Append, l.mu.pos.Epoch
	for _, h := range headers {
		if h.Position != at {
			return 0, fmt.Errorf("%w: batch of position %d, log ends at %d", ErrGap, h.Position, at)
		}
		if h.Epoch < epoch {
			return 0, fmt.Errorf("%w: batch of epoch %d at position %d, log is in epoch %d", ErrEpoch, h.Epoch, at, epoch)
		}
		at, epoch = h.End(), h.Epoch
	}
	if len(headers) == 0 {
		return at, nil
	}
	tail, err := l.waitForSpace(u, int64(len(b)), sizes...)
	if err != nil {
		return 0, err
	}
	if l.mu.pos.Append != headers[0].Position {
		return 0, fmt.Errorf("%w: batch of position %d, log was cut to %d meanwhile", ErrGap, headers[0].Position, l.mu.pos.Append)
	}
	for _, h := range headers {
		l.accept(h.Epoch, h.Position, h.Commit, int64(h.Length))
	}
	l.mu.space.tail = tail
	l.enqueue(queued{b: owned})
	return l.mu.pos.Append, nil
}

func verifyAll(b []byte) ([]record.Header, error) {
	var headers []record.Header
	for len(b) > 0 {
		h, err := record.Verify(b)
		if err != nil {
			return nil, err
		}
		headers = append(headers, h)
		b = b[h.Length:]
	}
	return headers, nil
}

// waitForRoom waits until size bytes may be queued. l.mu is held.
func (l *Log) waitForRoom(size int64) error {
	for {
		if err := l.usable(); err != nil {
			return err
		}
		if !l.mu.truncating && (l.mu.queueBytes == 0 || l.mu.queueBytes+size <= l.cfg.QueueBytes) {
			return nil
		}
		l.mu.queueWaits++
		l.room.Wait()
		l.mu.queueWaits--
	}
}

// accept moves the append position over one batch. l.mu is held.
func (l *Log) accept(epoch record.Epoch, at, commit record.Position, size int64) {
	pos := &l.mu.pos
	if n := len(l.mu.boundaries); n == 0 || l.mu.boundaries[n-1].Epoch < epoch {
		l.mu.boundaries = append(l.mu.boundaries, record.EpochBoundary{Epoch: epoch, Start: at})
	}
	pos.Epoch = epoch
	pos.Append = at + record.Position(size)
	l.mu.commit = max(l.mu.commit, commit)
	l.mu.metrics.Batches++
}

func (l *Log) enqueue(q queued) {
	l.mu.queue = append(l.mu.queue, q)
	l.mu.queueBytes += int64(len(q.b))
	switch {
	case l.mu.flusherWaits:
		l.flush.Signal()
	case l.mu.busyFlush || l.mu.resting:
		l.work.Signal()
	}
}
