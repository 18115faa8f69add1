package broker

import (
	"bytes"
	"slices"
	"sync"

	"baton/store/record"
)

// state of an entry.
type state uint8

const (
	stateReady     state = iota // in ready or returned
	stateDelivered              // with a consumer, which has not settled it
	stateHeld                   // with a consumer, which has settled it in an open transaction
	stateAcking                 // its ack is proposed
)

// entry is one message of a queue that is in memory.
type entry struct {
	seq       record.Sequence
	at        record.Position
	size      int
	timestamp int64
	state     state
	redeliver uint32          // how often it came back
	borrowed  bool            // msg.Body is part of a buffer of the log
	msg       *record.Message // nil: read it from the log
	id        string          // message id, known since the last delivery
	owner     *Subscription   // while delivered or acking
	tag       uint64          // of the delivery, rising per owner
}

// queue is the memory of one queue. All fields below mu are guarded by it.
type queue struct {
	b    *Broker
	name string

	mu        sync.Mutex
	dead      bool // dropped from the table of queues
	broken    bool // index or log cannot be read
	ready     []*entry
	returned  []*entry // sorted by sequence; all before ready
	delivered map[record.Sequence]*entry
	tail      record.Sequence // the first one behind ready
	last      record.Sequence // the newest in the index, 0 if there was never one
	cached    int64
	borrowed  int // entries of ready with a borrowed message

	consumers   []*Subscription
	turn        int // whose turn it is
	able        int // consumers that could take a message
	dispatching bool

	// goneWhileScanning collects what is acked behind tail while a Scan runs,
	// which may still return it. nil if none runs.
	goneWhileScanning map[record.Sequence]struct{}
}

func newQueue(b *Broker, info QueueInfo) *queue {
	q := &queue{b: b, name: info.Name, delivered: map[record.Sequence]*entry{}}
	next := max(info.NextSequence, 1)
	q.tail, q.last = next, next-1
	if info.Depth > 0 {
		q.tail = max(info.FirstSequence, 1)
	}
	return q
}

// enqueued adds a message. It is false if the queue is dead.
func (q *queue) enqueued(seq record.Sequence, at record.Position, size int, e *record.Enqueue) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.dead {
		return false
	}
	if seq <= q.last {
		return true // the index had it already when this broker began
	}
	q.last = seq
	if seq == q.tail && q.goneWhileScanning == nil && len(q.ready) < q.b.cfg.Window {
		en := &entry{seq: seq, at: at, size: size}
		if e != nil {
			en.timestamp = e.Message.Timestamp
			q.keep(en, &e.Message)
		}
		q.ready = append(q.ready, en)
		q.tail = seq + 1
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

// release takes the message out of an entry, nil if it has none.
func (q *queue) release(en *entry) *record.Message {
	m := en.msg
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
	for i := len(q.ready) - 1; i >= 0 && q.borrowed > 0; i-- {
		en := q.ready[i]
		if !en.borrowed {
			continue
		}
		q.borrowed--
		m := *en.msg
		m.Body = bytes.Clone(m.Body)
		en.msg, en.borrowed = &m, false
	}
}

// acked removes messages for good.
func (q *queue) acked(seqs []record.Sequence) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, seq := range seqs {
		if en := q.delivered[seq]; en != nil {
			switch en.state { // but for acking, by an ack whose outcome was in doubt
			case stateDelivered:
				en.owner.drop(en)
			case stateAcking:
				en.owner.acking--
			}
			en.owner.reckon()
			delete(q.delivered, seq)
			continue
		}
		if q.remove(&q.returned, seq) || q.remove(&q.ready, seq) {
			continue
		}
		if q.goneWhileScanning != nil && seq >= q.tail {
			q.goneWhileScanning[seq] = struct{}{}
		}
	}
	q.kick()
}

// moved notes where a message is read from now on. Its size stays what was
// reserved for it.
func (q *queue) moved(seq record.Sequence, at record.Position) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if en := q.delivered[seq]; en != nil {
		en.at = at
		return
	}
	for _, list := range [][]*entry{q.returned, q.ready} {
		if i, found := search(list, seq); found {
			list[i].at = at
			return
		}
	}
}

func (q *queue) remove(list *[]*entry, seq record.Sequence) bool {
	i, found := search(*list, seq)
	if found {
		q.release((*list)[i])
		*list = slices.Delete(*list, i, i+1)
	}
	return found
}

func search(list []*entry, seq record.Sequence) (int, bool) {
	return slices.BinarySearchFunc(list, seq, func(en *entry, s record.Sequence) int {
		switch {
		case en.seq < s:
			return -1
		case en.seq > s:
			return 1
		}
		return 0
	})
}

// giveBack puts delivered entries back at their old place, to be redelivered.
func (q *queue) giveBack(entries []*entry) {
	if len(entries) == 0 {
		return
	}
	for _, en := range entries {
		delete(q.delivered, en.seq)
		en.state, en.owner = stateReady, nil
		en.redeliver++
	}
	if len(entries) == 1 {
		i, _ := search(q.returned, entries[0].seq)
		q.returned = slices.Insert(q.returned, i, entries[0])
		return
	}
	q.returned = append(q.returned, entries...)
	slices.SortFunc(q.returned, func(x, y *entry) int {
		if x.seq < y.seq {
			return -1
		}
		return 1
	})
}

// ackFailed gives back those of the entries whose ack is still in doubt.
func (q *queue) ackFailed(entries []*entry) {
	q.mu.Lock()
	defer q.mu.Unlock()
	back := entries[:0]
	for _, en := range entries {
		if en.state == stateAcking && q.delivered[en.seq] == en {
			en.owner.acking--
			en.owner.reckon()
			back = append(back, en)
		}
	}
	q.giveBack(back)
	q.kick()
}

// hasWork says whether there is a message that was not delivered.
func (q *queue) hasWork() bool {
	return len(q.returned) > 0 || len(q.ready) > 0 || q.tail <= q.last
}

// kick starts the dispatcher if there is a message and somebody to take it.
func (q *queue) kick() {
	if q.dispatching || q.able == 0 || q.broken || !q.hasWork() {
		return
	}
	q.dispatching = q.b.run(q.runDispatch)
}
