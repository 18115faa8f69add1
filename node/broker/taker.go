package broker

import (
	"cmp"
	"hash/maphash"
	"slices"
	"strings"

	"baton/store/record"
)

// Headers of message groups; the names are JMS's.
const (
	headerGroup         = "JMSXGroupID"
	headerGroupSequence = "JMSXGroupSeq"
)

// groupBuckets bounds what a queue remembers of groups: groups whose ids fall
// into one bucket go to one consumer together.
const groupBuckets = 8192

// groupSeed makes the buckets of this process; they are not stored.
var groupSeed = maphash.MakeSeed()

// learn takes what the choice of a consumer needs from a message.
func (en *entry) learn(m *record.Message) {
	en.known = true
	for i := range m.Headers {
		switch h := &m.Headers[i]; h.Name {
		case headerGroup:
			if h.Value != "" && en.group == 0 {
				en.group = 1 + int32(maphash.String(groupSeed, h.Value)%groupBuckets)
			}
		case headerGroupSequence:
			en.closes = strings.HasPrefix(strings.TrimSpace(h.Value), "-")
		}
	}
}

// choice says what becomes of an entry for which a consumer is sought.
type choice uint8

const (
	taken   choice = iota
	blocked        // its group's consumer cannot take it now; others may be served
	nobody         // no consumer can take any message
)

// taker finds the consumer for an entry, and sets room aside with it. first
// says that the entry's group was given to it just now.
func (q *queue) taker(en *entry) (c *Subscription, first bool, how choice) {
	if en.group == 0 {
		if c = q.nextConsumer(en.size); c == nil {
			return nil, false, nobody
		}
		return c, false, taken
	}
	if c = q.groups[en.group]; c == nil {
		if c = q.nextConsumer(en.size); c == nil {
			return nil, false, nobody
		}
		first = true
	} else if c.selective() || !c.able || !q.offer(c, en.size) {
		return nil, false, blocked
	}
	q.join(en, c)
	return c, first, taken
}

// join notes that a consumer has an entry of a group, and with it the group
// until it leaves, or the entry is the group's last.
func (q *queue) join(en *entry, c *Subscription) {
	if q.groups == nil {
		q.groups = map[int32]*Subscription{}
	}
	q.groups[en.group] = c
	if en.closes {
		delete(q.groups, en.group)
		q.reconsider()
	}
}

// reconsider lets consumers with selectors look again at messages which they
// passed over because their groups belonged to others.
func (q *queue) reconsider() {
	for _, c := range q.seekers {
		if c.seek.passed {
			c.again()
		}
	}
}

// leave gives the groups of a consumer free.
func (q *queue) leave(c *Subscription) {
	for g, owner := range q.groups {
		if owner == c {
			delete(q.groups, g)
		}
	}
}

// offer sets room aside with a consumer. It is false, and the consumer held, if its client has no room.
func (q *queue) offer(c *Subscription, size int) bool {
	if c.client.Reserve(c, size) {
		return true
	}
	c.stalled = true
	c.reckon()
	return false
}

// nextConsumer finds the next one in turn that can take size more bytes: of
// those with the highest priority that can take any.
func (q *queue) nextConsumer(size int) *Subscription {
	for from := 0; from < len(q.consumers); {
		to := from + 1
		for to < len(q.consumers) && q.consumers[to].priority() == q.consumers[from].priority() {
			to++
		}
		if c := q.nextAmong(q.consumers[from:to], size); c != nil {
			return c
		}
		from = to
	}
	return nil
}

func (q *queue) nextAmong(equals []*Subscription, size int) *Subscription {
	for range equals {
		c := equals[q.turn%len(equals)]
		q.turn++
		if c.able && !c.selective() && q.offer(c, size) {
			return c
		}
	}
	return nil
}

func (c *Subscription) priority() int   { return c.options.Priority }
func (c *Subscription) selective() bool { return c.options.Selector != nil && c.place.filters }

// enlist adds a consumer: those of a higher priority come first, those of the
// same in the order of their coming.
func (q *queue) enlist(c *Subscription) {
	i, _ := slices.BinarySearchFunc(q.consumers, c, func(x, c *Subscription) int {
		return cmp.Or(cmp.Compare(c.priority(), x.priority()), -1)
	})
	q.consumers = slices.Insert(q.consumers, i, c)
	if c.selective() {
		q.seekers = append(q.seekers, c)
	}
	q.elect()
}

// delist removes a consumer.
func (q *queue) delist(c *Subscription) {
	is := func(x *Subscription) bool { return x == c }
	q.consumers = slices.DeleteFunc(q.consumers, is)
	q.seekers = slices.DeleteFunc(q.seekers, is)
	q.leave(c)
	q.elect()
	q.reconsider()
}

// elect finds the exclusive consumer: while there is one it alone gets
// messages. What others have already they may settle.
func (q *queue) elect() {
	var chosen *Subscription
	if i := slices.IndexFunc(q.consumers, func(c *Subscription) bool { return c.options.Exclusive }); i >= 0 {
		chosen = q.consumers[i]
	}
	if chosen == q.exclusive {
		return
	}
	q.exclusive = chosen
	if chosen != nil {
		clear(q.groups) // nobody else gets messages of them
		q.reconsider()
	}
	for _, c := range q.consumers {
		c.reckon()
	}
}
