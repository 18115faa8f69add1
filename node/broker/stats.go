package broker

import (
	"slices"
	"strings"

	"baton/node/adminapi"
)

// Snapshot returns all queues, sorted by name: counts from the index, pending
// and consumers from here. It reads the index and, for a queue that nobody
// consumes, one entry to know its age.
func (b *Broker) Snapshot() []adminapi.Queue {
	rows := map[string]adminapi.Queue{}
	for _, i := range b.cfg.Index.Queues() {
		rows[i.Name] = adminapi.Queue{Name: i.Name, Depth: i.Depth, Bytes: i.Bytes, Enqueued: i.Enqueued, Acked: i.Acked}
	}
	now := b.cfg.Now().UnixMilli()
	for _, q := range b.sortedQueues() {
		row := rows[q.name]
		row.Name = q.name
		oldest := int64(0)
		row.Pending, row.Consumers, oldest = q.summary()
		if oldest > 0 && row.Depth > 0 {
			row.OldestMS = max(now-oldest, 0)
		}
		rows[q.name] = row
	}
	all := make([]adminapi.Queue, 0, len(rows))
	for _, r := range rows {
		all = append(all, r)
	}
	slices.SortFunc(all, func(x, y adminapi.Queue) int { return strings.Compare(x.Name, y.Name) })
	return all
}

// summary returns the deliveries not yet gone, the consumers, and the
// timestamp of the oldest message, 0 if unknown.
func (q *queue) summary() (pending, consumers int, oldest int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.front() == nil && len(q.delivered) == 0 && q.tail <= q.last && !q.dispatching && !q.broken {
		q.peek()
	}
	first := q.front()
	for _, en := range q.delivered {
		if first == nil || en.seq < first.seq {
			first = en
		}
	}
	if first != nil {
		oldest = first.timestamp
	}
	return len(q.delivered), len(q.consumers), oldest
}

// peek brings the first entry into memory, in the dispatcher's place.
func (q *queue) peek() {
	q.dispatching = true
	q.mu.Unlock()
	err := q.refill(1)
	q.mu.Lock()
	q.dispatching = false
	if err != nil {
		q.broken = true
		q.b.failed(q, err)
	}
	q.kick()
}
