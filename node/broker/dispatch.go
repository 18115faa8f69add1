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
	first bool   // the first of its group for this consumer
}

// runDispatch delivers until there is nothing to deliver or nobody to take it.
// It holds the queue's lock while it chooses, not while it reads or delivers.
func (q *queue) runDispatch() {
	picks := make([]pick, 0, picksMax)
	for {
		q.mu.Lock()
		picks = picks[:0]
		var todo errand
		var seeker *Subscription
		if !q.broken {
			seeker = q.nextSeeker()
			picks, todo = q.choose(picks)
		}
		if len(picks) == 0 && todo.lane == nil && seeker == nil {
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
		err := q.do(picks, todo)
		if err == nil && seeker != nil {
			if picks, err = q.look(seeker, picks[:0]); err == nil {
				err = q.deliver(picks)
			}
		}
		if err != nil {
			q.mu.Lock()
			q.broken = true
			q.mu.Unlock()
			q.b.failed(q, err)
		}
	}
}

// errand is what has to be done before more can be chosen.
type errand struct {
	lane   *lane       // nil: nothing
	unread []candidate // of the lane: have to be read; else the lane has to be refilled
}

// do delivers picks, or if there are none does what has to be done first.
func (q *queue) do(picks []pick, todo errand) error {
	switch {
	case len(picks) > 0:
		return q.deliver(picks)
	case len(todo.unread) > 0:
		return q.readAhead(todo.unread)
	case todo.lane != nil:
		return todo.lane.refill(q.b.cfg.Window)
	}
	return nil
}

// readAhead reads messages that are about to be delivered: which consumer gets
// one may depend on it.
func (q *queue) readAhead(unread []candidate) error {
	for i, x := range unread {
		e, gone, err := q.read(x.en, x.at)
		if err != nil {
			return err
		}
		q.mu.Lock()
		en := x.en.lane.current(x.en)
		switch {
		case en != x.en: // delivered or acknowledged meanwhile
		case gone:
			x.en.lane.takeAway(x.en)
		default:
			en.learn(&e.Message)
			en.id, en.timestamp = e.Message.ID, e.Message.Timestamp
			if en.msg == nil {
				q.cache(en, &e.Message, i == 0)
			}
		}
		q.mu.Unlock()
	}
	return nil
}

// wakeBundles lets other legs have what those of this queue did not take.
func (q *queue) wakeBundles() {
	for _, c := range q.consumers {
		if c.bundle != nil {
			c.bundle.wake()
		}
	}
}

// choose takes messages from the front and gives them to consumers. Those of a
// group whose consumer is busy it passes over. It stops at a lane whose next
// messages are in the index alone: none of a lower lane may overtake them.
func (q *queue) choose(picks []pick) ([]pick, errand) {
	for _, l := range q.lanes {
		for passed := 0; l.hasWork(); {
			if len(picks) == picksMax || q.able == 0 {
				return picks, errand{}
			}
			en := l.entry(passed)
			if en == nil {
				if l.tail <= l.last && len(l.ready) < q.b.cfg.Window {
					return picks, errand{lane: l}
				}
				break // all of the window wait for the consumers of their groups
			}
			if !en.known {
				if en.msg == nil {
					return picks, errand{l, l.unread(passed)}
				}
				en.learn(en.msg)
			}
			if c, dead := q.verdict(en, false); dead {
				if q.b.chores.full(q) {
					return picks, errand{}
				}
				l.takeOff(passed)
				q.bury(c)
				continue
			}
			to, first, how := q.taker(en)
			if how == nobody {
				return picks, errand{}
			}
			if how == blocked {
				passed++
				continue
			}
			l.takeOff(passed)
			picks = append(picks, q.give(en, to, q.release(en), first))
		}
	}
	return picks, errand{}
}

// give notes that a consumer gets an entry, which is in no list any more.
func (q *queue) give(en *entry, to *Subscription, m *record.Message, first bool) pick {
	if m != nil {
		en.id = m.ID
		if en.msg != nil {
			q.release(en)
		}
	}
	to.lastTag++
	en.state, en.owner, en.tag = stateDelivered, to, to.lastTag
	en.lane.delivered[en.seq] = en
	to.hold(en)
	return pick{en: en, to: to, tag: en.tag, at: en.at, msg: m, how: en.count, again: en.again, first: first}
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
			First: p.first, Redelivered: p.again, Redeliveries: int(p.how), Reserved: p.en.size,
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
