package broker

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"baton/node/broker/policy"
)

// comeback is why a delivered message is in its queue again.
type comeback uint8

const (
	undelivered comeback = iota // it was never handed over
	unsettled                   // its consumer left, or its ack is in doubt
	lost                        // its consumer's connection broke
	refused                     // NACK
)

// giveBack puts delivered entries, in the order of their delivery, back at
// their old places.
//
// A NACK counts as a redelivery. So does a lost connection, but for the first
// of its messages alone: that is the one its consumer was at, which may be what
// broke it. The others, up to a whole prefetch, are not to blame and would
// otherwise be dead after a few reconnects.
func (q *queue) giveBack(entries []*entry, why comeback) {
	sort := false
	for i, en := range entries {
		l := en.lane
		delete(l.delivered, en.seq)
		en.state, en.owner = stateReady, nil
		en.again = en.again || why != undelivered
		if why == refused || why == lost && i == 0 {
			en.count++
			q.counters.Redelivered++
		}
		if c, dead := q.verdict(en, why == refused); dead {
			q.bury(c)
			continue
		}
		if why == refused || why == lost && i == 0 {
			if q.memory == nil {
				q.b.chores.count(en)
			}
			if delay := q.policy.Redelivery.DelayOf(en.count); delay > 0 && why == refused {
				q.delay(en, q.b.cfg.Now().Add(delay))
				continue
			}
		}
		if len(entries) == 1 {
			l.insert(en)
			return
		}
		l.returned = append(l.returned, en)
		sort = true
	}
	for _, l := range q.lanes {
		if sort && !slices.IsSortedFunc(l.returned, bySequence) {
			slices.SortFunc(l.returned, bySequence)
		}
	}
}

func bySequence(x, y *entry) int { return cmp.Compare(x.seq, y.seq) }

// verdict says whether an entry is dead, and why.
func (q *queue) verdict(en *entry, nacked bool) (c corpse, dead bool) {
	if en.deadline == 0 && en.count == 0 {
		return c, false
	}
	switch r := &q.policy.Redelivery; {
	case en.deadline != 0 && q.b.cfg.Now().UnixMilli() >= en.deadline:
		return corpse{en: en, cause: "the message expired", expired: true}, true
	case q.name == q.policy.DeadLetter.Queue: // where should it go?
	case nacked && r.Nack == policy.NackDeadLetter:
		return corpse{en: en, cause: "a consumer refused the message with NACK", expired: false}, true
	case r.Spent(en.count):
		return corpse{en: en, cause: fmt.Sprintf("the message came back %d times; it is delivered again at most %d times", en.count, r.Max), expired: false}, true
	}
	return c, false
}

// bury takes an entry, which is in no list any more, out of delivery for good.
func (q *queue) bury(c corpse) {
	if q.memory != nil {
		q.lose(c.en)
		return
	}
	q.release(c.en)
	c.en.state = stateDead
	c.en.lane.delivered[c.en.seq] = c.en
	q.b.chores.bury(c)
}

// delay keeps an entry out of delivery for a while.
func (q *queue) delay(en *entry, until time.Time) {
	en.state, en.due = stateDelayed, until
	en.lane.delivered[en.seq] = en
	i, _ := slices.BinarySearchFunc(q.delayed, en, func(x, y *entry) int {
		return cmp.Or(x.due.Compare(y.due), cmp.Compare(x.seq, y.seq))
	})
	q.delayed = slices.Insert(q.delayed, i, en)
	if i == 0 {
		q.setTimer()
	}
}

// undelay takes an entry out of the delayed ones.
func (q *queue) undelay(en *entry) {
	q.delayed = slices.DeleteFunc(q.delayed, func(x *entry) bool { return x == en })
}

// setTimer sets the timer for the first delayed entry.
func (q *queue) setTimer() {
	if len(q.delayed) == 0 {
		return
	}
	wait := max(q.delayed[0].due.Sub(q.b.cfg.Now()), 0)
	if q.timer == nil {
		q.timer = time.AfterFunc(wait, q.endDelays)
	} else {
		q.timer.Reset(wait)
	}
}

// endDelays makes deliverable what has waited for long enough.
func (q *queue) endDelays() {
	if q.b.closed() {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	now := q.b.cfg.Now()
	n := 0
	for ; n < len(q.delayed) && !q.delayed[n].due.After(now); n++ {
		en := q.delayed[n]
		delete(en.lane.delivered, en.seq)
		en.state = stateReady
		if c, dead := q.verdict(en, false); dead {
			q.bury(c)
		} else {
			en.lane.insert(en)
		}
	}
	q.delayed = slices.Delete(q.delayed, 0, n)
	q.setTimer()
	q.kick()
}

// stopTimer is for the end of the broker.
func (q *queue) stopTimer() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.timer != nil {
		q.timer.Stop()
	}
}
