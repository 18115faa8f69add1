package broker

import "baton/store/record"

// Duplicate tells that a message was not put into a queue, which was given one
// with the same id before. Its producer is told what every producer is told.
func (b *Broker) Duplicate(name string, e *record.Enqueue) {}

// Redelivered tells how often messages came back by now. This broker said so
// itself; one that begins reads it from the index.
func (b *Broker) Redelivered(name string, messages []record.Redelivered) {}

// QueueDeleted tells that a queue, which was empty, is not in the index any
// more.
func (b *Broker) QueueDeleted(name string) {}

// Subscribed tells that there is a durable subscription, instead of an earlier
// one of the same client and name. at is the position of its record.
func (b *Broker) Subscribed(at record.Position, s *record.Subscribe) {}

// Unsubscribed tells that a durable subscription is gone.
func (b *Broker) Unsubscribed(clientID, name string) {}
