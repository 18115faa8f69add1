package broker

import (
	"bytes"
	"slices"
	"sync"
	"time"

	"baton/node/broker/policy"
	"baton/store/record"
)

// state of an entry.
type state uint8

const (
	stateReady     state = iota // in ready or returned
	stateDelivered              // with a consumer, which has not settled it
	stateHeld                   // with a consumer, which has settled it in an open transaction
	stateAcking                 // its ack is proposed
	stateDelayed                // came back, and waits until it is delivered again
	stateDead                   // is not delivered any more, and on its way out
)

// entry is one message of a queue that is in memory.
type entry struct {
	lane      *lane
	seq       record.Sequence
	at        record.Position
	size      int
	timestamp int64
	deadline  int64 // Unix milliseconds; 0: never
	state     state
	again     bool            // it was delivered before
	count     uint32          // how often it came back and that counts
	due       time.Time       // when stateDelayed ends
	borrowed  bool            // msg.Body is part of a buffer of the log
	msg       *record.Message // nil: read it from the log
	id        string          // message id, known since the last delivery
	known     bool            // group and closes are
	group     int32           // the bucket of its group, from 1; 0: none
	closes    bool            // it is the last of its group
	owner     *Subscription   // while delivered or acking
	tag       uint64          // of the delivery, rising per owner
}

// is says that an entry is out for delivery, in a state.
func (en *entry) is(s state) bool { return en.state == s && en.lane.delivered[en.seq] == en }

// queue is the memory of one queue: who consumes it, and its messages in lanes.
// All fields below mu are guarded by it, and so are those of its lanes.
type queue struct {
	b      *Broker
	name   string
	policy policy.Policy
	flow   flow
	memory *memory // set if the queue is not in the log

	mu       sync.Mutex
	dead     bool // dropped from the table of queues
	broken   bool // index or log cannot be read
	orphan   bool // of a durable subscription that is no more
	cached   int64
	borrowed int         // entries of ready lists with a borrowed message
	lanes    []*lane     // those in use, the highest priority first
	delayed  []*entry    // by due, of all lanes
	timer    *time.Timer // for the first of them, nil if there was never one
	counters Counters

	consumers   []*Subscription // those of higher priority first
	turn        int             // whose turn it is
	able        int             // consumers that could take a message, but for seekers
	exclusive   *Subscription   // who alone gets messages, or nil
	groups      map[int32]*Subscription
	seekers     []*Subscription // consumers with selectors
	seekTurn    int
	dispatching bool
}

func newQueue(b *Broker, name string, policy policy.Policy) *queue {
	return &queue{b: b, name: name, policy: policy}
}

// lane returns the lane of a priority. One that is new begins as info says.
func (q *queue) lane(priority uint8, info QueueInfo) *lane {
	i := 0
	for ; i < len(q.lanes) && q.lanes[i].priority >= priority; i++ {
		if q.lanes[i].priority == priority {
			return q.lanes[i]
		}
	}
	l := newLane(q, priority, info)
	q.lanes = slices.Insert(q.lanes, i, l)
	return l
}

// find returns the lane of a priority, nil if no message ever had it.
func (q *queue) find(priority uint8) *lane {
	for _, l := range q.lanes {
		if l.priority == priority {
			return l
		}
	}
	return nil
}

// unused says that the queue never had a message, none is on its way to it, and
// nobody is there for it: legs of patterns are for queues that exist.
func (q *queue) unused() bool {
	return q.flow.some.Load() == 0 && !slices.ContainsFunc(q.consumers, func(c *Subscription) bool { return !c.wild }) && !q.dispatching &&
		!slices.ContainsFunc(q.lanes, func(l *lane) bool { return l.last > 0 })
}

// enqueued adds a message. It is false if the queue is dead.
func (q *queue) enqueued(priority uint8, seq record.Sequence, at record.Position, size int, e *record.Enqueue) bool {
	if !q.policy.Limits.Bounded() {
		return q.add(priority, seq, at, size, e)
	}
	q.flow.Lock() // it stops being one that was admitted when it begins to be one of the queue
	defer q.flow.Unlock()
	if !q.add(priority, seq, at, size, e) {
		return false
	}
	if q.flow.some.Load() == 0 {
		return true
	}
	if e == nil {
		found, err := q.b.cfg.Messages.Enqueued(at)
		if err != nil {
			q.b.failed(q, err)
			return true
		}
		e = &found
	}
	q.arrived(e.Message.ID)
	if q.policy.Limits.Bytes > 0 {
		q.roomier()
	}
	return true
}

// add is enqueued without what the limits are about.
func (q *queue) add(priority uint8, seq record.Sequence, at record.Position, size int, e *record.Enqueue) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.dead {
		return false
	}
	// A lane that is not there is one that the index did not have when this
	// broker began.
	l := q.lane(priority, QueueInfo{NextSequence: seq})
	if !l.enqueued(seq, at, size, e) {
		return true
	}
	if q.orphan {
		q.b.purges.add(q.name)
	}
	q.kick()
	if !q.dispatching {
		q.own() // nobody takes it soon
	}
	return true
}

// keep lets an entry hold its message if the budget allows.
func (q *queue) keep(en *entry, m *record.Message) {
	if q.cached+int64(en.size) > q.b.cfg.CacheQueue || q.b.cached.Load()+int64(en.size) > q.b.cfg.CacheBytes {
		return
	}
	en.msg, en.borrowed = m, true
	q.borrowed++
	q.cached += int64(en.size)
	q.b.cached.Add(int64(en.size))
}

// cache lets an entry hold a message that was read, if the budget allows or it
// is about to be delivered.
func (q *queue) cache(en *entry, m *record.Message, now bool) {
	if !now && (q.cached+int64(en.size) > q.b.cfg.CacheQueue || q.b.cached.Load()+int64(en.size) > q.b.cfg.CacheBytes) {
		return
	}
	en.msg = m
	q.cached += int64(en.size)
	q.b.cached.Add(int64(en.size))
}

// release takes the message out of an entry, nil if it has none.
func (q *queue) release(en *entry) *record.Message {
	m := en.msg
	if q.memory != nil {
		return m // it is nowhere else
	}
	if m != nil {
		if en.borrowed {
			q.borrowed--
		}
		en.msg, en.borrowed = nil, false
		q.cached -= int64(en.size)
		q.b.cached.Add(-int64(en.size))
	}
	return m
}

// own copies the bodies that are parts of the log's buffers, so that a small
// message which waits long does not hold a large buffer. They are the newest.
func (q *queue) own() {
	for _, l := range q.lanes {
		for i := len(l.ready) - 1; i >= 0 && q.borrowed > 0; i-- {
			en := l.ready[i]
			if !en.borrowed {
				continue
			}
			q.borrowed--
			m := *en.msg
			m.Body = bytes.Clone(m.Body)
			en.msg, en.borrowed = &m, false
		}
	}
}

// acked removes messages for good.
func (q *queue) acked(priority uint8, seqs []record.Sequence) {
	q.mu.Lock()
	if l := q.find(priority); l != nil {
		l.acked(seqs)
		q.kick()
	}
	q.mu.Unlock()
	if q.policy.Limits.Bounded() {
		q.flow.Lock()
		defer q.flow.Unlock()
		q.roomier()
	}
}

// moved notes where a message is read from now on. Its size stays what was
// reserved for it.
func (q *queue) moved(priority uint8, seq record.Sequence, at record.Position) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if l := q.find(priority); l != nil {
		l.moved(seq, at)
	}
}

// ackFailed gives back those of the entries whose ack is still in doubt.
func (q *queue) ackFailed(entries []*entry) {
	q.mu.Lock()
	defer q.mu.Unlock()
	back := entries[:0]
	for _, en := range entries {
		if en.is(stateAcking) {
			en.owner.acking--
			en.owner.reckon()
			back = append(back, en)
		}
	}
	q.giveBack(back, unsettled)
	q.kick()
}

// top returns the highest lane with a message that was not delivered, nil if
// there is none.
func (q *queue) top() *lane {
	for _, l := range q.lanes {
		if l.hasWork() {
			return l
		}
	}
	return nil
}

// kick starts the dispatcher if there is a message and somebody to take it.
func (q *queue) kick() {
	if q.dispatching || q.broken || (q.able == 0 || q.top() == nil) && (len(q.seekers) == 0 || q.nextSeeker() == nil) {
		return
	}
	q.dispatching = q.b.run(q.runDispatch)
}
