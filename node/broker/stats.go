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
		row.Name = name
		row.ClientID, row.Subscription, _, _ = destination.SplitDurable(name)
		row.Depth += i.Depth
		row.Bytes += i.Bytes
		row.Enqueued += i.Enqueued
		row.Acked += i.Acked
		row.Duplicates += i.Duplicates
		rows[name] = row
	}
	return rows
}

// Sorted returns rows by name.
func Sorted(rows map[string]adminapi.Queue) []adminapi.Queue {
	return slices.SortedFunc(maps.Values(rows), func(x, y adminapi.Queue) int { return strings.Compare(x.Name, y.Name) })
}

// Snapshot returns all queues, sorted by name: counts from the index, the rest
// from here. It reads the index and, for a queue that nobody consumes, one entry
// to know its age.
func (b *Broker) Snapshot() []adminapi.Queue {
	rows := Rows(b.cfg.Index.Queues())
	now := b.cfg.Now().UnixMilli()
	for _, q := range b.sortedQueues() {
		row := rows[q.name]
		row.Name = q.name
		row.BlockedProducers, row.Blocked = q.blocked()
		if oldest := q.summary(&row); oldest > 0 && row.Depth > 0 {
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
	work := false
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
		work = work || l.hasWork()
	}
	row.Consumers, row.Delayed = len(q.consumers), len(q.delayed)
	c := q.counters
	row.Redelivered, row.Expired, row.DeadLettered, row.Discarded = c.Redelivered, c.Expired, c.DeadLettered, c.Discarded
	row.Waiting = q.waiting(work)
	return oldest
}

// waiting says why messages are not delivered. work: there are some that could.
func (q *queue) waiting(work bool) string {
	switch {
	case q.broken:
		return "the index or the log cannot be read"
	case !work:
		return ""
	case len(q.consumers) == 0:
		return "no consumer"
	case q.able == 0:
		return "no consumer can take more now: each has as many messages as it takes before it acknowledges some, or does not read"
	}
	return ""
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
