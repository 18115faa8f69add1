package broker

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"baton/node/broker/destination"
)

// bundle is a consumer of several queues: of a composite destination, or of
// all queues that a pattern stands for, those that come later included. It has
// a leg, an ordinary subscription, in each of them; what is common is how many
// messages may be unsettled, and which one an ack means.
//
// A tag that the client sees is made of a leg's tag and its number, so that no
// table is needed to find the leg again. Numbers are used again, but never with
// a tag that was used before.
type bundle struct {
	sub   *Subscription // what the client has
	parts []legPart

	live atomic.Int64 // unsettled, of all legs

	mu      sync.Mutex
	started bool // legs that come need not be held
	closed  bool
	legs    []*Subscription // by number; nil: free
	byQueue map[*queue]int
	free    []int
	base    uint64          // no tag up to it is used by a new leg
	waiting []*Subscription // legs that found the prefetch used up
	waking  bool            // runWake is on its way
	again   bool            // and has to look again
	order   []sighting      // what was delivered, in the order of the connection
}

// legPart is one destination of the subscription.
type legPart struct {
	destination.Destination
	place
}

// sighting is one delivery, of a mode other than Auto.
type sighting struct {
	leg *Subscription
	tag uint64 // the leg's
	id  string
}

// legBits is how much of a tag is the number of the leg.
const legBits = 20

func newBundle(sub *Subscription, parts []legPart) *bundle {
	return &bundle{sub: sub, parts: parts, byQueue: map[*queue]int{}}
}

// start attaches a leg to each queue, all of them held.
func (n *bundle) start() {
	b := n.sub.b
	b.queues.Lock()
	defer b.queues.Unlock()
	for _, p := range n.parts {
		switch {
		case p.Kind == destination.Queue && p.Pattern:
			b.queues.patterns.Add(p.Name, n)
			for q := range b.queues.names.Matching(p.Name) {
				n.add(q, legPart{p.Destination, place{}})
			}
		case p.Kind == destination.Queue:
			n.add(b.addLocked(p.Name), legPart{p.Destination, place{}})
		default:
			n.add(p.open(), p)
		}
	}
}

// add attaches a leg to a queue, once. The caller holds Broker.queues, so the
// queue is not dead.
func (n *bundle) add(q *queue, of legPart) {
	n.mu.Lock()
	if _, ok := n.byQueue[q]; ok || n.closed || len(n.byQueue) == 1<<legBits {
		n.mu.Unlock()
		return
	}
	c := n.sub
	leg := &Subscription{
		Data: c.Data, b: c.b, client: n, session: c.session, mode: c.mode, prefetch: c.prefetch, options: c.options,
		q: q, stalled: !n.started,
		bundle: n, wild: of.Pattern && of.Kind == destination.Queue, place: of.place, lastTag: n.base,
	}
	switch of.Kind {
	case destination.Queue:
		leg.origin = destination.Destination{Kind: destination.Queue, Name: q.name}.String()
	case destination.Topic: // its messages say
	default:
		leg.origin = of.String()
	}
	leg.number = len(n.legs)
	if k := len(n.free); k > 0 {
		leg.number, n.free = n.free[k-1], n.free[:k-1]
		n.legs[leg.number] = leg
	} else {
		n.legs = append(n.legs, leg)
	}
	n.byQueue[q] = leg.number
	n.mu.Unlock()
	leg.attach()
}

// removed forgets the leg of a queue that is no more; its last tag was last.
func (n *bundle) removed(q *queue, last uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if number, ok := n.byQueue[q]; ok {
		n.base = max(n.base, last)
		n.legs[number] = nil
		n.free = append(n.free, number)
		delete(n.byQueue, q)
	}
}

// stop detaches the legs.
func (n *bundle) stop(why comeback) {
	b := n.sub.b
	b.queues.Lock()
	n.mu.Lock()
	if n.closed {
		n.mu.Unlock()
		b.queues.Unlock()
		return
	}
	n.closed = true
	legs := n.legs
	n.legs, n.byQueue, n.waiting, n.order = nil, nil, nil, nil
	for _, p := range n.parts {
		if p.Kind == destination.Queue && p.Pattern {
			b.queues.patterns.Remove(p.Name, n)
		}
	}
	n.mu.Unlock()
	b.queues.Unlock()
	for _, leg := range legs {
		if leg != nil {
			leg.stop(why)
		}
	}
}

// resume begins the deliveries. Later the connection resumes legs.
func (n *bundle) resume() {
	n.mu.Lock()
	n.started = true
	legs := slices.Clone(n.legs)
	n.mu.Unlock()
	for _, leg := range legs {
		if leg != nil {
			leg.Resume()
		}
	}
}

// counted tells that a leg has n unsettled messages more. It is called under
// the lock of a queue, so others are woken elsewhere.
func (n *bundle) counted(more int) {
	if n.live.Add(int64(more)); more < 0 {
		n.wake()
	}
}

// wake lets legs that wait go on, if there is room for more messages.
func (n *bundle) wake() {
	if n.live.Load() >= int64(n.sub.prefetch) {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case n.waking:
		n.again = true
	case len(n.waiting) > 0:
		n.waking = n.sub.b.run(n.runWake)
	}
}

// runWake resumes as many legs with messages as there is room for. A leg that
// then takes none calls wake when its queue's dispatcher ends.
func (n *bundle) runWake() {
	for room := n.sub.prefetch - int(n.live.Load()); ; {
		n.mu.Lock()
		if n.again {
			n.again, room = false, n.sub.prefetch-int(n.live.Load())
		}
		if room <= 0 || len(n.waiting) == 0 {
			n.waking = false
			n.mu.Unlock()
			return
		}
		leg := n.waiting[0]
		n.waiting = n.waiting[1:]
		n.mu.Unlock()
		if leg.resumed() {
			room--
		}
	}
}

// Reserve implements Client for the legs.
func (n *bundle) Reserve(leg *Subscription, size int) bool {
	if n.live.Add(1) > int64(n.sub.prefetch) {
		n.mu.Lock()
		n.waiting = append(n.waiting, leg)
		n.mu.Unlock()
		n.counted(-1) // after the leg waits, or its wake could be missed
		return false
	}
	if n.sub.client.Reserve(leg, size) {
		return true
	}
	n.counted(-1)
	return false
}

// Release implements Client for the legs.
func (n *bundle) Release(size int) { n.sub.client.Release(size) }

// Deliver implements Client for the legs.
func (n *bundle) Deliver(d Delivery) {
	leg := d.Subscription
	if leg.mode == Auto {
		n.sub.client.Deliver(d)
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.order = append(n.order, sighting{leg, d.Tag, d.Message.ID})
	d.Tag = d.Tag<<legBits | uint64(leg.number)
	n.sub.client.Deliver(d)
}

// Settled implements Client; legs propose nothing.
func (n *bundle) Settled([]Op, error) {}

// find returns the leg and its tag that a reference means.
func (n *bundle) find(ref Ref) (*Subscription, uint64, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if ref.Tag != 0 {
		if i := ref.Tag & (1<<legBits - 1); i < uint64(len(n.legs)) && n.legs[i] != nil {
			return n.legs[i], ref.Tag >> legBits, nil
		}
		return nil, 0, fmt.Errorf("%w", ErrUnknownMessage)
	}
	var named []sighting
	for _, s := range n.order {
		if s.id == ref.MessageID {
			named = append(named, s)
		}
	}
	n.mu.Unlock() // a queue's lock comes before the bundle's
	defer n.mu.Lock()
	for _, s := range named {
		if s.leg.pending(s.tag) {
			return s.leg, s.tag, nil
		}
	}
	return nil, 0, fmt.Errorf("%w", ErrUnknownMessage)
}

// covered returns, for each leg, up to which tag a reference reaches: in mode
// Cumulative it covers all that the connection was given before.
func (n *bundle) covered(ref Ref) ([]sighting, error) {
	leg, tag, err := n.find(ref)
	if err != nil {
		return nil, err
	}
	if n.sub.mode != Cumulative {
		return []sighting{{leg: leg, tag: tag}}, nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	i := slices.IndexFunc(n.order, func(s sighting) bool { return s.leg == leg && s.tag == tag })
	last := map[*Subscription]uint64{leg: tag}
	for _, s := range n.order[:max(i, 0)] {
		if s.leg != leg {
			last[s.leg] = s.tag
		}
	}
	all := []sighting{{leg: leg, tag: tag}} // first, for it must exist
	for l, t := range last {
		if l != leg {
			all = append(all, sighting{leg: l, tag: t})
		}
	}
	return all, nil
}

// each settles what a reference covers, leg by leg. Only what the reference
// names has to be pending.
func (n *bundle) each(ref Ref, settle func(leg *Subscription, ref Ref) ([]*entry, error)) ([]*entry, error) {
	all, err := n.covered(ref)
	if err != nil {
		return nil, err
	}
	var entries []*entry
	for i, s := range all {
		found, err := settle(s.leg, Ref{Tag: s.tag, upTo: i > 0})
		if err != nil && i == 0 {
			return nil, err
		}
		entries = append(entries, found...)
	}
	n.tidy()
	return entries, nil
}

// tidy drops sightings of what is settled, when they are more than the others.
func (n *bundle) tidy() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if int64(len(n.order)) <= 2*n.live.Load()+64 {
		return
	}
	order := n.order
	n.order = nil
	n.mu.Unlock() // a queue's lock comes before the bundle's
	order = slices.DeleteFunc(order, func(s sighting) bool { return !s.leg.pending(s.tag) })
	n.mu.Lock()
	n.order = append(order, n.order...)
}
