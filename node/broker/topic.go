package broker

import (
	"sync"

	"baton/node/broker/destination"
	"baton/node/broker/selector"
	"baton/store/record"
)

// topics are who listens to what is published.
type topics struct {
	sync.RWMutex
	subscribers destination.Tree[*topicSubscriber]
	temporary   map[string]*temporary // by name

	durable  destination.Tree[*durable] // by topic
	durables map[durableID]*durable
	occupied map[durableID]*Session      // that consumes it, or is about to change it
	applied  map[durableID]chan struct{} // closed when a record about it is applied
}

func (t *topics) init() {
	t.temporary = map[string]*temporary{}
	t.durables, t.occupied, t.applied = map[durableID]*durable{}, map[durableID]*Session{}, map[durableID]chan struct{}{}
}

// topicSubscriber is a consumer that gets what is published while it is there.
// Its messages wait in a queue of its own.
type topicSubscriber struct {
	q       *queue
	session *Session
	filter
}

// filter says what a consumer does not want.
type filter struct {
	selector *selector.Selector // nil: everything
	noLocal  bool               // nothing that its own connection has published
}

// wants says whether a message passes.
func (t *topicSubscriber) wants(p *publication) bool {
	if t.noLocal && t.session == p.from {
		return false
	}
	return t.selector == nil || t.selector.Matches(properties{m: p.m})
}

// toTopic finds who gets what is published to a topic.
func (r *router) toTopic(d destination.Destination, m *record.Message, original string) {
	t := &r.b.topics
	t.RLock()
	defer t.RUnlock()
	for x := range t.durable.StandingFor(d.Name) {
		switch {
		case !x.wants(r.from, m):
		case x.ClientID == "":
			deadline := r.b.expiry(r.b.policyOf(queueOf(x.queue)), m)
			r.targets = append(r.targets, target{queue: x.queue, original: d.String(), deadline: deadline})
		default:
			r.targets = append(r.targets, target{queue: x.queue, topic: d.String(), original: original, deadline: r.b.expiry(r.b.policyOf(d), m)})
		}
	}
	for range t.subscribers.StandingFor(d.Name) {
		r.publish(publication{to: d}, m, original)
		break
	}
}

// hand gives a publication to the subscribers of its topic. One that does not
// keep up loses its oldest messages; nobody waits for it.
func (t *topics) hand(b *Broker, p *publication) {
	t.RLock()
	defer t.RUnlock()
	for sub := range t.subscribers.StandingFor(p.to.Name) {
		if sub.wants(p) {
			b.dropped.Add(uint64(sub.q.put(p.m, p.size)))
		}
	}
}

// subscribeTopic makes the queue of a subscriber of a topic, or of a pattern
// of topics.
func (s *Session) subscribeTopic(d destination.Destination, o *SubscribeOptions) place {
	b := s.b
	q := b.newMemoryQueue(d.String(), b.cfg.Policies.Of(destination.Topic, d.Name), o.pending(b), b.cfg.SubscriberBytes)
	sub := &topicSubscriber{q: q, session: s, filter: filter{o.Selector, o.NoLocal}}
	return place{
		open: func() *queue {
			b.topics.Lock()
			defer b.topics.Unlock()
			b.topics.subscribers.Add(d.Name, sub)
			return q
		},
		close: func() {
			b.topics.Lock()
			defer b.topics.Unlock()
			b.topics.subscribers.Remove(d.Name, sub)
			q.discard()
		},
	}
}

// pending is how many messages may wait for a subscriber of a topic.
func (o *SubscribeOptions) pending(b *Broker) int {
	if o.Pending < 0 || o.Pending > b.cfg.SubscriberMessages {
		return b.cfg.SubscriberMessages
	}
	return o.Pending
}

// properties are those of a message as selectors see them.
type properties struct {
	m            *record.Message
	redeliveries uint32
}

// Property implements selector.Properties.
func (p properties) Property(name string) selector.Value {
	header := name
	switch name {
	case "JMSPriority":
		return selector.Int(int64(p.m.Priority))
	case "JMSTimestamp":
		return selector.Int(p.m.Timestamp)
	case "JMSExpiration":
		return selector.Int(p.m.Deadline)
	case "JMSMessageID":
		return selector.String(p.m.ID)
	case "JMSRedelivered":
		return selector.Bool(p.redeliveries > 0)
	case "JMSXDeliveryCount":
		return selector.Int(int64(p.redeliveries) + 1)
	case "JMSDeliveryMode":
		if p.m.Transient {
			return selector.String("NON_PERSISTENT")
		}
		return selector.String("PERSISTENT")
	case "JMSCorrelationID":
		header = "correlation-id"
	case "JMSType":
		header = "type"
	case "JMSReplyTo":
		header = "reply-to"
	}
	for i := range p.m.Headers {
		if p.m.Headers[i].Name == header {
			return selector.String(p.m.Headers[i].Value)
		}
	}
	return selector.Null
}
