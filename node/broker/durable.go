package broker

import (
	"errors"
	"fmt"

	"baton/node/broker/destination"
	"baton/node/broker/policy"
	"baton/node/broker/selector"
	"baton/store/record"
)

// durableID names a durable subscription.
type durableID struct{ client, name string }

// durable is a durable subscription: what is published to its topics goes into
// its queue, whether or not its client is there. It is in the log, and known
// here once it is committed.
//
// One without a client id is that of a consumer of a virtual topic. It is named
// like the queue that it fills, which is one that clients know.
type durable struct {
	record.Subscribe
	queue    string
	selector *selector.Selector
}

func (b *Broker) newDurable(d Durable) *durable {
	x := &durable{Subscribe: d.Subscribe, queue: d.Name}
	if d.ClientID != "" {
		x.queue = destination.Durable(d.ClientID, d.Name, uint64(d.Position))
	}
	if d.Selector != "" {
		var err error
		if x.selector, err = selector.Parse(d.Selector); err != nil { // it was parsed before it was stored
			b.cfg.Logger.Error("the selector of a durable subscription cannot be read; it gets everything",
				"client", d.ClientID, "subscription", d.Name, "error", err)
		}
	}
	return x
}

// wants says whether a message that a session publishes passes.
func (d *durable) wants(from *Session, m *record.Message) bool {
	if d.NoLocal && from != nil && from.identity == d.ClientID {
		return false
	}
	return d.selector == nil || d.selector.Matches(properties{m: m})
}

// loadDurables is for the beginning of the broker, before there are queues.
func (b *Broker) loadDurables() {
	for _, d := range b.cfg.Index.Subscriptions() {
		b.topics.enter(b.newDurable(d))
	}
}

// enter adds a durable subscription, or replaces it; old may be nil.
func (t *topics) enter(d *durable) (old *durable) {
	id := durableID{d.ClientID, d.Name}
	if old = t.durables[id]; old != nil {
		t.durable.Remove(old.Destination, old)
	}
	t.durables[id] = d
	t.durable.Add(d.Destination, d)
	t.settle(id)
	return old
}

// settle lets those go on who wait for a record about a subscription.
func (t *topics) settle(id durableID) {
	if c := t.applied[id]; c != nil {
		close(c)
		delete(t.applied, id)
	}
}

// Subscribed tells that there is a durable subscription, instead of an earlier
// one of the same client and name. at is the position of its record.
func (b *Broker) Subscribed(at record.Position, s *record.Subscribe) {
	d := b.newDurable(Durable{Subscribe: *s, Position: at})
	b.topics.Lock()
	old := b.topics.enter(d)
	b.topics.Unlock()
	if old != nil && old.queue != d.queue {
		b.purges.add(old.queue)
	}
}

// Unsubscribed tells that a durable subscription is gone.
func (b *Broker) Unsubscribed(clientID, name string) {
	id := durableID{clientID, name}
	b.topics.Lock()
	d := b.topics.durables[id]
	if d != nil {
		b.topics.durable.Remove(d.Destination, d)
		delete(b.topics.durables, id)
	}
	b.topics.settle(id)
	b.topics.Unlock()
	if d != nil && destination.Internal(d.queue) {
		b.purges.add(d.queue)
	}
}

// durableOf returns the durable subscription whose queue this is; orphan says
// that it was one once.
func (b *Broker) durableOf(queue string) (d *durable, orphan bool) {
	client, name, _, ok := destination.SplitDurable(queue)
	if !ok {
		return nil, false
	}
	b.topics.RLock()
	defer b.topics.RUnlock()
	if d := b.topics.durables[durableID{client, name}]; d != nil && d.queue == queue {
		return d, false
	}
	return nil, true
}

// queuePolicy returns the policy of a queue of the log: that of a durable
// subscription is its topic's.
func (b *Broker) queuePolicy(queue string) policy.Policy {
	if d, _ := b.durableOf(queue); d != nil {
		return b.cfg.Policies.Of(destination.Topic, d.Destination)
	}
	return b.cfg.Policies.Of(destination.Queue, queue)
}

// Identify says by which client id the session's durable subscriptions go.
func (s *Session) Identify(client string) { s.identity = client }

// subscribeDurable makes a durable subscription, or takes up one that exists.
// It waits until that is committed. Errors: ErrDestination, ErrClosed, and the
// proposer's.
func (s *Session) subscribeDurable(o *SubscribeOptions) (place, error) {
	if err := s.checkDurable(o.Durable); err != nil {
		return place{}, err
	}
	if len(o.From) != 1 || o.From[0].Kind != destination.Topic {
		return place{}, fmt.Errorf("%w: a durable subscription is one to a topic, not to a queue or to several destinations", ErrDestination)
	}
	want := record.Subscribe{ClientID: s.identity, Name: o.Durable, Destination: o.From[0].Name, NoLocal: o.NoLocal}
	if o.Selector != nil {
		want.Selector = o.Selector.String()
	}
	id := durableID{s.identity, o.Durable}
	if !s.occupy(id) {
		return place{}, fmt.Errorf("%w: the durable subscription %q of client %q is in use", ErrDestination, id.name, id.client)
	}
	name, err := s.ensure(want)
	if err != nil {
		s.vacate(id)
		return place{}, err
	}
	return place{
		open:  func() *queue { return s.b.findOrAdd(name) },
		close: func() { s.vacate(id) },
	}, nil
}

func (s *Session) checkDurable(name string) error {
	if s.identity == "" {
		return fmt.Errorf("%w: a durable subscription needs a client-id header in CONNECT", ErrDestination)
	}
	if err := destination.CheckIdentity("client id", s.identity); err != nil {
		return err
	}
	return destination.CheckIdentity("subscription name", name)
}

// occupy makes a durable subscription this session's: it has one consumer at a
// time.
func (s *Session) occupy(id durableID) bool {
	s.b.topics.Lock()
	defer s.b.topics.Unlock()
	if s.b.topics.occupied[id] != nil {
		return false
	}
	s.b.topics.occupied[id] = s
	return true
}

func (s *Session) vacate(id durableID) {
	s.b.topics.Lock()
	defer s.b.topics.Unlock()
	delete(s.b.topics.occupied, id)
}

// ensure returns the queue of a durable subscription when it is committed as
// wanted. One that exists and is as wanted is left alone.
func (s *Session) ensure(want record.Subscribe) (queue string, err error) {
	t := &s.b.topics
	id := durableID{want.ClientID, want.Name}
	for {
		t.RLock()
		d := t.durables[id]
		t.RUnlock()
		if d != nil && d.Subscribe == want {
			return d.queue, nil
		}
		if err := s.record(id, record.TypeSubscribe, want.AppendTo); err != nil {
			return "", err
		}
	}
}

// Forget removes a durable subscription of this client and what waits in it. A
// consumer of it must be closed before. Errors: ErrDestination, ErrClosed, and
// the proposer's.
func (s *Session) Forget(name string) error {
	if err := s.checkDurable(name); err != nil {
		return err
	}
	id := durableID{s.identity, name}
	if !s.occupy(id) {
		return fmt.Errorf("%w: the durable subscription %q of client %q is in use", ErrDestination, id.name, id.client)
	}
	defer s.vacate(id)
	s.b.topics.RLock()
	d := s.b.topics.durables[id]
	s.b.topics.RUnlock()
	if d == nil {
		return fmt.Errorf("%w: client %q has no durable subscription %q", ErrDestination, id.client, id.name)
	}
	return s.record(id, record.TypeUnsubscribe, record.Unsubscribe{ClientID: id.client, Name: id.name}.AppendTo)
}

// record proposes a record about a durable subscription, after all that the
// session was given before, and waits until it is applied.
func (s *Session) record(id durableID, typ record.Type, encode func([]byte) []byte) error {
	t := &s.b.topics
	t.Lock()
	applied := t.applied[id]
	if applied == nil {
		applied = make(chan struct{})
		t.applied[id] = applied
	}
	t.Unlock()
	if err := s.Flush(); err != nil {
		return err
	}
	batch := record.NewBatch(256)
	batch.Add(typ, encode)
	g := &group{}
	if err := s.propose(g, batch); err != nil {
		return err
	}
	if err := s.Drain(); err != nil {
		return err
	}
	if g.err != nil {
		return g.err
	}
	select {
	case <-applied:
		return nil
	case <-s.aborted:
		return ErrClosed
	}
}

// Retryable says whether an error of Subscribe or Forget means that this node
// goes on leading, so that the client may try again.
func Retryable(err error) bool {
	return errors.Is(err, ErrNoQuorum) || errors.Is(err, ErrDiskFull) || errors.Is(err, ErrBusy)
}
