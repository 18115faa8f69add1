package inspect

import (
	"cmp"
	"slices"

	"baton/store/record"
)

// Subscription is a durable subscription.
type Subscription struct {
	ClientID    string          `json:"client_id"`
	Name        string          `json:"name"`
	Destination string          `json:"destination"`
	Selector    string          `json:"selector,omitempty"`
	NoLocal     bool            `json:"no_local,omitempty"`
	Position    record.Position `json:"position"` // of its record
}

// sum adds up records as an index does, but for what it needs every message
// for.
type sum struct {
	queues map[string]*QueueStats
	subs   map[[2]string]Subscription
	ids    map[[2]string]record.Position // by queue and id
	order  []rememberedID                // the same, oldest first
}

type rememberedID struct {
	key [2]string
	at  record.Position
}

func newSum() *sum {
	return &sum{queues: map[string]*QueueStats{}, subs: map[[2]string]Subscription{}, ids: map[[2]string]record.Position{}}
}

func (s *sum) queue(name string) *QueueStats {
	q := s.queues[name]
	if q == nil {
		q = &QueueStats{Name: name}
		s.queues[name] = q
	}
	return q
}

// add takes account of a record. The error says why it cannot be read.
func (s *sum) add(r record.Record) error {
	switch r.Type {
	case record.TypeEnqueue:
		e, err := record.ParseEnqueue(r.Body)
		if err == nil {
			s.enqueue(r.Position, e.Queue, e.Message.DedupID)
		}
		return err
	case record.TypeAck:
		a, err := record.ParseAck(r.Body)
		if err == nil {
			s.queue(a.Queue).Acked += uint64(len(a.Sequences))
		}
		return err
	case record.TypeDeleteQueue:
		d, err := record.ParseDeleteQueue(r.Body)
		if q := s.queues[d.Queue]; err == nil && q != nil && q.depth() == 0 {
			delete(s.queues, d.Queue)
		}
		return err
	case record.TypeSubscribe:
		sub, err := record.ParseSubscribe(r.Body)
		if err == nil {
			s.subs[[2]string{sub.ClientID, sub.Name}] = Subscription{sub.ClientID, sub.Name, sub.Destination, sub.Selector, sub.NoLocal, r.Position}
		}
		return err
	case record.TypeUnsubscribe:
		u, err := record.ParseUnsubscribe(r.Body)
		if err == nil {
			delete(s.subs, [2]string{u.ClientID, u.Name})
		}
		return err
	case record.TypeForget:
		f, err := record.ParseForget(r.Body)
		if err == nil {
			s.forget(f.Below)
		}
		return err
	}
	return new(Line).body(r)
}

func (s *sum) enqueue(at record.Position, queue, id string) {
	if key := [2]string{queue, id}; id != "" {
		if _, ok := s.ids[key]; ok {
			if q := s.queues[queue]; q != nil {
				q.Duplicates++
			}
			return
		}
		s.ids[key] = at
		s.order = append(s.order, rememberedID{key, at})
	}
	s.queue(queue).Enqueued++
}

func (s *sum) forget(below record.Position) {
	n := 0
	for n < len(s.order) && s.order[n].at < below {
		delete(s.ids, s.order[n].key)
		n++
	}
	s.order = s.order[n:]
}

func (q *QueueStats) depth() uint64 { return q.Enqueued - min(q.Acked, q.Enqueued) }

func (s *sum) sorted() (all []QueueStats) {
	for _, q := range s.queues {
		q.Depth = q.depth()
		all = append(all, *q)
	}
	slices.SortFunc(all, func(a, b QueueStats) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

func (s *sum) subscriptions() (all []Subscription) {
	for _, sub := range s.subs {
		all = append(all, sub)
	}
	slices.SortFunc(all, func(a, b Subscription) int {
		return cmp.Or(cmp.Compare(a.ClientID, b.ClientID), cmp.Compare(a.Name, b.Name))
	})
	return all
}
