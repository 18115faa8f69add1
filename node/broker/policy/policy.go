package policy

import (
	"math"
	"time"

	"baton/node/broker/destination"
)

// NackDeadLetter is Redelivery.Nack for a message that its consumer refuses to
// go to the dead-letter queue at once.
const (
	NackRedeliver  = "redeliver"
	NackDeadLetter = "dead-letter"
)

// Policy is what holds for one destination. Get it from a Table.
type Policy struct {
	Redelivery Redelivery
	DeadLetter DeadLetter
	Expiry     Expiry
	Limits     Limits
	Prefetch   int // of consumers that name none; 0: the server's own
}

// Redelivery says when a message that came back is delivered again.
type Redelivery struct {
	Max        int           // redeliveries before the message is dead; -1 for any number
	Delay      time.Duration // after the first NACK
	Multiplier float64       // of the delay from one NACK to the next, at least 1
	MaxDelay   time.Duration // the longest delay
	Nack       string        // NackRedeliver or NackDeadLetter
}

// DeadLetter says what becomes of messages that are dead.
type DeadLetter struct {
	Queue         string
	Expired       bool // keep those whose time was up
	NonPersistent bool // keep those sent with persistent:false
	Discard       bool // keep none
}

// Expiry says how long messages live. 0 is for ever.
type Expiry struct {
	Default time.Duration // of those that name no time
	Max     time.Duration // of all
}

// Limits of a queue; 0 is none.
type Limits struct {
	Messages    int64
	Bytes       int64         // of the records in the log
	MessageSize int64         // body of one message, bytes
	Wait        time.Duration // how long a producer waits for room
}

// Default is what holds where no rule says otherwise: ActiveMQ's figures, but
// for a NACK, which is ActiveMQ's poison message at once.
func Default() Policy {
	return Policy{
		Redelivery: Redelivery{Max: 6, Delay: time.Second, Multiplier: 1, MaxDelay: time.Minute, Nack: NackRedeliver},
		DeadLetter: DeadLetter{Queue: "DLQ", Expired: true},
		Limits:     Limits{Wait: 30 * time.Second},
	}
}

// DelayOf returns how long a message waits that came back for the n-th time,
// n from 1.
func (r Redelivery) DelayOf(n uint32) time.Duration {
	if r.Delay == 0 {
		return 0
	}
	d := float64(r.Delay) * math.Pow(max(r.Multiplier, 1), float64(max(n, 1)-1))
	if longest := float64(max(r.MaxDelay, r.Delay)); d > longest {
		d = longest
	}
	return time.Duration(d)
}

// Spent says whether a message that came back n times is not to be delivered
// again.
func (r Redelivery) Spent(n uint32) bool { return r.Max >= 0 && int64(n) > int64(r.Max) }

// Keeps says whether a dead message goes to the dead-letter queue.
func (d DeadLetter) Keeps(expired, persistent bool) bool {
	return !d.Discard && (d.Expired || !expired) && (d.NonPersistent || persistent)
}

// Deadline returns when a message expires that is sent at now and wishes to
// expire at wish, all in Unix milliseconds; 0 is never.
func (e Expiry) Deadline(now, wish int64) int64 {
	if wish == 0 && e.Default > 0 {
		wish = now + e.Default.Milliseconds()
	}
	if e.Max > 0 {
		if last := now + e.Max.Milliseconds(); wish == 0 || wish > last {
			wish = last
		}
	}
	return wish
}

// Bounded says whether there is a limit to what the queue holds.
func (l Limits) Bounded() bool { return l.Messages > 0 || l.Bytes > 0 }

// Rule is a policy and what it is for.
type Rule struct {
	Match  destination.Destination // a queue or a topic, or a pattern of them
	Policy Policy
}

// Table is a list of rules. The nil Table is the default for everything.
type Table []Rule

// Of returns the policy for a queue or a topic of this name.
func (t Table) Of(kind destination.Kind, name string) Policy {
	for i := range t {
		if m := &t[i].Match; m.Kind == kind && (m.Name == name || m.Pattern && destination.Matches(m.Name, name)) {
			return t[i].Policy
		}
	}
	return Default()
}
