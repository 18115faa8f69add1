package broker

import (
	"cmp"
	"fmt"
	"slices"

	"baton/node/broker/destination"
	"baton/store/record"
)

// lane is the messages of one priority of a queue, which are a queue of their
// own in the log and the index. Within a lane the order is the log's. Everything
// in it is guarded by the queue's lock.
type lane struct {
	q        *queue
	name     string // of its queue in the log
	priority uint8

	ready     []*entry
	returned  []*entry // sorted by sequence; all before ready
	delivered map[record.Sequence]*entry
	tail      record.Sequence // the first one behind ready
	last      record.Sequence // the newest in the index, 0 if there was never one

	// goneWhileScanning collects what is acked behind tail while a Scan runs,
	// which may still return it. nil if none runs.
	goneWhileScanning map[record.Sequence]struct{}
}

func newLane(q *queue, priority uint8, info QueueInfo) *lane {
	l := &lane{q: q, name: destination.Lane(q.name, priority), priority: priority, delivered: map[record.Sequence]*entry{}}
	next := max(info.NextSequence, 1)
	l.tail, l.last = next, next-1
	if info.Depth > 0 {
		l.tail = max(info.FirstSequence, 1)
	}
	return l
}

// hasWork says whether there is a message that was not delivered.
func (l *lane) hasWork() bool {
	return len(l.returned) > 0 || len(l.ready) > 0 || l.tail <= l.last
}

// front returns the oldest entry in memory, nil if they are in the index alone.
func (l *lane) front() *entry {
	switch {
	case len(l.returned) > 0:
		return l.returned[0]
	case len(l.ready) > 0:
		return l.ready[0]
	}
	return nil
}

// entry returns the i-th entry in memory, nil if there are fewer.
func (l *lane) entry(i int) *entry {
	if i < len(l.returned) {
		return l.returned[i]
	}
	if i -= len(l.returned); i < len(l.ready) {
		return l.ready[i]
	}
	return nil
}

// takeOff removes the i-th entry in memory.
func (l *lane) takeOff(i int) {
	list := &l.returned
	if i >= len(l.returned) {
		list, i = &l.ready, i-len(l.returned)
	}
	if i > 0 {
		*list = slices.Delete(*list, i, i+1)
		return
	}
	(*list)[0] = nil
	if *list = (*list)[1:]; len(*list) == 0 {
		*list = nil
	}
}

// unread returns the entries from the i-th on whose messages have to be read,
// as many as may be delivered at once.
func (l *lane) unread(i int) []candidate {
	room := 0
	for _, c := range l.q.consumers {
		if c.able {
			room += c.prefetch - c.live
		}
	}
	var list []candidate
	for ; len(list) < min(room, picksMax); i++ {
		en := l.entry(i)
		if en == nil || en.known || en.msg != nil {
			break
		}
		list = append(list, candidate{en: en, at: en.at})
	}
	return list
}

// enqueued adds a message. It is false if the lane has it already.
func (l *lane) enqueued(seq record.Sequence, at record.Position, size int, e *record.Enqueue) bool {
	if seq <= l.last {
		return false // the index had it already when this broker began
	}
	l.last = seq
	if seq == l.tail && l.goneWhileScanning == nil && len(l.ready) < l.q.b.cfg.Window {
		en := &entry{lane: l, seq: seq, at: at, size: size}
		if e != nil {
			en.timestamp, en.deadline = e.Message.Timestamp, e.Message.Deadline
			en.count, en.again = e.Message.Redeliveries, e.Message.Redeliveries > 0
			l.q.keep(en, &e.Message)
		}
		l.ready = append(l.ready, en)
		l.tail = seq + 1
	}
	return true
}

// acked removes messages for good.
func (l *lane) acked(seqs []record.Sequence) {
	for _, seq := range seqs {
		if l.goneWhileScanning != nil && seq >= l.tail {
			l.goneWhileScanning[seq] = struct{}{}
		}
		if en := l.delivered[seq]; en != nil {
			switch en.state { // but for acking, by an ack whose outcome was in doubt
			case stateDelivered:
				en.owner.drop(en)
			case stateAcking:
				en.owner.acking--
			case stateDelayed:
				l.q.undelay(en)
			}
			if en.owner != nil {
				en.owner.reckon()
			}
			delete(l.delivered, seq)
			continue
		}
		if !l.remove(&l.returned, seq) {
			l.remove(&l.ready, seq)
		}
	}
}

func (l *lane) moved(seq record.Sequence, at record.Position) {
	if en := l.delivered[seq]; en != nil {
		en.at = at
		return
	}
	for _, list := range [][]*entry{l.returned, l.ready} {
		if i, found := search(list, seq); found {
			list[i].at = at
			return
		}
	}
}

// insert puts one entry at its place among the returned ones.
func (l *lane) insert(en *entry) {
	i, _ := search(l.returned, en.seq)
	l.returned = slices.Insert(l.returned, i, en)
	l.cameBack(en)
}

func (l *lane) remove(list *[]*entry, seq record.Sequence) bool {
	i, found := search(*list, seq)
	if found {
		l.q.release((*list)[i])
		*list = slices.Delete(*list, i, i+1)
	}
	return found
}

func search(list []*entry, seq record.Sequence) (int, bool) {
	return slices.BinarySearchFunc(list, seq, func(en *entry, s record.Sequence) int { return cmp.Compare(en.seq, s) })
}

// newEntry is an entry as the index has it.
func newEntry(l *lane, f Entry) *entry {
	return &entry{lane: l, seq: f.Sequence, at: f.Position, size: f.Size, timestamp: f.Timestamp,
		deadline: f.Deadline, count: f.Redeliveries, again: f.Redeliveries > 0}
}

// refill reads the next entries of the lane from the index, up to limit in the
// window. Only the
// dispatcher of the queue calls it, without the lock.
func (l *lane) refill(limit int) error {
	q := l.q
	q.mu.Lock()
	from, last := l.tail, l.last
	limit = max(limit-len(l.ready), 1)
	l.goneWhileScanning = map[record.Sequence]struct{}{}
	q.mu.Unlock()

	found, err := q.b.cfg.Index.Scan(l.name, from, limit)

	q.mu.Lock()
	defer q.mu.Unlock()
	gone := l.goneWhileScanning
	l.goneWhileScanning = nil
	if err != nil {
		return fmt.Errorf("scan index from sequence %d: %w", from, err)
	}
	for _, f := range found {
		if f.Sequence < l.tail {
			panic(fmt.Sprintf("broker: scan of %q from %d returned %d", l.name, l.tail, f.Sequence))
		}
		l.tail = f.Sequence + 1
		_, back := search(l.returned, f.Sequence)
		if _, ok := gone[f.Sequence]; !ok && !back && l.delivered[f.Sequence] == nil {
			l.ready = append(l.ready, newEntry(l, f))
		}
	}
	if len(found) < limit {
		l.tail = max(l.tail, last+1)
	}
	return nil
}
