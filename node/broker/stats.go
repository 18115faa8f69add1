package broker

import (
	"maps"
	"slices"
	"strings"

	"baton/node/adminapi"
	"baton/node/broker/destination"
)

// Rows returns what the index knows of each queue, without an order. The lanes
// of a queue are one row; what clients cannot name has none, but for durable
// subscriptions.
func Rows(infos []QueueInfo) map[string]adminapi.Queue {
	rows := map[string]adminapi.Queue{}
	for _, i := range infos {
		name, _ := destination.SplitLane(i.Name)
		if name == destination.Schedule {
			continue
		}
		row := rows[name]
		rows[name] = adminapi.Queue{Name: name, Depth: row.Depth + i.Depth, Bytes: row.Bytes + i.Bytes,
			Enqueued: row.Enqueued + i.Enqueued, Acked: row.Acked + i.Acked, Duplicates: row.Duplicates + i.Duplicates}
	}
	return rows
}

// Sorted returns rows by name.
func Sorted(rows map[string]adminapi.Queue) []adminapi.Queue {
	return slices.SortedFunc(maps.Values(rows), func(x, y adminapi.Queue) int { return strings.Compare(x.Name, y.Name) })
}

// Snapshot returns all queues, sorted by name: counts from the index, pending
// and consumers from here. It reads the index and, for a queue that nobody
// consumes, one entry to know its age.
func (b *Broker) Snapshot() []adminapi.Queue {
	rows := Rows(b.cfg.Index.Queues())
	now := b.cfg.Now().UnixMilli()
	for _, q := range b.sortedQueues() {
		row := rows[q.name]
		row.Name = q.name
		oldest := int64(0)
		row.BlockedProducers, row.Blocked = q.blocked()
		oldest = q.summary(&row)
		if oldest > 0 && row.Depth > 0 {
			row.OldestMS = max(now-oldest, 0)
		}
		rows[q.name] = row
	}
	return Sorted(rows)
}

// summary fills in what the queue's memory knows, and returns the timestamp of
// the oldest message, 0 if unknown.
func (q *queue) summary(row *adminapi.Queue) (oldest int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i := 0; i < len(q.lanes); i++ { // peek gives the lock away: there may be more lanes
		l := q.lanes[i]
		if l.front() == nil && len(l.delivered) == 0 && l.tail <= l.last && !q.dispatching && !q.broken {
			q.peek(l)
		}
		for _, en := range l.delivered {
			if en.owner != nil {
				row.Pending++
			}
		}
		if first := l.oldest(); first > 0 && (oldest == 0 || first < oldest) {
			oldest = first
		}
	}
	row.Consumers, row.Delayed = len(q.consumers), len(q.delayed)
	row.Redelivered, row.Expired = q.counters.Redelivered, q.counters.Expired
	row.DeadLettered, row.Discarded = q.counters.DeadLettered, q.counters.Discarded
	return oldest
}

// consumed is the number of the queue's consumers.
func (q *queue) consumed() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.consumers)
}

// oldest is the timestamp of the first message in memory, 0 if there is none.
func (l *lane) oldest() int64 {
	first := l.front()
	for _, en := range l.delivered {
		if first == nil || en.seq < first.seq {
			first = en
		}
	}
	if first == nil {
		return 0
	}
	return first.timestamp
}

// peek brings the first entry of a lane into memory, in the dispatcher's place.
func (q *queue) peek(l *lane) {
	q.dispatching = true
	q.mu.Unlock()
	err := l.refill(1)
	q.mu.Lock()
	q.dispatching = false
	if err != nil {
		q.broken = true
		q.b.failed(q, err)
	}
	q.kick()
}
