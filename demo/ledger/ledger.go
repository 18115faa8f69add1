// Package ledger keeps account of every message of a run and judges it. It is
// pure: it knows no broker and no clock, so an edited history tests it.
//
// A message is sent, then receipted, refused (the broker answered ERROR) or in
// doubt (the connection was lost first); it is received any number of times,
// and its ack is confirmed or not. What was in doubt may be sent again under the
// same duplicate-suppression id, which the broker has promised to store once:
// so whatever arrives twice is the broker's doing.
//
//	lost          receipted and not received, though the queue was drained: violation
//	phantom       received, never sent: violation
//	duplicate     received again although its ack was confirmed, or under a
//	              different message-id (stored twice), or on the same connection
//	              without being flagged as redelivered: violation
//	redelivered   received again before its ack was confirmed, flagged or on a
//	              new connection: legal (at least once), never a duplicate
//	out of order  first received after a later message of its producer, though it
//	              was receipted and the queue has one consumer: violation
//	recovered     in doubt or refused, and received: legal
//	corrupt       received with another body than was sent: violation
//
// What is over is forgotten: of a message whose send has its outcome, and that
// was received and acknowledged, only one thing can still be said, that whatever
// comes of it is a duplicate, and for that its number is enough. A run holds the
// last few thousand messages of each producer, eight bytes each, and of the older
// ones those whose fate is open; so it can go on for as long as it likes.
package ledger

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"slices"
	"sync"
)

// Key names a message: the producer that sent it and its number there, from 1.
type Key struct {
	Producer int
	Seq      uint64
}

// String is the form that travels in a header: "3-1042".
func (k Key) String() string { return fmt.Sprintf("%d-%d", k.Producer, k.Seq) }

// ParseKey reads what String wrote.
func ParseKey(s string) (Key, error) {
	var k Key
	if _, err := fmt.Sscanf(s, "%d-%d", &k.Producer, &k.Seq); err != nil || k.String() != s || k.Producer < 0 || k.Seq == 0 {
		return Key{}, fmt.Errorf("ledger: %q is not the id of a message", s)
	}
	return k, nil
}

// Delivery is one message as a consumer got it.
type Delivery struct {
	MessageID   string // the broker's
	Connection  int    // tells connections of the run apart
	Redelivered bool   // flagged by the broker
	Corrupt     bool   // the body is not what was sent
}

// Summary counts the messages of a run so far.
type Summary struct {
	Sent        uint64 `json:"sent"`
	Receipted   uint64 `json:"receipted"`
	Refused     uint64 `json:"refused"`
	InDoubt     uint64 `json:"in_doubt"`
	Resent      uint64 `json:"resent"`      // were in doubt, sent again, and have an outcome now
	Received    uint64 `json:"received"`    // distinct messages
	Outstanding uint64 `json:"outstanding"` // receipted and not received yet; lost, once the queue is drained
	Acked       uint64 `json:"acked"`       // acks that the broker confirmed
	Recovered   uint64 `json:"recovered"`
	Redelivered uint64 `json:"redelivered"` // deliveries
	Duplicates  uint64 `json:"duplicates"`  // deliveries
	OutOfOrder  uint64 `json:"out_of_order"`
	Phantom     uint64 `json:"phantom"` // deliveries
	Corrupt     uint64 `json:"corrupt"` // deliveries
}

// Violations names what must never happen, empty if all is well. Outstanding
// messages count only if the queue was drained.
func (s Summary) Violations(drained bool) []string {
	var v []string
	add := func(n uint64, what string) {
		if n > 0 {
			v = append(v, fmt.Sprintf("%d %s", n, what))
		}
	}
	if drained {
		add(s.Outstanding, "lost")
	}
	add(s.Duplicates, "duplicated")
	add(s.OutOfOrder, "out of order")
	add(s.Phantom, "never sent")
	add(s.Corrupt, "corrupt")
	return v
}

// Bits of a message's state.
const (
	receipted = 1 << iota
	refused
	inDoubt
	received
	acked
	late // first received after a later one
)

type entry struct {
	idHash uint32 // of the broker's message-id
	conn   uint16 // of the first delivery, modulo 65536
	bits   uint8
}

// over says that nothing can change what is known of the message.
func (e entry) over() bool {
	return e.bits&(receipted|refused|inDoubt) != 0 && e.bits&received != 0 && e.bits&acked != 0
}

// window is how many of its newest messages an account holds one by one; it is
// looked through each time that as many were sent.
const window = 4096

type producer struct {
	ordered bool
	base    uint64            // messages up to here left the window
	open    map[uint64]*entry // those of them that are not over
	entries []entry           // the window: base+1, ...
	highest uint64            // first received so far
}

// slide lets the older half of a full window go.
func (p *producer) slide() {
	if len(p.entries) < 2*window {
		return
	}
	for i := range window {
		if e := p.entries[i]; !e.over() {
			p.open[p.base+uint64(i)+1] = &e
		}
	}
	for seq, e := range p.open {
		if e.over() {
			delete(p.open, seq)
		}
	}
	p.entries = append(p.entries[:0], p.entries[window:]...)
	p.base += window
}

// find returns what is known of a message: nil, true if it is over and forgotten,
// nil, false if it was never sent.
func (p *producer) find(seq uint64) (e *entry, sent bool) {
	switch {
	case seq == 0 || seq > p.base+uint64(len(p.entries)):
		return nil, false
	case seq > p.base:
		return &p.entries[seq-p.base-1], true
	}
	return p.open[seq], true
}

// Ledger is safe for concurrent use.
type Ledger struct {
	mu        sync.Mutex
	producers []*producer
	sum       Summary
}

// AddProducer opens an account. ordered says that the messages of this producer
// go to one queue with one consumer, so that their order means something.
func (l *Ledger) AddProducer(ordered bool) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.producers = append(l.producers, &producer{ordered: ordered, open: map[uint64]*entry{}})
	return len(l.producers) - 1
}

// Sent notes that a producer is about to send its next message, and names it.
func (l *Ledger) Sent(p int) Key {
	l.mu.Lock()
	defer l.mu.Unlock()
	pr := l.producers[p]
	pr.slide()
	pr.entries = append(pr.entries, entry{})
	l.sum.Sent++
	return Key{Producer: p, Seq: pr.base + uint64(len(pr.entries))}
}

func (l *Ledger) find(k Key) (p *producer, e *entry, sent bool) {
	if k.Producer < 0 || k.Producer >= len(l.producers) {
		return nil, nil, false
	}
	p = l.producers[k.Producer]
	e, sent = p.find(k.Seq)
	return p, e, sent
}

// Receipted notes that the broker confirmed the message.
func (l *Ledger) Receipted(k Key) { l.outcome(k, receipted, &l.sum.Receipted) }

// Refused notes that the broker answered ERROR.
func (l *Ledger) Refused(k Key) { l.outcome(k, refused, &l.sum.Refused) }

// Resent notes that the message was in doubt and sent again; its outcome is
// told besides.
func (l *Ledger) Resent(k Key) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, _, sent := l.find(k); !sent {
		panic(fmt.Sprintf("ledger: message %v was sent again and never sent", k))
	}
	l.sum.Resent++
}

// InDoubt notes that nobody knows.
func (l *Ledger) InDoubt(k Key) { l.outcome(k, inDoubt, &l.sum.InDoubt) }

// outcome sets the one outcome of a send; it may come after the delivery.
func (l *Ledger) outcome(k Key, bit uint8, count *uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, e, _ := l.find(k)
	if e == nil || e.bits&(receipted|refused|inDoubt) != 0 {
		panic(fmt.Sprintf("ledger: outcome %d of message %v, which was not sent or has one", bit, k))
	}
	e.bits |= bit
	*count++
	switch {
	case bit != receipted && e.bits&received != 0:
		l.sum.Recovered++
	case bit == receipted && e.bits&received == 0:
		l.sum.Outstanding++
	case bit == receipted && e.bits&late != 0:
		l.sum.OutOfOrder++
	}
}

// Received notes a delivery.
func (l *Ledger) Received(k Key, d Delivery) {
	hash := fnv.New32a()
	hash.Write([]byte(d.MessageID))
	id := hash.Sum32()
	l.mu.Lock()
	defer l.mu.Unlock()
	p, e, sent := l.find(k)
	if !sent {
		l.sum.Phantom++
		return
	}
	if d.Corrupt {
		l.sum.Corrupt++
	}
	if e == nil { // its ack was confirmed
		l.sum.Duplicates++
		return
	}
	if e.bits&received != 0 {
		sameConn := e.conn == uint16(d.Connection)
		if e.bits&acked != 0 || e.idHash != id || sameConn && !d.Redelivered {
			l.sum.Duplicates++
		} else {
			l.sum.Redelivered++
		}
		e.conn = uint16(d.Connection)
		return
	}
	e.bits |= received
	e.idHash, e.conn = id, uint16(d.Connection)
	l.sum.Received++
	l.firstReceived(p, e, k.Seq)
}

func (l *Ledger) firstReceived(p *producer, e *entry, seq uint64) {
	if e.bits&receipted != 0 {
		l.sum.Outstanding--
	}
	if e.bits&(refused|inDoubt) != 0 {
		l.sum.Recovered++
	}
	if seq > p.highest {
		p.highest = seq
		return
	}
	if p.ordered {
		e.bits |= late
		if e.bits&receipted != 0 {
			l.sum.OutOfOrder++
		}
	}
}

// Acked notes that the broker confirmed the ack.
func (l *Ledger) Acked(k Key) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, e, _ := l.find(k); e != nil && e.bits&acked == 0 {
		e.bits |= acked
		l.sum.Acked++
	}
}

// Summary counts the run so far.
func (l *Ledger) Summary() Summary {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.sum
}

// Missing lists up to limit messages that were receipted and not received, by
// producer, the oldest first.
func (l *Ledger) Missing(limit int) []Key {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []Key
	for p, pr := range l.producers {
		var of []Key
		for seq, e := range pr.open {
			if e.bits&(receipted|received) == receipted {
				of = append(of, Key{Producer: p, Seq: seq})
			}
		}
		slices.SortFunc(of, func(a, b Key) int { return cmp.Compare(a.Seq, b.Seq) })
		for i, e := range pr.entries {
			if e.bits&(receipted|received) == receipted {
				of = append(of, Key{Producer: p, Seq: pr.base + uint64(i) + 1})
			}
		}
		out = append(out, of...)
	}
	return out[:min(limit, len(out))]
}

// Held is how many messages are held one by one: a bounded window for each
// producer, and the older ones whose fate is open.
func (l *Ledger) Held() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	held := 0
	for _, p := range l.producers {
		held += len(p.entries) + len(p.open)
	}
	return held
}
