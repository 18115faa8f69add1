package broker

import (
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// parked is what a session could not send yet, because a queue is full. It is
// held aside so that the connection is read on: the acks that make room may be
// behind it. What is sent later is parked, too, to keep the order.
type parked struct {
	mu      sync.Mutex
	items   []*parcel
	bytes   int
	running bool
	count   atomic.Int32  // of items
	changed *sync.Cond    // there is less, or the session is aborted
	wake    chan struct{} // one token: look again
}

// parcel is one SEND or COMMIT that waits.
type parcel struct {
	g       *group
	t       *transaction // of a COMMIT
	demands []demand
	until   time.Time // then it is refused
	bytes   int
}

func (p *parked) init() {
	p.changed, p.wake = sync.NewCond(&p.mu), make(chan struct{}, 1)
}

func (p *parked) poke() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

func (p *parked) some() bool { return p.count.Load() > 0 }

// park holds a parcel aside. It waits while there is too much of that: each
// parcel leaves after a while. Error: ErrClosed.
func (s *Session) park(x *parcel) error {
	p := &s.parked
	x.bytes = x.g.unit.bytes
	if x.g.unit.batch != nil {
		x.bytes += x.g.unit.batch.Len()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for !s.isDead() && len(p.items) > 0 && (len(p.items) >= s.b.cfg.InFlight || p.bytes+x.bytes > s.b.cfg.InFlightBytes) {
		p.changed.Wait()
	}
	if s.isDead() {
		x.drop(s.b, false)
		return ErrClosed
	}
	p.items = append(p.items, x)
	p.bytes += x.bytes
	p.count.Add(1)
	if !p.running {
		p.running = s.b.run(s.runParked)
	}
	return nil
}

// drop gives back what a parcel holds.
func (x *parcel) drop(b *Broker, toConsumers bool) {
	if x.t != nil {
		x.t.rollBack(b, toConsumers)
		return
	}
	x.g.unit.failed(b)
}

// runParked sends what is parked, in order, when there is room for it, until
// nothing is left.
func (s *Session) runParked() {
	p := &s.parked
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		p.mu.Lock()
		if len(p.items) == 0 {
			p.running = false
			p.mu.Unlock()
			return
		}
		x := p.items[0]
		p.mu.Unlock()
		err := s.reserve(x.demands)
		if err != nil {
			left := x.until.Sub(s.b.cfg.Now())
			if left > 0 && s.await(timer, left) {
				continue
			}
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
		p.mu.Lock() // only now: what comes next must not overtake it
		p.items = slices.Delete(p.items, 0, 1)
		p.bytes -= x.bytes
		p.count.Add(-1)
		p.changed.Broadcast()
		p.mu.Unlock()
	}
}

// await waits until there may be room. It is false when the session is dead.
func (s *Session) await(timer *time.Timer, left time.Duration) bool {
	if s.b.cfg.StoreBytes > 0 {
		left = min(left, storageInterval) // nobody tells when the store has room
	}
	timer.Reset(left)
	select {
	case <-s.parked.wake:
	case <-timer.C:
	case <-s.aborted:
		return false
	case <-s.b.end:
		return false
	}
	return true
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
	p := &s.parked
	p.mu.Lock()
	for !s.isDead() && len(p.items) > 0 {
		p.changed.Wait()
	}
	p.mu.Unlock()
	return s.Drain()
}
