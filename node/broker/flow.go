package broker

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"baton/store/record"
)

// flow is how a queue with limits slows down those who send to it. What it
// holds is in the index; what was admitted and is not there yet comes on top: it
// is counted until the applier has told of it, or its proposal has failed, so
// that the limit holds at every moment. Its lock comes before the queue's.
//
// The limit is for those who send. Dead letters, what the schedule sends, and
// what an operator moves go into a full queue too, and count there.
type flow struct {
	sync.Mutex
	messages, bytes int64               // admitted
	admitted        map[string]admitted // by the id of the message
	some            atomic.Int64        // how many those are, and who is about to add one
	waiting         map[*Session]struct{}
	why             string // of the last that had to wait
}

// admitted is a message that was let into a queue.
type admitted struct {
	copies int
	bytes  int64 // of each
}

// demand is what a message, or a transaction, needs in a queue with limits.
type demand struct {
	q               *queue
	messages, bytes int64
	each            []admission
}

// admission is one message of a demand.
type admission struct {
	id    string
	bytes int64
}

// merge adds demands to others.
func merge(all, more []demand) []demand {
	for _, d := range more {
		i := slices.IndexFunc(all, func(x demand) bool { return x.q == d.q })
		if i < 0 {
			all = append(all, d)
			continue
		}
		all[i].messages += d.messages
		all[i].bytes += d.bytes
		all[i].each = append(all[i].each, d.each...)
	}
	return all
}

// reserve lets into the queue what is about to be proposed. If there is no room
// for it the session is poked when there may be. Error: ErrFull.
func (d *demand) reserve(s *Session) error {
	q := d.open()
	defer q.flow.Unlock()
	most := &q.policy.Limits
	messages, bytes := q.stored()
	messages, bytes = messages+q.flow.messages, bytes+q.flow.bytes
	why := ""
	switch {
	case messages == 0: // what does not fit into an empty queue never will
	case most.Messages > 0 && messages+d.messages > most.Messages:
		why = fmt.Sprintf("queue %q has %d messages, at most %d", q.name, messages, most.Messages)
	case most.Bytes > 0 && bytes+d.bytes > most.Bytes:
		why = fmt.Sprintf("queue %q has %d bytes, at most %d", q.name, bytes, most.Bytes)
	}
	if why != "" {
		q.flow.some.Add(-d.messages)
		if s != nil {
			if q.flow.waiting == nil {
				q.flow.waiting = map[*Session]struct{}{}
			}
			q.flow.waiting[s], q.flow.why = struct{}{}, why
		}
		return fmt.Errorf("%w: %s", ErrFull, why)
	}
	delete(q.flow.waiting, s)
	q.admit(d)
	return nil
}

// force is reserve for what is let in though there is no room.
func (d *demand) force() {
	q := d.open()
	defer q.flow.Unlock()
	q.admit(d)
}

// open locks the flow of the queue, which is made anew if it was dropped from
// the table since it was looked up. From then on it is not dropped.
func (d *demand) open() *queue {
	for {
		q := d.q
		q.flow.Lock()
		q.flow.some.Add(d.messages)
		q.mu.Lock()
		dead := q.dead
		q.mu.Unlock()
		if !dead {
			return q
		}
		q.flow.some.Add(-d.messages)
		q.flow.Unlock()
		d.q = q.b.findOrAdd(q.name)
	}
}

// admit notes what is on its way. The caller holds the lock of the flow.
func (q *queue) admit(d *demand) {
	if q.flow.admitted == nil {
		q.flow.admitted = map[string]admitted{}
	}
	for _, x := range d.each {
		q.flow.admitted[x.id] = admitted{q.flow.admitted[x.id].copies + 1, x.bytes}
	}
	q.flow.messages += d.messages
	q.flow.bytes += d.bytes
}

// arrived forgets a message that is in the index now, or will never be. The
// caller holds the lock of the flow.
func (q *queue) arrived(id string) {
	a, ok := q.flow.admitted[id]
	if !ok {
		return // it came from before this leadership, or as a second copy of what was forgotten
	}
	if a.copies--; a.copies > 0 {
		q.flow.admitted[id] = a
	} else {
		delete(q.flow.admitted, id)
	}
	q.flow.messages--
	q.flow.bytes -= a.bytes
	q.flow.some.Add(-1)
}

// stored is what the index has of the queue, without the messages of which the
// applier has not told yet: they are among those admitted. Their bytes are in
// both for that moment. The caller holds the lock of the flow.
func (q *queue) stored() (messages, bytes int64) {
	type told struct {
		name string
		last record.Sequence
	}
	q.mu.Lock()
	lanes := make([]told, len(q.lanes))
	for i, l := range q.lanes {
		lanes[i] = told{l.name, l.last}
	}
	q.mu.Unlock()
	for _, l := range lanes {
		info, ok := q.b.cfg.Index.Queue(l.name)
		if !ok {
			continue
		}
		depth := int64(info.Depth)
		untold := max(int64(info.NextSequence)-1-int64(l.last), 0)
		messages += max(depth-untold, 0)
		bytes += int64(info.Bytes)
	}
	return messages, bytes
}

// unreserve gives back what was admitted and is not in the log.
func (d *demand) unreserve() {
	q := d.q
	q.flow.Lock()
	defer q.flow.Unlock()
	for _, x := range d.each {
		q.arrived(x.id)
	}
	q.roomier()
}

// conclude gives back what was admitted for a proposal that failed. After an
// outcome in doubt it is in the log, and arrives if this leadership lasts.
func conclude(demands []demand, err error) {
	if err != nil && !errors.Is(err, ErrNoQuorum) {
		unreserve(demands)
	}
}

// letIn admits a message of the broker's own, whatever the limits of its queue
// say, and adds that to others.
func (b *Broker) letIn(demands []demand, queue string, m *record.Message) []demand {
	if b.cfg.Policies == nil {
		return demands
	}
	q := b.findOrAdd(queue)
	if !q.policy.Limits.Bounded() {
		return demands
	}
	d := demandOf(q, m)
	d.force()
	return append(demands, d)
}

// demandOf is what one message needs.
func demandOf(q *queue, m *record.Message) demand {
	n := int64(recordSize(m))
	return demand{q: q, messages: 1, bytes: n, each: []admission{{m.ID, n}}}
}

// roomier pokes those who wait. The caller holds the lock of the flow.
func (q *queue) roomier() {
	for s := range q.flow.waiting {
		s.parked.poke()
	}
}

// forsake ends a session's waiting.
func (q *queue) forsake(s *Session) {
	q.flow.Lock()
	defer q.flow.Unlock()
	delete(q.flow.waiting, s)
}

// blocked says how many sessions wait for room, and why.
func (q *queue) blocked() (producers int, why string) {
	q.flow.Lock()
	defer q.flow.Unlock()
	if len(q.flow.waiting) == 0 {
		return 0, ""
	}
	return len(q.flow.waiting), q.flow.why
}

// reserve sets room aside for everything, or nothing. Error: ErrFull.
func (s *Session) reserve(demands []demand) error {
	if err := s.b.storage.check(s.b); err != nil {
		return err
	}
	for i := range demands {
		if err := demands[i].reserve(s); err != nil {
			unreserve(demands[:i])
			return err
		}
	}
	return nil
}

// unreserve gives reservations back.
func unreserve(demands []demand) {
	for i := range demands {
		demands[i].unreserve()
	}
}
