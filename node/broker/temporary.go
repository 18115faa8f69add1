package broker

import (
	"crypto/rand"
	"fmt"
	"sync"

	"baton/node/broker/destination"
	"baton/store/record"
)

// temporary is a destination of one connection: others may send to it, it
// alone receives. It is gone when the connection ends.
type temporary struct {
	name  string
	topic bool
	owner *Session
	q     *queue // of a temporary queue

	mu          sync.Mutex
	closed      bool
	subscribers []*topicSubscriber // of a temporary topic
}

// Temporary returns the temporary destination that an alias of the session
// means, made at its first use. Its name cannot be guessed: whoever knows it
// has it from the owner, in a reply-to header. Error: ErrDestination.
func (s *Session) Temporary(d destination.Destination) (destination.Destination, error) {
	remote := destination.Destination{Kind: destination.RemoteTempQueue, Name: d.Name}
	switch d.Kind {
	case destination.RemoteTempQueue, destination.RemoteTempTopic:
		return d, nil
	case destination.TempTopic:
		remote.Kind = destination.RemoteTempTopic
	}
	if t := s.aliases[d]; t != nil {
		remote.Name = t.name
		return remote, nil
	}
	if len(s.aliases) >= s.b.cfg.Temporaries {
		return d, fmt.Errorf("%w: this connection has %d temporary destinations, which is the limit", ErrDestination, len(s.aliases))
	}
	t := &temporary{name: s.b.cfg.IDPrefix + rand.Text(), topic: remote.Kind == destination.RemoteTempTopic, owner: s}
	if !t.topic {
		t.q = s.b.newMemoryQueue(t.name, s.b.cfg.Policies.Of(destination.Queue, t.name), s.b.cfg.SubscriberMessages, s.b.cfg.SubscriberBytes)
	}
	s.b.topics.Lock()
	defer s.b.topics.Unlock()
	s.b.topics.temporary[t.name] = t
	if s.aliases == nil {
		s.aliases = map[destination.Destination]*temporary{}
	}
	s.aliases[d] = t
	remote.Name = t.name
	return remote, nil
}

// temporary finds one that exists. Only a session has aliases: for the broker
// itself, from is nil.
func (b *Broker) temporary(from *Session, d destination.Destination) (*temporary, error) {
	if from != nil {
		var err error
		if d, err = from.Temporary(d); err != nil {
			return nil, err
		}
	}
	b.topics.RLock()
	defer b.topics.RUnlock()
	t := b.topics.temporary[d.Name]
	if t == nil || t.topic != d.Topical() {
		return nil, fmt.Errorf("%w: there is no such temporary destination; its connection may have ended", ErrDestination)
	}
	return t, nil
}

// toTemporary adds a publication for a temporary destination. One that is full
// refuses: nobody else can make room, and nothing is to be lost.
func (r *router) toTemporary(d destination.Destination, m *record.Message) error {
	t, err := r.b.temporary(r.from, d)
	if err != nil {
		return err
	}
	if t.q != nil {
		size := messageSize(m)
		if room := t.q.memory.room.Add(int64(size)); room > int64(t.q.memory.bytesMax) || r.b.inMemory.Load() > r.b.cfg.MemoryBytes {
			t.giveRoom(size)
			return fmt.Errorf("%w: the temporary queue is full; its owner must receive first", ErrDestination)
		}
	}
	r.publish(publication{temp: t, to: d}, m, "")
	return nil
}

func (t *temporary) giveRoom(size int) {
	if t.q != nil {
		t.q.memory.room.Add(int64(-size))
	}
}

// hand gives a publication to the owner.
func (t *temporary) hand(p *publication) {
	if t.q != nil {
		t.giveRoom(p.size) // put counts it
		t.owner.b.dropped.Add(uint64(t.q.put(p.m, p.size)))
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, sub := range t.subscribers {
		if sub.wants(p) {
			t.owner.b.dropped.Add(uint64(sub.q.put(p.m, p.size)))
		}
	}
}

// subscribeTemporary returns what a consumer of a temporary destination
// receives from. Error: ErrDestination.
func (s *Session) subscribeTemporary(d destination.Destination, o *SubscribeOptions) (place, error) {
	t, err := s.b.temporary(s, d)
	if err != nil {
		return place{}, err
	}
	if t.owner != s {
		return place{}, fmt.Errorf("%w: only the connection that a temporary destination belongs to receives from it", ErrDestination)
	}
	if !t.topic {
		return place{open: func() *queue { return t.q }}, nil
	}
	q := s.b.newMemoryQueue(t.name, s.b.cfg.Policies.Of(destination.Topic, t.name), o.pending(s.b), s.b.cfg.SubscriberBytes)
	sub := &topicSubscriber{q: q, session: s, filter: filter{o.Selector, o.NoLocal}}
	return place{
		open: func() *queue {
			t.mu.Lock()
			defer t.mu.Unlock()
			t.subscribers = append(t.subscribers, sub)
			return q
		},
		close: func() {
			t.mu.Lock()
			defer t.mu.Unlock()
			for i := range t.subscribers {
				if t.subscribers[i] == sub {
					t.subscribers = append(t.subscribers[:i], t.subscribers[i+1:]...)
					break
				}
			}
			q.discard()
		},
	}, nil
}

// closeTemporaries ends the temporary destinations of a session.
func (s *Session) closeTemporaries() {
	s.b.topics.Lock()
	defer s.b.topics.Unlock()
	for _, t := range s.aliases {
		delete(s.b.topics.temporary, t.name)
		if t.q != nil {
			t.q.discard()
		}
	}
	s.aliases = nil
}
