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
	en  *entry
	to  *Subscription
	tag uint64
	at  record.Position // of its record
	msg *record.Message
	how uint32 // redeliveries
}

// runDispatch delivers until there is nothing to deliver or nobody to take it.
// It holds the queue's lock while it chooses, not while it reads or delivers.
func (q *queue) runDispatch() {
	picks := make([]pick, 0, picksMax)
	for {
		q.mu.Lock()
		picks = picks[:0]
		if !q.broken {
			picks = q.choose(picks)
		}
		refill := len(picks) == 0 && q.able > 0 && len(q.ready) == 0 && q.tail <= q.last && !q.broken
		if len(picks) == 0 && !refill {
			q.own()
			q.dispatching = false
			q.mu.Unlock()
			return
		}
		q.mu.Unlock()
		if q.b.closed() {
			return
		}
		var err error
		if refill {
			err = q.refill(q.b.cfg.Window)
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

// choose takes messages from the front and gives them to consumers in turn.
func (q *queue) choose(picks []pick) []pick {
	for len(picks) < picksMax && q.able > 0 {
		en := q.front()
		if en == nil {
			break
		}
		to := q.nextConsumer(en.size)
		if to == nil {
			break
		}
		q.popFront()
		to.lastTag++
		en.state, en.owner, en.tag = stateDelivered, to, to.lastTag
		q.delivered[en.seq] = en
		to.hold(en)
		p := pick{en, to, en.tag, en.at, q.release(en), en.redeliver}
		if p.msg != nil {
			en.id = p.msg.ID
		}
		picks = append(picks, p)
	}
	return picks
}

func (q *queue) front() *entry {
	switch {
	case len(q.returned) > 0:
		return q.returned[0]
	case len(q.ready) > 0:
		return q.ready[0]
	}
	return nil
}

func (q *queue) popFront() {
	list := &q.ready
	if len(q.returned) > 0 {
		list = &q.returned
	}
	(*list)[0] = nil
	if *list = (*list)[1:]; len(*list) == 0 {
		*list = nil
	}
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
			Subscription: p.to, Message: p.msg, Tag: p.tag, Redeliveries: int(p.how), Reserved: p.en.size,
		})
	}
	q.b.delivered.Add(uint64(len(picks)))
	return nil
}

// load reads a pick's message from the log. It is gone if an ack that was in
// doubt has been committed after all, and its place in the log reused. If it
// was moved since it was picked it is read from where the index has it now.
func (q *queue) load(p *pick) (gone bool, err error) {
	var e record.Enqueue
	for at := p.at; ; {
		e, err = q.b.cfg.Messages.Enqueued(at)
		if err == nil && e.Queue != q.name {
			err = fmt.Errorf("broker: the message belongs to queue %q", e.Queue)
		}
		if err == nil {
			break
		}
		err = fmt.Errorf("read message %d at position %d: %w", p.en.seq, at, err)
		found, errScan := q.b.cfg.Index.Scan(q.name, p.en.seq, 1)
		if errScan != nil {
			return false, errors.Join(err, errScan)
		}
		if len(found) == 0 || found[0].Sequence != p.en.seq {
			return true, nil
		}
		if found[0].Position == at {
			return false, err
		}
		at = found[0].Position
	}
	p.msg = &e.Message
	q.mu.Lock()
	defer q.mu.Unlock()
	p.en.id, p.en.timestamp = p.msg.ID, p.msg.Timestamp
	return false, nil
}

// forgo drops a pick whose message is gone.
func (q *queue) forgo(p *pick) {
	p.to.client.Release(p.en.size)
	q.mu.Lock()
	defer q.mu.Unlock()
	q.remove(&q.returned, p.en.seq)
	if q.withdraw(p) {
		delete(q.delivered, p.en.seq)
	}
}

// withdraw takes a pick from its consumer; false if it is not there any more.
func (q *queue) withdraw(p *pick) bool {
	if q.delivered[p.en.seq] != p.en || p.en.owner != p.to || p.en.tag != p.tag || p.en.state != stateDelivered {
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
	q.giveBack(back)
}

// refill reads the next entries of the queue from the index. Only the
// dispatcher calls it.
func (q *queue) refill(limit int) error {
	q.mu.Lock()
	from, last := q.tail, q.last
	q.goneWhileScanning = map[record.Sequence]struct{}{}
	q.mu.Unlock()

	found, err := q.b.cfg.Index.Scan(q.name, from, limit)

	q.mu.Lock()
	defer q.mu.Unlock()
	gone := q.goneWhileScanning
	q.goneWhileScanning = nil
	if err != nil {
		return fmt.Errorf("scan index from sequence %d: %w", from, err)
	}
	for _, f := range found {
		if f.Sequence < q.tail {
			panic(fmt.Sprintf("broker: scan of %q from %d returned %d", q.name, q.tail, f.Sequence))
		}
		q.tail = f.Sequence + 1
		if _, ok := gone[f.Sequence]; !ok {
			q.ready = append(q.ready, &entry{seq: f.Sequence, at: f.Position, size: f.Size, timestamp: f.Timestamp})
		}
	}
	if len(found) < limit {
		q.tail = max(q.tail, last+1)
	}
	return nil
}
