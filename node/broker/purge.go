package broker

import (
	"fmt"
	"slices"
	"sync"

	"baton/node/broker/destination"
	"baton/store/record"
)

// purgeStep is how many messages one batch of a purge removes.
const purgeStep = 1024

// purges are queues that are to be emptied and deleted: those of durable
// subscriptions that are no more.
type purges struct {
	mu      sync.Mutex
	waiting []string
	wake    chan struct{} // one token: there is something
}

func (p *purges) add(queue string) {
	p.mu.Lock()
	if !slices.Contains(p.waiting, queue) {
		p.waiting = append(p.waiting, queue)
	}
	p.mu.Unlock()
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

func (p *purges) take() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := p.waiting
	p.waiting = nil
	return all
}

// runPurges empties queues, one after the other.
func (b *Broker) runPurges() {
	for {
		select {
		case <-b.end:
			return
		case <-b.purges.wake:
		}
		for _, name := range b.purges.take() {
			if !b.remove(name) {
				return
			}
		}
	}
}

// remove empties the queue of a durable subscription that is no more, all its
// lanes, and deletes it; of a consumer of a virtual topic whose queue was
// deleted it removes the subscription. It is false when this leadership is over.
func (b *Broker) remove(queue string) bool {
	if !destination.Internal(queue) {
		batch := record.NewBatch(256)
		batch.Add(record.TypeUnsubscribe, record.Unsubscribe{Name: queue}.AppendTo)
		return b.proposeChore(batch, nil) != choreOver
	}
	if q := b.find(queue); q != nil { // a message may come that was on its way
		q.mu.Lock()
		q.orphan = true
		q.mu.Unlock()
	}
	for priority := range uint8(10) {
		name := destination.Lane(queue, priority)
		if _, ok := b.cfg.Index.Queue(name); !ok {
			continue
		}
		for {
			found, err := b.cfg.Index.Scan(name, 1, purgeStep)
			if err != nil {
				b.failure.Do(func() { b.cfg.OnFailure(fmt.Errorf("purge queue %q: %w", name, err)) })
				return false
			}
			batch := record.NewBatch(64 + len(name) + 6*len(found))
			if len(found) == 0 {
				batch.Add(record.TypeDeleteQueue, record.DeleteQueue{Queue: name}.AppendTo)
			} else {
				ack := record.Ack{Queue: name}
				for _, e := range found {
					ack.Sequences = append(ack.Sequences, e.Sequence)
				}
				batch.Add(record.TypeAck, ack.AppendTo)
			}
			outcome := b.proposeChore(batch, nil)
			if outcome == choreOver {
				return false
			}
			if outcome.stored() && len(found) == 0 {
				break
			}
		}
	}
	return true
}

// QueueDeleted tells that a queue, which was empty, is not in the index any
// more.
func (b *Broker) QueueDeleted(name string) {
	name, priority := destination.SplitLane(name)
	q := b.find(name)
	if q == nil {
		return
	}
	q.mu.Lock()
	if l := q.find(priority); l != nil && !q.dispatching && !l.hasWork() && len(l.delivered) == 0 {
		q.lanes = slices.DeleteFunc(q.lanes, func(x *lane) bool { return x == l })
	}
	unused := q.unused()
	q.mu.Unlock()
	if !unused {
		return
	}
	b.forget(q)
	b.topics.RLock()
	virtual := b.topics.durables[durableID{name: name}] != nil
	b.topics.RUnlock()
	if virtual {
		b.purges.add(name)
	}
}
