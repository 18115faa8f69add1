package broker

import (
	"fmt"

	"baton/node/broker/destination"
	"baton/node/broker/selector"
	"baton/store/record"
)

// SubscribeOptions say what a consumer wants.
type SubscribeOptions struct {
	From     []destination.Destination // at least one
	Mode     Mode
	Prefetch int // messages delivered and not settled; at least 1, at most Config.PrefetchMax
	Data     any // the client's own, see Subscription.Data

	// Durable names a durable subscription of the session's client, "" if it is
	// not one.
	Durable  string
	Selector *selector.Selector // nil: every message
	// Browse is for one queue: the consumer is shown its messages and takes none.
	// The last delivery says End.
	Browse bool
	// NoLocal is for topics: nothing that this session has sent.
	NoLocal bool
	// Exclusive is for queues: while the consumer is there others get nothing.
	Exclusive bool
	// Priority is for queues: who has a higher one is served first.
	Priority int
	// Pending is for topics: how many messages may wait for the consumer before
	// the oldest are dropped; negative for as many as the broker allows.
	Pending int
}

// Subscribe adds a consumer. Start makes it one of its queue's, and Resume of
// the subscription begins the deliveries. Errors: ErrDestination, and where a
// durable subscription has to be stored, ErrClosed and the proposer's.
func (s *Session) Subscribe(o SubscribeOptions) (*Subscription, error) {
	if o.Prefetch < 1 {
		return nil, fmt.Errorf("broker: prefetch is %d, must be at least 1", o.Prefetch)
	}
	if err := s.b.roomForConsumers(o.From); err != nil {
		return nil, err
	}
	sub := &Subscription{
		Data: o.Data, b: s.b, client: s.client, session: s,
		mode: o.Mode, prefetch: min(o.Prefetch, s.b.cfg.PrefetchMax), options: &o,
	}
	if o.Browse {
		w, err := s.browse(sub, &o)
		if err != nil {
			return nil, err
		}
		sub.via = w
		s.subs = append(s.subs, sub)
		return sub, nil
	}
	if o.Durable != "" {
		p, err := s.subscribeDurable(&o)
		if err != nil {
			return nil, err
		}
		sub.place = p
		s.subs = append(s.subs, sub)
		return sub, nil
	}
	parts := make([]legPart, len(o.From))
	for i, d := range o.From {
		p, err := s.placeOf(d, &o)
		if err != nil {
			return nil, err
		}
		parts[i] = legPart{d, p}
	}
	if len(parts) == 1 && (parts[0].Kind != destination.Queue || !parts[0].Pattern) {
		sub.place = parts[0].place
	} else {
		sub.via = newBundle(sub, parts)
	}
	s.subs = append(s.subs, sub)
	return sub, nil
}

// placeOf returns where a consumer of a destination finds its queue.
func (s *Session) placeOf(d destination.Destination, o *SubscribeOptions) (place, error) {
	switch d.Kind {
	case destination.Queue:
		if topic := destination.VirtualTopic(d.Name); topic != "" && !d.Pattern {
			if _, err := s.ensure(record.Subscribe{Name: d.Name, Destination: topic}); err != nil {
				return place{}, err
			}
		}
		return place{open: func() *queue { return s.b.findOrAdd(d.Name) }, filters: true}, nil
	case destination.Topic:
		return s.subscribeTopic(d, o), nil
	}
	return s.subscribeTemporary(d, o)
}

// roomForConsumers refuses a consumer of more queues than are left. Those that
// come later are not counted here: each has a sender or a consumer of its own.
func (b *Broker) roomForConsumers(from []destination.Destination) error {
	n, most := int(b.subscriptions.Load()), b.cfg.Consumers
	b.queues.RLock()
	defer b.queues.RUnlock()
	for _, d := range from {
		if d.Kind != destination.Queue || !d.Pattern {
			n++
			continue
		}
		for range b.queues.names.Matching(d.Name) {
			if n++; n > most {
				break
			}
		}
	}
	if n > most {
		return fmt.Errorf("%w: there would be %d consumers, of which %d is the limit", ErrDestination, n, most)
	}
	return nil
}
