package broker

import (
	"errors"
	"fmt"

	"baton/store/record"
)

// picksMax bounds how many messages are handed out per hold of a queue's lock.
const picksMax = 64

// pick is a message that was given to a consumer and must now be delivered.
type pick struct {
	en    *entry
	to    *Subscription
	tag   uint64
	at    record.Position // of its record
	msg   *record.Message
	how   uint32 // redeliveries that count
	again bool   // it was delivered before
}

// runDispatch delivers until there is nothing to deliver or nobody to take it.
// It holds the queue's lock while it chooses, not while it reads or delivers.
func (q *queue) runDispatch() {
	picks := make([]pick, 0, picksMax)
	for {
		q.mu.Lock()
		picks = picks[:0]
		var empty *lane
		if !q.broken {
			picks, empty = q.choose(picks)
		}
		if len(picks) == 0 && empty == nil {
			q.own()
			q.dispatching = false
			q.wakeBundles()
			q.mu.Unlock()
			return
		}
		q.mu.Unlock()
		if q.b.closed() {
			return
		}
		var err error
		if len(picks) == 0 {
			err = empty.refill(q.b.cfg.Window)
		} else {
			err = q.deliver(picks)
		}
		if err != nil {
			q.mu.Lock()
			q.broken = true
			q.mu.Unlock()
			q.b.failed(q, err)
		}
	}
}

// wakeBundles lets other legs have what those of this queue did not take.
func (q *queue) wakeBundles() {
	for _, c := range q.consumers {
		if c.bundle != nil {
			c.bundle.wake()
		}
	}
}

// choose takes messages from the front and gives them to consumers in turn. It
// stops at a lane whose next messages are in the index alone: none of a lower
// lane may overtake them.
func (q *queue) choose(picks []pick) ([]pick, *lane) {
	for len(picks) < picksMax && q.able > 0 {
		l := q.top()
		if l == nil {
			break
		}
		en := l.front()
		if en == nil {
			return picks, l
		}
		if c, dead := q.verdict(en, false); dead {
			if q.b.chores.full(q) {
				break
			}
			l.popFront()
			q.bury(c)
			continue
		}
		to := q.nextConsumer(en.size)
		if to == nil {
			break
		}
		l.popFront()
		to.lastTag++
		en.state, en.owner, en.tag = stateDelivered, to, to.lastTag
		l.delivered[en.seq] = en
		to.hold(en)
		p := pick{en, to, en.tag, en.at, q.release(en), en.count, en.again}
		if p.msg != nil {
			en.id = p.msg.ID
		}
		picks = append(picks, p)
	}
	return picks, nil
}

// nextConsumer finds the next one in turn that can take size more bytes.
func (q *queue) nextConsumer(size int) *Subscription {
	for range q.consumers {
		if q.turn >= len(q.consumers) {
			q.turn = 0
		}
		c := q.consumers[q.turn]
		q.turn++
		if !c.able {
			continue
		}
		if c.client.Reserve(c, size) {
			return c
		}
		c.stalled = true
		c.reckon()
	}
	return nil
}

// deliver hands picks to their consumers, reading from the log what is not in
// memory. If that fails, the picks that are left go back.
func (q *queue) deliver(picks []pick) error {
	for i := range picks {
		p := &picks[i]
		if p.msg == nil {
			gone, err := q.load(p)
			if err != nil {
				q.undo(picks[i:])
				return err
			}
			if gone {
				q.forgo(p)
				continue
			}
		}
		p.to.client.Deliver(Delivery{
			Subscription: p.to, Message: p.msg, Destination: p.to.origin, Tag: p.tag,
			Redelivered: p.again, Redeliveries: int(p.how), Reserved: p.en.size,
		})
	}
	q.b.delivered.Add(uint64(len(picks)))
	return nil
}

// load reads a pick's message from the log.
func (q *queue) load(p *pick) (gone bool, err error) {
	e, gone, err := q.read(p.en, p.at)
	if gone || err != nil {
		return gone, err
	}
	p.msg = &e.Message
	q.mu.Lock()
	defer q.mu.Unlock()
	p.en.id, p.en.timestamp = p.msg.ID, p.msg.Timestamp
	return false, nil
}

// read reads an entry's message from the log; see Broker.read.
func (q *queue) read(en *entry, at record.Position) (e record.Enqueue, gone bool, err error) {
	return q.b.read(en.lane.name, en.seq, at)
}

// read reads a message of a queue of the log. It is gone if an ack that was in
// doubt has been committed after all, and its place in the log reused. If it
// was moved it is read from where the index has it now.
func (b *Broker) read(name string, seq record.Sequence, at record.Position) (e record.Enqueue, gone bool, err error) {
	for {
		e, err = b.cfg.Messages.Enqueued(at)
		if err == nil && e.Queue != name {
			err = fmt.Errorf("broker: the message belongs to queue %q, not %q", e.Queue, name)
		}
		if err == nil {
			return e, false, nil
		}
		err = fmt.Errorf("read message %d at position %d: %w", seq, at, err)
		found, errScan := b.cfg.Index.Scan(name, seq, 1)
		if errScan != nil {
			return e, false, errors.Join(err, errScan)
		}
		if len(found) == 0 || found[0].Sequence != seq {
			return e, true, nil
		}
		if found[0].Position == at {
			return e, false, err
		}
		at = found[0].Position
	}
}

// forgo drops a pick whose message is gone.
func (q *queue) forgo(p *pick) {
	p.to.client.Release(p.en.size)
	q.mu.Lock()
	defer q.mu.Unlock()
	l := p.en.lane
	l.remove(&l.returned, p.en.seq)
	if q.withdraw(p) {
		delete(l.delivered, p.en.seq)
	}
}

// withdraw takes a pick from its consumer; false if it is not there any more.
func (q *queue) withdraw(p *pick) bool {
	if !p.en.is(stateDelivered) || p.en.owner != p.to || p.en.tag != p.tag {
		return false
	}
	p.to.drop(p.en)
	p.to.reckon()
	return true
}

// undo takes picks back that could not be delivered.
func (q *queue) undo(picks []pick) {
	q.mu.Lock()
	defer q.mu.Unlock()
	var back []*entry
	for i := range picks {
		picks[i].to.client.Release(picks[i].en.size)
		if q.withdraw(&picks[i]) {
			back = append(back, picks[i].en)
		}
	}
	q.giveBack(back, undelivered)
}
