package broker

import (
	"strconv"

	"baton/node/broker/destination"
	"baton/store/record"
)

// Headers of messages in a dead-letter queue, which say where they come from.
const (
	HeaderOriginalDestination = "original-destination"
	HeaderDeadLetterCause     = "dlqDeliveryFailureCause" // ActiveMQ's name
	HeaderDeadLetterTime      = "dead-letter-time"        // Unix milliseconds
	HeaderDeadLetterCount     = "dead-letter-redeliveries"
	HeaderOriginalExpiration  = "originalExpiration" // ActiveMQ's name
)

var deadLetterHeaders = []string{
	HeaderOriginalDestination, HeaderDeadLetterCause, HeaderDeadLetterTime, HeaderDeadLetterCount, HeaderOriginalExpiration,
}

// removeDead takes messages out of their queues, and puts those that the policy
// keeps into their dead-letter queues, in one batch with that. It is false when
// this leadership is over.
func (b *Broker) removeDead(corpses []corpse) bool {
	for len(corpses) > 0 {
		var u unit
		var done []corpse
		for len(corpses) > 0 && (u.batch == nil || u.batch.Len() < choreBatchBytes) {
			c := corpses[0]
			corpses = corpses[1:]
			kept, ok := b.addDead(&u, c.en.lane.q, c)
			if !ok {
				continue
			}
			c.discarded = !kept
			done = append(done, c)
		}
		batch := u.seal()
		if batch == nil {
			continue
		}
		switch b.proposeChore(batch, u.reserved) {
		case choreOver:
			return false
		case choreRefused:
			b.chores.bury(done...)
		default:
			for _, c := range done {
				c.en.lane.q.countDead(c)
			}
		}
	}
	return true
}

func (q *queue) countDead(c corpse) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if c.expired {
		q.counters.Expired++
	} else {
		q.counters.DeadLettered++
	}
	if c.discarded {
		q.counters.Discarded++
	}
}

// addDead adds what is to be done about a message to a batch, and says whether
// a dead-letter queue keeps it. It is not ok if there is nothing to be done: an
// ack that was in doubt has been committed, or the message cannot be read, and
// the node gives up leading.
func (b *Broker) addDead(u *unit, q *queue, c corpse) (kept, ok bool) {
	q.mu.Lock()
	at, there := c.en.at, c.en.is(stateDead)
	q.mu.Unlock()
	if !there {
		return false, false
	}
	e, gone, err := q.read(c.en, at)
	if err != nil {
		q.mu.Lock()
		q.broken = true
		q.mu.Unlock()
		b.failed(q, err)
	}
	if gone || err != nil {
		return false, false
	}
	u.acknowledge([]*entry{c.en})
	policy := &q.policy.DeadLetter
	if !policy.Keeps(c.expired, !e.Message.Transient) || q.name == policy.Queue {
		return false, true
	}
	dead := b.deadLetter(q, &e.Message, c)
	if u.batch == nil {
		u.batch = record.NewBatch(len(e.Message.Body) + 1024)
	}
	u.batch.Add(record.TypeEnqueue, dead.AppendTo)
	u.reserved = b.letIn(u.reserved, policy.Queue, &dead.Message)
	return true, true
}

// deadLetter is the message as it goes into the dead-letter queue, with its id.
func (b *Broker) deadLetter(q *queue, m *record.Message, c corpse) record.Enqueue {
	dead := *m
	dead.Deadline, dead.Redeliveries, dead.DedupID = 0, 0, ""
	from := destination.Destination{Kind: destination.Queue, Name: q.name}.String()
	if len(m.Headers) > 0 && m.Headers[0].Name == headerDestination {
		from = m.Headers[0].Value // a topic
	}
	dead.Headers = withoutDeadLetter(m.Headers)
	add := func(name, value string) {
		dead.Headers = append(dead.Headers, record.HeaderField{Name: name, Value: value})
	}
	add(HeaderOriginalDestination, from)
	add(HeaderDeadLetterCause, c.cause)
	add(HeaderDeadLetterTime, strconv.FormatInt(b.cfg.Now().UnixMilli(), 10))
	add(HeaderDeadLetterCount, strconv.FormatUint(uint64(c.en.count), 10))
	if m.Deadline != 0 {
		add(HeaderOriginalExpiration, strconv.FormatInt(m.Deadline, 10))
	}
	return record.Enqueue{Queue: destination.Lane(q.policy.DeadLetter.Queue, m.Priority), Message: dead}
}
