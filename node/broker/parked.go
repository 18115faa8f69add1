package broker

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"baton/store/record"
)

// parked is what a session could not send yet, because a queue is full. It is
// held aside so that the connection is read on: the acks that make room may be
// behind it. What is sent later to the same place is parked, too, to keep the
// order there; what goes elsewhere overtakes it.
type parked struct {
	mu        sync.Mutex
	items     []*parcel
	places    map[string]int // how many items go there
	bytes     int
	fullSince time.Time // zero while there is room for more items
	running   bool
	count     atomic.Int32  // of items
	changed   *sync.Cond    // there is less, time is up, or the session is aborted
	wake      chan struct{} // one token: look again
}

// parcel is one SEND or COMMIT that waits.
type parcel struct {
	g       *group
	t       *transaction // of a COMMIT
	stored  bool         // false: all of it is for queues in memory, which need no room
	places  []string     // queues, and destinations in memory, that it goes to
	demands []demand
	until   time.Time // then it is refused
	bytes   int
}

// parkGrace is how long a connection that has messages to acknowledge is not
// read while too much of it is parked. Then what it sends is refused instead.
const parkGrace = time.Second

func (p *parked) init() {
	p.changed, p.wake, p.places = sync.NewCond(&p.mu), make(chan struct{}, 1), map[string]int{}
}

func (p *parked) poke() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

func (p *parked) some() bool { return p.count.Load() > 0 }

// behind says whether something is parked that goes to one of the places.
func (p *parked) behind(places []string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.ContainsFunc(places, func(place string) bool { return p.places[place] > 0 })
}

// full says that there is no room for another item.
func (p *parked) full(cfg *Config, x *parcel) bool {
	return len(p.items) > 0 && (len(p.items) >= cfg.InFlight || p.bytes+x.bytes > cfg.InFlightBytes)
}

// park holds a parcel aside. It waits while there is too much of that, for each
// parcel leaves after a while; but not for long if acks may be behind it: then
// it is refused, and so it is if all sessions hold too much. Error: ErrClosed.
func (s *Session) park(x *parcel) error {
	p := &s.parked
	x.bytes = x.g.unit.bytes
	if x.g.unit.batch != nil {
		x.bytes += x.g.unit.batch.Len()
	}
	settles := slices.ContainsFunc(s.subs, func(sub *Subscription) bool { return sub.mode != Auto })
	p.mu.Lock()
	defer p.mu.Unlock()
	for !s.isDead() && p.full(&s.b.cfg, x) {
		if !settles {
			p.changed.Wait()
		} else if !s.parkPatience() {
			s.refuseToPark(x, fmt.Errorf("%w: %d messages of this connection, %d bytes, wait for room already", ErrFull, len(p.items), p.bytes))
			return nil
		}
	}
	if s.isDead() {
		x.drop(s.b, false)
		return ErrClosed
	}
	if all := s.b.waiting.Add(int64(x.bytes)); all > s.b.cfg.WaitingBytes {
		s.b.waiting.Add(int64(-x.bytes))
		s.refuseToPark(x, fmt.Errorf("%w: messages of all connections with %d bytes wait for room already", ErrFull, all-int64(x.bytes)))
		return nil
	}
	p.items = append(p.items, x)
	p.bytes += x.bytes
	for _, place := range x.places {
		p.places[place]++
	}
	p.count.Add(1)
	if !p.running {
		p.running = s.b.run(s.runParked)
	}
	return nil
}

// refuseToPark is called with the lock, and gives it away.
func (s *Session) refuseToPark(x *parcel, why error) {
	s.parked.mu.Unlock()
	defer s.parked.mu.Lock()
	x.drop(s.b, true)
	s.refuseParcel(x, why)
}

// parkPatience waits for a change, until there was no room for parkGrace. It is
// false if that is so already. It is called with the lock.
func (s *Session) parkPatience() bool {
	p := &s.parked
	now := s.b.cfg.Now()
	if p.fullSince.IsZero() {
		p.fullSince = now
	}
	left := parkGrace - now.Sub(p.fullSince)
	if left <= 0 {
		return false
	}
	timer := time.AfterFunc(left, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.changed.Broadcast()
	})
	defer timer.Stop()
	p.changed.Wait()
	return true
}

// unpark forgets a parcel. Until then nothing overtakes it.
func (s *Session) unpark(x *parcel) {
	p := &s.parked
	p.mu.Lock()
	defer p.mu.Unlock()
	s.b.waiting.Add(int64(-x.bytes))
	i := slices.Index(p.items, x)
	p.items = slices.Delete(slices.Clone(p.items), i, i+1) // runParked walks along the old list
	p.bytes -= x.bytes
	for _, place := range x.places {
		if p.places[place]--; p.places[place] == 0 {
			delete(p.places, place)
		}
	}
	p.fullSince = time.Time{}
	p.count.Add(-1)
	p.changed.Broadcast()
}

// drop gives back what a parcel holds.
func (x *parcel) drop(b *Broker, toConsumers bool) {
	if x.t != nil {
		x.t.rollBack(b, toConsumers)
		return
	}
	x.g.unit.failed(b)
}

// runParked sends what is parked when there is room for it, in order at each
// place, until nothing is left.
func (s *Session) runParked() {
	p := &s.parked
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		p.mu.Lock()
		items := p.items
		if len(items) == 0 {
			p.running = false
			p.mu.Unlock()
			return
		}
		p.mu.Unlock()
		if next := s.sendParcels(items); !next.IsZero() {
			s.await(timer, next.Sub(s.b.cfg.Now()))
		}
	}
}

// sendParcels sends those parcels for which there is room, refuses those whose
// time is up, and returns when the next one's is, zero if nothing has to wait.
func (s *Session) sendParcels(items []*parcel) (next time.Time) {
	waiting := map[string]struct{}{} // places of parcels that stay
	stays := func(place string) bool { _, ok := waiting[place]; return ok }
	for _, x := range items {
		dead := s.isDead()
		if !dead && slices.ContainsFunc(x.places, stays) {
			note(waiting, x.places)
			continue
		}
		err := ErrClosed
		if !dead {
			err = s.reserveParcel(x)
		}
		if err != nil && !dead && x.until.After(s.b.cfg.Now()) {
			note(waiting, x.places)
			if next.IsZero() || x.until.Before(next) {
				next = x.until
			}
			continue
		}
		s.endParcel(x, err)
		s.unpark(x)
	}
	return next
}

func note(places map[string]struct{}, more []string) {
	for _, place := range more {
		places[place] = struct{}{}
	}
}

func (s *Session) reserveParcel(x *parcel) error {
	if !x.stored {
		return nil
	}
	return s.reserve(x.demands)
}

// endParcel sends a parcel, or says why it cannot be sent.
func (s *Session) endParcel(x *parcel, err error) {
	if err != nil {
		for _, d := range x.demands {
			d.q.forsake(s)
		}
	}
	switch {
	case err == nil:
		s.sendParcel(x)
	case s.isDead():
		x.drop(s.b, false)
	default:
		x.drop(s.b, true)
		s.refuseParcel(x, err)
	}
}

// await returns when there may be room, after a time, or when the session is
// dead.
func (s *Session) await(timer *time.Timer, left time.Duration) {
	if s.b.cfg.StoreBytes > 0 {
		left = min(left, storageInterval) // nobody tells when the store has room
	}
	timer.Reset(left)
	select {
	case <-s.parked.wake:
	case <-timer.C:
	case <-s.aborted:
	case <-s.b.end:
	}
}

// sendParcel proposes a parcel for which there is room.
func (s *Session) sendParcel(x *parcel) {
	if x.t != nil {
		if err := s.proposeTransaction(x.t, x.g.ops, x.demands); errors.Is(err, ErrTransaction) {
			s.refuseParcel(x, err)
		}
		return
	}
	x.g.unit.reserved = x.demands
	s.propose(x.g, x.g.unit.seal())
}

// refuseParcel tells the client why a parcel will not be sent.
func (s *Session) refuseParcel(x *parcel, why error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.mu.aborted {
		s.client.Settled(x.g.ops, why)
	}
}

// isDead says whether the session or the broker has ended.
func (s *Session) isDead() bool {
	select {
	case <-s.aborted:
		return true
	case <-s.b.end:
		return true
	default:
		return false
	}
}

// Finish waits until everything that the session was given is settled, also
// what waits for room. Error: ErrClosed.
func (s *Session) Finish() error {
	if err := s.Flush(); err != nil {
		return err
	}
	s.awaitParked()
	return s.Drain()
}

// awaitParked waits until nothing waits for room any more.
func (s *Session) awaitParked() {
	p := &s.parked
	p.mu.Lock()
	defer p.mu.Unlock()
	for !s.isDead() && len(p.items) > 0 {
		p.changed.Wait()
	}
}

// places are where a message that was routed goes, as far as its order among
// others matters there.
func (r *router) places(list []string) []string {
	add := func(place string) {
		if n := len(list); n == 0 || list[n-1] != place {
			list = append(list, place)
		}
	}
	for i := range r.targets {
		add(r.targets[i].queue)
	}
	for i := range r.publications {
		if p := &r.publications[i]; p.temp != nil {
			add(p.temp.name)
		} else {
			add(p.to.String())
		}
	}
	return list
}

// mustWait reserves room, unless nothing is to be stored. If there is none, or
// something waits for it already that goes to one of the places, what is to be
// sent must wait, too.
func (s *Session) mustWait(places []string, demands []demand, stored bool) bool {
	return s.parked.some() && s.parked.behind(places) || stored && s.reserve(demands) != nil
}

// sendOrPark adds a message that was routed to the batch, or holds it aside.
func (s *Session) sendOrPark(m record.Message, op Op) error {
	r := s.router
	if s.parked.some() || len(r.demands) > 0 || s.b.cfg.StoreBytes > 0 {
		if s.placesOf = r.places(s.placesOf[:0]); s.mustWait(s.placesOf, r.demands, !op.Local) {
			if err := s.Flush(); err != nil { // what was gathered goes first
				r.drop()
				return err
			}
			x := &parcel{g: &group{ops: []Op{op}}, stored: !op.Local, places: slices.Clone(s.placesOf),
				demands: slices.Clone(r.demands), until: s.b.cfg.Now().Add(r.wait)}
			r.addTo(&x.g.unit, m, 0)
			return s.park(x)
		}
	}
	s.unit.reserved = merge(s.unit.reserved, r.demands)
	r.addTo(&s.unit, m, s.hint)
	return s.added(op)
}
