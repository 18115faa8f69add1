package broker

import (
	"slices"

	"baton/node/broker/destination"
	"baton/store/record"
)

// Duplicate tells that a message was not put into a queue, which was given one
// with the same id before. Its producer is told what every producer is told.
func (b *Broker) Duplicate(name string, e *record.Enqueue) {}

// Redelivered tells how often messages came back by now. This broker said so
// itself; one that begins reads it from the index.
func (b *Broker) Redelivered(name string, messages []record.Redelivered) {}

// QueueDeleted tells that a queue, which was empty, is not in the index any
// more.
func (b *Broker) QueueDeleted(name string) {
	base, priority := destination.SplitLane(name)
	b.queues.Lock()
	defer b.queues.Unlock()
	q := b.queues.byName[base]
	if q == nil {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.dispatching {
		return // the dispatcher holds lanes; an empty one does no harm
	}
	if q.dropLane(priority) && len(q.consumers) == 0 {
		q.dead = true
		delete(b.queues.byName, base)
	}
}

// dropLane forgets a lane that is gone from the index. It is true if none is
// left.
func (q *queue) dropLane(priority uint8) bool {
	q.lanes = slices.DeleteFunc(q.lanes, func(l *lane) bool {
		return l.priority == priority && !l.hasWork() && len(l.delivered) == 0 && l.goneWhileScanning == nil
	})
	return len(q.lanes) == 0
}

// Subscribed tells that there is a durable subscription, instead of an earlier
// one of the same client and name. at is the position of its record.
func (b *Broker) Subscribed(at record.Position, s *record.Subscribe) {}

// Unsubscribed tells that a durable subscription is gone.
func (b *Broker) Unsubscribed(clientID, name string) {}
