package broker

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"baton/store/record"
)

// settledBytes is what one settled message counts in a transaction: its entry
// and its place in the ack record.
const settledBytes = 64

// openTransactions are those of one session, by the client's names. The reader
// works on them, and a timer ends those that were open for too long.
type openTransactions struct {
	sync.Mutex
	byName map[string]*transaction
}

// transaction is what a client wants to have done at once. Until its commit it
// is memory alone: nobody sees it, and it is gone with the session.
type transaction struct {
	unit
	nacks   []ackSet
	demands []demand // of what it sends, in queues with limits
	places  []string // that it goes to; some more than once
	wait    time.Duration
	bytes   int
	// refused says why it cannot be committed any more. Its content is gone then;
	// its name stays until the client ends it.
	refused error
	timer   *time.Timer
}

// Begin opens a transaction. Error: ErrTransaction, ErrClosed.
func (s *Session) Begin(name, receipt string) error {
	if err := s.begin(name); err != nil {
		return err
	}
	return s.added(Op{OpBegin, receipt, true})
}

func (s *Session) begin(name string) error {
	s.open.Lock()
	defer s.open.Unlock()
	switch {
	case name == "":
		return fmt.Errorf("%w: it has no name", ErrTransaction)
	case s.open.byName[name] != nil:
		return fmt.Errorf("%w: %q was begun already", ErrTransaction, name)
	case len(s.open.byName) >= s.b.cfg.Transactions:
		return fmt.Errorf("%w: %d are open on this connection, which is the limit", ErrTransaction, len(s.open.byName))
	}
	t := &transaction{}
	t.timer = time.AfterFunc(s.b.cfg.TransactionTimeout, func() { s.expire(t) })
	if s.open.byName == nil {
		s.open.byName = map[string]*transaction{}
	}
	s.open.byName[name] = t
	return nil
}

// Commit proposes everything in a transaction as one batch, after all that the
// session was given before. Errors: ErrTransaction, ErrClosed.
func (s *Session) Commit(name, receipt string) error {
	t, err := s.end(name)
	if err != nil {
		return err
	}
	if t.refused != nil {
		return fmt.Errorf("%w: %q was rolled back: %w", ErrTransaction, name, t.refused)
	}
	if err := s.Flush(); err != nil {
		t.rollBack(s.b, false)
		return err
	}
	ops := []Op{{OpCommit, receipt, false}}
	if t.batch != nil || len(t.published) > 0 { // acks alone need no room
		slices.Sort(t.places)
		if t.places = slices.Compact(t.places); s.mustWait(t.places, t.demands, t.batch != nil) {
			return s.park(&parcel{g: &group{ops: ops, unit: t.unit}, t: t, stored: t.batch != nil, places: t.places,
				demands: t.demands, until: s.b.cfg.Now().Add(t.wait)})
		}
	}
	return s.proposeTransaction(t, ops, t.demands)
}

// proposeTransaction proposes a transaction for which room is reserved. Errors:
// ErrTransaction if a message that it acknowledges is gone: an operator has
// moved or removed it. ErrClosed.
func (s *Session) proposeTransaction(t *transaction, ops []Op, reserved []demand) error {
	gone := 0
	for i := range t.acks {
		before := len(t.acks[i].entries)
		t.acks[i].entries = t.acks[i].lane.q.awaitHeld(t.acks[i].entries)
		gone += before - len(t.acks[i].entries)
	}
	if gone > 0 {
		unreserve(reserved)
		for _, a := range t.acks {
			a.lane.q.ackFailed(a.entries)
		}
		t.acks = nil
		t.rollBack(s.b, true)
		return fmt.Errorf("%w: it was rolled back: %d of the messages that it acknowledges are gone from their queues", ErrTransaction, gone)
	}
	for _, n := range t.nacks {
		n.lane.q.nackHeld(n.entries)
	}
	t.reserved = reserved
	return s.propose(&group{ops: ops, unit: t.unit, counted: t.bytes}, t.seal())
}

// Rollback drops a transaction. What it has settled is pending again, with the
// consumers that were given it. Errors: ErrTransaction, ErrClosed.
func (s *Session) Rollback(name, receipt string) error {
	t, err := s.end(name)
	if err != nil {
		return err
	}
	t.rollBack(s.b, true)
	return s.added(Op{OpRollback, receipt, true})
}

// Refuse notes that a frame which belongs to a transaction was refused, and
// returns why. The transaction cannot be committed any more: without that
// frame it would not be what the client meant. tx may be "" or unknown.
func (s *Session) Refuse(tx string, why error) error {
	if tx == "" {
		return why
	}
	s.open.Lock()
	defer s.open.Unlock()
	if t := s.open.byName[tx]; t != nil {
		t.refuse(s.b, why, true)
	}
	return why
}

// end takes a transaction out of the table.
func (s *Session) end(name string) (*transaction, error) {
	s.open.Lock()
	defer s.open.Unlock()
	t := s.open.byName[name]
	if t == nil {
		return nil, fmt.Errorf("%w: %q is not open on this connection", ErrTransaction, name)
	}
	delete(s.open.byName, name)
	t.timer.Stop()
	return t, nil
}

// in runs f on an open transaction. If f fails the transaction is refused, but
// for ErrUnknownMessage: the message may be another subscription's.
func (s *Session) in(name string, f func(t *transaction) error) error {
	s.open.Lock()
	defer s.open.Unlock()
	t := s.open.byName[name]
	if t == nil {
		return fmt.Errorf("%w: %q is not open on this connection", ErrTransaction, name)
	}
	if t.refused != nil {
		return fmt.Errorf("%w: %q was rolled back: %w", ErrTransaction, name, t.refused)
	}
	err := f(t)
	if err == nil || errors.Is(err, ErrUnknownMessage) {
		return err
	}
	t.refuse(s.b, err, true)
	return fmt.Errorf("%w: %q was rolled back: %w", ErrTransaction, name, err)
}

// sendIn adds a message that was routed to a transaction.
func (s *Session) sendIn(name string, m record.Message, size int) error {
	return s.in(name, func(t *transaction) error {
		if err := t.grow(s.b, size); err != nil {
			return err
		}
		t.demands = merge(t.demands, s.router.demands)
		t.wait = max(t.wait, s.router.wait)
		t.places = s.router.places(t.places)
		s.router.addTo(&t.unit, m, 0)
		return nil
	})
}

// settleIn adds what an ack or nack covers to a transaction.
func (s *Session) settleIn(name string, sub *Subscription, ref Ref, add func(*transaction, []*entry)) error {
	return s.in(name, func(t *transaction) error {
		entries, err := sub.holdInTransaction(ref)
		if err != nil {
			return err
		}
		add(t, entries) // first, so that a refusal gives them back
		return t.grow(s.b, settledBytes*(4+len(entries)))
	})
}

func (t *transaction) ack(entries []*entry) { t.acknowledge(entries) }

func (t *transaction) nack(entries []*entry) { t.nacks = byLane(t.nacks, entries) }

// grow reserves memory for what comes into the transaction.
func (t *transaction) grow(b *Broker, n int) error {
	if t.bytes+n > b.cfg.TransactionBytes {
		return fmt.Errorf("it would have %d bytes, at most %d fit into one", t.bytes+n, b.cfg.TransactionBytes)
	}
	if b.inTransaction.Add(int64(n)) > b.cfg.TransactionMemory {
		b.inTransaction.Add(int64(-n))
		return fmt.Errorf("the open transactions of all clients may have %d bytes together; try again later", b.cfg.TransactionMemory)
	}
	t.bytes += n
	return nil
}

// refuse drops what is in a transaction and notes why.
func (t *transaction) refuse(b *Broker, why error, toConsumers bool) {
	if t.refused == nil {
		t.refused = why
		t.rollBack(b, toConsumers)
	}
}

// rollBack drops what is in a transaction. What it has settled goes back to
// the consumers, or else to the queues.
func (t *transaction) rollBack(b *Broker, toConsumers bool) {
	b.giveRoom(t.published)
	for _, set := range slices.Concat(t.acks, t.nacks) {
		set.lane.q.restore(set.entries, toConsumers)
	}
	b.inTransaction.Add(int64(-t.bytes))
	t.unit, t.nacks, t.demands, t.places, t.bytes = unit{}, nil, nil, nil, 0
}

// expire rolls back a transaction that is open for too long. Its consumer has
// forgotten it, so the messages go to others.
func (s *Session) expire(t *transaction) {
	s.open.Lock()
	defer s.open.Unlock()
	for _, x := range s.open.byName {
		if x == t {
			t.refuse(s.b, fmt.Errorf("it was open for longer than %s", s.b.cfg.TransactionTimeout), false)
		}
	}
}

func (s *Session) closeTransactions() {
	s.open.Lock()
	defer s.open.Unlock()
	for _, t := range s.open.byName {
		t.timer.Stop()
		t.rollBack(s.b, false)
	}
	s.open.byName = nil
}

// holdInTransaction takes what a reference covers, to be settled when a
// transaction commits. It frees its place in the prefetch: a consumer may
// settle more in one transaction than it may have unsettled.
func (c *Subscription) holdInTransaction(ref Ref) ([]*entry, error) {
	if c.via != nil {
		return c.via.each(ref, (*Subscription).holdInTransaction)
	}
	c.q.mu.Lock()
	defer c.q.mu.Unlock()
	entries, err := c.settle(ref)
	for _, en := range entries {
		en.state = stateHeld
	}
	c.q.kick()
	return entries, err
}

// held returns those of the entries that a transaction still holds: an ack that
// was in doubt may have been committed meanwhile.
func (q *queue) held(entries []*entry) []*entry {
	return slices.DeleteFunc(entries, func(en *entry) bool {
		return !en.is(stateHeld)
	})
}

// awaitHeld marks entries whose transaction is about to be proposed.
func (q *queue) awaitHeld(entries []*entry) []*entry {
	q.mu.Lock()
	defer q.mu.Unlock()
	entries = q.held(entries)
	for _, en := range entries {
		en.owner.await([]*entry{en})
	}
	return entries
}

// nackHeld gives entries back whose nack is committed.
func (q *queue) nackHeld(entries []*entry) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.giveBack(q.held(entries), refused)
	q.kick()
}

// restore undoes holdInTransaction. Entries whose consumer is gone go back to
// the queue, and so do all if toConsumers is not set.
func (q *queue) restore(entries []*entry, toConsumers bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	var back []*entry
	for _, en := range q.held(entries) {
		if c := en.owner; toConsumers && c.attached {
			en.state = stateDelivered
			c.restore(en)
		} else {
			back = append(back, en)
		}
	}
	q.giveBack(back, unsettled)
	q.kick()
}

// restore puts an entry back among the unsettled ones.
func (c *Subscription) restore(en *entry) {
	i, found := c.find(en.tag)
	if found {
		c.unsettled[i].en = en
	} else {
		c.unsettled = slices.Insert(c.unsettled, i, slot{en.tag, en})
	}
	c.count(1)
	c.reckon()
}
