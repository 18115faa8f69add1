package broker

import (
	"errors"
	"sync"
	"time"

	"baton/store/record"
)

const (
	choreBatchRecords = 256
	choreBatchBytes   = 1 << 20
	// corpsesMax bounds the dead messages that await their removal. The
	// dispatchers of queues with more of them wait.
	corpsesMax = 4096
)

// corpse is a message that is dead.
type corpse struct {
	en      *entry
	cause   string // a sentence for people
	expired bool
	// discarded means that no dead-letter queue keeps it.
	discarded bool
}

// chores is what the broker proposes on its own behalf, but for acks: how often
// messages came back, and dead messages out of their queues. Unlike acks these
// need room on the disk, so they must not hold acks up.
type chores struct {
	mu      sync.Mutex
	counts  map[*entry]struct{} // whose count is not in the log
	corpses []corpse
	waiting map[*queue]struct{} // whose dispatchers wait for room
	wake    chan struct{}       // one token: there is something
}

func (c *chores) init() {
	c.wake = make(chan struct{}, 1)
	c.counts, c.waiting = map[*entry]struct{}{}, map[*queue]struct{}{}
}

func (c *chores) signal() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// count asks for an entry's count to be written. Many changes of it before that
// are one.
func (c *chores) count(en *entry) {
	c.mu.Lock()
	c.counts[en] = struct{}{}
	c.mu.Unlock()
	c.signal()
}

func (c *chores) bury(list ...corpse) {
	c.mu.Lock()
	c.corpses = append(c.corpses, list...)
	for _, x := range list {
		delete(c.counts, x.en)
	}
	c.mu.Unlock()
	c.signal()
}

// full says whether a queue must wait before it buries more. It is kicked when
// there is room.
func (c *chores) full(q *queue) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.corpses) < corpsesMax {
		return false
	}
	c.waiting[q] = struct{}{}
	return true
}

// take returns work for about one batch.
func (c *chores) take() (counts []*entry, corpses []corpse, room []*queue) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for en := range c.counts {
		if len(counts) == choreBatchRecords {
			break
		}
		counts = append(counts, en)
		delete(c.counts, en)
	}
	n := min(len(c.corpses), choreBatchRecords)
	corpses, c.corpses = c.corpses[:n:n], c.corpses[n:]
	if len(c.corpses) < corpsesMax/2 {
		for q := range c.waiting {
			room = append(room, q)
		}
		clear(c.waiting)
	}
	return counts, corpses, room
}

// runChores proposes them, one batch at a time.
func (b *Broker) runChores() {
	for {
		select {
		case <-b.end:
			return
		case <-b.chores.wake:
		}
		for {
			counts, corpses, room := b.chores.take()
			for _, q := range room {
				q.mu.Lock()
				q.kick()
				q.mu.Unlock()
			}
			if len(counts) == 0 && len(corpses) == 0 {
				break
			}
			if !b.proposeCounts(counts) || !b.removeDead(corpses) {
				return
			}
		}
	}
}

// proposeCounts is false when this leadership is over.
func (b *Broker) proposeCounts(entries []*entry) bool {
	byLane := map[*lane][]record.Redelivered{}
	for _, en := range entries {
		en.lane.q.mu.Lock()
		if en.state != stateDead {
			byLane[en.lane] = append(byLane[en.lane], record.Redelivered{Sequence: en.seq, Count: en.count})
		}
		en.lane.q.mu.Unlock()
	}
	if len(byLane) == 0 {
		return true
	}
	batch := record.NewBatch(1024)
	for l, messages := range byLane {
		batch.Add(record.TypeRedeliver, record.Redeliver{Queue: l.name, Messages: messages}.AppendTo)
	}
	outcome := b.proposeChore(batch, nil)
	if outcome == choreRefused {
		for _, en := range entries {
			b.chores.count(en)
		}
	}
	return outcome != choreOver
}

// choreOutcome is what became of a proposal of the broker's own.
type choreOutcome uint8

const (
	choreCommitted choreOutcome = iota
	choreInLog                  // no quorum yet: it counts when it is committed
	choreRefused                // nothing is in the log; try again
	choreOver                   // this leadership is over
)

func (o choreOutcome) stored() bool { return o == choreCommitted || o == choreInLog }

// proposeChore proposes a batch, for which demands were admitted, and waits for
// what becomes of it. If it was refused for now it returns after a while.
func (b *Broker) proposeChore(batch *record.Batch, demands []demand) choreOutcome {
	outcome := make(chan error, 1)
	b.cfg.Proposer.Propose(batch, func(err error) { conclude(demands, err); outcome <- err })
	select {
	case <-b.end:
		return choreOver
	case err := <-outcome:
		switch {
		case err == nil:
			return choreCommitted
		case errors.Is(err, ErrNoQuorum):
			return choreInLog
		case !errors.Is(err, ErrDiskFull) && !errors.Is(err, ErrBusy):
			return choreOver
		}
	}
	retry := time.NewTimer(retryInterval)
	defer retry.Stop()
	select {
	case <-b.end:
		return choreOver
	case <-retry.C:
		return choreRefused
	}
}
