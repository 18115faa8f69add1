package metrics

import (
	"slices"
	"strings"
	"sync"

	"baton/node/adminapi"
)

// QueuesMax is how many queues have series of their own. More than that cost
// every scrape and every store of them too much; the others are summed up.
const QueuesMax = 1000

// The metrics of queues, by the label queue.
var (
	depth        = desc("queue_depth", "Messages stored and not acknowledged.", "queue")
	queueBytes   = desc("queue_bytes", "Bytes stored and not acknowledged.", "queue")
	pending      = desc("queue_pending", "Messages delivered and not settled.", "queue")
	delayed      = desc("queue_delayed", "Messages that came back and wait for their time.", "queue")
	consumers    = desc("queue_consumers", "Subscriptions on the queue.", "queue")
	oldest       = desc("queue_oldest_seconds", "Age of the message at the head.", "queue")
	enqueued     = desc("queue_enqueued_total", "Messages that ever entered the queue.", "queue")
	acked        = desc("queue_acked_total", "Messages that ever left the queue.", "queue")
	duplicates   = desc("queue_duplicates_total", "Messages not taken, for their id was there already.", "queue")
	redelivered  = desc("queue_redelivered_total", "Times that a message came back from a consumer; of this leadership.", "queue")
	expired      = desc("queue_expired_total", "Messages that expired; of this leadership.", "queue")
	deadLettered = desc("queue_dead_lettered_total", "Messages that came back too often or were refused; of this leadership.", "queue")
	discarded    = desc("queue_discarded_total", "Expired and dead messages that no dead-letter queue keeps; of this leadership.", "queue")
	waiting      = desc("queue_waiting", "1 while messages are not delivered, see /v1/queues for why.", "queue")
	blocked      = desc("queue_blocked", "1 while producers of the queue wait, see /v1/queues for why.", "queue")

	queueCount    = desc("queues", "Queues that there are.")
	unlisted      = desc("queues_unlisted", "Queues without series of their own.")
	unlistedDepth = desc("queues_unlisted_depth", "Messages in queues without series of their own.")
	unlistedBytes = desc("queues_unlisted_bytes", "Bytes in queues without series of their own.")
)

// listed remembers which queues have series, so that the series of a queue do
// not come and go with the depth of others.
type listed struct {
	mu    sync.Mutex
	names map[string]bool
}

// pick splits queues into those that have series and the others. A place that
// is free goes to the deepest.
func (l *listed) pick(all []adminapi.Queue) (own, others []adminapi.Queue) {
	l.mu.Lock()
	defer l.mu.Unlock()
	names := make(map[string]bool, min(len(all), QueuesMax))
	for _, q := range all {
		if l.names[q.Name] {
			names[q.Name] = true
			own = append(own, q)
		} else {
			others = append(others, q)
		}
	}
	slices.SortStableFunc(others, func(a, b adminapi.Queue) int {
		switch {
		case a.Depth != b.Depth && a.Depth > b.Depth:
			return -1
		case a.Depth != b.Depth:
			return 1
		}
		return strings.Compare(a.Name, b.Name)
	})
	n := min(QueuesMax-len(own), len(others))
	for _, q := range others[:n] {
		names[q.Name] = true
	}
	l.names = names
	return append(own, others[:n]...), others[n:]
}

func (c collector) queues(gauge func(*description, float64, ...string), count func(*description, uint64, ...string)) {
	all := c.src.Queues()
	own, others := c.listed.pick(all)
	used := make(map[string]bool, len(own))
	for i := range own {
		q := &own[i]
		label := q.Label()
		if used[label] {
			others = append(others, *q) // names that differ in what cannot be shown
			continue
		}
		used[label] = true
		gauge(depth, float64(q.Depth), label)
		gauge(queueBytes, float64(q.Bytes), label)
		gauge(pending, float64(q.Pending), label)
		gauge(delayed, float64(q.Delayed), label)
		gauge(consumers, float64(q.Consumers), label)
		gauge(oldest, float64(q.OldestMS)/1000, label)
		gauge(waiting, flag(q.Waiting != ""), label)
		gauge(blocked, flag(q.Blocked != ""), label)
		count(enqueued, q.Enqueued, label)
		count(acked, q.Acked, label)
		count(duplicates, q.Duplicates, label)
		count(redelivered, q.Redelivered, label)
		count(expired, q.Expired, label)
		count(deadLettered, q.DeadLettered, label)
		count(discarded, q.Discarded, label)
	}
	var restDepth, restBytes uint64
	for _, q := range others {
		restDepth += q.Depth
		restBytes += q.Bytes
	}
	gauge(queueCount, float64(len(all)))
	gauge(unlisted, float64(len(others)))
	gauge(unlistedDepth, float64(restDepth))
	gauge(unlistedBytes, float64(restBytes))
}
