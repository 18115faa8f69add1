package broker

import (
	"errors"
	"sync"
	"time"

	"baton/store/record"
)

const (
	retryInterval = time.Second // after a proposal that was refused for now
	autoBatchMax  = 64 << 10    // acks in one proposal
)

// autoAcks gathers the acks of mode Auto until runAcks proposes them. Bounded
// by the ack windows of the consumers.
type autoAcks struct {
	mu      sync.Mutex
	waiting []ackSet
	wake    chan struct{} // one token: there is something
}

func (a *autoAcks) init() { a.wake = make(chan struct{}, 1) }

func (a *autoAcks) add(entries []*entry) {
	if len(entries) == 0 {
		return
	}
	a.mu.Lock()
	for _, en := range entries {
		if n := len(a.waiting); n == 0 || a.waiting[n-1].lane != en.lane {
			a.waiting = append(a.waiting, ackSet{lane: en.lane})
		}
		last := &a.waiting[len(a.waiting)-1]
		last.entries = append(last.entries, en)
	}
	a.mu.Unlock()
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// take returns the sets for one proposal.
func (a *autoAcks) take() []ackSet {
	a.mu.Lock()
	defer a.mu.Unlock()
	n, count := 0, 0
	for n < len(a.waiting) && count < autoBatchMax {
		count += len(a.waiting[n].entries)
		n++
	}
	sets := a.waiting[:n:n]
	a.waiting = a.waiting[n:]
	return sets
}

// runAcks proposes the acks of mode Auto, one batch at a time: what arrives
// meanwhile makes the next batch. An ack in doubt for lack of a quorum is
// proposed again, which is harmless if it was committed after all.
func (b *Broker) runAcks() {
	for {
		select {
		case <-b.end:
			return
		case <-b.autos.wake:
		}
		for sets := b.autos.take(); len(sets) > 0; sets = b.autos.take() {
			if !b.proposeAcks(sets) {
				return
			}
		}
	}
}

// proposeAcks is false when the broker is closed.
func (b *Broker) proposeAcks(sets []ackSet) bool {
	batch := record.NewBatch(1024)
	for _, s := range sets {
		addAck(batch, s)
	}
	outcome := make(chan error, 1)
	b.cfg.Proposer.Propose(batch, func(err error) { outcome <- err })
	select {
	case <-b.end:
		return false
	case err := <-outcome:
		if err == nil {
			return true
		}
		if !errors.Is(err, ErrNoQuorum) && !errors.Is(err, ErrDiskFull) && !errors.Is(err, ErrBusy) {
			b.cfg.Logger.Info("acks of auto-mode deliveries are in doubt", "error", err)
			return true // this leadership is over
		}
	}
	retry := time.NewTimer(retryInterval)
	defer retry.Stop()
	select {
	case <-b.end:
		return false
	case <-retry.C:
	}
	for _, s := range sets {
		b.autos.add(s.lane.q.stillAcking(s.entries))
	}
	return true
}

// stillAcking returns those entries whose ack was not committed.
func (q *queue) stillAcking(entries []*entry) []*entry {
	q.mu.Lock()
	defer q.mu.Unlock()
	var still []*entry
	for _, en := range entries {
		if en.is(stateAcking) {
			still = append(still, en)
		}
	}
	return still
}
