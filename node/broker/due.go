package broker

import (
	"fmt"
	"math"
	"sync"
	"time"

	"baton/node/broker/destination"
	"baton/store/record"
)

const (
	dueBatch = 256
	// dueWaitMax bounds how long the clock is trusted: it may be set.
	dueWaitMax = time.Minute
)

// deadlines is what runDue knows of messages with deadlines that came since it
// looked.
type deadlines struct {
	mu       sync.Mutex
	earliest int64 // of those that came and are earlier than until, 0 for none
	until    int64 // it sleeps until then, Unix milliseconds
	wake     chan struct{}
}

func (d *deadlines) init() { d.wake, d.until = make(chan struct{}, 1), math.MaxInt64 }

// note takes note of a message with a deadline.
func (d *deadlines) note(deadline int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if deadline >= d.until || d.earliest != 0 && deadline >= d.earliest {
		return
	}
	d.earliest = deadline
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// awake returns the earliest of those that came. From now on all are noted.
func (d *deadlines) awake() int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	t := d.earliest
	d.earliest, d.until = 0, math.MaxInt64
	return t
}

// sleep is until when runDue has nothing to do if nothing comes. What came
// since awake has left a token in wake.
func (d *deadlines) sleep(until int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.until = until
}

// runDue does what is to be done at the deadlines of messages: it expires those
// of queues, and sends those of the schedule.
func (b *Broker) runDue() {
	var after Due // all up to it is done, or will be when a consumer gives it back
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-b.end:
			return
		case <-timer.C:
		case <-b.deadlines.wake:
		}
		if t := b.deadlines.awake(); t != 0 && t <= after.Deadline {
			after = Due{QueueID: math.MaxUint64, Entry: Entry{Deadline: t - 1}} // it came behind us
		}
		wait, leading := b.doDue(&after)
		if !leading {
			return
		}
		b.deadlines.sleep(b.cfg.Now().Add(wait).UnixMilli())
		timer.Reset(wait)
	}
}

// doDue does what is due behind after, moves after up, and says how long there
// is nothing to do. It is false when this leadership is over.
func (b *Broker) doDue(after *Due) (next time.Duration, leading bool) {
	for {
		now := b.cfg.Now()
		list, err := b.cfg.Index.DueBefore(now.UnixMilli(), *after, dueBatch)
		if err != nil {
			b.fail(fmt.Errorf("read what is due: %w", err))
			return 0, false
		}
		if len(list) > 0 {
			stored, leading := b.do(list, now)
			if !leading {
				return 0, false
			}
			if stored {
				*after = list[len(list)-1]
			}
			continue
		}
		if list, err = b.cfg.Index.DueBefore(math.MaxInt64, *after, 1); err != nil {
			b.fail(fmt.Errorf("read what is due next: %w", err))
			return 0, false
		}
		if len(list) == 0 {
			return dueWaitMax, true
		}
		return min(max(time.UnixMilli(list[0].Deadline).Sub(b.cfg.Now()), time.Millisecond), dueWaitMax), true
	}
}

// do expires or sends messages. It is not stored if it is to be tried again.
func (b *Broker) do(list []Due, now time.Time) (stored, leading bool) {
	var corpses []corpse
	var scheduled []Due
	for _, d := range list {
		if d.Queue == destination.Schedule {
			scheduled = append(scheduled, d)
			continue
		}
		name, priority := destination.SplitLane(d.Queue)
		if q := b.find(name); q != nil {
			if c, ok := q.expire(priority, d.Entry); ok {
				corpses = append(corpses, c)
			}
		}
	}
	if !b.removeDead(corpses) {
		return false, false
	}
	for len(scheduled) > 0 {
		n, stored, leading := b.fire(scheduled, now)
		if !stored || !leading {
			return stored, leading
		}
		scheduled = scheduled[n:]
	}
	return true, true
}

// expire takes a message whose time is up out of delivery. It is false if it is
// with a consumer: what that gives back is looked at again.
func (q *queue) expire(priority uint8, e Entry) (corpse, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	l := q.find(priority)
	if l == nil {
		return corpse{}, false
	}
	en := l.takeOut(e)
	if en == nil {
		return corpse{}, false
	}
	c, dead := q.verdict(en, false)
	if !dead { // the clock was set back
		en.state = stateReady
		if en.seq < l.tail { // else it is found in the index
			l.insert(en)
		}
		return c, false
	}
	q.release(en)
	en.state = stateDead
	l.delivered[en.seq] = en
	return c, true
}

// takeOut removes a message from the lists of those to be delivered, or from
// what is in the index alone. It is nil if the message is not there, or with a
// consumer.
func (l *lane) takeOut(e Entry) *entry {
	if en := l.delivered[e.Sequence]; en != nil {
		if en.state != stateDelayed {
			return nil
		}
		l.q.undelay(en)
		delete(l.delivered, e.Sequence)
		return en
	}
	for _, list := range []*[]*entry{&l.returned, &l.ready} {
		if i, found := search(*list, e.Sequence); found {
			en := (*list)[i]
			l.remove(list, e.Sequence)
			return en
		}
	}
	if e.Sequence < l.tail {
		return nil
	}
	return newEntry(l, e)
}

// noteDeadline takes note of a message that came, if it has a deadline.
func (b *Broker) noteDeadline(e *record.Enqueue) {
	if e != nil && e.Message.Deadline != 0 {
		b.deadlines.note(e.Message.Deadline)
	}
}
