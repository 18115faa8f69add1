package repl

import (
	"errors"
	"fmt"
	"time"

	"baton/store/record"
)

// waiter is a proposal that was appended and waits to be committed.
type waiter struct {
	end  record.Position
	size int
	at   time.Time
	done func(error)
}

// queue of waiters in the order of the log, so also of their deadlines. It is
// bounded by LeaderConfig.OutstandingBytes.
type queue struct {
	items []waiter
	head  int
}

func (q *queue) push(w waiter) { q.items = append(q.items, w) }

func (q *queue) first() *waiter {
	if q.head == len(q.items) {
		return nil
	}
	return &q.items[q.head]
}

func (q *queue) pop() waiter {
	w := q.items[q.head]
	q.items[q.head] = waiter{}
	q.head++
	if q.head == len(q.items) {
		q.items, q.head = q.items[:0], 0
	} else if q.head >= 1024 && q.head*2 >= len(q.items) {
		n := copy(q.items, q.items[q.head:])
		clear(q.items[n:])
		q.items, q.head = q.items[:n], 0
	}
	return w
}

// Propose appends b, which the leader owns from then on, and calls done exactly
// once: with nil when the batch is committed, in the order of the log, or with
// the reason why that is not known. done must not block; it runs on a goroutine
// of the leader, or on the caller's if the batch was not appended.
//
// Propose never waits for the network by itself. It waits while more than
// OutstandingBytes are not yet committed, or during a transfer, but at most
// QuorumTimeout; then done gets ErrOverloaded or ErrTransferring. It gets
// ErrFull if the disk is full, which leadership survives; batches that are
// urgent (record.Batch) still have the log's reserve then. After the
// append done gets ErrNoQuorum when QuorumTimeout has passed, ErrStopped,
// ErrFenced or ErrLog when leadership ended; each with ErrInDoubt.
func (l *Leader) Propose(b *record.Batch, done func(error)) {
	size := b.Len()
	at := l.cfg.Now()
	if err := l.admit(size); err != nil {
		done(err)
		return
	}
	w := waiter{size: size, at: at, done: done}
	err := l.appendBatch(b, &w)
	if err == nil {
		return
	}
	l.mu.Lock()
	l.release(size)
	l.mu.Unlock()
	if errors.Is(err, ErrLog) {
		l.logFailed(err)
	}
	done(err)
}

// appendBatch appends b and queues w. On an error w is not queued.
func (l *Leader) appendBatch(b *record.Batch, w *waiter) error {
	l.appendMu.Lock()
	defer l.appendMu.Unlock()
	if err := l.Err(); err != nil {
		return err
	}
	appendTo := l.cfg.Log.Append
	if b.Urgent() {
		appendTo = l.cfg.Log.AppendUrgent
	}
	end, err := appendTo(l.cfg.Epoch, l.Commit(), b)
	if errors.Is(err, ErrFull) {
		return fmt.Errorf("append proposal: %w", err)
	}
	if err != nil {
		return fmt.Errorf("append proposal: %w: %w", ErrLog, err)
	}
	w.end = end
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mu.ended != nil {
		return fmt.Errorf("%w: %w", l.mu.ended, ErrInDoubt)
	}
	l.mu.waiting.push(*w)
	if end <= l.Commit() {
		poke(l.kick) // committed before it was queued
	}
	return nil
}

// admit waits for room and reserves it.
func (l *Leader) admit(size int) error {
	var timeout <-chan time.Time
	for {
		l.mu.Lock()
		full := l.mu.outstanding > 0 && l.mu.outstanding+size > l.cfg.OutstandingBytes
		transferring, ended := l.mu.transferring, l.mu.ended
		if ended == nil && !full && !transferring {
			l.mu.outstanding += size
			l.mu.Unlock()
			return nil
		}
		if l.mu.room == nil {
			l.mu.room = make(chan struct{})
		}
		room := l.mu.room
		l.mu.Unlock()
		if ended != nil {
			return ended
		}
		if timeout == nil {
			t := time.NewTimer(l.cfg.QuorumTimeout)
			defer t.Stop()
			timeout = t.C
		}
		select {
		case <-room:
		case <-timeout:
			if transferring {
				return fmt.Errorf("%w: waited %s", ErrTransferring, l.cfg.QuorumTimeout)
			}
			return fmt.Errorf("%w: waited %s", ErrOverloaded, l.cfg.QuorumTimeout)
		}
	}
}

// release gives room back. Call with mu held.
func (l *Leader) release(size int) {
	l.mu.outstanding -= size
	l.wakeAdmission()
}

// wakeAdmission lets those who wait for admission look again. Call with mu held.
func (l *Leader) wakeAdmission() {
	if l.mu.room != nil {
		close(l.mu.room)
		l.mu.room = nil
	}
}
