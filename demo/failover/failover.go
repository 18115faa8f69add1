// Package failover turns the events of a cluster into timed failovers: what
// began it, who led before and after, and how long each phase took. It is
// pure: it never asks for the time, so a recorded run gives the same result.
package failover

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"baton/node/adminapi"
)

// Run is one failover. A zero time means that the phase was not reached (yet).
type Run struct {
	ID           int       // from 1, in the order of the faults
	Cause        string    // "kill n1", "pause n1", or "suspected" if nobody owned up
	Fault        time.Time // when the cause was injected, or when it was first noticed
	LeaderBefore string
	LeaderAfter  string
	EpochBefore  uint64
	Epoch        uint64 // of the leader after it, 0 until one is being elected

	Detected     time.Time // first follower suspects the leader
	Sealed       time.Time // a quorum has promised the new epoch
	Elected      time.Time // the new leader is written to ZooKeeper
	Promoted     time.Time // its first record is committed and its connectors are open
	FirstReceipt time.Time // the first producer hears success again

	Alarm bool // begun by a follower's suspicion alone

	early []time.Time // receipts that came before the word of the promotion, at most earlyMax
}

// FalseAlarm says that a follower suspected the leader and nothing came of it:
// it was the follower's own link.
func (r Run) FalseAlarm() bool {
	return r.Alarm && r.Sealed.IsZero() && r.Elected.IsZero() && r.Promoted.IsZero()
}

// Phase is one step of a failover with its time since the fault.
type Phase struct {
	Name string
	At   time.Duration // -1 if not reached
}

// Done says that the failover is over: producers hear success again.
func (r Run) Done() bool { return !r.FirstReceipt.IsZero() }

// over says that a new leader serves; what happens next is another run, even
// if no producer was there to hear success.
func (r *Run) over() bool { return r.Done() || !r.Promoted.IsZero() }

// Phases lists the five phases in their order.
func (r Run) Phases() []Phase {
	since := func(t time.Time) time.Duration {
		if t.IsZero() {
			return -1
		}
		return max(0, t.Sub(r.Fault))
	}
	return []Phase{
		{"suspected", since(r.Detected)},
		{"sealed", since(r.Sealed)},
		{"elected", since(r.Elected)},
		{"promoted", since(r.Promoted)},
		{"first receipt", since(r.FirstReceipt)},
	}
}

// runsMax is how many runs a Tracker remembers, the newest.
const runsMax = 500

// Tracker collects runs from faults, node events and receipts. It is safe for
// concurrent use. The events of one node must come in their order; those of
// different nodes may be interleaved in any way.
type Tracker struct {
	mu     sync.Mutex
	leader string
	epoch  uint64 // of the last leader seen serving, 0 before the first
	runs   []Run  // the last of them may be under way, no other
	begun  int    // runs ever
	given  []Run  // what Runs returned, until something changes
}

// Leader returns who served last and in which epoch.
func (t *Tracker) Leader() (node string, epoch uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.leader, t.epoch
}

// causeMax bounds how long a run's cause grows while faults are added to it.
const causeMax = 200

// earlyMax bounds what a run remembers while it waits for the promotion.
const earlyMax = 4096

// alarmMax is how long a suspicion alone counts as the beginning of what
// follows it.
const alarmMax = 10 * time.Second

// Fault notes that somebody did something to a node. It opens a run if that
// node leads; a run still under way stays the one that counts, with the new
// cause added to it. Call it before the fault is done, with the time of then.
func (t *Tracker) Fault(at time.Time, cause, node string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.given = nil
	if r := t.current(); r != nil && r.FalseAlarm() && node == t.leader {
		r.Fault, r.Detected, r.Cause, r.Alarm = at, time.Time{}, cause, false
		return
	}
	if r := t.current(); r != nil && !r.over() && !r.FalseAlarm() {
		if len(r.Cause) < causeMax {
			r.Cause = fmt.Sprintf("%s, %s", r.Cause, cause)
		}
		return
	}
	if t.epoch != 0 && node == t.leader {
		t.begin(at, cause)
	}
}

// Observe takes one event of a node.
func (t *Tracker) Observe(e adminapi.Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch e.Kind {
	case adminapi.KindSuspected:
		t.given = nil
		t.suspected(e)
	case adminapi.KindQuorumSealed, adminapi.KindElected, adminapi.KindServing, adminapi.KindFirstReceipt:
		t.given = nil
		t.phase(e)
	}
}

// Receipt notes a receipt that a producer got over a connection opened at
// connected. Only one opened after the fault can come from the new leader, and
// only after the promotion: before a planned transfer is done the old leader
// still answers. The word of the promotion may be slower than the receipt.
func (t *Tracker) Receipt(connected, at time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := t.current()
	switch {
	case r == nil || r.FalseAlarm() || !connected.After(r.Fault):
	case r.Promoted.IsZero():
		if len(r.early) >= earlyMax {
			r.early = r.early[1:]
		}
		r.early = append(r.early, at)
	default:
		if r.receipt(at) {
			t.given = nil
		}
	}
}

// Runs returns the newest 500 runs, oldest first. The caller must not change
// them: as long as nothing happens all callers get the same.
func (t *Tracker) Runs() []Run {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.given == nil && len(t.runs) > 0 {
		t.given = slices.Clone(t.runs)
		for i := range t.given {
			t.given[i].early = nil
		}
	}
	return t.given
}

func (t *Tracker) current() *Run {
	if len(t.runs) == 0 {
		return nil
	}
	return &t.runs[len(t.runs)-1]
}

func (t *Tracker) begin(at time.Time, cause string) *Run {
	if len(t.runs) >= runsMax {
		t.runs = slices.Clone(t.runs[len(t.runs)-runsMax+1:])
	}
	t.begun++
	t.runs = append(t.runs, Run{ID: t.begun, Cause: cause, Fault: at, LeaderBefore: t.leader, EpochBefore: t.epoch})
	return t.current()
}

func (t *Tracker) suspected(e adminapi.Event) {
	if t.epoch == 0 {
		return // the first election
	}
	r := t.current()
	if e.Epoch < t.epoch { // a late word about an older leader
		if r == nil || e.Epoch != r.EpochBefore || e.Epoch == 0 {
			return
		}
	} else if r == nil || r.over() || r.FalseAlarm() && e.At.Sub(r.Fault) > alarmMax {
		if r != nil && r.FalseAlarm() && !r.over() {
			r.Fault, r.Detected = e.At, time.Time{}
		} else {
			r = t.begin(e.At, "suspected")
			r.Alarm = true
		}
	}
	if r.Detected.IsZero() || e.At.Before(r.Detected) && !e.At.Before(r.Fault) {
		r.Detected = e.At
	}
}

func (t *Tracker) phase(e adminapi.Event) {
	r := t.current()
	if e.Epoch > t.epoch && t.epoch != 0 && (r == nil || r.over() && r.Epoch < e.Epoch) {
		r = t.begin(e.At, "election")
	}
	if r != nil && e.Epoch > r.EpochBefore && e.Epoch >= r.Epoch {
		if e.Epoch > r.Epoch { // an election that failed is followed by the next
			r.Epoch, r.Sealed, r.Elected, r.Promoted, r.LeaderAfter = e.Epoch, time.Time{}, time.Time{}, time.Time{}, ""
		}
		r.set(e)
	}
	if e.Kind == adminapi.KindServing && e.Epoch >= t.epoch {
		t.leader, t.epoch = e.Node, e.Epoch
	}
}

// receipt says whether it is the first.
func (r *Run) receipt(at time.Time) bool {
	first := !at.Before(r.Promoted) && (r.FirstReceipt.IsZero() || at.Before(r.FirstReceipt))
	if first {
		r.FirstReceipt = at
	}
	return first
}

func (r *Run) set(e adminapi.Event) {
	first := func(at *time.Time) {
		if at.IsZero() || e.At.Before(*at) {
			*at = e.At
		}
	}
	switch e.Kind {
	case adminapi.KindQuorumSealed:
		first(&r.Sealed)
	case adminapi.KindElected:
		first(&r.Elected)
		r.LeaderAfter = e.Fields["leader"]
	case adminapi.KindServing:
		first(&r.Promoted)
		r.LeaderAfter = e.Node
		for _, at := range r.early {
			r.receipt(at)
		}
		r.early = nil
	case adminapi.KindFirstReceipt:
		if r.FirstReceipt.IsZero() { // what a client saw counts more
			r.FirstReceipt = e.At
		}
	}
}
