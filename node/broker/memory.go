package broker

import (
	"sync/atomic"

	"baton/node/broker/policy"
	"baton/store/record"
)

// memory makes a queue one that is not in the log: the messages of a
// temporary destination, or of one subscriber of a topic. They are gone with
// the leadership. Guarded by the queue's lock, but for the counters.
type memory struct {
	countMax int // messages that wait for delivery
	bytesMax int // of all its messages
	bytes    int

	// room is what senders have set aside, of a queue that refuses rather than
	// drops: a temporary one. It counts what is in bytes, too.
	room atomic.Int64
}

// messageSize is what a message in memory counts.
func messageSize(m *record.Message) int {
	size := 256 + len(m.Body)
	for i := range m.Headers {
		size += len(m.Headers[i].Name) + len(m.Headers[i].Value) + 32
	}
	return size
}

// put adds a message to a queue in memory and returns how many it dropped for
// it, the oldest ones. m is kept and must not change any more.
func (q *queue) put(m *record.Message, size int) (dropped int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.dead {
		return 0
	}
	l := q.lane(m.Priority, QueueInfo{NextSequence: 1})
	l.last++
	l.tail = l.last + 1
	l.ready = append(l.ready, &entry{lane: l, seq: l.last, size: size, timestamp: m.Timestamp, deadline: m.Deadline, msg: m, id: m.ID})
	q.account(size)
	for q.overfull() && q.dropOldest() {
		dropped++
	}
	q.kick()
	return dropped
}

func (q *queue) account(n int) {
	q.memory.bytes += n
	q.memory.room.Add(int64(n))
	q.b.inMemory.Add(int64(n))
}

// overfull says that there are more messages than may wait. Those that a
// consumer has asked for do not count: they are on their way.
func (q *queue) overfull() bool {
	waiting := 0
	for _, l := range q.lanes {
		waiting += len(l.ready)
	}
	for _, c := range q.consumers {
		waiting -= max(c.prefetch-c.live, 0)
	}
	return waiting > q.memory.countMax || q.memory.bytes > q.memory.bytesMax || q.b.inMemory.Load() > q.b.cfg.MemoryBytes
}

// dropOldest drops the first message of the lowest lane, of those that were
// never delivered.
func (q *queue) dropOldest() bool {
	for i := len(q.lanes) - 1; i >= 0; i-- {
		l := q.lanes[i]
		if len(l.ready) == 0 {
			continue
		}
		q.account(-l.ready[0].size)
		l.ready[0] = nil
		l.ready = l.ready[1:]
		return true
	}
	return false
}

// settled removes entries for good whose ack is done: in memory that is so at
// once.
func (q *queue) settled(entries []*entry) {
	for _, en := range entries {
		if en.is(stateAcking) {
			en.owner.acking--
			en.owner.reckon()
			delete(en.lane.delivered, en.seq)
			q.account(-en.size)
		}
	}
}

// lose drops an entry that is in no list any more.
func (q *queue) lose(en *entry) {
	en.state = stateDead
	q.account(-en.size)
	q.b.dropped.Add(1)
}

// discard ends a queue in memory.
func (q *queue) discard() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.dead {
		return
	}
	q.dead = true
	q.delayed = nil
	if q.timer != nil {
		q.timer.Stop()
	}
	q.account(-q.memory.bytes)
	for _, l := range q.lanes {
		l.ready, l.returned = nil, nil
		clear(l.delivered)
	}
}

// newMemoryQueue returns a queue that is in no table.
func (b *Broker) newMemoryQueue(name string, policy policy.Policy, countMax, bytesMax int) *queue {
	q := newQueue(b, name, policy)
	q.memory = &memory{countMax: countMax, bytesMax: bytesMax}
	return q
}
