package broker

import (
	"errors"
	"slices"
	"strconv"
	"sync"

	"baton/node/broker/destination"
	"baton/store/record"
	"baton/store/record/reuse"
)

// Kind of an operation.
type Kind uint8

// Kinds of operations.
const (
	OpSend Kind = iota
	OpAck
	OpNack
	OpBegin
	OpCommit
	OpRollback
)

// Op is an operation that a client may want a receipt for.
type Op struct {
	Kind    Kind
	Receipt string // "" if none is wanted
	// Local means that nothing of it was proposed: it is done, whatever becomes
	// of the operations that it is reported with.
	Local bool
}

// Session is the broker's side of one connection. It gathers what the
// connection's reader gives it into one batch until Flush proposes that, so a
// client that sends ahead costs one proposal for many frames.
type Session struct {
	b      *Broker
	client Client

	// For the reader alone.
	unit    unit
	hint    int // size of the last batch
	ops     []Op
	router  *router
	message record.Message // the one that is being sent
	scratch []byte
	// placesOf is scratch: where that message goes.
	placesOf []string
	subs     []*Subscription
	aliases  map[destination.Destination]*temporary // of this session
	// identity is the client id, "" if the client gave none.
	identity string

	open    openTransactions
	parked  parked
	aborted chan struct{} // closed by Abort

	mu struct {
		sync.Mutex
		changed *sync.Cond
		aborted bool
		groups  []*group // proposed and not reported, oldest first
		bytes   int
		count   int
	}
}

// ackSet is what a batch acknowledges of one lane.
type ackSet struct {
	lane    *lane
	entries []*entry
}

// unit is what will be proposed as one batch, that is, wholly or not at all: a
// session has one for what it gathers, and one for each open transaction.
type unit struct {
	batch     *record.Batch // of messages; the acks are added at the end
	acks      []ackSet
	published []publication // handed out when the batch is committed
	bytes     int           // of published
	reserved  []demand      // in queues with limits
}

// group is one proposal.
type group struct {
	ops   []Op
	unit  unit
	bytes int
	// counted is what is part of Broker.inTransaction until the group is settled.
	counted int
	done    bool
	err     error
}

// NewSession begins a session. The caller must Close it.
func (b *Broker) NewSession(c Client) *Session {
	s := &Session{b: b, client: c, aborted: make(chan struct{})}
	s.parked.init()
	s.router = newRouter(b, s)
	s.mu.changed = sync.NewCond(&s.mu)
	return s
}

// acknowledge adds acks.
func (u *unit) acknowledge(entries []*entry) { u.acks = byLane(u.acks, entries) }

// byLane adds entries to the sets of their lanes.
func byLane(sets []ackSet, entries []*entry) []ackSet {
	i := -1
	for _, en := range entries {
		if i < 0 || sets[i].lane != en.lane {
			i = slices.IndexFunc(sets, func(a ackSet) bool { return a.lane == en.lane })
		}
		if i < 0 {
			i = len(sets)
			sets = append(sets, ackSet{lane: en.lane})
		}
		sets[i].entries = append(sets[i].entries, en)
	}
	return sets
}

// seal returns the whole batch, nil if there is nothing to propose.
func (u *unit) seal() *record.Batch {
	for _, a := range u.acks {
		if len(a.entries) == 0 || a.lane.q.memory != nil {
			continue
		}
		if u.batch == nil {
			u.batch = reuse.NewBatch(64 + len(a.lane.name) + 6*len(a.entries))
		}
		addAck(u.batch, a)
	}
	return u.batch
}

// failed gives back what a unit would have acknowledged.
func (u *unit) failed(b *Broker) {
	b.giveRoom(u.published)
	u.published = nil
	for _, a := range u.acks {
		a.lane.q.ackFailed(a.entries)
	}
}

// inDoubt is for a unit that is in the log and not committed in time. What it
// acknowledges is not given to anybody else: if this leadership lasts it will
// be gone, and with it a transaction's messages will be there; if not, the next
// leader knows.
func (u *unit) inDoubt(b *Broker) {
	b.giveRoom(u.published)
	u.published = nil
	u.settled()
}

// settled removes what a unit has acknowledged of queues in memory: of the
// others the applier tells.
func (u *unit) settled() {
	for _, a := range u.acks {
		if q := a.lane.q; q.memory != nil {
			q.mu.Lock()
			q.settled(a.entries)
			q.kick()
			q.mu.Unlock()
		}
	}
}

// Ack settles a message, or all up to it in mode Cumulative; in a transaction,
// when that commits. Errors: ErrUnknownMessage, ErrTransaction, ErrClosed.
func (s *Session) Ack(sub *Subscription, ref Ref, tx, receipt string) error {
	if tx != "" {
		if err := s.settleIn(tx, sub, ref, (*transaction).ack); err != nil {
			return err
		}
		return s.added(Op{OpAck, receipt, true})
	}
	entries, err := sub.ack(ref)
	if err != nil {
		return err
	}
	s.unit.acknowledge(entries)
	return s.added(Op{OpAck, receipt, false})
}

// Nack gives a message back to its queue, or all up to it in mode Cumulative;
// in a transaction, when that commits. Errors: ErrUnknownMessage,
// ErrTransaction, ErrClosed.
func (s *Session) Nack(sub *Subscription, ref Ref, tx, receipt string) error {
	if tx != "" {
		if err := s.settleIn(tx, sub, ref, (*transaction).nack); err != nil {
			return err
		}
	} else if err := sub.nack(ref); err != nil {
		return err
	}
	return s.added(Op{OpNack, receipt, true})
}

func (s *Session) added(op Op) error {
	s.ops = append(s.ops, op)
	if len(s.ops) >= s.b.cfg.BatchRecords || s.unit.bytes >= s.b.cfg.BatchBytes ||
		s.unit.batch != nil && s.unit.batch.Len() >= s.b.cfg.BatchBytes {
		return s.Flush()
	}
	return nil
}

// Flush proposes what was gathered. It waits while too much of this session
// awaits its commit, which is the back-pressure on a client that sends ahead.
// Error: ErrClosed.
func (s *Session) Flush() error {
	if len(s.ops) == 0 {
		return nil
	}
	g := &group{ops: s.ops, unit: s.unit}
	s.ops, s.unit = make([]Op, 0, min(2*len(g.ops), s.b.cfg.BatchRecords)), unit{}
	batch := g.unit.seal()
	if batch != nil {
		s.hint = min(batch.Len(), s.b.cfg.BatchBytes)
	}
	return s.propose(g, batch)
}

// propose enters a group into the session's window and proposes its batch,
// which may be nil.
func (s *Session) propose(g *group, batch *record.Batch) error {
	g.bytes = g.unit.bytes
	if batch != nil {
		g.bytes += batch.Len()
	}
	if !s.admit(g) {
		s.b.inTransaction.Add(int64(-g.counted))
		unreserve(g.unit.reserved)
		g.unit.failed(s.b)
		return ErrClosed
	}
	if batch == nil {
		s.settle(g, nil)
		return nil
	}
	s.b.cfg.Proposer.Propose(batch, func(err error) { s.settle(g, err) })
	return nil
}

func addAck(batch *record.Batch, a ackSet) {
	seqs := make([]record.Sequence, len(a.entries))
	for i, en := range a.entries {
		seqs[i] = en.seq
	}
	batch.Add(record.TypeAck, record.Ack{Queue: a.lane.name, Sequences: seqs}.AppendTo)
}

// admit waits for room in the session's window, and in what all sessions may
// have under way, and enters g into it.
func (s *Session) admit(g *group) bool {
	s.mu.Lock()
	for !s.mu.aborted && len(s.mu.groups) > 0 &&
		(s.mu.bytes+g.bytes > s.b.cfg.InFlightBytes || s.mu.count+len(g.ops) > s.b.cfg.InFlight) {
		s.mu.changed.Wait()
	}
	s.mu.Unlock()
	if !s.b.gate.enter(int64(g.bytes), s.b.cfg.ProposalBytes, s.aborted, s.b.end) {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.aborted {
		s.b.gate.leave(int64(g.bytes))
		return false
	}
	s.mu.groups = append(s.mu.groups, g)
	s.mu.bytes += g.bytes
	s.mu.count += len(g.ops)
	return true
}

// settle notes the outcome of a proposal and reports all that are settled, in
// the order in which they were proposed. It runs on the proposer's goroutine.
func (s *Session) settle(g *group, err error) {
	s.b.inTransaction.Add(int64(-g.counted))
	s.b.gate.leave(int64(g.bytes))
	conclude(g.unit.reserved, err)
	switch {
	case err == nil:
		g.unit.settled()
	case errors.Is(err, ErrNoQuorum):
		g.unit.inDoubt(s.b)
	default:
		g.unit.failed(s.b)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if g.done {
		panic("broker: a proposal was settled twice")
	}
	g.done, g.err = true, err
	n := 0
	for ; n < len(s.mu.groups) && s.mu.groups[n].done; n++ {
		head := s.mu.groups[n]
		s.mu.groups[n] = nil
		s.mu.bytes -= head.bytes
		s.mu.count -= len(head.ops)
		s.b.hand(head.unit.published)
		s.client.Settled(head.ops, head.err)
	}
	if s.mu.groups = s.mu.groups[n:]; len(s.mu.groups) == 0 {
		s.mu.groups = nil
	}
	if n > 0 {
		s.mu.changed.Broadcast()
	}
}

// Drain flushes and waits until everything that was proposed is settled; what
// waits for room in a queue is not. Error: ErrClosed.
func (s *Session) Drain() error {
	if err := s.Flush(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for !s.mu.aborted && len(s.mu.groups) > 0 {
		s.mu.changed.Wait()
	}
	if s.mu.aborted {
		return ErrClosed
	}
	return nil
}

// Start attaches a subscription to its queue. Between this and Resume the
// client may be told that it is subscribed.
func (s *Session) Start(sub *Subscription) { sub.start() }

// Unsubscribe ends a subscription; what it has not settled goes back to the
// queue. The client must refuse its deliveries before this.
func (s *Session) Unsubscribe(sub *Subscription) {
	sub.stop(unsettled)
	s.subs = slices.DeleteFunc(s.subs, func(x *Subscription) bool { return x == sub })
}

// Abort makes all waits of the session return. Anyone may call it.
func (s *Session) Abort() {
	s.mu.Lock()
	if !s.mu.aborted {
		s.mu.aborted = true
		close(s.aborted)
		s.mu.changed.Broadcast()
	}
	s.mu.Unlock()
	s.parked.mu.Lock() // so that nobody is between looking and waiting
	defer s.parked.mu.Unlock()
	s.parked.changed.Broadcast()
}

// Leave proposes what is left, unless the session is aborted, rolls open
// transactions back and ends the subscriptions. Acks that await their commit
// stay as they are. broken says that the client did not mean to leave: the
// message that each consumer was at may be the reason, and counts as delivered
// in vain.
func (s *Session) Leave(broken bool) error {
	err := s.Flush()
	s.closeTransactions()
	why := unsettled
	if broken {
		why = lost
	}
	for _, sub := range s.subs {
		sub.stop(why)
	}
	s.subs = nil
	return err
}

// Close is Leave, and ends the session when nothing waits for room in a queue
// any more, or by Abort: a client that is gone may count on what it sent.
func (s *Session) Close(broken bool) error {
	err := s.Leave(broken)
	s.awaitParked()
	s.Abort()
	s.closeTemporaries()
	return err
}

func appendUint(dst []byte, n uint64) []byte { return strconv.AppendUint(dst, n, 10) }
