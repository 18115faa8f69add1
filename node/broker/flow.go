package broker

import (
	"fmt"
	"slices"
	"sync"
	"time"
)

// flow is how a queue with limits slows down those who send to it. What it
// holds is in the index; what is on its way comes on top. Its lock comes before
// the queue's.
type flow struct {
	sync.Mutex
	messages, bytes int64 // reserved: proposed, not yet settled
	waiting         map[*Session]struct{}
	why             string // of the last that had to wait
}

// demand is what a message, or a transaction, needs in a queue with limits.
type demand struct {
	q               *queue
	messages, bytes int64
}

// merge adds demands to others.
func merge(all, more []demand) []demand {
	for _, d := range more {
		i := slices.IndexFunc(all, func(x demand) bool { return x.q == d.q })
		if i < 0 {
			all = append(all, d)
			continue
		}
		all[i].messages += d.messages
		all[i].bytes += d.bytes
	}
	return all
}

// reserve sets room aside. If there is none the session is poked when there may
// be. Error: ErrFull.
func (q *queue) reserve(d demand, s *Session) error {
	q.flow.Lock()
	defer q.flow.Unlock()
	most := &q.policy.Limits
	messages, bytes := q.stored()
	messages, bytes = messages+q.flow.messages, bytes+q.flow.bytes
	var err error
	switch {
	case messages == 0: // what does not fit into an empty queue never will
	case most.Messages > 0 && messages+d.messages > most.Messages:
		err = fmt.Errorf("%w: queue %q has %d messages, at most %d", ErrFull, q.name, messages, most.Messages)
	case most.Bytes > 0 && bytes+d.bytes > most.Bytes:
		err = fmt.Errorf("%w: queue %q has %d bytes, at most %d", ErrFull, q.name, bytes, most.Bytes)
	}
	if err != nil {
		if q.flow.waiting == nil {
			q.flow.waiting = map[*Session]struct{}{}
		}
		q.flow.waiting[s], q.flow.why = struct{}{}, err.Error()
		return err
	}
	delete(q.flow.waiting, s)
	q.flow.messages += d.messages
	q.flow.bytes += d.bytes
	return nil
}

// stored is what the index has of the queue.
func (q *queue) stored() (messages, bytes int64) {
	q.mu.Lock()
	lanes := slices.Clone(q.lanes)
	q.mu.Unlock()
	for _, l := range lanes {
		if info, ok := q.b.cfg.Index.Queue(l.name); ok {
			messages += int64(info.Depth)
			bytes += int64(info.Bytes)
		}
	}
	return messages, bytes
}

// unreserve gives a reservation back.
func (q *queue) unreserve(d demand) {
	q.flow.Lock()
	q.flow.messages -= d.messages
	q.flow.bytes -= d.bytes
	q.flow.Unlock()
	q.roomier()
}

// roomier pokes those who wait.
func (q *queue) roomier() {
	q.flow.Lock()
	defer q.flow.Unlock()
	for s := range q.flow.waiting {
		s.parked.poke()
	}
}

// forsake ends a session's waiting.
func (q *queue) forsake(s *Session) {
	q.flow.Lock()
	defer q.flow.Unlock()
	delete(q.flow.waiting, s)
}

// blocked says how many sessions wait for room, and why.
func (q *queue) blocked() (producers int, why string) {
	q.flow.Lock()
	defer q.flow.Unlock()
	if len(q.flow.waiting) == 0 {
		return 0, ""
	}
	return len(q.flow.waiting), q.flow.why
}

// reserve sets room aside for everything, or nothing. Error: ErrFull.
func (s *Session) reserve(demands []demand) error {
	if err := s.b.storage.check(s.b); err != nil {
		return err
	}
	for i, d := range demands {
		if err := d.q.reserve(d, s); err != nil {
			for _, x := range demands[:i] {
				x.q.unreserve(x)
			}
			return err
		}
	}
	return nil
}

// unreserve gives reservations back.
func unreserve(demands []demand) {
	for _, d := range demands {
		d.q.unreserve(d)
	}
}

// storage is how much all queues hold, looked up now and then.
type storage struct {
	sync.Mutex
	at    time.Time
	bytes int64
	why   string // "" while there is room
}

// storageInterval is how old the figure may be.
const storageInterval = 50 * time.Millisecond

// check is ErrFull while all queues together hold too much.
func (st *storage) check(b *Broker) error {
	if b.cfg.StoreBytes == 0 {
		return nil
	}
	st.Lock()
	defer st.Unlock()
	if now := b.cfg.Now(); now.Sub(st.at) >= storageInterval {
		st.at, st.bytes = now, 0
		for _, info := range b.cfg.Index.Queues() {
			st.bytes += int64(info.Bytes)
		}
	}
	if st.bytes < b.cfg.StoreBytes {
		st.why = ""
		return nil
	}
	err := fmt.Errorf("%w: all queues together have %d bytes, at most %d", ErrFull, st.bytes, b.cfg.StoreBytes)
	st.why = err.Error()
	return err
}

// gate bounds the bytes of all proposals that await their commit. Small ones
// pass, so that acks do.
type gate struct {
	mu      sync.Mutex
	used    int64
	waiting int
	free    chan struct{} // closed and replaced when used sinks and somebody waits
}

// gateFree is what passes in any case.
const gateFree = 16 << 10

func (g *gate) init() { g.free = make(chan struct{}) }

// enter waits for room. It is false if end or dead is closed before.
func (g *gate) enter(n, most int64, dead, end <-chan struct{}) bool {
	g.mu.Lock()
	for n > gateFree && g.used > 0 && g.used+n > most {
		free := g.free
		g.waiting++
		g.mu.Unlock()
		ok := true
		select {
		case <-free:
		case <-dead:
			ok = false
		case <-end:
			ok = false
		}
		g.mu.Lock()
		g.waiting--
		if !ok {
			g.mu.Unlock()
			return false
		}
	}
	g.used += n
	g.mu.Unlock()
	return true
}

func (g *gate) leave(n int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.used -= n; g.waiting > 0 {
		close(g.free)
		g.free = make(chan struct{})
	}
}

func (g *gate) level() (used int64, waiting int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.used, g.waiting
}
