package broker

import (
	"fmt"
	"slices"

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
	// NoLocal is for topics: nothing that this session has sent.
	NoLocal bool
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
	sub := &Subscription{
		Data: o.Data, b: s.b, client: s.client, session: s,
		mode: o.Mode, prefetch: min(o.Prefetch, s.b.cfg.PrefetchMax), options: &o,
	}
	if o.Selector != nil && slices.ContainsFunc(o.From, func(d destination.Destination) bool {
		return d.Kind != destination.Topic && d.Kind != destination.TempTopic
	}) {
		return nil, fmt.Errorf("%w: selectors on queues are not supported", ErrDestination)
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
		return place{open: func() *queue { return s.b.findOrAdd(d.Name) }}, nil
	case destination.Topic:
		return s.subscribeTopic(d, o), nil
	}
	return s.subscribeTemporary(d, o)
}
