package broker

import (
	"cmp"
	"fmt"
	"slices"

	"baton/store/record"
)

// Mode says how a consumer settles messages.
type Mode uint8

// The modes of STOMP's ack header.
const (
	Auto       Mode = iota // settled when written to the consumer's socket
	Cumulative             // an ack covers everything delivered before ("client")
	Individual             // an ack covers one message ("client-individual")
)

// Client is a connection as the broker sees it. Its methods do not block and
// do not call back into the broker.
type Client interface {
	// Reserve sets room for size bytes of output aside. If it is false the
	// subscription gets no more messages until its Resume is called.
	Reserve(sub *Subscription, size int) bool
	// Release gives a reservation back that no Deliver will use.
	Release(size int)
	// Deliver hands over a message and uses up its reservation. It must drop the
	// message if the subscription is closed. The message must not be changed. In
	// mode Auto, Written must be called when it is on its way.
	Deliver(d Delivery)
	// Settled reports on operations, in the order in which the session was given
	// them. ops must not be kept. The error is the proposer's.
	Settled(ops []Op, err error)
}

// Delivery is one message for one consumer.
type Delivery struct {
	Subscription *Subscription
	Message      *record.Message
	Destination  string // where it comes from; "" if that is what was subscribed to
	Tag          uint64 // names the delivery on this subscription, rising from 1
	Redelivered  bool   // the message was delivered before
	Redeliveries int    // how often it came back and that counted
	Reserved     int    // the size that was given to Reserve
}

// Ref names a delivered message by its tag or, if that is 0, by its id.
type Ref struct {
	Tag       uint64
	MessageID string
	upTo      bool // whatever is pending up to Tag, which need not be
}

// Subscription is a consumer. It belongs to a Session. It consumes one queue,
// or is a bundle of others that do.
type Subscription struct {
	// Data is what the client gave to Subscribe.
	Data any

	b        *Broker
	client   Client
	session  *Session
	mode     Mode
	prefetch int
	options  *SubscribeOptions
	place    place
	via      source  // nil: a queue
	bundle   *bundle // of which it is a leg, or nil
	number   int     // of the leg
	wild     bool    // the leg is there for a pattern
	origin   string  // Destination of its deliveries

	q *queue // set by Start; the rest is guarded by q.mu

	unsettled []slot // in order of delivery, rising tags
	live      int    // slots that are not settled
	acking    int    // messages whose ack awaits commit
	lastTag   uint64
	attached  bool
	stalled   bool // the client has no room, or is not ready yet
	able      bool // counted in q.able
}

// slot is a delivery that is not settled; en is nil when it is.
type slot struct {
	tag uint64
	en  *entry
}

// Mode is the mode given to Subscribe.
func (c *Subscription) Mode() Mode { return c.mode }

// place is where a consumer finds its queue.
type place struct {
	open  func() *queue
	close func() // after the consumer is detached; may be nil
}

// source is what a subscription receives from if that is not one queue. The
// methods are those of Subscription.
type source interface {
	start()
	stop(why comeback)
	resume()
	// each settles what a reference covers and returns it.
	each(ref Ref, settle func(*Subscription, Ref) ([]*entry, error)) ([]*entry, error)
}

// start attaches the consumer to its queue, held until Resume.
func (c *Subscription) start() {
	if c.via != nil {
		c.via.start()
		return
	}
	c.stalled = true
	for {
		c.q = c.place.open()
		if c.attach() {
			return
		}
	}
}

// attach is false if the queue is dead.
func (c *Subscription) attach() bool {
	q := c.q
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.dead {
		return false
	}
	c.attached = true
	q.consumers = append(q.consumers, c)
	c.b.subscriptions.Add(1)
	c.reckon()
	q.kick()
	return true
}

// stop detaches the consumer; what it has not settled goes back.
func (c *Subscription) stop(why comeback) {
	if c.via != nil {
		c.via.stop(why)
		return
	}
	q := c.q
	if q == nil {
		return
	}
	q.mu.Lock()
	if !c.attached {
		q.mu.Unlock()
		return
	}
	c.attached = false
	c.b.subscriptions.Add(-1)
	q.consumers = slices.DeleteFunc(q.consumers, func(x *Subscription) bool { return x == c })
	q.giveBack(c.take(len(c.unsettled)), why)
	c.reckon()
	q.kick()
	forget := q.memory == nil && q.unused()
	q.mu.Unlock()
	if forget {
		c.b.forget(q)
	}
	if c.place.close != nil {
		c.place.close()
	}
}

// Resume begins the deliveries after Start, and again after a Reserve that was
// false, when the client has room.
func (c *Subscription) Resume() {
	if c.via != nil {
		c.via.resume()
		return
	}
	c.resumed()
}

// resumed is true if there is a message that the consumer may get now.
func (c *Subscription) resumed() bool {
	c.q.mu.Lock()
	defer c.q.mu.Unlock()
	c.stalled = false
	c.reckon()
	c.q.kick()
	return c.q.dispatching
}

// Written tells that all deliveries up to a tag are on their way to the
// client; in mode Auto that settles them.
func (c *Subscription) Written(tag uint64) {
	if c.mode != Auto || c.q == nil {
		return
	}
	c.q.mu.Lock()
	i, found := c.find(tag)
	if found {
		i++
	}
	entries := c.take(i)
	c.await(entries)
	if c.q.memory != nil {
		c.q.settled(entries)
		entries = nil
	}
	c.q.kick()
	c.q.mu.Unlock()
	c.b.autos.add(entries)
}

// reckon brings able, and the queue's count of it, up to date.
func (c *Subscription) reckon() {
	able := c.attached && !c.stalled && c.live < c.prefetch && c.acking < c.b.cfg.AckWindow
	if able == c.able {
		return
	}
	c.able = able
	if able {
		c.q.able++
	} else {
		c.q.able--
	}
}

// hold notes a delivery.
func (c *Subscription) hold(en *entry) {
	c.unsettled = append(c.unsettled, slot{en.tag, en})
	c.live++ // a bundle has counted it when it was reserved
	c.reckon()
}

// count notes that there are more or fewer unsettled messages.
func (c *Subscription) count(more int) {
	c.live += more
	if c.bundle != nil && more != 0 {
		c.bundle.counted(more)
	}
}

// pending says whether a delivery is not settled.
func (c *Subscription) pending(tag uint64) bool {
	c.q.mu.Lock()
	defer c.q.mu.Unlock()
	i, found := c.find(tag)
	return found && c.unsettled[i].en != nil
}

// find returns the index of the slot with a tag, or where it would be.
func (c *Subscription) find(tag uint64) (int, bool) {
	return slices.BinarySearchFunc(c.unsettled, tag, func(s slot, t uint64) int { return cmp.Compare(s.tag, t) })
}

// locate finds the slot that a client's reference means.
func (c *Subscription) locate(ref Ref) (int, error) {
	if ref.Tag != 0 {
		if i, found := c.find(ref.Tag); found && c.unsettled[i].en != nil {
			return i, nil
		}
	} else {
		for i, s := range c.unsettled {
			if s.en != nil && s.en.id == ref.MessageID {
				return i, nil
			}
		}
	}
	return 0, fmt.Errorf("%w", ErrUnknownMessage)
}

// ack takes what a reference covers, to be acknowledged.
func (c *Subscription) ack(ref Ref) ([]*entry, error) {
	if c.via != nil {
		return c.via.each(ref, (*Subscription).ack)
	}
	c.q.mu.Lock()
	defer c.q.mu.Unlock()
	entries, err := c.settle(ref)
	if err == nil {
		c.await(entries)
		c.q.kick()
	}
	return entries, err
}

// nack gives what a reference covers back to the queue. It is delivered again
// when the queue's policy says so.
func (c *Subscription) nack(ref Ref) error {
	if c.via != nil {
		_, err := c.via.each(ref, func(leg *Subscription, ref Ref) ([]*entry, error) { return nil, leg.nack(ref) })
		return err
	}
	c.q.mu.Lock()
	defer c.q.mu.Unlock()
	entries, err := c.settle(ref)
	if err == nil {
		c.q.giveBack(entries, refused)
		c.q.kick()
	}
	return err
}

// settle takes what an ack or nack with this reference covers.
func (c *Subscription) settle(ref Ref) ([]*entry, error) {
	if c.mode == Auto {
		return nil, fmt.Errorf("%w (its ack mode is auto)", ErrUnknownMessage)
	}
	if ref.upTo {
		i, found := c.find(ref.Tag)
		if found {
			i++
		}
		return c.take(i), nil
	}
	i, err := c.locate(ref)
	if err != nil {
		return nil, err
	}
	if c.mode == Cumulative {
		return c.take(i + 1), nil
	}
	en := c.unsettled[i].en
	c.clear(i)
	c.reckon()
	return []*entry{en}, nil
}

// take removes the first n slots and returns what was not settled in them.
func (c *Subscription) take(n int) []*entry {
	entries := make([]*entry, 0, min(n, c.live))
	for _, s := range c.unsettled[:n] {
		if s.en != nil {
			entries = append(entries, s.en)
		}
	}
	c.unsettled = c.unsettled[n:]
	c.count(-len(entries))
	c.trim()
	c.reckon()
	return entries
}

// drop removes an entry that is delivered to this consumer.
func (c *Subscription) drop(en *entry) {
	if i, found := c.find(en.tag); found && c.unsettled[i].en == en {
		c.clear(i)
	}
}

// clear settles slot i.
func (c *Subscription) clear(i int) {
	c.unsettled[i].en = nil
	c.count(-1)
	c.trim()
}

// trim drops settled slots: those at the front, and all of them when they are
// more than the others, so that one old message does not keep the list long.
func (c *Subscription) trim() {
	n := 0
	for n < len(c.unsettled) && c.unsettled[n].en == nil {
		n++
	}
	if c.unsettled = c.unsettled[n:]; len(c.unsettled) == 0 {
		c.unsettled = nil
	}
	if len(c.unsettled) > 2*c.live+64 {
		c.unsettled = slices.DeleteFunc(c.unsettled, func(s slot) bool { return s.en == nil })
	}
}

// await marks entries whose ack is about to be proposed.
func (c *Subscription) await(entries []*entry) {
	for _, en := range entries {
		en.state = stateAcking
	}
	c.acking += len(entries)
	c.reckon()
}
