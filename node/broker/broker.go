package broker

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"baton/node/broker/destination"
	"baton/node/broker/policy"
	"baton/store/record"
)

// Broker serves the clients of a leader. Create it with New when the epoch's
// first record is committed and applied; Close it at demotion.
type Broker struct {
	cfg      Config
	standard policy.Policy // where there are no policies

	queues struct {
		sync.RWMutex
		byName   map[string]*queue
		names    destination.Tree[*queue]  // but for internal ones
		patterns destination.Tree[*bundle] // who wants queues that come later
	}
	topics topics
	purges purges
	life   struct {
		sync.Mutex
		closed bool
		wg     sync.WaitGroup
	}
	end    chan struct{} // closed by Close
	autos  autoAcks
	chores chores

	deadlines deadlines
	gate      gate
	storage   storage

	lastID        atomic.Uint64
	cached        atomic.Int64
	inTransaction atomic.Int64 // bytes held by open transactions
	waiting       atomic.Int64 // bytes that wait for room in queues
	inMemory      atomic.Int64 // bytes of messages that are not in the log
	dropped       atomic.Uint64
	delivered     atomic.Uint64
	subscriptions atomic.Int64
	failure       sync.Once
}

// New returns a broker over the queues of the index. The applier must call
// Enqueued, Acked and Moved for everything that it applies after New began.
func New(cfg Config) (*Broker, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	b := &Broker{cfg: cfg.withDefaults(), standard: policy.Default(), end: make(chan struct{})}
	b.queues.byName = map[string]*queue{}
	b.topics.init()
	b.purges.wake = make(chan struct{}, 1)
	b.loadDurables()
	b.autos.init()
	b.chores.init()
	b.deadlines.init()
	b.gate.init()
	for _, info := range b.cfg.Index.Queues() {
		if info.Name == destination.Schedule {
			continue
		}
		name, priority := destination.SplitLane(info.Name)
		b.findOrAdd(name).lane(priority, info)
	}
	b.run(b.runAcks)
	b.run(b.runChores)
	b.run(b.runPurges)
	b.run(b.runDue)
	return b, nil
}

// Close ends the goroutines of the broker and waits for them. Callbacks of
// proposals may still arrive and are ignored. The clients' connections are the
// server's to close, before this.
func (b *Broker) Close() {
	b.life.Lock()
	if !b.life.closed {
		close(b.end)
	}
	b.life.closed = true
	b.life.Unlock()
	b.life.wg.Wait()
	for _, q := range b.sortedQueues() {
		q.stopTimer()
	}
}

// run starts a goroutine that Close waits for; false if the broker is closed.
func (b *Broker) run(f func()) bool {
	b.life.Lock()
	defer b.life.Unlock()
	if b.life.closed {
		return false
	}
	b.life.wg.Go(f)
	return true
}

func (b *Broker) closed() bool {
	b.life.Lock()
	defer b.life.Unlock()
	return b.life.closed
}

// Enqueued tells that a message is committed and in the index. The applier
// calls it in log order. e may be nil; if it is not, the broker keeps it, reads
// it later, and does not change it.
func (b *Broker) Enqueued(name string, seq record.Sequence, at record.Position, size int, e *record.Enqueue) {
	b.noteDeadline(e)
	if name == destination.Schedule {
		return // nobody consumes it
	}
	name, priority := destination.SplitLane(name)
	for !b.findOrAdd(name).enqueued(priority, seq, at, size, e) {
	}
}

// Acked tells that the removal of messages is committed and in the index. The
// applier calls it in log order. Sequences that are gone already are ignored.
func (b *Broker) Acked(name string, seqs []record.Sequence) {
	name, priority := destination.SplitLane(name)
	if q := b.find(name); q != nil {
		q.acked(priority, seqs)
	}
}

// Moved tells that the record of a message is at another position of the log
// now, and in the index. The old one may soon be gone.
func (b *Broker) Moved(name string, seq record.Sequence, at record.Position, size int) {
	name, priority := destination.SplitLane(name)
	if q := b.find(name); q != nil {
		q.moved(priority, seq, at)
	}
}

func (b *Broker) find(name string) *queue {
	b.queues.RLock()
	defer b.queues.RUnlock()
	return b.queues.byName[name]
}

func (b *Broker) findOrAdd(name string) *queue {
	if q := b.find(name); q != nil {
		return q
	}
	b.queues.Lock()
	defer b.queues.Unlock()
	return b.addLocked(name)
}

// addLocked is findOrAdd for a caller that holds Broker.queues.
func (b *Broker) addLocked(name string) *queue {
	q := b.queues.byName[name]
	if q != nil {
		return q
	}
	q = newQueue(b, name, b.policyOf(name))
	b.queues.byName[name] = q
	if _, orphan := b.durableOf(name); orphan {
		b.purges.add(name)
	}
	if !destination.Internal(name) {
		b.queues.names.Add(name, q)
		for n := range b.queues.patterns.StandingFor(name) {
			n.add(q, legPart{destination.Destination{Kind: destination.Queue, Pattern: true}, place{filters: true}})
		}
	}
	return q
}

// forget drops a queue that never had a message and has no consumers any more.
func (b *Broker) forget(q *queue) {
	b.queues.Lock()
	defer b.queues.Unlock()
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.unused() && !q.dead {
		q.dead = true
		for _, leg := range q.consumers {
			leg.attached = false
			leg.reckon()
			b.subscriptions.Add(-1)
			leg.bundle.removed(q, leg.lastTag)
		}
		delete(b.queues.byName, q.name)
		b.queues.names.Remove(q.name, q)
	}
}

func (b *Broker) nextID(scratch []byte) string {
	scratch = append(scratch[:0], b.cfg.IDPrefix...)
	scratch = appendUint(scratch, b.lastID.Add(1))
	return string(scratch)
}

func (b *Broker) failed(q *queue, err error) {
	b.fail(fmt.Errorf("dispatch queue %q: %w", q.name, err))
}

func (b *Broker) fail(err error) { b.failure.Do(func() { b.cfg.OnFailure(err) }) }

// Counters of a queue, since this leadership began.
type Counters struct {
	Redelivered  uint64 // deliveries that came back and that counted
	Expired      uint64
	DeadLettered uint64 // came back too often, or were refused for good
	Discarded    uint64 // of the two before, those that no dead-letter queue keeps
}

// Stats are counters of a broker's life.
type Stats struct {
	Delivered     uint64
	Subscriptions int
	CachedBytes   int64  // of bodies that wait for delivery
	MemoryBytes   int64  // of messages that are not in the log: of topics and temporary queues
	Dropped       uint64 // messages that a subscriber of a topic did not take in time

	ProposalBytes    int64  // of proposals that await their commit
	BlockedProposals int    // sessions that wait until there are fewer
	TransactionBytes int64  // in open transactions
	WaitingBytes     int64  // of what waits for room in queues
	StoreFull        string // why producers wait for room in the store; "" = none does
}

// Stats returns the counters.
func (b *Broker) Stats() Stats {
	used, waiting := b.gate.level()
	b.storage.Lock()
	full := b.storage.why
	b.storage.Unlock()
	return Stats{
		ProposalBytes: used, BlockedProposals: waiting, TransactionBytes: b.inTransaction.Load(), StoreFull: full,
		WaitingBytes:  b.waiting.Load(),
		Delivered:     b.delivered.Load(),
		Subscriptions: int(b.subscriptions.Load()),
		CachedBytes:   b.cached.Load(),
		MemoryBytes:   b.inMemory.Load(),
		Dropped:       b.dropped.Load(),
	}
}

func (b *Broker) sortedQueues() []*queue {
	b.queues.RLock()
	defer b.queues.RUnlock()
	all := make([]*queue, 0, len(b.queues.byName))
	for _, q := range b.queues.byName {
		all = append(all, q)
	}
	slices.SortFunc(all, func(x, y *queue) int {
		if x.name < y.name {
			return -1
		}
		return 1
	})
	return all
}
