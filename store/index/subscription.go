package index

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/syndtr/goleveldb/leveldb/opt"
	"github.com/syndtr/goleveldb/leveldb/util"

	"baton/store/record"
)

// Subscription is a durable subscription and the position of the record that
// made it what it is, which names it for good.
type Subscription struct {
	record.Subscribe
	Position record.Position
}

// subscriber names a subscription.
type subscriber struct{ clientID, name string }

func (s subscriber) key() []byte {
	b := binary.AppendUvarint([]byte{'c'}, uint64(len(s.clientID)))
	return append(append(b, s.clientID...), s.name...)
}

func (s Subscription) subscriber() subscriber { return subscriber{s.ClientID, s.Name} }

func (s Subscription) encode() []byte {
	return s.AppendTo(binary.AppendUvarint(nil, uint64(s.Position)))
}

func decodeSubscription(value []byte) (Subscription, error) {
	d := fields{b: value}
	s := Subscription{Position: record.Position(d.next())}
	if d.err != nil {
		return s, fmt.Errorf("%w: subscription: %w", ErrCorrupt, d.err)
	}
	var err error
	if s.Subscribe, err = record.ParseSubscribe(d.b); err != nil {
		return s, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return s, nil
}

func (c *change) subscribe(r record.Record) error {
	s, err := record.ParseSubscribe(r.Body)
	if err != nil {
		return err
	}
	sub := Subscription{s, r.Position}
	c.kv.Put(sub.subscriber().key(), sub.encode())
	c.setSubscription(sub.subscriber(), &sub)
	if c.sink != nil {
		c.events = append(c.events, func(to Sink) { to.Subscribed(r.Position, &s) })
	}
	return nil
}

func (c *change) unsubscribe(r record.Record) error {
	u, err := record.ParseUnsubscribe(r.Body)
	if err != nil {
		return err
	}
	who := subscriber{u.ClientID, u.Name}
	is, changed := c.subs[who]
	if !changed {
		c.ix.mu.RLock()
		if s, ok := c.ix.mu.subs[who]; ok {
			is = &s
		}
		c.ix.mu.RUnlock()
	}
	if is == nil {
		return nil
	}
	c.kv.Delete(who.key())
	c.setSubscription(who, nil)
	if c.sink != nil {
		c.events = append(c.events, func(to Sink) { to.Unsubscribed(u.ClientID, u.Name) })
	}
	return nil
}

func (c *change) setSubscription(who subscriber, s *Subscription) {
	if c.subs == nil {
		c.subs = map[subscriber]*Subscription{}
	}
	c.subs[who] = s
}

// publishSubscriptions is a part of publish.
func (c *change) publishSubscriptions() {
	for who, s := range c.subs {
		if s == nil {
			delete(c.ix.mu.subs, who)
		} else {
			c.ix.mu.subs[who] = *s
		}
	}
}

// Subscriptions returns the durable subscriptions, by client id and name.
func (ix *Index) Subscriptions() []Subscription {
	ix.mu.RLock()
	out := make([]Subscription, 0, len(ix.mu.subs))
	for _, s := range ix.mu.subs {
		out = append(out, s)
	}
	ix.mu.RUnlock()
	slices.SortFunc(out, func(a, b Subscription) int {
		return cmp.Or(cmp.Compare(a.ClientID, b.ClientID), cmp.Compare(a.Name, b.Name))
	})
	return out
}

func (ix *Index) loadSubscriptions() error {
	it := ix.mu.db.NewIterator(util.BytesPrefix([]byte{'c'}), &opt.ReadOptions{DontFillCache: true})
	defer it.Release()
	for it.Next() {
		s, err := decodeSubscription(it.Value())
		if err != nil {
			return err
		}
		ix.mu.subs[s.subscriber()] = s
	}
	return classify(it.Error())
}
