package stompserver

import (
	"sync"

	"baton/node/broker"
	"baton/node/stomp"
)

// outbox is what waits to be written to one client. Everybody appends; only
// the connection's writer takes.
type outbox struct {
	high   int           // no more messages above this many bytes
	budget *budget       // that it shares with all others
	wants  int64         // more than 0: it is in the budget's line; guarded by the budget
	wake   chan struct{} // one token: there is something for the writer

	mu       sync.Mutex
	room     *sync.Cond // output shrank, or the outbox closed
	buf      []byte
	spare    []byte // the writer's last buffer, to be used again
	writing  int    // bytes that the writer has taken and not written yet
	reserved int    // bytes of messages that are on their way here
	counted  int64  // of the budget
	autos    []autoMark
	stalled  []*broker.Subscription
	finish   bool // the writer ends when buf is empty
	closed   bool // nothing more is taken
}

// autoMark says up to which delivery of an auto-mode subscription buf reaches.
type autoMark struct {
	sub *broker.Subscription
	tag uint64
}

const spareMax = 256 << 10 // a larger buffer is not used again

func newOutbox(high int, shared *budget) *outbox {
	o := &outbox{high: high, budget: shared, wake: make(chan struct{}, 1)}
	o.room = sync.NewCond(&o.mu)
	return o
}

func (o *outbox) size() int { return len(o.buf) + o.writing + o.reserved }

// account tells the budget what there is now. The caller holds the lock.
func (o *outbox) account() {
	now := counted(o.size())
	if o.closed {
		now = 0
	}
	o.budget.change(o.counted, now)
	o.counted = now
}

func (o *outbox) signal() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// append lets encode add to the buffer.
func (o *outbox) append(encode func([]byte) []byte) {
	o.mu.Lock()
	if !o.closed && !o.finish {
		o.buf = encode(o.buf)
		o.account()
	}
	o.mu.Unlock()
	o.signal()
}

// reserve sets room for a message aside; if there is none, the subscription is
// resumed when there is.
func (o *outbox) reserve(sub *broker.Subscription, n int) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed || o.finish {
		return false
	}
	need := counted(o.size() + n)
	if o.size() >= o.high || !o.budget.take(o, o.counted, need) {
		o.stalled = append(o.stalled, sub)
		return false
	}
	o.reserved += n
	o.counted = need
	return true
}

// release gives a reservation back.
func (o *outbox) release(n int) {
	o.mu.Lock()
	o.reserved -= n
	o.account()
	o.mu.Unlock()
	o.signal() // somebody may be stalled because of it
}

// deliver encodes a message unless its subscription has ended.
func (o *outbox) deliver(v stomp.Version, d *broker.Delivery) {
	c := d.Subscription.Data.(*consumer)
	o.mu.Lock()
	o.reserved -= d.Reserved
	if o.closed || o.finish || c.ended {
		o.account()
		o.mu.Unlock()
		o.signal() // somebody may be stalled because of the reservation
		return
	}
	if cap(o.buf) == 0 {
		o.buf = o.budget.takeSpare()
	}
	o.buf = appendMessage(o.buf, v, c, d)
	if d.Subscription.Mode() == broker.Auto {
		if n := len(o.autos); n > 0 && o.autos[n-1].sub == d.Subscription {
			o.autos[n-1].tag = d.Tag
		} else {
			o.autos = append(o.autos, autoMark{d.Subscription, d.Tag})
		}
	}
	o.account()
	o.mu.Unlock()
	o.signal()
}

// end makes deliveries to a consumer stop: none is appended after it returns.
func (o *outbox) end(c *consumer) {
	o.mu.Lock()
	defer o.mu.Unlock()
	c.ended = true
}

// take gives the writer what there is. last means that nothing will follow.
func (o *outbox) take() (buf []byte, autos []autoMark, last bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return nil, nil, true
	}
	if len(o.buf) == 0 {
		o.buf, o.spare = o.budget.leaveSpare(o.buf), o.budget.leaveSpare(o.spare)
		return nil, nil, o.finish
	}
	buf, autos = o.buf, o.autos
	o.buf, o.spare, o.autos = o.spare[:0], nil, nil
	o.writing = len(buf)
	return buf, autos, false
}

// written takes the buffer back.
func (o *outbox) written(buf []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.writing = 0
	o.account()
	if cap(buf) > cap(o.spare) && cap(buf) <= spareMax {
		o.spare = buf[:0]
	}
	o.room.Broadcast()
}

// resumable returns the subscriptions that found no room, if there may be some
// again: with nothing to write there is, or messages are on their way here,
// which make the writer come round again, or the budget is used up, which will
// wake it.
func (o *outbox) resumable() []*broker.Subscription {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.size() > o.high/2 && len(o.buf) > 0 {
		return nil
	}
	subs := o.stalled
	o.stalled = nil
	return subs
}

// hoards says that it holds a part of what all share.
func (o *outbox) hoards() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.counted > 0
}

// waitRoom blocks while a client that does not read has too much waiting.
func (o *outbox) waitRoom() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for len(o.buf)+o.writing >= 2*o.high && !o.closed {
		o.room.Wait()
	}
}

// finishUp lets the writer write what there is and end.
func (o *outbox) finishUp() {
	o.mu.Lock()
	o.finish = true
	o.mu.Unlock()
	o.signal()
}

// close drops what there is; the writer ends.
func (o *outbox) close() {
	o.mu.Lock()
	o.closed = true
	o.buf, o.spare, o.autos, o.stalled = nil, nil, nil, nil
	o.account()
	o.budget.leave(o)
	o.room.Broadcast()
	o.mu.Unlock()
	o.signal()
}
