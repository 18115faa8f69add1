package broker

import (
	"fmt"
	"slices"

	"baton/store/record"
)

const (
	seekStep      = 128     // messages that a consumer looks at in one go
	seekStepBytes = 1 << 20 // of messages found in one go, but for the first
)

// seeking is where a consumer with a selector has come to in its queue. It looks
// at every message once, in the order of the queue and far beyond the window
// that consumers without selectors share, and takes those that it wants out of
// their turn. What it passes over costs it a reading, and the others nothing.
type seeking struct {
	next map[*lane]record.Sequence // the first one in ready or behind that it has not looked at
	back []*entry                  // came back since; looked at before the others
	// passed says that a message was passed over because of its group.
	passed bool
}

// candidate is a message that a consumer looks at.
type candidate struct {
	en  *entry
	at  record.Position
	msg *record.Message // nil: not read yet
}

// again makes a consumer begin at the front once more.
func (c *Subscription) again() {
	c.seek.next = map[*lane]record.Sequence{}
	c.seek.back, c.seek.passed = nil, false
	for _, l := range c.q.lanes {
		c.seek.back = append(c.seek.back, l.returned...)
	}
}

// cameBack tells the consumers with selectors of an entry that is among the
// returned ones now.
func (l *lane) cameBack(en *entry) {
	for _, c := range l.q.seekers {
		if len(c.seek.back) > 2*len(l.returned)+seekStep {
			c.seek.back = slices.DeleteFunc(c.seek.back, func(x *entry) bool { return !x.waiting() })
		}
		c.seek.back = append(c.seek.back, en)
	}
}

// waiting says whether an entry is among the returned ones.
func (en *entry) waiting() bool {
	i, found := search(en.lane.returned, en.seq)
	return found && en.lane.returned[i] == en
}

// nextSeeker returns a consumer with a selector that has something to look at,
// and can take it if it likes it.
func (q *queue) nextSeeker() *Subscription {
	for range q.seekers {
		q.seekTurn++
		if c := q.seekers[q.seekTurn%len(q.seekers)]; c.able && c.unseen() {
			return c
		}
	}
	return nil
}

// unseen says whether there is a message that a consumer has not looked at.
func (c *Subscription) unseen() bool {
	return len(c.seek.back) > 0 || slices.ContainsFunc(c.q.lanes, func(l *lane) bool {
		from := c.seek.next[l]
		return from <= l.last && l.last > 0 && l.hasSince(from)
	})
}

// hasSince says whether there may be a message from a sequence on that was not
// delivered.
func (l *lane) hasSince(seq record.Sequence) bool {
	return l.tail <= l.last || len(l.ready) > 0 && l.ready[len(l.ready)-1].seq >= seq
}

// look lets a consumer look at its next messages, and gives it those that it
// wants. Only the dispatcher calls it, without the lock.
func (q *queue) look(c *Subscription, picks []pick) ([]pick, error) {
	list, l, next, err := q.candidates(c)
	if err != nil {
		return picks, err
	}
	if l != nil { // taken from the index: nothing else may fill the lane meanwhile
		defer func() {
			q.mu.Lock()
			l.goneWhileScanning = nil
			q.mu.Unlock()
		}()
	}
	var wanted []candidate
	bytes := 0
	for i := range list {
		x := &list[i]
		if bytes > 0 && bytes+x.en.size > seekStepBytes {
			if next == nil { // they came back
				q.postpone(c, list[i:])
			} else {
				next = map[*lane]record.Sequence{x.en.lane: x.en.seq}
			}
			break
		}
		if x.msg == nil {
			e, gone, err := q.read(x.en, x.at)
			if err != nil {
				return picks, err
			}
			if gone {
				continue
			}
			x.msg = &e.Message
		}
		if c.options.Selector.Matches(properties{m: x.msg, redeliveries: x.en.count}) {
			wanted = append(wanted, *x)
			bytes += x.en.size
		}
	}
	return q.claim(c, wanted, next, picks), nil
}

// postpone keeps for later what came back and was not looked at.
func (q *queue) postpone(c *Subscription, list []candidate) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, x := range list {
		if x.en.waiting() {
			c.seek.back = append(c.seek.back, x.en)
		}
	}
}

// candidates returns what a consumer looks at next, and where it goes on after
// that. If they are from the index their lane is returned.
func (q *queue) candidates(c *Subscription) (list []candidate, scanned *lane, next map[*lane]record.Sequence, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if back := c.seek.back; len(back) > 0 {
		n := min(len(back), seekStep)
		for _, en := range back[:n] {
			if en.waiting() {
				list = append(list, candidate{en, en.at, en.msg})
			}
		}
		c.seek.back = back[n:]
		return list, nil, nil, nil
	}
	for _, l := range q.lanes {
		from, last := c.seek.next[l], l.last
		if from > last || last == 0 {
			continue
		}
		if from < l.tail {
			i, _ := search(l.ready, from)
			for _, en := range l.ready[i:min(len(l.ready), i+seekStep)] {
				list = append(list, candidate{en, en.at, en.msg})
			}
			to := l.tail
			if i+seekStep < len(l.ready) {
				to = l.ready[i+seekStep].seq
			}
			if len(list) > 0 || to > last {
				return list, nil, map[*lane]record.Sequence{l: to}, nil
			}
			from = to
		}
		l.goneWhileScanning = map[record.Sequence]struct{}{}
		q.mu.Unlock()
		found, err := q.b.cfg.Index.Scan(l.name, from, seekStep)
		q.mu.Lock()
		if err != nil {
			l.goneWhileScanning = nil
			return nil, nil, nil, fmt.Errorf("scan index from sequence %d: %w", from, err)
		}
		to := last + 1
		for _, f := range found {
			en := newEntry(l, f)
			list = append(list, candidate{en, en.at, nil})
		}
		if len(found) == seekStep {
			to = found[seekStep-1].Sequence + 1
		}
		return list, l, map[*lane]record.Sequence{l: max(to, from)}, nil
	}
	return nil, nil, nil, nil
}

// claim gives a consumer messages that it wants, if they are still there. What
// it cannot take any more it looks at again.
func (q *queue) claim(c *Subscription, wanted []candidate, next map[*lane]record.Sequence, picks []pick) []pick {
	q.mu.Lock()
	defer q.mu.Unlock()
	for l, seq := range next {
		c.seek.next[l] = seq
	}
	for i, x := range wanted {
		en := x.en.lane.current(x.en)
		if en == nil {
			continue
		}
		en.learn(x.msg)
		if owner := q.groups[en.group]; en.group != 0 && owner != nil && owner != c {
			c.seek.passed = true
			continue
		}
		if dead, is := q.verdict(en, false); is {
			if !q.b.chores.full(q) {
				en.lane.takeAway(en)
				q.bury(dead)
			}
			continue
		}
		if !c.able || !q.offer(c, en.size) {
			c.lookAgain(wanted[i:])
			break
		}
		en.lane.takeAway(en)
		first := en.group != 0 && q.groups[en.group] == nil
		if en.group != 0 {
			q.join(en, c)
		}
		picks = append(picks, q.give(en, c, x.msg, first))
	}
	return picks
}

// lookAgain makes a consumer come back to messages that it wants.
func (c *Subscription) lookAgain(wanted []candidate) {
	for _, x := range wanted {
		if x.en.waiting() {
			c.seek.back = append(c.seek.back, x.en)
		} else {
			c.seek.next[x.en.lane] = min(c.seek.next[x.en.lane], x.en.seq)
		}
	}
}

// current returns the entry as it is in the lane: one that was read from the
// index may be in the window now. It is nil if it is not to be delivered.
func (l *lane) current(en *entry) *entry {
	if l.delivered[en.seq] != nil {
		return nil
	}
	for _, list := range [][]*entry{l.returned, l.ready} {
		if i, found := search(list, en.seq); found {
			return list[i]
		}
	}
	if _, gone := l.goneWhileScanning[en.seq]; gone || en.seq < l.tail {
		return nil
	}
	return en
}

// takeAway takes an entry out of the lists of those to be delivered.
func (l *lane) takeAway(en *entry) {
	if !l.removeKept(&l.returned, en.seq) {
		l.removeKept(&l.ready, en.seq)
	}
}

// removeKept is remove for an entry that keeps its message.
func (l *lane) removeKept(list *[]*entry, seq record.Sequence) bool {
	i, found := search(*list, seq)
	if found {
		*list = slices.Delete(*list, i, i+1)
	}
	return found
}
