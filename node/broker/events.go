package broker

import (
	"baton/node/broker/destination"
	"baton/store/record"
)

// Duplicate tells that a message was not put into a queue, which was given one
// with the same id before. Its producer is told what every producer is told.
func (b *Broker) Duplicate(name string, e *record.Enqueue) {
	name, _ = destination.SplitLane(name)
	q := b.find(name)
	if q == nil || q.flow.some.Load() == 0 {
		return
	}
	q.flow.Lock()
	defer q.flow.Unlock()
	q.arrived(e.Message.ID) // it never will, and so there is room
	q.roomier()
}

// Redelivered tells how often messages came back by now. This broker said so
// itself; one that begins reads it from the index.
func (b *Broker) Redelivered(name string, messages []record.Redelivered) {}
