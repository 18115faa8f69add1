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
	cfg Config

	queues struct {
		sync.RWMutex
		byName map[string]*queue
	}
	life struct {
		sync.Mutex
		closed bool
		wg     sync.WaitGroup
	}
	end    chan struct{} // closed by Close
	autos  autoAcks
	chores chores

	deadlines deadlines

	lastID        atomic.Uint64
	cached        atomic.Int64
	inTransaction atomic.Int64 // bytes held by open transactions
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
	b := &Broker{cfg: cfg.withDefaults(), end: make(chan struct{})}
	b.queues.byName = map[string]*queue{}
	b.autos.init()
	b.chores.init()
	b.deadlines.init()
	for _, info := range b.cfg.Index.Queues() {
		if info.Name == destination.Schedule {
			continue
		}
		name, priority := destination.SplitLane(info.Name)
		b.findOrAdd(name).lane(priority, info)
	}
	b.run(b.runAcks)
	b.run(b.runChores)
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

// policyOf returns the policy of a queue, whether it is there or not.
func (b *Broker) policyOf(name string) *policy.Policy {
	if q := b.find(name); q != nil {
		return &q.policy
	}
	p := b.cfg.Policies.Of(destination.Queue, name)
	return &p
}

func (b *Broker) findOrAdd(name string) *queue {
	if q := b.find(name); q != nil {
		return q
	}
	b.queues.Lock()
	defer b.queues.Unlock()
	q := b.queues.byName[name]
	if q == nil {
		q = newQueue(b, name)
		b.queues.byName[name] = q
	}
	return q
}

// forget drops a queue that never had a message and has no consumers any more.
func (b *Broker) forget(q *queue) {
	b.queues.Lock()
	defer b.queues.Unlock()
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.unused() && !q.dispatching {
		q.dead = true
		delete(b.queues.byName, q.name)
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
	CachedBytes   int64 // of bodies that wait for delivery
}

// Stats returns the counters.
func (b *Broker) Stats() Stats {
	return Stats{
		Delivered:     b.delivered.Load(),
		Subscriptions: int(b.subscriptions.Load()),
		CachedBytes:   b.cached.Load(),
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
